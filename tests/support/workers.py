"""Workers of a queue."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def working(work, number):
    """So many workers, which run until the block ends."""
    tasks = [asyncio.create_task(work()) for _ in range(number)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
