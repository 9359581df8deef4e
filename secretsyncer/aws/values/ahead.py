"""How much may be fetched before anybody needs it.

AWS answers faster than the workers write Secrets. So prefetches are sent while what is ahead, that is on its way or not
read yet, is less than a third of what the cache holds. Then they are held back: their lane goes on when there is room
again. Meanwhile, they fill up the batches of what somebody waits for. Flights wait in their lanes, so the batches of each
role stay full.

Values that nobody has read are not evicted by others while they are at most two thirds. So each is read once, also if
objects are not reconciled in the order in which their values were asked for. What nobody ever reads gives way to newer
values, and to time (`given_up`).

All caches share the room, and with it the one `Ahead` of their `Slots`. Batchers tell it what is on its way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.values.lanes import Flight
from secretsyncer.loops import loop_time

PATIENCE = 600.0
"""Seconds for which a value waits for its reader."""
_SENT, _KEPT = 1 / 3, 2 / 3
"""Parts of the cache: up to which prefetches are sent, and which values that nobody has read may take."""
_LARGEST = 65_536
"""Bytes for which a value on its way counts: the most that AWS allows."""


class Ahead:
    """What is ahead in a cache of `max_values` values and `max_bytes` bytes."""

    def __init__(self, max_values: int, max_bytes: int) -> None:
        self._max_values = max_values
        self._max_bytes = max_bytes
        self._on_the_way = 0
        self._unread: OrderedDict[SecretRef, tuple[int, float]] = OrderedDict()
        self._bytes = 0
        self._held_back: deque[Callable[[], None]] = deque()
        self._going_on = False
        self._gathering = 0

    def __len__(self) -> int:
        """Number of values that nobody has read."""
        return len(self._unread)

    # What batchers call

    def has_room(self) -> bool:
        """Whether a call of prefetches alone may be sent."""
        number = len(self._unread) + self._on_the_way
        size = self._bytes + self._on_the_way * _LARGEST
        return not self._gathering and number < _SENT * self._max_values and size < _SENT * self._max_bytes

    def sent(self, flight: Flight) -> None:
        """The flight is on its way. It is ahead if nobody waits for it yet."""
        if not flight.waited:
            flight.ahead = True
            self._on_the_way += 1

    def over(self, flight: Flight) -> None:
        """The flight is not on its way any more."""
        if flight.ahead:
            flight.ahead = False
            self._on_the_way -= 1
            self._freed()

    def hold_back(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when there is room, and those before it had their turn."""
        self._held_back.append(go_on)

    def go_on(self) -> None:
        """Let those that are held back go on, as far as there is room."""
        self._going_on = False
        while self._held_back and self.has_room():
            self._held_back.popleft()()

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Prefetches that are asked for in this block are sent at its end, so that they fill their batches."""
        self._gathering += 1
        try:
            yield
        finally:
            self._gathering -= 1
            self.go_on()

    # What the store of values calls

    def add(self, ref: SecretRef, size: int) -> None:
        """A prefetched value is held."""
        self._unread[ref] = size, loop_time()
        self._bytes += size

    def pop(self, ref: SecretRef) -> int:
        """It was read, or is not held any more. Returns its size; 0 if it was not among those that nobody has read."""
        size, _ = self._unread.pop(ref, (0, 0.0))
        if size:
            self._bytes -= size
            self._freed()
        return size

    def given_up(self) -> Iterator[SecretRef]:
        """Those to `pop` although nobody has read them: the oldest of too many, and those that waited for too long."""
        while self._unread:
            ref, (_, since) = next(iter(self._unread.items()))
            fits = len(self) <= _KEPT * self._max_values and self._bytes <= _KEPT * self._max_bytes
            if fits and loop_time() - since < PATIENCE:
                return
            yield ref

    def _freed(self) -> None:
        if self._held_back and not self._going_on and self.has_room():
            self._going_on = True
            asyncio.get_running_loop().call_soon(self.go_on)
