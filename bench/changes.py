"""Changes among many objects: one rotation, a thousand at once, and a new object during bulk work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from bench import objects
from bench.figures import Figure, Limit, at_least_of, at_most, at_most_times, median, percentile
from bench.ground import LATENCY, Ground
from bench.say import say
from bench.sync import NAMESPACE, NEVER, scene

ROTATIONS = 30
FRESH = 12
"""New objects whose latency is measured."""
FRESH_NAMESPACE = "fresh"


async def changes(count: int) -> list[Figure]:
    """Rotations among so many objects, then new objects while all of them are synced again."""
    async with scene(count) as ground:
        async with ground.operator(POLL_INTERVAL_SEC="1", SYNC_INTERVAL_SEC="86400") as operator:
            await operator.until_changed(count)
            say("  single rotations")
            figures = await _rotations(ground, count)
            say("  many rotations at once")
            figures += await _many_rotations(ground, min(1000, count))
        return figures + await _new_objects(ground, count)


async def _rotations(ground: Ground, count: int) -> list[Figure]:
    work = f"one rotation among {count}"
    delays, round_trips = [], []
    async with ground.kube.watch_from_now("Secret", NAMESPACE) as events:
        for revision in range(1, ROTATIONS + 1):
            number = revision * 7 % count
            ground.rotate(range(number, number + 1), revision)
            async with asyncio.timeout(30):
                while True:
                    event = await anext(events)
                    if event["object"]["metadata"]["name"] == f"object-{number:05d}":
                        break
            arrived = time.perf_counter()
            delays.append(arrived - max(at for at in ground.world.listings if at <= arrived))
            round_trips.append(await _round_trip(ground, events))
    limit = LATENCY + median(round_trips)
    limit_is = "one GetSecretValue (20 ms) and one patch, seen by a watch"
    return [
        at_most_times(
            work, "list answered to Secret patched, median", median(delays), Limit(limit, limit_is), times=3
        ),
        at_most(work, "the same, 99th of 100", percentile(delays, 0.99) * 1e3, "ms", 100),
    ]


async def _round_trip(ground: Ground, events: AsyncIterator[Any]) -> float:
    """The time from a patch of a Secret to its watch event. Only a label changes, which the operator ignores."""
    started = time.perf_counter()
    patch = {"metadata": {"labels": {"bench": str(time.time_ns())}}}
    await ground.kube.merge("Secret", NAMESPACE, "object-00000", patch)
    while (await anext(events))["object"]["metadata"]["labels"].get("bench") != patch["metadata"]["labels"][
        "bench"
    ]:
        pass
    return time.perf_counter() - started


async def _many_rotations(ground: Ground, count: int) -> list[Figure]:
    work = f"{count} rotations found by one poll"
    await ground.world.until_listed()
    async with ground.kube.watch_from_now("Secret", NAMESPACE) as events:
        ground.rotate(range(count), 1_000_000)
        waiting = {f"object-{number:05d}" for number in range(count)}
        first = 0.0
        async with asyncio.timeout(120):
            while waiting:
                waiting.discard((await anext(events))["object"]["metadata"]["name"])
                first = first or time.perf_counter()
        done = time.perf_counter()
    began = max(at for at in ground.world.listings if at <= first)
    await asyncio.sleep(2)  # statuses and Events of the last ones
    limit = await _limit_of_patching(ground, count)
    return [
        at_least_of(
            work,
            "objects",
            count / (done - began),
            Limit(limit, "bare patches of Secret + status at the same concurrency"),
            part=0.6,
        )
    ]


async def _limit_of_patching(ground: Ground, count: int) -> float:
    """Objects per second. They are suspended, and their Secrets are not managed, so the operator does nothing."""
    namespace, names = "limit", [f"object-{number:05d}" for number in range(count)]
    await ground.kube.namespace(namespace)
    await ground.kube.create_all(objects.synced(namespace, number, suspend=True) for number in range(count))
    await ground.kube.create_all((objects.secret(namespace, name) for name in names), concurrency=16)
    await asyncio.sleep(2)  # the operator says of each that it is suspended
    return count / await ground.kube.limit_of_patching(namespace, names)


async def _new_objects(ground: Ground, count: int) -> list[Figure]:
    say("  new objects, on an idle operator and beside the bulk")
    work = f"a new object while {count} are synced"
    await ground.kube.namespace(FRESH_NAMESPACE)
    async with ground.operator(**NEVER) as operator:
        await _until_quiet(operator)
        idle = [await _new_object(ground, "idle", n) for n in range(FRESH)]
    await ground.kube.delete_all("Secret", NAMESPACE)
    async with ground.operator(**NEVER) as operator:
        while (await operator.passes())["changed"] < count // 20:
            await asyncio.sleep(0.02)
        busy = [await _new_object(ground, "busy", n) for n in range(FRESH)]
        left = count - (await operator.passes())["changed"]
    assert left > 0, "the bulk was through before the last new object: take more objects"
    limit_is = "the same on an idle operator"
    return [
        at_most_times(work, "applied to Secret there, median", median(busy), Limit(median(idle), limit_is), times=5)
    ]


async def _until_quiet(operator: Any) -> None:
    before = -1
    while (now := (await operator.passes()).total()) != before:
        before = now
        await asyncio.sleep(0.5)


async def _new_object(ground: Ground, prefix: str, number: int) -> float:
    """Seconds from the response to the creation of the object until the Secret exists."""
    manifest = objects.synced(FRESH_NAMESPACE, number, prefix=prefix)
    async with ground.kube.watch_from_now("Secret", FRESH_NAMESPACE) as events, asyncio.timeout(60):
        started = time.perf_counter()
        await ground.kube.create(manifest)
        while (await anext(events))["object"]["metadata"]["name"] != manifest["metadata"]["name"]:
            pass
        return time.perf_counter() - started
