"""Restarts while the API server goes and comes back. No other operator may watch the same objects."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.test_fault_api_server import gate, operators_kubeconfig  # noqa: F401 - fixtures
from tests.support.eventually import eventually
from tests.support.measures import complaints
from tests.support.restarts import until_restarted
from tests.support.specs import literal
from tests.support.workloads import workload

pytestmark = pytest.mark.real


@pytest.mark.usefixtures("restart_component")
async def test_an_outage_in_the_middle_of_restarts_loses_none_and_doubles_none(run_operator, cluster, gate, space):  # noqa: F811
    """Ten objects restart two workloads each, one of them together."""
    operator = await run_operator(WATCH_NAMESPACE=space.name, RESTART_MIN_INTERVAL="0")
    names = [f"web-{number}" for number in range(10)]
    for one in ("shared", *names):
        await cluster.create(workload(space.name, one))

    async def write(value):
        writes = []
        for number, one in enumerate(names):
            targets = [{"kind": "Deployment", "name": target} for target in (one, "shared")]
            restart = {"targets": targets, "delay": "15s"}  # all Secrets must have changed by then
            writes.append(space.write(f"demo-{number}", data=[literal("a", value)], restart=restart))
        await asyncio.gather(*writes)

    async def generations():
        return {
            obj["metadata"]["name"]: obj["metadata"]["generation"]
            for obj in await cluster.list("Deployment", space.name)
        }

    await write("0")
    for number in range(10):
        await space.until_synced(f"demo-{number}")
    for revision in range(1, 4):
        await write(str(revision))

        async def some(revision=revision):
            assert sum(found > revision for found in (await generations()).values()) >= 2

        await eventually(some)
        for _ in range(5):  # answers get lost
            gate.cut()
            await asyncio.sleep(0.02)
        await gate.refuse()
        await asyncio.sleep(2)
        await gate.listen()
        for number in range(10):
            await until_restarted(space, revision, f"demo-{number}")
    assert await generations() == dict.fromkeys(("shared", *names), 4)
    assert not complaints(operator.log)
