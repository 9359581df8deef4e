"""How often a service may be called: AWS counts the calls of an account, whoever makes them.

Calls of one account and region start evenly, after a short burst. Those who wait take turns by role, so that a role that
reads much delays no other one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from cachetools import LRUCache

from secretsyncer.loops import loop_time
from secretsyncer.turns import Turns

_BURST = 0.25
"""Seconds worth of calls that may start at once."""
_PLACES = 1024


class Pace:
    """Lets `per_second` calls start. Times are those of the event loop."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = float("-inf")
        self._waiting: Turns[asyncio.Future[None], asyncio.Future[None]] = Turns()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, party: Hashable) -> None:
        """Return when the next call of this party may start."""
        if not self._waiting and self._may_start():
            self._start()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(party, turn, turn)
        self._arm()
        try:
            await turn
        finally:
            if self._waiting.holds(party, turn):
                self._waiting.remove(party, turn)

    def _may_start(self) -> bool:
        return loop_time() >= self._next - _BURST

    def _start(self) -> None:
        self._next = max(loop_time(), self._next) + self._gap

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            delay = max(0.0, self._next - _BURST - loop_time())
            self._timer = asyncio.get_running_loop().call_later(delay, self._let)

    def _let(self) -> None:
        self._timer = None
        while self._waiting and self._may_start():
            turn = self._waiting.take()[2]
            if not turn.done():  # else its caller has just given up
                self._start()
                turn.set_result(None)
        self._arm()


class Paces:
    """One pace for each place, created on first use."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._paces: LRUCache[Hashable, Pace] = LRUCache(_PLACES)

    async def turn(self, place: Hashable, party: Hashable) -> None:
        """Return when the next call of this party in this place may start."""
        pace = self._paces.get(place)
        if pace is None:
            pace = self._paces[place] = Pace(self._per_second)
        await pace.turn(party)
