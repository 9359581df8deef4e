"""The time until an operator without objects is ready, and the memory of an idle one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from bench.figures import Figure, at_most, median
from bench.ground import Ground
from bench.say import say

STARTS = 5


async def starting() -> list[Figure]:
    """The limit is the time in which Python imports the operator's modules."""
    say("starting")
    taken, imports = [], []
    async with Ground() as ground:
        for _ in range(STARTS):
            started = time.perf_counter()
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", "import secretsyncer.operator.app"], check=True
            )
            imports.append(time.perf_counter() - started)
            async with ground.operator(ready=False) as operator:
                taken.append(await operator.until_ready())
    return [
        at_most("start", "to ready, no objects, median", median(taken), "s", 3)._replace(
            limit=median(imports), limit_is="Python's imports"
        ),
    ]
