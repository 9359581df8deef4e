"""Memory: of an idle operator, and what each object adds to it, as in a cluster of its own.

Values are part of it: each object reads an AWS secret of 1 KiB, which the cache keeps.
"""

from __future__ import annotations

import asyncio

from bench.figures import Figure, at_most
from bench.ground import Ground
from bench.say import say
from bench.sync import NEVER, scene
from sandbox.usage import MIB, memory

SETTLE = 5.0
"""Seconds after which the memory is read."""
IDLE = 70
"""MiB that an operator without objects may take."""
EACH = 10
"""KiB that an object may add."""


async def footprint(few: int, many: int) -> list[Figure]:
    """What an object adds is the difference between many and few: the first ones fill what is there already."""
    say("memory: idle")
    async with Ground() as ground, ground.operator(**NEVER) as operator:
        await asyncio.sleep(SETTLE)
        idle = memory(operator.pid).now
    used = {}
    for count in (few, many):
        async with scene(count) as ground, ground.operator(**NEVER) as operator:
            say(f"  first sync of {count}")
            await operator.until_changed(count)
            await asyncio.sleep(SETTLE)
            used[count] = memory(operator.pid).now
    each = (used[many] - used[few]) / (many - few) / 1024
    return [
        at_most("memory", "idle", idle / MIB, "MiB", IDLE),
        at_most("memory", f"of an object, from {few} to {many}", each, "KiB", EACH),
        at_most("memory", f"with {many} objects", used[many] / MIB, "MiB", IDLE + EACH * many / 1024),
    ]
