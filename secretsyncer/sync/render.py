"""Renders the data of a Secret from a spec and the AWS values that it references. Pure.

`dataFrom` is first, then `data` in order; a later name wins. All problems are collected and raised as one failure, so that
a user sees all wrong keys at once. JSON numbers keep their source text, booleans are `true`/`false`, objects and lists
become compact JSON. A missing key and `null` are errors, unless the reference is optional or has a default. The operator
and `secretsyncer render` use it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.expressions import regexp
from secretsyncer.sync.json_value import Absent, bad, compact, key_text, parse_object, path_text, raw
from secretsyncer.synced_secret import (
    DataFrom,
    DataItem,
    Find,
    SecretKeyReference,
    SecretReference,
    SyncedSecretSpec,
    is_data_key,
)

SIZE_LIMIT = 1_048_576
"""Maximum bytes of data in one Secret (MaxSecretSize in Kubernetes)."""

Data = dict[str, bytes]

T = TypeVar("T")


Values = Mapping[SecretReference, SecretValue | SyncFailure]
"""The value or the failure of each reference in the spec."""

Outputs = Mapping[str, str | SyncFailure]
"""The output or the failure of each template in the spec."""

Found = Sequence[SecretValue | SyncFailure]
"""The secrets that `find` selected, in order."""


def references(spec: SyncedSecretSpec) -> list[SecretReference]:
    """The AWS secrets that the spec references directly, without templates and `find`."""
    named = list(spec.data_from.references) if spec.data_from else []
    for item in spec.items:
        source = item.value_from and (item.value_from.secret_ref or item.value_from.secret_key_ref)
        if source:
            named.append(source)
    return named


def templates(spec: SyncedSecretSpec) -> list[str]:
    """The Go templates of the spec, each once, in order."""
    texts = (item.value_from.template for item in spec.items if item.value_from)
    return list(dict.fromkeys(text for text in texts if text is not None))


def select(find: Find, catalogue: Catalogue) -> list[Entry]:
    """The listed secrets that `find` selects, by name. Tags and names are compared exactly, in memory."""
    pattern = regexp.compile(find.name.regexp) if find.name and find.name.regexp is not None else None
    prefix = (find.name and find.name.prefix) or ""

    def matches(entry: Entry) -> bool:
        return (
            entry.name.startswith(prefix)
            and (find.tag_key is None or find.tag_key in entry.tags)
            and all(entry.tags.get(key) == value for key, value in (find.tags or {}).items())
            and (pattern is None or pattern.search(entry.name) is not None)
        )

    return sorted((entry for entry in catalogue.entries.values() if matches(entry)), key=lambda entry: entry.name)


def render(spec: SyncedSecretSpec, values: Values, outputs: Outputs, found: Found | SyncFailure = ()) -> Data:
    """The data. Raises Rejected or Unavailable with every key that could not be rendered, and why."""
    data: Data = {}
    failures: list[SyncFailure] = []

    def attempt(label: str, action: Callable[[], Data]) -> None:
        try:
            data.update(action())
        except SyncFailure as failure:
            failures.append(_labelled(label, failure))

    source = spec.data_from
    if source:
        attempt("dataFrom", lambda: _from_everything(source, values, found))
    for item in spec.items:
        attempt(f"data.{item.name}", lambda item=item: _item(item, values, outputs))  # type: ignore[misc]
    if failures:
        raise combine(failures)
    _check_size(data)
    return data


def combine(failures: Sequence[SyncFailure]) -> SyncFailure:
    """One failure for several, with all messages and the first reason. Retried if one of them is temporary."""
    waiting = [failure for failure in failures if isinstance(failure, Unavailable)]
    first = (waiting or failures)[0]
    message = "; ".join(dict.fromkeys(failure.message for failure in failures))
    if waiting:
        return Unavailable(first.reason, message, retry_after=max(f.retry_after or 0 for f in waiting) or None)
    return Rejected(first.reason, message)


def _labelled(label: str, failure: SyncFailure) -> SyncFailure:
    return type(failure)(failure.reason, f"{label}: {failure.message}", retry_after=failure.retry_after)


def _item(item: DataItem, values: Values, outputs: Outputs) -> Data:
    """The key and value of the entry; nothing if it is optional and missing."""
    if item.value_from is None:
        return {item.name: (item.value or "").encode()}
    if item.value_from.template is not None:
        return {item.name: _given(outputs[item.value_from.template]).encode()}
    reference = item.value_from.secret_ref or item.value_from.secret_key_ref
    assert reference is not None  # noqa: S101 - the model says: exactly one
    try:
        value = _bytes(reference, _given(values[reference]))
    except Rejected as failure:
        if not _is_absent(failure) or not (reference.optional or reference.default is not None):
            raise
        return {} if reference.default is None else {item.name: reference.default.encode()}
    return {item.name: _decoded(reference.name, value) if reference.decode else value}


def _bytes(reference: SecretReference, value: SecretValue) -> bytes:
    if not isinstance(reference, SecretKeyReference):
        return raw(value)
    if reference.jmes_path is not None:
        return path_text(value, reference.name, reference.jmes_path)
    return key_text(value, reference.name, reference.key or "")


def _given(result: T | SyncFailure) -> T:
    """The result. Raises it if it is a failure."""
    if isinstance(result, SyncFailure):
        raise result
    return result


def _is_absent(failure: Rejected) -> bool:
    """Whether the value is missing, as opposed to not readable or wrong."""
    return isinstance(failure, Absent) or failure.reason is Reason.SECRET_NOT_FOUND


def _from_everything(source: DataFrom, values: Values, found: Found | SyncFailure) -> Data:
    """All of dataFrom: named objects in order, then what was found; a later key wins."""
    data: Data = {}
    for reference in source.references:
        try:
            data.update(_all_keys(reference, _given(values[reference])))
        except Rejected as failure:
            if not (reference.optional and _is_absent(failure)):
                raise
    if source.find:
        data.update(_all_found(source.find, [_given(value) for value in _given(found)]))
    return _renamed(source, data)


def _all_keys(reference: SecretReference, value: SecretValue) -> Data:
    parsed = parse_object(value, reference.name)
    texts = {key: compact(reference.name, key, part) for key, part in parsed.items()}
    return {k: _decoded(reference.name, v) for k, v in texts.items()} if reference.decode else texts


def _all_found(find: Find, values: list[SecretValue]) -> Data:
    data: Data = {}
    for value in values:
        texts = _all_keys(SecretReference(name=value.name), value) if find.merge else {value.name: raw(value)}
        data.update({k: _decoded(value.name, v) for k, v in texts.items()} if find.decode else texts)
    return data


def _renamed(source: DataFrom, data: Data) -> Data:
    """The keys after `rewrite` and `invalidKeys`. Two keys that become equal are an error."""
    rules = [(rule.source, rule.target) for rule in source.rewrite]
    origins: dict[str, str] = {}
    refused = []
    for key in data:
        name = regexp.rewrite(rules, key) if rules else key
        if source.invalid_keys == "Replace" and not is_data_key(name):
            name = "".join(c if is_data_key(f"x{c}") else "_" for c in name) or "_"
        if not is_data_key(name):
            if source.invalid_keys != "Skip":
                refused.append(name)
            continue
        if name in origins:
            raise Rejected(
                Reason.INVALID_SECRET_VALUE, f"the keys {origins[name]!r} and {key!r} both become {name!r}"
            )
        origins[name] = key
    if refused:
        shown = ", ".join(map(repr, sorted(refused)[:10]))
        raise Rejected(
            Reason.INVALID_SECRET_VALUE,
            f"a Secret cannot have these keys: {shown}; rename them with rewrite, or set invalidKeys",
        )
    return {name: data[key] for name, key in origins.items()}


def _decoded(secret: str, value: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise bad(secret, "is not base64, as decode requires")


def _check_size(data: Data) -> None:
    size = sum(len(value) for value in data.values())
    if size > SIZE_LIMIT:
        raise Rejected(
            Reason.INVALID_SECRET_VALUE, f"the Secret would hold {size} bytes; Kubernetes allows {SIZE_LIMIT}"
        )
