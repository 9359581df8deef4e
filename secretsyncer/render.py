"""From a spec and the AWS values it names to the bytes of the Secret: pure, no I/O.

`dataFrom` first, then `data` in order, a later name wins. Nothing half-rendered leaves here: every problem is
collected and raised as one failure, so that a user sees all the wrong keys at once. JSON numbers keep their
source text, booleans are `true`/`false`, objects and lists become compact JSON; a missing key and `null` are
errors, never text. Used by the operator and by `secretsyncer render` alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from secretsyncer.aws.secrets import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.models import DataItem, SecretReference, SyncedSecretSpec, ValueFrom, is_data_key

SIZE_LIMIT = 1_048_576
"""Bytes of data in one Secret (Kubernetes' MaxSecretSize)."""


class Number(str):
    """A JSON number, as its source text."""

    __slots__ = ()


def references(spec: SyncedSecretSpec) -> list[SecretReference]:
    """The AWS secrets that the spec names itself (templates name theirs while they run)."""
    found = [spec.data_from.secret_ref] if spec.data_from else []
    for item in spec.items:
        source = item.value_from and (item.value_from.secret_ref or item.value_from.secret_key_ref)
        if source:
            found.append(source)
    return found


def templates(spec: SyncedSecretSpec) -> list[str]:
    """The Go templates of the spec, each once, in order."""
    texts = (item.value_from.template for item in spec.items if item.value_from)
    return list(dict.fromkeys(text for text in texts if text is not None))


def render(
    spec: SyncedSecretSpec,
    *,
    secret: Callable[[SecretReference], SecretValue],
    template: Callable[[str], str],
) -> dict[str, bytes]:
    """The Secret's data. `secret` and `template` give what was fetched and rendered, or raise its failure.

    Raises Rejected or Unavailable that names every key that could not be rendered and why.
    """
    objects = _Objects(secret)
    data: dict[str, bytes] = {}
    failures: list[SyncFailure] = []

    def attempt(label: str, action: Callable[[], dict[str, bytes]]) -> None:
        try:
            data.update(action())
        except SyncFailure as failure:
            failures.append(_labelled(label, failure))

    if spec.data_from:
        source = spec.data_from.secret_ref
        attempt("dataFrom", lambda: _all_keys(source, objects))
    for item in spec.items:
        attempt(f"data.{item.name}", lambda item=item: {item.name: _item(item, objects, template)})  # type: ignore[misc]
    if failures:
        raise combine(failures)
    _check_size(data)
    return data


def combine(failures: Sequence[SyncFailure]) -> SyncFailure:
    """One failure for several: retried if any of them may pass by itself, all messages, the first's reason."""
    waiting = [failure for failure in failures if isinstance(failure, Unavailable)]
    first = (waiting or failures)[0]
    message = "; ".join(dict.fromkeys(failure.message for failure in failures))
    if waiting:
        return Unavailable(first.reason, message, retry_after=max(f.retry_after or 0 for f in waiting) or None)
    return Rejected(first.reason, message)


def _labelled(label: str, failure: SyncFailure) -> SyncFailure:
    return type(failure)(failure.reason, f"{label}: {failure.message}", retry_after=failure.retry_after)


class _Objects:
    """Parses each JSON secret at most once per rendering."""

    def __init__(self, secret: Callable[[SecretReference], SecretValue]) -> None:
        self.secret = secret
        self._parsed: dict[SecretReference, dict[str, Any]] = {}

    def parsed(self, reference: SecretReference) -> dict[str, Any]:
        plain = SecretReference(**{name: getattr(reference, name) for name in SecretReference.model_fields})
        if plain not in self._parsed:
            self._parsed[plain] = parse_object(self.secret(reference))
        return self._parsed[plain]


def _item(item: DataItem, objects: _Objects, template: Callable[[str], str]) -> bytes:
    if item.value_from is None:
        return (item.value or "").encode()
    return _from(item.value_from, objects, template)


def _from(source: ValueFrom, objects: _Objects, template: Callable[[str], str]) -> bytes:
    if source.template is not None:
        return template(source.template).encode()
    if source.secret_ref:
        return raw(objects.secret(source.secret_ref))
    reference = source.secret_key_ref
    assert reference is not None  # noqa: S101 - the model says: exactly one
    parsed = objects.parsed(reference)
    if reference.key not in parsed:
        raise _bad(reference.name, f"has no key {reference.key!r}")
    return _text(reference.name, reference.key, parsed[reference.key])


def raw(value: SecretValue) -> bytes:
    """The whole secret, byte for byte."""
    return value.binary if value.binary is not None else (value.text or "").encode()


def _all_keys(reference: SecretReference, objects: _Objects) -> dict[str, bytes]:
    parsed = objects.parsed(reference)
    refused = sorted(key for key in parsed if not is_data_key(key))
    if refused:
        raise _bad(reference.name, f"has keys that a Secret cannot have: {', '.join(map(repr, refused[:10]))}")
    return {key: _text(reference.name, key, value) for key, value in parsed.items()}


def parse_object(value: SecretValue) -> dict[str, Any]:
    """The JSON object that the secret holds, numbers as `Number`. Errors tell the position, not the text."""
    if value.text is None:
        raise _bad(value.name, "is binary, and a JSON object is needed; use secretRef for the whole value")
    try:
        parsed = json.loads(value.text, parse_int=Number, parse_float=Number, parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        problem = f"is not JSON (line {exc.lineno}, column {exc.colno}), and a JSON object is needed"
    except (ValueError, RecursionError) as exc:
        problem = "is JSON with NaN or Infinity" if isinstance(exc, ValueError) else "is JSON nested too deeply"
    else:
        if isinstance(parsed, dict):
            return parsed
        problem = f"is a JSON {_kind(parsed)}, and a JSON object is needed"
    # Raised outside the except blocks: a JSONDecodeError carries the whole document, so it is no cause to keep.
    raise _bad(value.name, problem)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _text(secret: str, key: str, value: Any) -> bytes:
    if value is None:
        raise _bad(secret, f"has null at key {key!r}")
    try:
        return (value if isinstance(value, str) else _compact(value)).encode()
    except UnicodeEncodeError:
        problem = f"has half a surrogate pair at key {key!r}, which is no text"
    except RecursionError:
        problem = f"is nested too deeply at key {key!r}"
    raise _bad(secret, problem)


def _compact(value: Any) -> str:
    match value:
        case Number():
            return value
        case dict():
            return "{" + ",".join(f"{_compact(str(k))}:{_compact(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(_compact(v) for v in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    if isinstance(value, Number):
        return "number"
    return {str: "string", list: "list", bool: "boolean"}.get(type(value), "null")


def _check_size(data: dict[str, bytes]) -> None:
    size = sum(len(value) for value in data.values())
    if size > SIZE_LIMIT:
        raise Rejected(
            Reason.INVALID_SECRET_VALUE,
            f"the Secret would hold {size} bytes; Kubernetes allows {SIZE_LIMIT}",
        )


def _bad(secret: str, problem: str) -> Rejected:
    return Rejected(Reason.INVALID_SECRET_VALUE, f"AWS secret {secret} {problem}")
