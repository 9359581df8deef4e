"""Slows down the corrections of a Secret that somebody else changes back within seconds. Does no I/O.

One edit by hand is corrected at once, and so are a few in a row. But two controllers that want different content would
write hundreds of times a second. A write that is undone soon is one in a row of them. After `FREE` of them, each
correction waits, twice as long as the one before. A write lasts if it is not undone within `SOON` seconds plus three times
that wait, because the other side may wait, too. Then the Secret counts as undisputed.

What counts is the same wanted content: new content, from AWS or from the spec, is written at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from secretsyncer.backoff import Backoff
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import FIELD_MANAGER
from secretsyncer.metrics import Metrics
from secretsyncer.synced_secret import SyncedSecret

SOON = 10.0
"""Seconds within which a write must be changed back to count as undone."""
FREE = 5
"""Writes in a row that may be undone until corrections are delayed."""
LONGEST = 300.0
"""Longest delay of a correction in seconds, if the sync interval is not shorter."""
LONGEST_ALTERED = 3600.0
"""The same for a Secret that admission changes whenever it is written: only a write shows whether that is still so."""
EARLY = 0.001
"""Seconds before its time that a timer counts as due: a clock has steps, and a shorter rest would be waited for again."""
REMEMBERED = 20_000
"""Secrets whose last write is remembered."""
_ADVICE = "let only one of them write it"


@dataclass(slots=True)
class _Last:
    """The last write of one Secret.

    `undone` counts the writes in a row that were undone, this one included if it is `noted`. `message` is that
    of the condition. `altered`: admission changed what was stored. `watched`: the watch reports a deletion of the Secret.
    """

    wanted: bytes
    at: float
    undone: int = 0
    noted: bool = False
    delay: float = 0.0
    until: float = 0.0
    message: str = ""
    altered: bool = False
    watched: bool = True

    @property
    def trial(self) -> float:
        """Seconds after which the write has lasted."""
        return SOON + 3 * self.delay

    def is_over(self, now: float) -> bool:
        """Whether a dispute would have gone on by now: the write has lasted, or nobody had to correct it."""
        return now - max(self.at, self.until) > self.trial


class Damping:
    """Remembers the writes of this process. `bound` is the longest delay in seconds. `wanted` stands for a content."""

    def __init__(self, metrics: Metrics, *, bound: float, clock: Callable[[], float]) -> None:
        self._longest = min(bound, LONGEST)
        self._backoff = Backoff(initial=1.0, cap=self._longest, jitter=0.2)
        self._altered = Backoff(initial=10.0, cap=LONGEST_ALTERED, jitter=0.2)
        self._clock = clock
        self._count = metrics.undone_writes.inc
        self._last: LRUCache[Key, _Last] = LRUCache(REMEMBERED)

    def is_waiting(self, secret: Key) -> bool:
        """Whether a correction of this Secret is delayed now."""
        last = self._last.get(secret)
        return last is not None and self._clock() < last.until

    def wait(self, secret: Key, wanted: bytes) -> float:
        """Seconds until the Secret, which is not as wanted, may be written."""
        last = self._last.get(secret)
        if last is None or last.wanted != wanted:
            return 0.0
        now = self._clock()
        if not last.noted:
            last.noted = True
            lasted = last.is_over(now)
            last.undone = 0 if lasted else last.undone + 1
            last.delay = self._backoff.delay(last.undone - FREE) if last.undone > FREE else 0.0
            last.until, last.message = now + last.delay, ""
            self._count(not lasted)
        return _rest(last.until, now)

    def on_trial(self, secret: Key) -> float:
        """Seconds until the last write of a disputed Secret, which is as wanted, has lasted; 0 if it is not disputed."""
        last = self._last.get(secret)
        if last is None or last.noted or not last.delay:
            return 0.0
        return _rest(last.at + last.trial, self._clock())

    def wrote(self, secret: Key, wanted: bytes) -> None:
        """The Secret was written, and is as wanted."""
        last, now = self._last.get(secret), self._clock()
        new = self._last[secret] = _Last(wanted, now)
        if last is not None and not last.altered and not last.is_over(now):
            new.undone, new.delay, new.message = last.undone, last.delay, last.message

    def altered(self, secret: Key, wanted: bytes, message: str, *, watched: bool) -> float:
        """The Secret was written, and admission changed what is stored. Returns the seconds until the next attempt."""
        last, now = self._last.get(secret), self._clock()
        undone = 1 + (last.undone if last is not None and last.altered else 0)
        delay = self._altered.delay(undone)
        self._count()
        self._last[secret] = _Last(wanted, now, undone, True, delay, now + delay, message, True, watched)
        return delay

    def until_retry(self, secret: Key, wanted: bytes, *, is_known: bool) -> float:
        """Seconds until it may be tried again whether admission leaves the Secret as it is.

        Less if it was deleted, because pods need it.
        """
        last = self._last.get(secret)
        if last is None or not last.altered:
            return 0.0
        if last.watched and not is_known:
            last.until = min(last.until, last.at + self._longest)
        return self.wait(secret, wanted)

    def message(self, secret: Key) -> str:
        """The message of the condition; empty before `explain`."""
        last = self._last.get(secret)
        return last.message if last is not None else ""

    def explain(self, secret: Key, message: str) -> None:
        """Set the message, until another write is undone."""
        if last := self._last.get(secret):
            last.message = message


def _rest(until: float, now: float) -> float:
    """Seconds until then; 0 if it is as good as then."""
    return until - now if until - now > EARLY else 0.0


def turf(synced: SyncedSecret) -> Key:
    """What a dispute is about: the Secret or, of a Secret that objects fill together, the part of this object."""
    return part_of(synced.secret, synced.key) if synced.spec.merges else synced.secret


def part_of(secret: Key, key: Key) -> Key:
    """The part of an object; no Secret has such a name."""
    return Key(secret.namespace, f"{secret.name}/{key.name}")


def dispute(secret: Key, stored: Object | None) -> str:
    """The message of the condition. `stored` is the Secret in the API server, or None if it does not exist."""
    if stored is None:
        return f"another client keeps deleting Secret {secret}, so the operator creates it less and less often; {_ADVICE}"
    fields = stored["metadata"].get("managedFields") or ()
    # Times have whole seconds, and the operator's own write may be in the same one.
    writes = [
        (entry.get("time", ""), entry.get("manager") != FIELD_MANAGER, entry.get("manager")) for entry in fields
    ]
    name = max(writes)[2] if writes else "unknown"
    same = name == FIELD_MANAGER
    who = f"another operator with the same field manager, {name}," if same else f"field manager {name}"
    return f"{who} keeps changing Secret {secret} back, so the operator corrects it less and less often; {_ADVICE}"
