"""Bulk work: the first sync of many objects, the next start, resyncs without changes, and an idle hour.

The limit is the rate of plain writes with the same concurrency, before the operator runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from bench import objects
from bench.figures import Figure, Limit, at_least_of, at_most, exactly, told
from bench.ground import Ground, Operator
from bench.say import say
from sandbox.usage import MIB, memory

NAMESPACE = "bench"
LIMIT_NAMESPACE = "limit"
LIMIT_OBJECTS = 1000
"""Bare writes to measure the limit with."""
NEVER = {"POLL_INTERVAL_SEC": "86400", "SYNC_INTERVAL_SEC": "86400"}
MANY = 5000
"""Objects from which on a pass is judged."""
MEMORY = {5000: 200, 10_000: 300}
"""MiB that the operator may take with so many objects."""


@asynccontextmanager
async def scene(count: int, *, namespace: str = NAMESPACE) -> AsyncIterator[Ground]:
    """A ground with so many AWS secrets and an object for each."""
    say(f"{count} objects: Kubernetes, AWS and the objects")
    async with Ground() as ground:
        ground.seed(count)
        await ground.kube.namespace(namespace)
        await ground.kube.create_all(objects.synced(namespace, number) for number in range(count))
        yield ground


async def limit_of_creating(ground: Ground, count: int) -> float:
    """Objects per second with plain writes."""
    say("  the limit: bare writes")
    names = [f"object-{number:05d}" for number in range(min(count, LIMIT_OBJECTS))]
    await ground.kube.namespace(LIMIT_NAMESPACE)
    await ground.kube.create_all(objects.synced(LIMIT_NAMESPACE, number) for number in range(len(names)))
    seconds = await ground.kube.limit_of_creating(LIMIT_NAMESPACE, names)
    await ground.kube.clear(LIMIT_NAMESPACE)
    return len(names) / seconds


async def bulk(count: int) -> list[Figure]:
    """Everything that is measured with so many objects."""
    async with scene(count) as ground:
        limit = await limit_of_creating(ground, count)
        figures = await first_sync(ground, count, limit)
        figures += (resync := await next_start(ground, count))
        if count >= 1000:
            figures += await idle(ground, count, resync[-1].value * 1e-6)
        return figures


async def first_sync(ground: Ground, count: int, limit: float) -> list[Figure]:
    """The first sync: no Secret exists."""
    say("  the first sync")
    work = f"first sync of {count}"
    ground.forget_calls()
    async with ground.operator(**NEVER) as operator:
        await operator.until_changed(count)
        seconds = time.time() - (operator.logged("workers started") or 0.0)
        cpu = operator.cpu
        calls = ground.calls()
        used = memory(operator.pid)
    assert len(await ground.kube.list("Secret", NAMESPACE)) == count, "not every Secret is there"
    figures = [
        at_least_of(
            work, "objects", count / seconds, Limit(limit, "bare create + status at the same concurrency"), part=0.6
        ),
        told(work, "CPU an object, start included", cpu / count * 1e3, "ms"),
        *_calls(work, calls, count),
    ]
    if count in MEMORY:
        figures.append(at_most(work, "memory after it", used.now / MIB, "MiB", MEMORY[count]))
    return figures


def _calls(work: str, calls: Counter[str], count: int) -> list[Figure]:
    return [
        exactly(work, "ListSecrets", calls["ListSecrets"], "calls", ceil(count / 100)),
        exactly(work, "calls for values", _value_calls(calls), "calls", ceil(count / 20)),
        at_most(
            work, "other calls (who am I)", calls.total() - calls["ListSecrets"] - _value_calls(calls), "calls", 1
        ),
    ]


def _value_calls(calls: Counter[str]) -> int:
    return calls["BatchGetSecretValue"] + calls["GetSecretValue"]


async def next_start(ground: Ground, count: int) -> list[Figure]:
    """The next start: every Secret exists and is correct. After the first reconciles, resyncs compare in memory."""
    say("  the next start, and resyncs")
    work = f"resync of {count}"
    before = await _versions(ground)
    interval = 20 if count >= 1000 else 3
    async with ground.operator(POLL_INTERVAL_SEC="86400", SYNC_INTERVAL_SEC=str(interval)) as operator:
        await until_passes(operator, count)
        await asyncio.sleep(interval)  # what the first look left to do is done
        ground.forget_calls()
        cpu, passes = operator.cpu, (await operator.passes())["unchanged"]
        await asyncio.sleep(2 * interval)
        passed = (await operator.passes())["unchanged"] - passes
        each = (operator.cpu - cpu) / max(passed, 1) * 1e6
        calls = ground.calls()
    after = await _versions(ground)
    return [
        exactly(work, "writes to Kubernetes, start included", len(before.items() ^ after.items()), "writes", 0),
        exactly(work, "AWS calls", calls.total(), "calls", 0),
        # Of fewer objects, each bears more of what the process does without any.
        at_most(work, "CPU a pass", each, "µs", 100) if count >= MANY else told(work, "CPU a pass", each, "µs"),
    ]


async def idle(ground: Ground, count: int, resync: float) -> list[Figure]:
    """Polls that find nothing, at a shorter interval. The CPU of an hour is reckoned from what one poll costs, and
    one resync (`resync` seconds).
    """
    say("  idling")
    work = f"idle hour with {count}"
    polls = 5
    async with ground.operator(POLL_INTERVAL_SEC="3", SYNC_INTERVAL_SEC="86400") as operator:
        await until_passes(operator, count)
        await asyncio.sleep(3)
        listed = await _until_listed(ground)
        ground.forget_calls()
        cpu = operator.cpu
        for _ in range(polls):
            listed = await _until_listed(ground)
        each, calls = (operator.cpu - cpu) / polls, ground.calls()
        assert listed
    return [
        exactly(work, "AWS calls a poll", calls.total() / polls, "calls", ceil(count / 100)),
        at_most(work, "of a core, polls each 300 s and resyncs", (each / 300 + count / 120 * resync) * 100, "%", 1),
    ]


async def _until_listed(ground: Ground) -> bool:
    ground.world.list_answered.clear()
    async with asyncio.timeout(60):
        return await ground.world.list_answered.wait()


async def until_passes(operator: Operator, count: int) -> None:
    async with asyncio.timeout(120):
        while (await operator.passes()).total() < count:
            await asyncio.sleep(0.1)


async def _versions(ground: Ground) -> dict[str, str]:
    """The resourceVersion of every object and Secret: any write changes one."""
    found = [*await ground.kube.list("SyncedSecret", NAMESPACE), *await ground.kube.list("Secret", NAMESPACE)]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in found}
