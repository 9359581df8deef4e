"""Renders the data of a Secret from a spec and the values of AWS secrets. Pure.

`dataFrom` comes first, then `data` in order; the last key of a name takes precedence. All problems are collected and
raised as one failure, so that a user sees all wrong keys at once, and an incomplete result is never returned. JSON
numbers keep their source text, booleans are `true` and `false`, objects and lists become compact JSON. A missing key and
`null` are errors, unless the reference is optional or has a default. No data at all is an error, unless the spec allows
it. The operator and `secretsyncer render` both use this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, combine
from secretsyncer.sync.budget import Budget, Exhausted
from secretsyncer.sync.data_from import AllKeys, Data, Found, Values, decoded, given, is_absent
from secretsyncer.sync.json_value import Documents, raw
from secretsyncer.synced_secret import (
    DataFrom,
    DataItem,
    SecretKeyReference,
    SecretReference,
    SyncedSecretSpec,
)

SIZE_LIMIT = 1_048_576
"""Bytes of data in one Secret (Kubernetes' MaxSecretSize)."""

Outputs = Mapping[str, str | SyncFailure]
"""What each template of the spec gave, or why it failed."""


def references(spec: SyncedSecretSpec) -> list[SecretReference]:
    """The AWS secrets that the spec names, without those of templates and `find`."""
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


def render(
    spec: SyncedSecretSpec,
    values: Values,
    outputs: Outputs,
    found: Found | SyncFailure = (),
    budget: Budget | None = None,
) -> Data:
    """The data. Raises Rejected or Unavailable that names every key that could not be rendered, and why."""
    return _Rendering(values, outputs, budget or Budget()).data(spec, found)


def _labelled(label: str, failure: SyncFailure) -> SyncFailure:
    return type(failure)(failure.reason, f"{label}: {failure.message}", retry_after=failure.retry_after)


class _Rendering:
    """Renders one object. Each AWS value is parsed once. Everything that is produced is charged to the budget."""

    def __init__(self, values: Values, outputs: Outputs, budget: Budget) -> None:
        self._values = values
        self._outputs = outputs
        self._budget = budget
        self._documents = Documents(budget)
        self._left_out = False

    def data(self, spec: SyncedSecretSpec, found: Found | SyncFailure) -> Data:
        data: Data = {}
        failures: list[SyncFailure] = []
        self._budget.start_clock()
        for label, action in self._sources(spec, found):
            try:
                self._budget.charge_time()  # first, so that the time of parts that fail counts as well
                data.update(action())
            except SyncFailure as failure:
                failures.append(_labelled(label, failure))
                if isinstance(failure, Exhausted):
                    break
        if failures:
            raise combine(failures)
        if not data and not spec.allow_empty:
            raise self._nothing()
        _check_size(data)
        return data

    def _sources(self, spec: SyncedSecretSpec, found: Found | SyncFailure) -> list[tuple[str, Callable[[], Data]]]:
        """The parts of the data, in order, each with its path in the spec."""
        sources: list[tuple[str, Callable[[], Data]]] = []
        if source := spec.data_from:
            sources.append(("dataFrom", lambda: self._everything(source, found)))
        sources += [(f"data.{item.name}", lambda item=item: self._item(item)) for item in spec.items]  # type: ignore[misc]
        return sources

    def _nothing(self) -> Rejected:
        """The failure for no data, which must not empty a Secret that is in use."""
        advice = "the Secret stays as it is; set spec.allowEmpty if it may be empty"
        if self._left_out:
            return Rejected(
                Reason.SECRET_NOT_FOUND, f"everything optional is absent, and there is no other key: {advice}"
            )
        return Rejected(Reason.INVALID_SECRET_VALUE, f"there is no key for the Secret: {advice}")

    def _item(self, item: DataItem) -> Data:
        """The item's key and value; empty if it is optional and absent."""
        if item.value_from is None:
            return {item.name: (item.value or "").encode()}
        if item.value_from.template is not None:
            output = given(self._outputs[item.value_from.template]).encode()
            self._budget.charge("produced", len(output))
            return {item.name: output}
        reference = item.value_from.secret_ref or item.value_from.secret_key_ref
        assert reference is not None  # noqa: S101 - the model says: exactly one
        try:
            value = self._bytes(reference, given(self._values[reference]))
        except Rejected as failure:
            if not is_absent(failure) or not (reference.optional or reference.default is not None):
                raise
            self._left_out = True
            return {} if reference.default is None else {item.name: reference.default.encode()}
        return {item.name: decoded(reference.name, value) if reference.decode else value}

    def _bytes(self, reference: SecretReference, value: SecretValue) -> bytes:
        if not isinstance(reference, SecretKeyReference):
            return raw(value, self._budget)
        if reference.jmes_path is not None:
            return self._documents.path_text(value, reference.name, reference.jmes_path)
        return self._documents.key_text(value, reference.name, reference.key or "")

    def _everything(self, source: DataFrom, found: Found | SyncFailure) -> Data:
        keys = AllKeys(source, self._documents, self._budget)
        try:
            return keys.data(self._values, found)
        finally:
            self._left_out |= keys.left_out


def _check_size(data: Data) -> None:
    size = sum(len(value) for value in data.values())
    if size > SIZE_LIMIT:
        raise Rejected(
            Reason.INVALID_SECRET_VALUE, f"the Secret would hold {size} bytes; Kubernetes allows {SIZE_LIMIT}"
        )
