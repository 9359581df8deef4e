"""The catalogue: the last listing, as an immutable value that is replaced by one assignment.

The poller creates a `Catalogue` in each round. Others take one reference and work with it. The catalogue finds the
entry of a reference only if it is unambiguous: a name or a partial ARN is valid in the account and region of the
identity only, and a full ARN must equal that of the entry. Digests of what a filter selects let the controller see
whether anything that a template read has changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import islice, takewhile
from typing import NamedTuple

from secretsyncer.aws.arn import Account, home_of, role_account
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.services import SECRETS_MANAGER, SERVICES, Service
from secretsyncer.aws.services.service import Rotation

_MARK_BYTES = 12


class Deleted(NamedTuple):
    """A secret that is scheduled for deletion, with the date that AWS gives for it."""

    arn: str
    date: datetime


@dataclass(slots=True, eq=True)
class Entry:
    """One listed secret or parameter. `version_id` is the current version. Immutable."""

    name: str
    arn: str
    tags: Mapping[str, str]
    version_id: str
    last_changed: datetime | None = None
    rotation: Rotation | None = None
    _mark: int = field(default=0, init=False, compare=False, repr=False)

    @property
    def mark(self) -> int:
        """A digest of what templates can see, as a number. It is computed once, because unchanged entries are reused."""
        if not self._mark:
            fields = (self.name, self.arn, sorted(self.tags.items()), self.version_id, str(self.last_changed))
            self._mark = int.from_bytes(blake2b(repr(fields).encode(), digest_size=_MARK_BYTES).digest())
        return self._mark


class Catalogue:
    """One listing of one service. Immutable; digests are computed on first use.

    `round` counts the rounds of polling since the start, including failed ones. `listed_round` and `listed_at` (wall
    clock; None: never) belong to the last complete listing, which the entries are from. `awaited`: no attempt to list
    has ended, whether or not it succeeded. `own_account`: the operator's own credentials belong to the listed account.
    `without_current` are the names of secrets that exist without a current version. `deleted` are the secrets that are
    scheduled for deletion, by name. `doubt`: why the last listing was not believed. Then the entries are from the one
    before. `denied`: why listing is not allowed. Then no reference has an entry, and what is referenced is read in each
    round.
    """

    __slots__ = (
        "_by_tag",
        "_by_value",
        "_digests",
        "_homes",
        "_newest",
        "_sorted",
        "account",
        "awaited",
        "deleted",
        "denied",
        "doubt",
        "entries",
        "listed_at",
        "listed_round",
        "own_account",
        "region",
        "round",
        "service",
        "without_current",
    )

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        region: str = "",
        round: int = 0,  # noqa: A002 - the poller's word for it
        listed_at: float | None = None,
        own_account: bool = True,
        without_current: frozenset[str] = frozenset(),
        service: Service = SECRETS_MANAGER,
        deleted: Mapping[str, Deleted] | None = None,
    ) -> None:
        self.service = service
        self.entries: Mapping[str, Entry] = {entry.name: entry for entry in entries}
        self.region = region
        self.round = round
        self.listed_at = listed_at
        self.listed_round = round
        self.awaited = listed_at is None
        self.own_account = own_account
        self.without_current = without_current
        self.deleted: Mapping[str, Deleted] = deleted or {}
        self.doubt = ""
        self.denied = ""
        self.account = account_of(self.entries.values())
        self._digests: dict[tuple[str, ...], str] = {}
        self._homes: dict[Identity, bool] = {}
        self._by_tag: dict[str, list[Entry]] | None = None
        self._by_value: dict[str, Counter[str]] = {}
        self._newest: datetime | None = None
        self._sorted: list[str] | None = None

    def of(self, service: str) -> Catalogue:
        """This catalogue for its own service (see `Listings`)."""
        return self if service == self.service.name else Catalogue(service=SERVICES[service])

    def at_round(self, number: int, doubt: str | None = None, *, denied: str | None = None) -> Catalogue:
        """The same entries in a later round whose listing failed, was denied or was not believed."""
        later = Catalogue.__new__(Catalogue)
        for slot in self.__slots__:
            setattr(later, slot, getattr(self, slot))
        later.round = number
        later.awaited = False
        later.doubt = self.doubt if doubt is None else doubt
        later.denied = self.denied if denied is None else denied
        return later

    def with_entries(
        self, changed: Iterable[Entry], removed: Iterable[str], deleted: Mapping[str, Deleted] | None = None
    ) -> Catalogue:
        """The same listing with these entries replaced or added, and those removed, of which some are `deleted`."""
        later = self.at_round(self.round)
        later.awaited = self.awaited
        new = {entry.name: entry for entry in changed}
        entries = {**self.entries, **new}
        for name in removed:
            entries.pop(name, None)
        gone = {**self.deleted, **(deleted or {})}
        later.deleted = {name: each for name, each in gone.items() if name not in new}
        later.entries, later._digests, later._by_tag, later._by_value = entries, {}, None, {}  # noqa: SLF001
        later._newest = later._sorted = None  # noqa: SLF001
        if later.account is None:  # nothing was listed before
            later.account, later._homes = account_of(entries.values()), {}  # noqa: SLF001
        return later

    @property
    def newest(self) -> datetime | None:
        """The date of the latest change in the listing."""
        if self._newest is None:
            dates = (entry.last_changed for entry in self.entries.values() if entry.last_changed)
            self._newest = max(dates, default=None)
        return self._newest

    def find(self, ref: SecretRef) -> Entry | None:
        """The entry of the reference; None if the catalogue does not know.

        Raises ValueError if the id is invalid.
        """
        secret = self.service.parse(ref.id)
        entry = next((entry for name in secret.names if (entry := self.entries.get(name))), None)
        if entry is None or self.denied or (ref.region and ref.region != self.region):
            return None
        if secret.exact:
            return entry if entry.arn == ref.id else None
        if secret.account:
            return entry if ref.id in self.service.forms_of(entry.arn) and self.is_home(ref.identity) else None
        return entry if self.is_home(ref.identity) else None

    def deleted_of(self, ref: SecretRef) -> Deleted | None:
        """The secret of the reference, if it is scheduled for deletion.

        Raises ValueError if the id is invalid.
        """
        secret = self.service.parse(ref.id)
        if ref.region and ref.region != self.region:
            return None
        names = self.service.possible_names(ref.id)
        found = next((self.deleted[name] for name in names if name in self.deleted), None)
        if found is None or not secret.account:
            return found if found and self.is_home(ref.identity) else None
        return found if ref.id in self.service.forms_of(found.arn) else None

    def lacks(self, ref: SecretRef) -> bool:
        """Whether the listing of this very round shows that there is no such secret.

        Raises ValueError where the id is not one.
        """
        if self.listed_at is None or self.listed_round != self.round or self.doubt or self.denied:
            return False
        secret = self.service.parse(ref.id)
        elsewhere = (secret.region or ref.region or self.region) != self.region
        if elsewhere or not self.is_home(ref.identity) or (secret.account and not self._is_of(ref.id)):
            return False
        names = self.service.possible_names(ref.id)
        return not any(name in self.entries or name in self.without_current for name in names)

    def _is_of(self, arn: str) -> bool:
        home = home_of(arn)
        return home is not None and home == (self.account, self.region)

    def may_have(self, entry: Entry) -> bool:
        """Whether the entry belongs to the listed account and region; any does while nothing is listed."""
        return self.account is None or home_of(entry.arn) == (self.account, self.region)

    def is_home(self, identity: Identity) -> bool:
        """Whether plain names mean the same secrets for this identity as in this listing."""
        if not identity.role:
            return self.own_account
        known = self._homes.get(identity)
        if known is None:
            known = self._homes[identity] = role_account(identity.role) == self.account
        return known

    def below(self, path: str, *, recursive: bool = True, most: int | None = None) -> list[Entry]:
        """The entries whose names begin with this path, in order; without `recursive`, one level below it.

        `most`: of how many names at most.
        """
        if self._sorted is None:
            self._sorted = sorted(self.entries)
        start = bisect_left(self._sorted, path)
        end = None if most is None else start + most
        names = takewhile(lambda name: name.startswith(path), islice(self._sorted, start, end))
        length = len(path)
        return [self.entries[name] for name in names if name[length:] and (recursive or "/" not in name[length:])]

    def path_digest(self, path: str, *, recursive: bool) -> str:
        """Digest of the entries below a path."""
        memo = ("below" if recursive else "in", path, "", "")  # longer than that of a tag
        if (known := self._digests.get(memo)) is not None:
            return known
        return self._digest(memo, self.below(path, recursive=recursive))

    def digest(self) -> str:
        """Digest of all names, versions, tags and dates."""
        return self._digest((), self.entries.values())

    def tag_digest(self, key: str) -> str:
        """Digest of the secrets with this tag."""
        return self._digest((key,), self._tagged(key))

    def tag_value_digest(self, key: str, value: str) -> str:
        """Digest of the secrets with this tag and value."""
        sums = self._by_value.get(key)
        if sums is None:  # for all values at once, because a template can ask for a thousand of them
            sums = self._by_value[key] = Counter()
            for entry in self._tagged(key):
                sums[entry.tags[key]] += entry.mark
        return _digest_of(sums[value])

    def _tagged(self, key: str) -> list[Entry]:
        if self._by_tag is None:
            self._by_tag = {}
            for entry in self.entries.values():
                for tag in entry.tags:
                    self._by_tag.setdefault(tag, []).append(entry)
        return self._by_tag.get(key, [])

    def _digest(self, memo: tuple[str, ...], entries: Iterable[Entry]) -> str:
        known = self._digests.get(memo)
        if known is None:
            known = self._digests[memo] = _digest_of(sum(entry.mark for entry in entries))
        return known


def _digest_of(marks: int) -> str:
    """Digest of entries by the sum of their marks, so that the order of the listing does not matter."""
    return f"{marks % 256**_MARK_BYTES:0{2 * _MARK_BYTES}x}"


def account_of(entries: Iterable[Entry]) -> Account | None:
    """The account that was listed; None for an empty listing."""
    first = next(iter(entries), None)
    home = home_of(first.arn) if first else None
    return home[0] if home else None
