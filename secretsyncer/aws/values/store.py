"""What is remembered about each fetched secret: the store under the cache.

One `Slot` per (identity, secret, version or stage). A slot knows the version it last got even after its value
was dropped to save memory, so that an unchanged secret costs no call however little memory there is. Values
are bounded by count and by bytes, least recently used first; slots themselves by count, oldest first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Entry
from secretsyncer.aws.value import SecretValue

_SLOTS_PER_VALUE = 5
_OVERHEAD = 512
"""Bytes that a value takes beside its text: strings for name, ARN and version, and the objects."""


class Slot:
    """What AWS last answered about one secret, as one identity sees it.

    `arn` and `version_id` are those of the last value, empty after a refusal. `round` is the round in which
    AWS was last asked and answered; `used_round` the last in which somebody wanted it. `failed` is made at
    the first failure; `seen` is what the catalogue showed when it was refused. `reported` is the state that the
    cache's `recheck` reported last. `stale`: ask again, whatever the catalogue says.
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
        self.reported = ""
        self.stale = False

    def report(self) -> bool:
        """Whether a reader would notice a difference since the last report: another version, readable or not."""
        before = self.reported
        self.reported = f"{self.arn} {self.version_id}" if self.version_id else "refused" if self.round >= 0 else ""
        return self.reported != before

    def standing(self, now: float) -> Failure | None:
        """The failure that is still remembered."""
        return self.failed.standing(now) if self.failed else None


class Slots:
    """All slots, within `max_values` values and `max_bytes` bytes of them."""

    def __init__(self, max_values: int, max_bytes: int) -> None:
        self._max_values = max_values
        self._max_bytes = max_bytes
        self._slots: dict[SecretRef, Slot] = {}
        self._held: OrderedDict[SecretRef, int] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[tuple[SecretRef, Slot]]:
        return iter(list(self._slots.items()))

    @property
    def values_held(self) -> int:
        return len(self._held)

    def get(self, ref: SecretRef) -> Slot | None:
        return self._slots.get(ref)

    def touch(self, ref: SecretRef) -> None:
        """Its value was used now."""
        if ref in self._held:
            self._held.move_to_end(ref)

    def make(self, ref: SecretRef) -> Slot:
        """The slot for this reference, new if there is none."""
        slot = self._slots.get(ref)
        if slot is None:
            slot = self._slots[ref] = Slot()
            if len(self._slots) > self._max_values * _SLOTS_PER_VALUE:
                self.drop(next(iter(self._slots)))
        return slot

    def hold(self, ref: SecretRef, slot: Slot, value: SecretValue) -> None:
        """Keep this value, at the cost of others that were not used for longer."""
        self.release(ref, slot)
        slot.value, slot.arn, slot.version_id = value, value.arn, value.version_id
        size = _OVERHEAD + len(value.binary or b"") + 4 * len(value.text or "")
        if value.text is not None and value.text.isascii():
            size = _OVERHEAD + len(value.text)
        self._held[ref] = size
        self.bytes += size
        while self._held and (len(self._held) > self._max_values or self.bytes > self._max_bytes):
            oldest = next(iter(self._held))
            self.release(oldest, self._slots[oldest])

    def release(self, ref: SecretRef, slot: Slot) -> None:
        """Drop the value; what is known about it stays."""
        slot.value = None
        self.bytes -= self._held.pop(ref, 0)

    def drop(self, ref: SecretRef) -> None:
        """Forget all about it."""
        slot = self._slots.pop(ref, None)
        if slot is not None:
            self.release(ref, slot)
