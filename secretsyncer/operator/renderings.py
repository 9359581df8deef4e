"""Pages that take long to make: one at a time, in a thread, and for all who wait for the same.

The loop only takes the snapshot. A request gets a page that was made after it arrived, so that nobody reads what is
already old. Nothing is kept: clients that ask often wait for the next turn, together.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Executor

INTERVAL = 1.0
"""Seconds between the beginnings of two renderings."""

WAITING = 5
"""Different pages that clients can wait for."""

Snapshot = Callable[[], Callable[[], bytes]]
"""Called in the loop. What it returns is called in a thread and makes the page."""


class Busy(Exception):  # noqa: N818 - it is an answer rather than an error
    """Too many different pages are waited for."""


class Renderings:
    """The renderings of one kind of page. `pause` is the time until the next one begins, by the duration of the last.

    One client can wait for `of_one` different pages, so that the others find room.
    """

    def __init__(
        self, executor: Executor, pause: Callable[[float], float] = lambda _: INTERVAL, *, of_one: int = WAITING
    ) -> None:
        self._of_one = of_one
        self._executor = executor
        self._pause = pause
        self._turn = asyncio.Lock()
        self._next = 0.0
        self._waiting: dict[Hashable, asyncio.Task[bytes]] = {}
        self._asked: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[bytes]] = set()

    async def get(self, key: Hashable, snapshot: Snapshot, client: str = "") -> bytes:
        """The page of this key. `client` is the address of who asks for it. Raises Busy."""
        task = self._waiting.get(key)
        if task is None:
            if len(self._waiting) >= WAITING or self._asked[client] >= self._of_one:
                raise Busy
            self._asked[client] += 1
            task = self._waiting[key] = asyncio.create_task(self._make(key, snapshot, client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)  # others may wait for it, too

    async def _make(self, key: Hashable, snapshot: Snapshot, client: str) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(self._next - loop.time())
            del self._waiting[key]  # who asks from now on gets the next one
            self._asked[client] -= 1
            if not self._asked[client]:
                del self._asked[client]
            began = loop.time()
            try:
                return await loop.run_in_executor(self._executor, snapshot())
            finally:
                ended = loop.time()
                self._next = began + self._pause(ended - began)

    async def stop(self) -> None:
        """End what is still waited for."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
