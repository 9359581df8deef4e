"""Whether something lets others have the event loop."""

from __future__ import annotations

import asyncio
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
