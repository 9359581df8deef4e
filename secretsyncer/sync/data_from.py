"""One part of `dataFrom`: all keys of the AWS secrets and parameters that it names or finds, with their new names. Pure.

Named secrets come first, in order, then parameters, then the secrets that `find` selects; the last one takes precedence.
`optional` applies to a whole secret: a key that is null is an error. All problems are raised as one failure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unlisted, combine, without_frames
from secretsyncer.expressions import regexp
from secretsyncer.sync.budget import Budget, Exhausted
from secretsyncer.sync.json_value import Absent, Documents, bad, listed, raw, shown_key
from secretsyncer.synced_secret import AnyReference, Find, Keys, Parameters, Search, is_data_key

T = TypeVar("T")

_LOT = 100
"""AWS secrets that are compared between two looks at the clock."""
_LONG_KEY = 253
"""Characters of a key above which one rule can take tens of milliseconds. No Secret has a longer one."""

Data = dict[str, bytes]

Values = Mapping[AnyReference, SecretValue | SyncFailure]
"""What each reference of the spec gave, or why it gave nothing."""

Found = Sequence[SecretValue | SyncFailure]
"""What one search selected, in order."""


def select(find: Find, catalogue: Catalogue, budget: Budget) -> list[Entry]:
    """The listed secrets that `find` selects, in the order of their names. Tags and names are compared exactly."""
    pattern = regexp.compile(find.name.regexp) if find.name and find.name.regexp is not None else None
    prefix = (find.name and find.name.prefix) or ""

    def matches(number: int, entry: Entry) -> bool:
        if number % _LOT == 0:
            budget.charge_time()
        if not (
            entry.name.startswith(prefix)
            and (find.tag_key is None or find.tag_key in entry.tags)
            and all(entry.tags.get(key) == value for key, value in (find.tags or {}).items())
        ):
            return False
        if pattern is None:
            return True
        budget.charge_time()
        return pattern.search(entry.name) is not None

    budget.start_clock()
    found = [entry for number, entry in enumerate(catalogue.entries.values(), 1) if matches(number, entry)]
    budget.charge_time()
    return sorted(found, key=lambda entry: entry.name)


_REPLACEMENTS: Mapping[str | None, Callable[[str], str]] = {
    "Replace": lambda _: "_",
    "Unicode": lambda character: f"_U{ord(character):04x}_",
}


class _Part(NamedTuple):
    """A value of dataFrom, and how a message names the key that it came from."""

    value: bytes
    origin: str


_Parts = dict[str, _Part]


class _Collecting:
    """Collects the failure, so that it does not hide other problems; but a limit of the object ends everything.

    A class costs a third of a generator, for each key.
    """

    def __init__(self, failures: list[SyncFailure]) -> None:
        self._failures = failures

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> bool:
        if not isinstance(failure, SyncFailure) or isinstance(failure, Exhausted):
            return False
        self._failures.append(without_frames(failure))
        return True


class AllKeys:
    """The keys of one part of `dataFrom`. `left_out`: whether something optional was absent."""

    def __init__(self, source: Keys, documents: Documents, budget: Budget) -> None:
        self._source = source
        self._documents = documents
        self._budget = budget
        self._failures: list[SyncFailure] = []
        self._collecting = _Collecting(self._failures)
        self.left_out = False

    def data(self, values: Values, found: Iterator[Found | SyncFailure]) -> Data:
        """The keys and their values. `found` has what each search selected. Raises what `combine` makes of all problems."""
        parts: _Parts = {}
        named: tuple[AnyReference, ...] = self._source.references
        for reference in (*named, *(self._source.parameters or ())):
            if isinstance(reference, Parameters) and reference.path is not None:
                self._add_found(parts, reference, next(found))
                continue
            with self._collecting:
                self._budget.charge_time()
                parts.update(self._named(reference, values[reference]))
        if find := self._source.find:
            self._add_found(parts, find, next(found))
        data = self._renamed(parts)
        if self._failures:
            raise combine(self._failures)
        return data

    def _add_found(self, parts: _Parts, search: Search, found: Found | SyncFailure) -> None:
        self.left_out |= search.optional and not found
        for result in [found] if isinstance(found, SyncFailure) else found:
            with self._collecting:
                self._budget.charge_time()
                parts.update(self._found(search, given(result)))

    def _named(self, reference: AnyReference, value: SecretValue | SyncFailure) -> _Parts:
        """The keys of one secret; none if it is optional and does not exist."""
        if reference.optional and isinstance(value, Rejected) and is_absent(value):
            self.left_out = True
            return {}
        return self._all_keys(reference.title, given(value), decode=reference.decode)

    def _found(self, search: Search, value: SecretValue) -> _Parts:
        if search.merge:
            return self._all_keys(value.title, value, decode=search.decode)
        text = raw(value, self._budget)
        made = decoded(value.title, text, search.decode) if search.decode else text
        name = value.name.removeprefix(search.folder) if isinstance(search, Parameters) else value.name
        return {name: _Part(made, repr(name))}

    def _all_keys(self, title: str, value: SecretValue, *, decode: str | None) -> _Parts:
        parts: _Parts = {}
        undecoded = []
        self._budget.charge("keys", len(self._documents.parse(value, title)))
        texts, failure = self._documents.all_texts(value, title)
        if failure:
            self._failures.append(failure)
        for position, key in enumerate(self._documents.parse(value, title), 1):
            if key not in texts:
                continue
            name = shown_key(key, position)
            origin = name if is_data_key(key) else f"{name} of {title}"
            try:
                parts[key] = _Part(decoded(title, texts[key], decode) if decode else texts[key], origin)
            except Rejected:
                undecoded.append(name)
        if undecoded:
            self._failures.append(bad(title, f"is not {decode} at {listed(undecoded)}, as decode requires"))
        return parts

    def _renamed(self, parts: _Parts) -> Data:
        """The keys after `rewrite` and `invalidKeys`. Two keys that get the same name are an error."""
        data: Data = {}
        origins: dict[str, str] = {}
        refused = []
        for key, part in parts.items():
            with self._collecting:
                self._budget.charge_time()  # first, so that the time of keys that fail counts as well
                name = self._name(key, part.origin)
                if is_data_key(name):
                    if name in origins:
                        raise _wrong(f"the keys {origins[name]} and {part.origin} both become {name!r}")
                    origins[name], data[name] = part.origin, part.value
                elif self._source.invalid_keys != "Skip" and (
                    name or self._source.invalid_keys not in _REPLACEMENTS
                ):
                    refused.append(part.origin)
        if refused:
            advice = "rename them with rewrite, or set invalidKeys"
            self._failures.append(_wrong(f"a Secret cannot have the {listed(refused)}; {advice}"))
        return data

    def _name(self, key: str, origin: str) -> str:
        """The key's name in the Secret, which may be invalid."""
        rules = [rule.change for rule in self._source.rewrite]
        name = _rewritten(rules, key, origin, self._budget) if rules else key
        if self._source.invalid_keys in _REPLACEMENTS and not is_data_key(name):
            replaced = _REPLACEMENTS[self._source.invalid_keys]
            return "".join(c if is_data_key(f"x{c}") else replaced(c) for c in name)
        return name


def _wrong(problem: str) -> Rejected:
    return Rejected(Reason.INVALID_SECRET_VALUE, problem)


def _rewritten(rules: list[regexp.Change], key: str, origin: str, budget: Budget) -> str:
    def charge(name: str) -> None:
        if len(name) > _LONG_KEY:
            budget.leave_to_a_thread()
        budget.charge_time()

    try:
        return regexp.rewrite(rules, key, charge)
    except ValueError as exc:
        problem = str(exc)
    raise _wrong(f"key {origin} {problem}")


def given(result: T | SyncFailure) -> T:
    """Return the result, or raise it if it is a failure."""
    if isinstance(result, SyncFailure):
        raise result
    return result


def is_absent(failure: Rejected) -> bool:
    """Whether the secret or the key does not exist, as opposed to one that is denied or wrong."""
    return isinstance(failure, Absent | Unlisted) or failure.reason is Reason.SECRET_NOT_FOUND


def decoded(title: str, value: bytes, how: str) -> bytes:
    """The bytes that the value is the text of."""
    text = b"".join(value.split())
    for kind, others in (("base64", None), ("base64url", b"-_")):
        if how in {kind, "auto"} and not (others and set(b"+/") & set(text)):
            with suppress(binascii.Error, ValueError):
                return base64.b64decode(text, altchars=others, validate=True)
    if how == "auto":
        return value
    raise bad(title, f"is not {how}, as decode requires")
