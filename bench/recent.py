"""How soon a change in AWS is in its Secret, with the defaults and without an events queue, and the calls for that."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from math import ceil

from bench import objects
from bench.figures import Figure, at_most, median
from bench.ground import Ground
from bench.say import say
from bench.sync import NAMESPACE
from sandbox.aws.state import utc_now

ROTATIONS = 20
SPREAD = 80.0
"""Seconds over which the rotations are spread at random."""
WORST = 20.0
QUIET = 60
"""Seconds in which calls are counted while nothing changes."""
POLLS = 12
"""Full listings per hour, with the default of POLL_INTERVAL_SEC."""


async def recent(secrets: int, count: int) -> list[Figure]:
    """So many AWS secrets, of which the first ones have an object each."""
    work = f"a change among {secrets} secrets"
    say(f"changes within seconds: {secrets} AWS secrets, {count} objects")
    async with Ground() as ground:
        seed_long_ago(ground, secrets)
        await ground.kube.namespace(NAMESPACE)
        await ground.kube.create_all(objects.synced(NAMESPACE, number) for number in range(count))
        async with ground.operator() as operator:
            say("  the first sync")
            await operator.until_changed(count)
            say(f"  {QUIET} s without a change")
            calls = await _calls(ground)
            say(f"  {ROTATIONS} rotations within {SPREAD:.0f} s")
            delays = await _delays(ground, count)
    hourly = calls * 3600 / QUIET + POLLS * ceil(secrets / 100)
    return [
        at_most(work, "AWS to Secret, median", median(delays), "s", 8),
        at_most(work, "AWS to Secret, worst", max(delays), "s", WORST),
        at_most(work, "ListSecrets per hour", hourly, "calls", 3600 / 10 + POLLS * ceil(secrets / 100)),
    ]


def seed_long_ago(ground: Ground, secrets: int) -> None:
    """Secrets that changed one after the other, a minute apart and long ago, as in an account that is in use."""
    for number in range(secrets):
        ago = timedelta(hours=1, minutes=secrets - number)
        ground.world.now = lambda ago=ago: utc_now() - ago
        ground.seed(1, start=number)
    ground.world.now = utc_now


async def _calls(ground: Ground) -> int:
    ground.forget_calls()
    await asyncio.sleep(QUIET)
    return ground.calls()["ListSecrets"]


async def _delays(ground: Ground, count: int) -> list[float]:
    """Seconds from each rotation until a watch shows the Secret."""
    rotated: dict[str, float] = {}
    delays: list[float] = []
    numbers = random.sample(range(count), ROTATIONS)
    moments = sorted(random.uniform(0, SPREAD) for _ in numbers)

    async def rotate() -> None:
        started = time.perf_counter()
        for number, moment in zip(numbers, moments, strict=True):
            await asyncio.sleep(max(0.0, started + moment - time.perf_counter()))
            ground.rotate(range(number, number + 1), 1)
            rotated[f"object-{number:05d}"] = time.perf_counter()

    async with ground.kube.watch_from_now("Secret", NAMESPACE) as events, asyncio.TaskGroup() as group:
        group.create_task(rotate())
        async with asyncio.timeout(SPREAD + 10 * WORST):
            while len(delays) < ROTATIONS:
                name = (await anext(events))["object"]["metadata"]["name"]
                if name in rotated:
                    delays.append(time.perf_counter() - rotated.pop(name))
    return delays
