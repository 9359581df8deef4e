"""Many objects in many namespaces, with the defaults: first sync, quiet minutes, a change, a restart and a lost Lease.

Every step has a limit of time in proportion to the number of objects, and prints its progress.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

from bench import objects
from bench.figures import Figure, at_most, median, told
from bench.ground import Ground, Operator
from bench.kubernetes import each
from bench.recent import seed_long_ago
from bench.say import say
from bench.sync import Servers
from sandbox.kubernetes_client import Object
from sandbox.usage import MIB, memory

SLOWEST = 20
"""Objects per second below which a step has failed."""
RESYNCS = 120
"""Seconds in which each object is looked at once."""
QUIET = 300
"""Seconds that show the steady state: one listing of everything."""
AFTER = 20
"""Seconds from a listing to their beginning, so that the next listing is neither at their beginning nor at their end."""
CHANGES = 5
PROGRESS = 15.0
"""Seconds between two lines of progress."""
LEADERSHIP = {"LEADER_ELECTION": "true", "POD_NAMESPACE": "default"}


async def large(count: int, namespaces: int, secrets: int) -> list[Figure]:
    """So many objects, of which each reads one of the AWS secrets."""
    work = f"{count} objects"
    say(f"{count} objects in {namespaces} namespaces, {secrets} AWS secrets")
    async with Ground() as ground:
        seed_long_ago(ground, secrets)
        await _create(ground, count, namespaces, secrets)
        servers = await Servers.at_rest(ground)
        ground.forget_calls()
        async with ground.operator(ready=False, **LEADERSHIP) as operator:
            await operator.until_ready(60 + count / SLOWEST)
            figures = await _first_sync(work, ground, operator, servers, count)
            figures += await _quiet(work, ground, operator)
            figures.append(await _change(work, ground))
        return figures + await _restart_and_takeover(work, ground, count)


def _name(number: int) -> str:
    return f"object-{number:05d}"


def _namespace(number: int) -> str:
    return f"tenant-{number:04d}"


async def _create(ground: Ground, count: int, namespaces: int, secrets: int) -> None:
    async def create_namespace(number: int) -> None:
        await ground.kube.namespace(_namespace(number))

    await each(range(namespaces), create_namespace, 16)
    made = 0

    def manifests() -> Iterator[Object]:
        nonlocal made
        for number in range(count):
            manifest = objects.synced(_namespace(number % namespaces), number % secrets)
            manifest["metadata"]["name"] = _name(number)
            made = number
            yield manifest

    async def left() -> int:
        return count - 1 - made

    creating = asyncio.ensure_future(ground.kube.create_all(manifests()))
    await _until_none("objects to create", left, count)
    await creating


async def _until_none(what: str, left: Callable[[], Awaitable[int]], count: int) -> None:
    """Wait until nothing is left, with lines of progress. TimeoutError if it takes too long."""
    said = time.monotonic()
    async with asyncio.timeout(60 + count / SLOWEST):
        while (number := await left()) > 0:
            if time.monotonic() - said > PROGRESS:
                said = time.monotonic()
                say(f"  {number} {what} left")
            await asyncio.sleep(0.5)


async def _first_sync(work: str, ground: Ground, operator: Operator, servers: Servers, count: int) -> list[Figure]:
    say("  the first sync")

    async def left() -> int:
        return count - (await operator.passes())["changed"]

    servers.start()
    started, cpu = time.perf_counter(), operator.cpu
    await _until_none("objects to sync", left, count)
    seconds, spent, used = time.perf_counter() - started, operator.cpu - cpu, servers.used()
    await asyncio.sleep(5)
    return [
        told(work, "first sync", seconds, "s"),
        told(work, "first sync, CPU of the operator an object", spent / count * 1e3, "ms"),
        told(work, "first sync, CPU of API server and etcd an object", used.total / count * 1e3, "ms"),
        told(work, "first sync, AWS calls", ground.calls().total(), "calls"),
        told(work, "memory after it", memory(operator.pid).now / MIB, "MiB"),
        told(work, "memory, most", operator.peak_memory / MIB, "MiB"),
    ]


async def _quiet(work: str, ground: Ground, operator: Operator) -> list[Figure]:
    """With the defaults: each object is compared every 120 s, changes are listed every 10 s, everything every 300 s."""
    say(f"  {RESYNCS} s in which each object is looked at for the first time again")
    await asyncio.sleep(RESYNCS)
    await ground.world.until_listed(limit=2 * QUIET)
    await asyncio.sleep(AFTER)
    say(f"  {QUIET} s without a change")
    ground.forget_calls()
    cpu, passes = operator.cpu, (await operator.passes()).total()
    await asyncio.sleep(QUIET)
    share = (operator.cpu - cpu) / QUIET
    return [
        at_most(work, "steady, of a core", share * 100, "%", 100),
        told(work, "steady, resyncs per second", ((await operator.passes()).total() - passes) / QUIET, "/s"),
        told(work, "steady, AWS calls per minute", ground.calls().total() * 60 / QUIET, "calls"),
        told(work, "memory in the steady state", memory(operator.pid).now / MIB, "MiB"),
    ]


async def _change(work: str, ground: Ground) -> Figure:
    say("  single changes")
    delays = [await _until_written(ground, number, revision=1) for number in range(CHANGES)]
    return told(work, "a change, AWS to Secret, median", median(delays), "s")


async def _until_written(ground: Ground, number: int, revision: int) -> float:
    """Seconds from a rotation until the Secret of the first object that reads it has another version."""
    namespace = _namespace(number)
    async with ground.kube.watch_from_now("Secret", namespace) as events, asyncio.timeout(120):
        started = time.perf_counter()
        ground.rotate(range(number, number + 1), revision)
        while (await anext(events))["object"]["metadata"]["name"] != _name(number):
            pass
        return time.perf_counter() - started


async def _restart_and_takeover(work: str, ground: Ground, count: int) -> list[Figure]:
    """A new leader looks at every object once. Then it is killed, and a standby takes over after the Lease has ended."""
    say("  a restart")
    async with ground.operator(ready=False, **LEADERSHIP) as leader:
        ready = await leader.until_ready(60 + count / SLOWEST)

        async def left() -> int:
            return count - (await leader.passes()).total()

        started, cpu = time.perf_counter(), leader.cpu
        await _until_none("objects to look at", left, count)
        looked, spent = time.perf_counter() - started, leader.cpu - cpu
        figures = [
            told(work, "restart, to ready", ready, "s"),
            told(work, "restart, to the last object", ready + looked, "s"),
            told(work, "restart, CPU an object", spent / count * 1e3, "ms"),
            at_most(work, "restart, memory", memory(leader.pid).now / MIB, "MiB", 1024),
            at_most(work, "restart, objects written", (await leader.passes())["changed"], "", 0),
        ]
        say("  a lost Lease")
        async with ground.operator(ready=False, **LEADERSHIP) as standby:
            await standby.until_ready(60 + count / SLOWEST)
            figures.append(told(work, "standby, memory", memory(standby.pid).now / MIB, "MiB"))
            leader.send(signal.SIGKILL)
            lost = time.perf_counter()
            await _until_leading(standby)
            figures.append(told(work, "lost Lease, to the next leader", time.perf_counter() - lost, "s"))
            await _until_written(ground, CHANGES, revision=2)
            figures.append(told(work, "lost Lease, to a change in its Secret", time.perf_counter() - lost, "s"))
    return figures


async def _until_leading(operator: Operator) -> None:
    async with asyncio.timeout(120):
        while not (await operator.metrics("secretsyncer_leader")).get("secretsyncer_leader"):
            await asyncio.sleep(0.2)
