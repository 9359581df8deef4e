"""Whether something lets others have the event loop."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """How often the other work has had its turn."""

    count: int = 0


@asynccontextmanager
async def counting_turns() -> AsyncIterator[Turns]:
    """Other work runs inside the block, a turn at a time."""
    turns = Turns()

    async def work() -> None:
        while True:
            turns.count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    try:
        yield turns
    finally:
        task.cancel()


async def longest_turn(task: asyncio.Task[object]) -> float:
    """Most processor time that the loop's thread takes between two turns of others, in seconds, until the task ends.

    Other processes cost no processor time, and no garbage of other tests is collected meanwhile.
    """
    longest = 0.0
    gc.disable()
    try:
        while not task.done():
            began = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - began)
    finally:
        gc.enable()
    return longest
