"""Renders the data of a Secret from a spec and the values of AWS secrets and parameters. Pure.

`dataFrom` comes first, then `data` in order; the last key of a name takes precedence. Templates may use the rest of the
data, so `prepare` comes before `finish`. All problems are collected and raised as one failure, so that a user sees all wrong
keys at once, and an incomplete result is never returned. JSON numbers keep their source text, booleans are `true` and
`false`, objects and lists become compact JSON. A missing key and `null` are errors, unless the reference is optional or
has a default. No data at all is an error, unless the spec allows it. The operator and `secretsyncer render` both use this
module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, combine, without_frames
from secretsyncer.sync.budget import Budget, Exhausted
from secretsyncer.sync.data_from import AllKeys, Data, Found, Values, decoded, given, is_absent
from secretsyncer.sync.json_value import Documents, raw
from secretsyncer.synced_secret import (
    AnyReference,
    DataItem,
    Keys,
    ParameterReference,
    Search,
    SecretKeyReference,
    SyncedSecretSpec,
)

SIZE_LIMIT = 1_048_576
"""Bytes of data in one Secret (Kubernetes' MaxSecretSize)."""

Outputs = Mapping[str, str | SyncFailure]
"""What each template of the spec gave, or why it failed."""


def references(spec: SyncedSecretSpec) -> list[AnyReference]:
    """The AWS secrets and parameters that the spec names, without those of templates and searches."""
    named: list[AnyReference] = []
    for part in spec.parts:
        named += [*part.references, *(entry for entry in part.parameters or () if entry.path is None)]
    return [*named, *(item.reference for item in spec.items if item.reference)]


def templates(spec: SyncedSecretSpec) -> list[str]:
    """The Go templates of the spec, each once, in order."""
    return list(dict.fromkeys(item.template for item in spec.items if item.template is not None))


def finds(spec: SyncedSecretSpec) -> list[Search]:
    """The searches of the spec, in order."""
    return [search for part in spec.parts for search in part.searches]


def _labelled(label: str, failure: SyncFailure) -> SyncFailure:
    return type(failure)(failure.reason, f"{label}: {failure.message}", retry_after=failure.retry_after)


class Prepared(NamedTuple):
    """Everything but what templates make: the parts of the data, in order."""

    parts: tuple[_Part, ...]
    left_out: bool
    """Whether something optional is absent."""

    @property
    def inputs(self) -> Data:
        """`.Data` of templates. A part that failed is missing."""
        return {
            key: value for part in self.parts if isinstance(part.made, dict) for key, value in part.made.items()
        }

    @property
    def failed(self) -> bool:
        """Whether a part failed."""
        return any(isinstance(part.made, SyncFailure) for part in self.parts)


class _Part(NamedTuple):
    """What one part of the spec makes: data, a failure, or the item whose template is still to be rendered."""

    label: str
    template_only: bool
    made: Data | DataItem | SyncFailure


def prepare(
    spec: SyncedSecretSpec, values: Values, found: Sequence[Found | SyncFailure], budget: Budget
) -> Prepared:
    """The parts of the data. `found` has what each search of the spec selected.

    Failures are among the parts, so that one hides no other. Raises what `_combined` makes of them if a limit was exceeded.
    """
    return _Rendering(spec, values, found, budget).prepared()


def finish(spec: SyncedSecretSpec, prepared: Prepared, outputs: Outputs, budget: Budget) -> Data:
    """The data. Raises Rejected or Unavailable that names every key that could not be rendered, and why."""
    data: Data = {}
    failures: list[SyncFailure] = []
    for part in prepared.parts:
        try:
            made = _output(part.made, outputs, budget) if isinstance(part.made, DataItem) else given(part.made)
        except SyncFailure as failure:
            failures.append(_labelled(part.label, without_frames(failure)))
            if isinstance(failure, Exhausted):
                break
        else:
            data.update({} if part.template_only else made)
    if failures:
        raise _combined(failures)
    if not data and prepared.parts and not spec.allow_empty:
        raise _nothing(left_out=prepared.left_out)
    _check_size(data)
    return data


def _combined(failures: Sequence[SyncFailure]) -> SyncFailure:
    """As `combine`. A limit that was exceeded stays one, so that the object is not rendered again in vain."""
    made = combine(failures)
    exceeded = any(isinstance(failure, Exhausted) for failure in failures)
    return Exhausted(made.reason, made.message) if exceeded and isinstance(made, Rejected) else made


def _output(item: DataItem, outputs: Outputs, budget: Budget) -> Data:
    """The template's output; empty where it was not rendered, because its inputs failed."""
    output = given(outputs.get(item.template or "", "")).encode()
    budget.charge("produced", len(output))
    return {item.name: output}


def _nothing(*, left_out: bool) -> Rejected:
    """The failure for no data, which must not empty a Secret that is in use."""
    advice = "the Secret stays as it is; set spec.allowEmpty if it may be empty"
    if left_out:
        return Rejected(
            Reason.SECRET_NOT_FOUND, f"everything optional is absent, and there is no other key: {advice}"
        )
    return Rejected(Reason.INVALID_SECRET_VALUE, f"there is no key for the Secret: {advice}")


class _Rendering:
    """Renders one object. Each AWS value is parsed once. Everything that is produced is charged to the budget."""

    def __init__(
        self, spec: SyncedSecretSpec, values: Values, found: Sequence[Found | SyncFailure], budget: Budget
    ) -> None:
        self._spec = spec
        self._values = values
        self._found = found
        self._budget = budget
        self._documents = Documents(budget, nulls="" if spec.null_values == "Empty" else None)
        self._left_out = False

    def prepared(self) -> Prepared:
        parts: list[_Part] = []
        self._budget.start_clock()
        for label, template_only, action in self._sources():
            made: Data | DataItem | SyncFailure
            try:
                self._budget.charge_time()  # first, so that the time of parts that fail counts as well
                made = action()
            except Exhausted as failure:
                failed = [_labelled(part.label, part.made) for part in parts if isinstance(part.made, SyncFailure)]
                raise _combined([*failed, _labelled(label, failure)]) from None
            except SyncFailure as failure:
                made = without_frames(failure)
            parts.append(_Part(label, template_only, made))
        return Prepared(tuple(parts), self._left_out)

    def _sources(self) -> Iterator[tuple[str, bool, Callable[[], Data | DataItem]]]:
        """The parts of the data, in order, each with its path in the spec."""
        found = iter(self._found)
        for number, part in enumerate(self._spec.parts):
            label = (
                f"dataFrom.entries[{number}]"
                if self._spec.data_from and self._spec.data_from.entries
                else "dataFrom"
            )
            yield label, part.template_only, partial(self._everything, part, [next(found) for _ in part.searches])
        for item in self._spec.items:
            if item.value is not None or item.has_source:
                yield f"data.{item.name}", item.template_only, partial(self._item, item)

    def _item(self, item: DataItem) -> Data | DataItem:
        """The item's key and value; nothing where it is optional and absent; the item itself if it is a template."""
        if not item.has_source:
            return {item.name: (item.value or "").encode()}
        reference = item.reference
        if reference is None:
            return item
        try:
            value = self._bytes(reference, given(self._values[reference]))
        except Rejected as failure:
            if not is_absent(failure) or not (reference.optional or reference.default is not None):
                raise
            self._left_out = True
            return {} if reference.default is None else {item.name: reference.default.encode()}
        return {item.name: decoded(reference.title, value, reference.decode) if reference.decode else value}

    def _bytes(self, reference: AnyReference, value: SecretValue) -> bytes:
        if not isinstance(reference, SecretKeyReference | ParameterReference):
            return raw(value, self._budget)
        if reference.jmes_path is not None:
            return self._documents.path_text(value, reference.title, reference.jmes_path)
        if isinstance(reference, SecretKeyReference) and reference.path is not None:
            return self._documents.member_text(value, reference.title, reference.path)
        if reference.key is not None:
            return self._documents.key_text(value, reference.title, reference.key)
        return raw(value, self._budget)

    def _everything(self, source: Keys, found: Sequence[Found | SyncFailure]) -> Data:
        keys = AllKeys(source, self._documents, self._budget)
        try:
            return keys.data(self._values, iter(found))
        finally:
            self._left_out |= keys.left_out


def _check_size(data: Data) -> None:
    size = sum(len(value) for value in data.values())
    if size > SIZE_LIMIT:
        raise Rejected(
            Reason.INVALID_SECRET_VALUE, f"the Secret would hold {size} bytes; Kubernetes allows {SIZE_LIMIT}"
        )
