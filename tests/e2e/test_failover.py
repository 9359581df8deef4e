"""Two operators with one Lease: one is the leader, and the other takes over when it stops."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio

from sandbox.kubernetes_client import path_of
from tests.e2e.conftest import until_known
from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import all_keys

pytestmark = pytest.mark.real

LEASE = "5a48bfe8.contentful.com"
NAMESPACE = "k8s-secret-syncer"
SETTINGS = {"LEADER_ELECTION": "true", "POD_NAMESPACE": NAMESPACE}


async def holder(cluster):
    lease = await cluster.get("Lease", NAMESPACE, LEASE)
    return ((lease or {}).get("spec") or {}).get("holderIdentity") or ""


async def leads(operator):
    return await measured(operator, "secretsyncer_leader") == 1


async def until_leading(operator):
    async def probe():
        assert await leads(operator), "it does not lead"

    await eventually(probe)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def no_lease(cluster):
    """What a test that failed may leave behind would keep the next one waiting."""
    if await cluster.get("Lease", NAMESPACE, LEASE):
        await cluster.delete("Lease", NAMESPACE, LEASE)


async def test_the_second_takes_over_as_soon_as_the_first_stops(run_operator, aws, cluster, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, '{"a": "1"}')
    first = await run_operator(**SETTINGS)
    await until_leading(first)
    second = await run_operator(**SETTINGS)  # ready without leading: a roll-out must not wait for it
    assert not await leads(second)
    first_holder = await holder(cluster)
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    await until_known(second, 1)  # warm
    metrics = await second.metrics()
    assert [key for key in metrics if key.startswith("secretsyncer_aws_calls_total") and metrics[key]] == []

    async with cluster.watch(path_of("Lease", NAMESPACE)) as events:
        assert await first.stop() == 0
        aws.world.put(name, '{"a": "2"}')
        await until_leading(second)
        second_holder = await holder(cluster)
        assert second_holder not in {"", first_holder}
        holders = [first_holder]
        while holders[-1] != second_holder:
            holders.append((await anext(events))["object"]["spec"].get("holderIdentity") or "")
    assert "" in holders  # it was released, so that nobody had to wait for its end
    await space.until_data("demo", {"a": b"2"})
    assert await second.stop() == 0
    assert await holder(cluster) == ""


async def test_a_leader_that_loses_its_lease_ends_with_exit_code_1(run_operator, cluster):
    operator = await run_operator(**SETTINGS)
    await until_leading(operator)
    lease = await cluster.get("Lease", NAMESPACE, LEASE)
    assert lease["spec"]["holderIdentity"]
    await cluster.merge("Lease", NAMESPACE, LEASE, {"spec": {"holderIdentity": "somebody else"}})
    assert await operator.wait() == 1
    assert "lease lost" in operator.log
    assert await holder(cluster) == "somebody else"
