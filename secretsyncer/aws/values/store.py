"""The store of the value cache.

There is one `Slot` per (identity, secret, version or stage). A slot keeps its version when its value is evicted, so an
unchanged secret costs no call, however little memory there is. Values are bounded by count and by bytes, and evicted
least recently used first, except for those that nobody has read yet (`ahead.py`). Slots are bounded by count, and
evicted oldest first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping

from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Entry
from secretsyncer.aws.services import Service
from secretsyncer.aws.value import SecretValue
from secretsyncer.aws.values.ahead import Ahead

MAX_VALUES = 20_000
MAX_BYTES = 128 * 1024 * 1024
_SLOTS_PER_VALUE = 5
REFUSED_PER_ROUND = 500
"""What could not be read and is checked again in one round, per identity."""
_OVERHEAD = 512
"""Bytes of a value in addition to its text: the strings for name, ARN and version, and the objects."""


class Slot:
    """The last result for one secret and one identity.

    `arn` and `version_id` are those of the last value, empty after a denial. `round` is the round of the last response,
    `used_round` that of the last request. `failed` is created at the first failure. `seen` is the entry in the catalogue
    at a denial, or the last one that a pinned version is known to be of. `reported` is the state that `recheck` reported
    last. `stale`: fetch again, whatever the catalogue shows.
    """

    __slots__ = ("arn", "failed", "reported", "round", "seen", "stale", "used_round", "value", "version_id")

    def __init__(self) -> None:
        self.value: SecretValue | None = None
        self.arn = ""
        self.version_id = ""
        self.round = -1
        self.used_round = -1
        self.failed: FailureMemory | None = None
        self.seen: Entry | None = None
        self.reported: tuple[str, str] | None = None
        self.stale = False

    def report(self) -> bool:
        """Whether a reader would notice a difference since the last report: another version, readable or not."""
        before = self.reported
        unread = ("", "") if self.round >= 0 else None
        self.reported = (self.arn, self.version_id) if self.version_id else unread
        return self.reported != before

    def keeps_version(self, entry: Entry | None, service: Service) -> bool:
        """Whether a pinned version is still the same, as far as the catalogue shows."""
        if not service.repeats_versions:
            return True
        if self.seen is None or entry is None or not service.continues(self.seen.version_id, entry.version_id):
            return False
        self.seen = entry
        return True

    def standing(self, now: float) -> Failure | None:
        """The failure, if it is still remembered."""
        return self.failed.standing(now) if self.failed else None


class Slots:
    """All slots, with at most `max_values` values and `max_bytes` bytes of values."""

    def __init__(self, *, max_values: int = MAX_VALUES, max_bytes: int = MAX_BYTES) -> None:
        self._max_values = max_values
        self._max_bytes = max_bytes
        self._slots: dict[SecretRef, Slot] = {}
        self._held: OrderedDict[SecretRef, int] = OrderedDict()  # but those that nobody has read, which `ahead` has
        self.bytes = 0
        self.ahead = Ahead(max_values, max_bytes)

    def __len__(self) -> int:
        return len(self._slots)

    def of(self, service: Service) -> list[tuple[SecretRef, Slot]]:
        """Those of one service."""
        return [item for item in self._slots.items() if item[0].service == service.name]

    @property
    def values_held(self) -> int:
        return len(self._held) + len(self.ahead)

    def get(self, ref: SecretRef) -> Slot | None:
        return self._slots.get(ref)

    def touch(self, ref: SecretRef) -> None:
        """Mark the value as used."""
        if size := self.ahead.pop(ref):
            self._held[ref] = size
        elif ref in self._held:
            self._held.move_to_end(ref)

    def make(self, ref: SecretRef) -> Slot:
        """The slot for this reference; created if it does not exist."""
        slot = self._slots.get(ref)
        if slot is None:
            slot = self._slots[ref] = Slot()
            if len(self._slots) > self._max_values * _SLOTS_PER_VALUE:
                self.drop(next(iter(self._slots)))
        return slot

    def hold(self, ref: SecretRef, slot: Slot, value: SecretValue, *, ahead: bool = False) -> None:
        """Keep this value, and evict others if necessary. `ahead`: it was prefetched, and nobody waits for it."""
        self.release(ref, slot)
        slot.value, slot.arn, slot.version_id = value, value.arn, value.version_id
        size = _OVERHEAD + len(value.binary or b"") + 4 * len(value.text or "")
        if value.text is not None and value.text.isascii():
            size = _OVERHEAD + len(value.text)
        if ahead:
            self.ahead.add(ref, size)
            self.give_up()
        else:
            self._held[ref] = size
        self.bytes += size
        while self._held and (self.values_held > self._max_values or self.bytes > self._max_bytes):
            oldest = next(iter(self._held))
            self.release(oldest, self._slots[oldest])

    def expire_others(self, versions: Mapping[str, str]) -> set[str]:
        """Make the current values stale that are of another version than this one of their ARN. Returns their ARNs."""
        expired = set()
        for ref, slot in self._slots.items() if versions else ():
            listed = versions.get(slot.arn, slot.version_id)
            if slot.version_id != listed and not (ref.version_id or ref.stage):
                slot.stale = True
                expired.add(slot.arn)
        return expired

    def give_up(self) -> None:
        """Treat values that were prefetched in vain, as far as one can tell, like all others."""
        for ref in self.ahead.given_up():
            self.touch(ref)

    def release(self, ref: SecretRef, slot: Slot) -> None:
        """Evict the value; its version stays."""
        slot.value = None
        self.bytes -= self._held.pop(ref, 0) or self.ahead.pop(ref)

    def drop(self, ref: SecretRef) -> None:
        """Remove the slot."""
        slot = self._slots.pop(ref, None)
        if slot is not None:
            self.release(ref, slot)


def due(slots: Slots, keys: Iterable[SecretRef], round_: int) -> Iterator[SecretRef]:
    """Those to check in this round. Of what could not be read, which may cost a call each, the oldest ones only."""
    known = [(key, slot) for key in keys if (slot := slots.get(key))]
    refused: Counter[Identity] = Counter()
    for key, slot in sorted(known, key=lambda one: one[1].round):
        if slot.round < round_ or slot.stale:
            refused[key.identity] += not slot.version_id
            if slot.version_id or refused[key.identity] <= REFUSED_PER_ROUND:
                yield key
