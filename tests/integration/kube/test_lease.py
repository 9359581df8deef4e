"""Leader election and Events on a running server."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.kube.event_recorder import EventRecorder
from secretsyncer.kube.lease import LeaderElector, LeaseLost
from tests.support.eventually import LIMIT, eventually

DURATION = 8
"""Seconds of a lease: both its ends are in this process, and a busy machine may stop it for some of them."""


@pytest.fixture
def candidate(client, metrics, namespace):
    def make(identity):
        return LeaderElector(
            client,
            namespace=namespace,
            name="lease",
            identity=identity,
            lease_duration=DURATION,
            renew_deadline=DURATION - 1,
            retry_period=0.2,
            metrics=metrics,
        )

    return make


async def test_lease_goes_from_hand_to_hand(candidate, admin, namespace):
    first, second = candidate("first"), candidate("second")
    async with asyncio.timeout(LIMIT):
        await first.acquire()
    assert first.fresh()
    hold = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(DURATION + 1)
    assert not waiting.done()
    spec = (await admin.get("Lease", namespace, "lease"))["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("first", 0)
    hold.cancel()
    await first.release()
    async with asyncio.timeout(DURATION - 1):  # it was released: else it would last this long
        await waiting
    spec = (await admin.get("Lease", namespace, "lease"))["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)


async def test_silent_leader_is_followed(candidate, admin, namespace):
    await candidate("dead").acquire()
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(LIMIT):
        await candidate("heir").acquire()
    assert asyncio.get_running_loop().time() - started >= DURATION - 0.1


async def test_holder_notices_another(candidate, admin, namespace):
    leader = candidate("leader")
    await leader.acquire()
    await admin.merge("Lease", namespace, "lease", {"spec": {"holderIdentity": "usurper"}})
    with pytest.raises(LeaseLost, match="usurper"):
        async with asyncio.timeout(LIMIT):
            await leader.hold()


async def test_events_are_there_for_kubectl(client, metrics, admin, namespace):
    recorder = EventRecorder(client, metrics, instance="pod-1")
    made = await admin.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "x"}}
    )
    task = asyncio.create_task(recorder.run())
    recorder.event(made, "Warning", "AccessDenied", "no")

    async def probe(count):
        [event] = await admin.list("Event", namespace)
        assert (event["reason"], event["count"], event["type"]) == ("AccessDenied", count, "Warning")
        assert event["involvedObject"]["uid"] == made["metadata"]["uid"]

    async def first():
        assert await admin.list("Event", namespace)
        await probe(1)

    async def second():
        await probe(2)

    await eventually(first)
    recorder.event(made, "Warning", "AccessDenied", "no")
    await eventually(second)
    task.cancel()
