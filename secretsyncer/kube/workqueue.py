"""The work queue: which keys to reconcile, in which order, and when to retry.

The semantics are those of client-go's and controller-runtime's queues:

- The queue has keys, so many events become one reconcile.
- A key is never processed twice at once. An `add` while it is processed causes exactly one more reconcile after `done`.
- New edits (`HIGH`) go before bulk work (`LOW`). Bulk work never uses all workers, so that an edit finds a free one.
- Keys that take long (`set_long`) wait in a line of their own. They get a quarter of the workers, so that what they wait
  for does not keep the others waiting.
- Within one priority, the party (namespace) with the fewest running keys goes first; within a party, the oldest key.
  A party alone gets three quarters of the workers (see `turns.py`), and half of them for bulk.
- A key has at most one timer. The earliest one wins. An immediate `add` does not cancel it.

Handlers and the poller add keys. Workers call `get`, and always `done` in a `finally`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable
from enum import IntEnum
from math import inf
from typing import Generic, TypeVar

from secretsyncer.backoff import Backoff
from secretsyncer.kube.timers import Timers
from secretsyncer.metrics import Metrics
from secretsyncer.turns import Turns, has_room, places_for

K = TypeVar("K", bound=Hashable)

BACKOFF = Backoff(initial=1.0, factor=2.0, cap=300.0, jitter=0.5)
"""Delays of a failing key. A fix in AWS is found within minutes."""

HOLD = 0.005
"""Seconds for which workers may run without yielding to the event loop."""


class Priority(IntEnum):
    """The priority of a key. Smaller goes first."""

    HIGH = 0
    LOW = 1


class _Line(IntEnum):
    """Where keys wait: those of a priority, or those that take long, whatever their priority."""

    HIGH = Priority.HIGH
    LOW = Priority.LOW
    LONG = 2


_ORDER = _Line.HIGH, _Line.LONG, _Line.LOW


class QueueClosed(Exception):  # noqa: N818 - a state, not an error
    """The queue is closed."""


class WorkQueue(Generic[K]):
    """See the module. Needs a running loop; not thread-safe.

    `workers`: how many call `get`. `bulk`: maximum of concurrent keys of low priority of one party alone. `party` of a key.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        backoff: Backoff = BACKOFF,
        workers: int | None = None,
        bulk: int | None = None,
        party: Callable[[K], Hashable] = lambda _: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._backoff = backoff
        self._party = party
        self._held: Counter[Hashable] = Counter()
        self._waiting: tuple[Turns[K, float], ...] = tuple(Turns(self._held) for _ in _Line)
        self._running: dict[K, float] = {}
        self._workers = workers or inf
        self._places = (self._workers, places_for(bulk) if bulk else inf, max(1, self._workers / 4))
        self._taken = tuple(set[K]() for _ in _Line)
        self._long: set[K] = set()
        self._again: dict[K, Priority] = {}
        self._timers: Timers[K, Priority] = Timers(self._loop, self.add)
        self._failures: dict[K, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._held_since = self._loop.time()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._retries = metrics.queue_retries
        self._wait_seconds = tuple(metrics.queue_wait_seconds.labels(line.name.lower()) for line in _Line)
        metrics.queue_depth.set_function(self.__len__)
        metrics.queue_delayed.set_function(lambda: len(self._timers))
        metrics.queue_longest_running.set_function(self.longest_running)

    # Adding

    def add(self, key: K, priority: Priority = Priority.HIGH) -> None:
        """Queue the key. If it is being processed, it is queued again after that."""
        if self._closed:
            return
        if key in self._running:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        party, line = self._party(key), _Line.LONG if key in self._long else _Line(priority)
        for other, waiting in zip(_Line, self._waiting, strict=True):
            if waiting.holds(party, key):
                if other <= line:
                    return
                waiting.remove(party, key)  # moves up
        self._waiting[line].add(party, key, self._loop.time())
        self._wake()

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.HIGH, *, tick: float = 0.0) -> None:
        """Queue the key after this many seconds, or sooner if it has an earlier timer.

        With a `tick` (seconds), up to that much sooner: all keys of the same tick share one timer.
        """
        if self._closed:
            return
        when = self._loop.time() + max(seconds, 0.0)
        if tick:
            when -= when % tick
        self._timers.set(key, when, priority)

    def retry(self, key: K, *, at_least: float = 0.0, priority: Priority = Priority.LOW) -> float:
        """Requeue the key after its backoff. Returns the delay in seconds.

        At low priority, so that many failing keys do not delay one that works.
        """
        failures = self._failures[key] = self.failures(key) + 1
        seconds = max(self._backoff.delay(failures), at_least)
        self._retries.inc()
        self.add_after(key, seconds, priority)
        return seconds

    def forget(self, key: K) -> None:
        """Forget the failures of the key, after a success."""
        self._failures.pop(key, None)
        self._timers.cancel(key)

    def discard(self, key: K) -> None:
        """Remove the key, because its object is gone. A running reconcile continues.

        A key that was added while it was processed stays: a new object may have the same name.
        """
        self.forget(key)
        self._long.discard(key)
        for waiting in self._waiting:
            waiting.remove(self._party(key), key)

    def set_long(self, key: K, *, takes_long: bool) -> None:
        """From now on, the key waits in the line of those that take long, or does not any more."""
        (self._long.add if takes_long else self._long.discard)(key)

    def is_running(self, key: K) -> bool:
        """Whether the key is being processed."""
        return key in self._running

    def is_long(self, key: K) -> bool:
        """Whether this running key has one of the workers for what takes long."""
        return key in self._taken[_Line.LONG]

    # Getting

    async def get(self) -> K:
        """Wait for the next key. `done` must follow. Raises QueueClosed when the queue is closed."""
        line = self._next()
        if line is not None and self._loop.time() - self._held_since > HOLD:
            await asyncio.sleep(0)
            self._held_since = self._loop.time()
            line = self._next()
        while not self._closed and line is None:
            getter = self._loop.create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                getter.cancel()
                if getter in self._getters:
                    self._getters.remove(getter)
                elif not self._closed and self._next() is not None:
                    self._wake()  # it had been chosen: the next one must not sleep on
                raise
            self._held_since = self._loop.time()
            line = self._next()
        if line is None:  # which a closed queue leaves
            raise QueueClosed
        return self._take(line)

    def done(self, key: K) -> None:
        """The key has been processed, successfully or not."""
        del self._running[key]
        for taken in self._taken:
            taken.discard(key)
        self._count(self._party(key), -1)
        again = self._again.pop(key, None)
        if not self._running:
            self._idle.set()
        if again is not None:
            self.add(key, again)
        if self._next() is not None:
            self._wake()  # what had to wait for this one

    def close(self) -> None:
        """Close the queue: drop all keys, ignore new ones, and wake all workers with QueueClosed."""
        self._closed = True
        self._timers.clear()
        self._again.clear()
        for waiting in self._waiting:
            waiting.clear()
        while self._getters:
            self._wake()

    async def drain(self, deadline: float) -> bool:
        """Close, and wait for running reconciles. False if they take more than `deadline` seconds."""
        self.close()
        try:
            async with asyncio.timeout(deadline):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def __len__(self) -> int:
        """Number of keys that wait for a worker."""
        return sum(map(len, self._waiting))

    def failures(self, key: K) -> int:
        """Number of consecutive failures."""
        return self._failures.get(key, 0)

    def running(self) -> int:
        """Number of keys that are being processed."""
        return len(self._running)

    def longest_running(self) -> float:
        """Duration of the longest running reconcile in seconds; 0 if none is running."""
        now = self._loop.time()
        return now - min(self._running.values(), default=now)  # one look: the metrics are made in a thread

    # Internals

    def _next(self) -> _Line | None:
        """The line of the next key; None if there is none, or none that may run now."""
        for line in _ORDER:
            held = self._waiting[line].least()
            if held is None:
                continue
            # The worker it would get is one of all, and one of those for this line.
            free = min(self._workers - len(self._running), self._places[line] - len(self._taken[line]))
            if has_room(held, free):
                return line
        return None

    def _take(self, line: _Line) -> K:
        party, key, since = self._waiting[line].take()
        now = self._loop.time()
        self._wait_seconds[line].observe(now - since)
        self._running[key] = now
        self._count(party, 1)
        self._taken[line].add(key)
        self._idle.clear()
        if self._getters and self._next() is not None:  # one end of a reconcile can let two begin
            self._wake()
        return key

    def _count(self, party: Hashable, by: int) -> None:
        before = self._held[party]
        self._held[party] += by
        if not self._held[party]:
            del self._held[party]
        for waiting in self._waiting:
            waiting.moved(party, before)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
