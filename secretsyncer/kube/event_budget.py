"""How many Events are sent one by one. The others are counted, and told in one Event for each namespace and reason.

Normal Events and Warnings have a budget each, so that a first sync of thousands of objects hides no failure. A budget has
three token buckets: of the object, of its namespace, and of this process. The numbers of an object are those of client-go
(`tools/record/events_cache.go`). Nothing here sends anything: `event_recorder` asks, and sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cachetools import LRUCache

REMEMBERED = 4096
"""Maximum number of objects and namespaces whose tokens are remembered; the oldest are forgotten."""
MOST_SUMMARIES = 500
"""Maximum number of Events that tell in one interval what was left out."""
SHOWN = 3
"""Objects that a summary names."""


class Rate(NamedTuple):
    """So many Events at once, then one in so many seconds."""

    burst: int
    refill: float


class Limits(NamedTuple):
    """The rates of one type of Event."""

    of_object: Rate
    of_namespace: Rate
    of_process: Rate


NORMAL = Limits(Rate(25, 300.0), Rate(10, 10.0), Rate(100, 1.0))
WARNING = Limits(Rate(25, 300.0), Rate(50, 2.0), Rate(500, 0.2))


class _Bucket:
    """Tokens that come back one by one."""

    __slots__ = ("_filled", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._filled = now

    def has_one(self, now: float) -> bool:
        self._tokens = min(self._rate.burst, self._tokens + (now - self._filled) / self._rate.refill)
        self._filled = now
        return self._tokens >= 1

    def take(self) -> None:
        self._tokens -= 1


class Budget:
    """The Events of one type that may be sent one by one. `clock` is monotonic, in seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: LRUCache[tuple[str, ...], _Bucket] = LRUCache(REMEMBERED)

    def allows(self, namespace: str, obj: str) -> bool:
        """Take one token of the object (`obj`: its uid), of its namespace and of the process, if each has one."""
        now, limits = self._clock(), self._limits
        buckets = []
        # The object is last: what a crowded namespace leaves out takes the room of no other object's tokens.
        for name, rate in (
            ((), limits.of_process),
            ((namespace,), limits.of_namespace),
            ((namespace, obj), limits.of_object),
        ):
            bucket = self._bucket(name, rate, now)
            if not bucket.has_one(now):
                return False
            buckets.append(bucket)
        for bucket in buckets:
            bucket.take()
        return True

    def _bucket(self, name: tuple[str, ...], rate: Rate, now: float) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(rate, now)
        return bucket


@dataclass(slots=True)
class LeftOut:
    """Events of one namespace and reason that were not sent one by one."""

    namespace: str
    reason: str
    first: str
    last: str
    events: int = 0
    objects: tuple[str, ...] = ()
    """Their kinds and names: an Event with this reason may be about a workload."""

    @property
    def message(self) -> str:
        more = f"{self.events} more Event{'s' * (self.events != 1)} with this reason"
        named = ", ".join(self.objects)
        return f"{more} in this namespace, for example about {named}; the status of each object shows the rest"


class Summaries:
    """Counts what is left out until `take`."""

    def __init__(self) -> None:
        self._left_out: dict[tuple[str, str], LeftOut] = {}

    def add(self, namespace: str, reason: str, *, kind: str, name: str, time: str) -> bool:
        """Count one Event; False if there are too many namespaces and reasons."""
        about = namespace, reason
        entry = self._left_out.get(about)
        if entry is None:
            if len(self._left_out) >= MOST_SUMMARIES:
                return False
            entry = self._left_out[about] = LeftOut(namespace, reason, time, time)
        entry.events += 1
        entry.last = time
        shown = f"{kind} {name}"
        if len(entry.objects) < SHOWN and shown not in entry.objects:
            entry.objects += (shown,)
        return True

    def take(self) -> Iterator[LeftOut]:
        """Everything that was left out since the last call."""
        taken, self._left_out = self._left_out, {}
        yield from taken.values()

    def __len__(self) -> int:
        return len(self._left_out)
