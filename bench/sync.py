"""Bulk work: the first sync of many objects, the next start, resyncs without changes, and an idle hour.

The limit is what plain writes reach, in the same run before and after the operator, while two watches show them, without
which no operator can be. Both are measured in objects per second of CPU, of the client and the servers together, because others
on the machine change how long a write takes. What the servers use is that of the plain writes in both: the same
writes cost them up to twice as much when they come slowly.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from typing import NamedTuple, Self

from bench import objects
from bench.figures import Figure, Limit, at_least_of, at_most, exactly, told
from bench.ground import Ground, Operator
from bench.say import say
from sandbox.envtest import ServerCpu
from sandbox.usage import MIB, memory

NAMESPACE = "bench"
REST = 3.0
"""Seconds for which servers are looked at while nothing is asked of them."""
LIMIT_OBJECTS = 1000
"""Bare writes to measure the limit with, before and after."""
NEVER = {"POLL_INTERVAL_SEC": "86400", "CHANGES_INTERVAL_SEC": "0", "SYNC_INTERVAL_SEC": "86400"}
MANY = 5000
"""Objects from which on a pass is judged."""
MEMORY = {5000: 120, 10_000: 170}
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


class Bare(NamedTuple):
    """Plain writes: objects per second, and the seconds of CPU that an object costs the servers and the client."""

    rate: float
    servers: float
    client: float

    def per_cpu(self, client: float) -> float:
        """Objects per second of CPU, with a client that uses this much for each."""
        return 1 / (self.servers + client)

    def between(self, other: Bare) -> Bare:
        """The mean of both."""
        return Bare(*((one + two) / 2 for one, two in zip(self, other, strict=True)))


class Servers:
    """What the API server and etcd use, without what they use at rest."""

    def __init__(self, ground: Ground, rest: ServerCpu) -> None:
        self._api = ground.api
        self._rest = rest
        self.start()

    @classmethod
    async def at_rest(cls, ground: Ground) -> Self:
        """Look for a few seconds at what they use while nothing is asked of them."""
        before = ground.api.cpu
        await asyncio.sleep(REST)
        return cls(
            ground, ServerCpu(*((now - then) / REST for now, then in zip(ground.api.cpu, before, strict=True)))
        )

    def start(self) -> None:
        self._before, self._since = self._api.cpu, time.perf_counter()

    def used(self) -> ServerCpu:
        """CPU seconds since the start."""
        seconds = time.perf_counter() - self._since
        parts = zip(self._api.cpu, self._before, self._rest, strict=True)
        return ServerCpu(*(now - then - rest * seconds for now, then, rest in parts))


async def limit_of_creating(ground: Ground, count: int, namespace: str) -> Bare:
    """What plain writes reach, in a new namespace."""
    say("  the limit: bare writes")
    names = [f"object-{number:05d}" for number in range(min(count, LIMIT_OBJECTS))]
    await ground.kube.namespace(namespace)
    await ground.kube.create_all(objects.synced(namespace, number) for number in range(len(names)))
    async with ground.kube.watched("SyncedSecret", namespace), ground.kube.watched("Secret", namespace):
        servers = await Servers.at_rest(ground)
        own = time.process_time()
        seconds = await ground.kube.limit_of_creating(namespace, names)
        spent = time.process_time() - own
        used = servers.used().total
    await ground.kube.clear(namespace)
    return Bare(len(names) / seconds, used / len(names), spent / len(names))


async def bulk(count: int) -> list[Figure]:
    """Everything that is measured with so many objects."""
    async with scene(count) as ground:
        figures = await first_sync(ground, count)
        figures += (resync := await next_start(ground, count))
        if count >= 1000:
            figures += await idle(ground, count, resync[-1].value * 1e-6)
        return figures


async def first_sync(ground: Ground, count: int) -> list[Figure]:
    """The first sync: no Secret exists."""
    before = await limit_of_creating(ground, count, "limit-before")
    say("  the first sync")
    work = f"first sync of {count}"
    servers = await Servers.at_rest(ground)
    ground.forget_calls()
    async with ground.operator(**NEVER) as operator:
        servers.start()
        start = operator.cpu
        await operator.until_changed(count)
        seconds = time.time() - (operator.logged("workers started") or 0.0)
        cpu = operator.cpu - start
        server, etcd = servers.used()
        calls = ground.calls()
        used = memory(operator.pid)
    assert len(await ground.kube.list("Secret", NAMESPACE)) == count, "not every Secret is there"
    limit = before.between(await limit_of_creating(ground, count, "limit-after"))
    figures = [
        at_least_of(
            work,
            "objects per second of CPU",
            limit.per_cpu(cpu / count),
            Limit(limit.per_cpu(limit.client), "bare create + status, shown by two watches"),
            part=0.8,
        ),
        told(work, "objects", count / seconds, "/s")._replace(limit=limit.rate, limit_is="as above"),
        told(work, "CPU of the operator an object", cpu / count * 1e3, "ms")._replace(
            limit=limit.client * 1e3, limit_is="the bare client"
        ),
        told(work, "CPU of the API server an object", server / count * 1e3, "ms"),
        told(work, "CPU of etcd an object", etcd / count * 1e3, "ms"),
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
    async with ground.operator(**{**NEVER, "SYNC_INTERVAL_SEC": str(interval)}) as operator:
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
    async with ground.operator(**{**NEVER, "POLL_INTERVAL_SEC": "3"}) as operator:
        await until_passes(operator, count)
        await asyncio.sleep(3)
        await ground.world.until_listed()
        ground.forget_calls()
        cpu = operator.cpu
        for _ in range(polls):
            await ground.world.until_listed()
        each, calls = (operator.cpu - cpu) / polls, ground.calls()
    return [
        exactly(work, "AWS calls a poll", calls.total() / polls, "calls", ceil(count / 100)),
        at_most(work, "of a core, polls each 300 s and resyncs", (each / 300 + count / 120 * resync) * 100, "%", 1),
    ]


async def until_passes(operator: Operator, count: int) -> None:
    async with asyncio.timeout(120):
        while (await operator.passes()).total() < count:
            await asyncio.sleep(0.1)


async def _versions(ground: Ground) -> dict[str, str]:
    """The resourceVersion of every object and Secret: any write changes one."""
    found = [*await ground.kube.list("SyncedSecret", NAMESPACE), *await ground.kube.list("Secret", NAMESPACE)]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in found}
