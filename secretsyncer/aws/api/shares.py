"""Which call may start: a share of the connections for each role, and for each service and region that it calls.

A call to a service that does not answer holds its connection for up to two minutes. One rule keeps such calls from
taking all connections: a call starts only if more connections are free than its role and its region of that role
already use, taken together. So one region of one role gets at most a third of the connections, one role at most half,
and those that use much have to wait before those that use little. The last quarter is for regions of roles whose last
call was answered: no number of roles that hang can take it.

A call that may not start waits, for `PATIENCE` seconds at most. Regions of roles take turns.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from cachetools import LRUCache

PATIENCE = 10.0
"""Seconds that a call waits for a connection."""
_REMEMBERED = 4096


class Share(NamedTuple):
    """A role (empty: none is assumed), and a service in one region. While it is assumed, that is STS."""

    role: str
    place: str


class Turn:
    """A call that may be made. `answered`: whether it was, set by whoever makes it."""

    answered = False


class Full(Exception):  # noqa: N818 - no error of its own: a call has to be made later
    """No connection became free in time."""


class Shares:
    """Shares `connections` among the calls of all roles."""

    def __init__(self, connections: int) -> None:
        self._free = connections
        self._kept = connections // 4
        self._used: Counter[str | Share] = Counter()
        self._answered: LRUCache[Share, bool] = LRUCache(_REMEMBERED)
        self._waiting: OrderedDict[Share, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, share: Share) -> AsyncIterator[Turn]:
        """A place among the calls. Raises Full."""
        await self._begin(share)
        turn = Turn()
        try:
            yield turn
        finally:
            if turn.answered:
                self._answered[share] = True
            else:
                self._answered.pop(share, None)
            self._end(share)

    async def _begin(self, share: Share) -> None:
        if self._may_start(share):
            self._start(share)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(share, deque()).append(turn)
        try:
            async with asyncio.timeout(PATIENCE):
                await turn
        except BaseException as exc:
            if turn.done() and not turn.cancelled():
                self._end(share)  # it came at the same moment
            elif turn in (waiting := self._waiting.get(share, deque())):
                waiting.remove(turn)
                if not waiting:
                    del self._waiting[share]
            if isinstance(exc, TimeoutError):
                raise Full from None
            raise

    def _may_start(self, share: Share) -> bool:
        free = self._free if self._answered.get(share) else self._free - self._kept
        return self._used[share.role] + self._used[share] < free

    def _start(self, share: Share) -> None:
        self._free -= 1
        self._used.update((share.role, share))

    def _end(self, share: Share) -> None:
        self._free += 1
        for key in (share.role, share):
            self._used[key] -= 1
            if not self._used[key]:
                del self._used[key]
        while next_one := next((waiting for waiting in self._waiting if self._may_start(waiting)), None):
            self._let(next_one)

    def _let(self, share: Share) -> None:
        """Start the call of this share that has waited longest. The share is the last one to have another turn."""
        waiting = self._waiting.pop(share)
        turn = waiting.popleft()
        if waiting:
            self._waiting[share] = waiting
        if not turn.done():  # else its caller has just given up
            self._start(share)
            turn.set_result(None)
