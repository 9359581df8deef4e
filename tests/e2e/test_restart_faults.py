"""Restarts when processes are killed and follow each other: none is lost, and none is done twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

import pytest

from secretsyncer.sync.observed import REFRESH_ANNOTATION
from tests.e2e.conftest import new_secret
from tests.support.cluster import data_of
from tests.support.eventually import LIMIT, eventually
from tests.support.measures import complaints, measured, series
from tests.support.restarts import WEB, condition, restarts, stamp, status, until_restarted, until_told
from tests.support.specs import all_keys
from tests.support.workloads import OPT_IN, workload

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("restart_component")]

KILLS = 20


@pytest.fixture
def name(aws):
    return new_secret(aws, '{"a": "0"}')


async def kill(operator):
    operator.send(signal.SIGKILL)
    await operator.wait()


async def test_a_restart_waits_for_the_interval_also_after_the_operator_was_restarted(
    run_operator, cluster, aws, space, name
):
    await cluster.create(workload(space.name))
    selector = {"WATCH_NAMESPACE": space.name, "RESTART_MIN_INTERVAL": "20"}  # while it waits, that must be seen
    first = await run_operator(**selector)
    await space.write("demo", dataFrom=all_keys(name), restart=WEB)
    await space.until_synced("demo")
    aws.world.put(name, '{"a": "1"}')
    await until_restarted(space, 1)
    before = await stamp(space)
    aws.world.put(name, '{"a": "2"}')
    message = await until_told(space, "WaitingForInterval")
    assert message.startswith(f"Deployment web was restarted at {before}, and may be again at ")
    first.send(signal.SIGKILL)
    await first.wait()
    second = await run_operator(**selector)
    await until_restarted(space, 2)
    assert await restarts(space) == 2
    after = await stamp(space)
    assert after >= message.rpartition(" ")[2]
    assert not complaints(second.log)


def secret_is_written(number, secret):
    return data_of(secret) == {"a": str(number).encode()}


def revision_is_reported(number, obj):
    return obj.get("status", {}).get("revision") == number


def restart_is_begun(number, obj):
    return any(entry["revision"] == number for entry in obj.get("status", {}).get("restarts") or [])


def workload_is_restarted(number, obj):
    return obj["metadata"]["generation"] > number


MOMENTS = (
    ("Secret", "demo", secret_is_written),
    ("SyncedSecret", "demo", revision_is_reported),
    ("SyncedSecret", "demo", restart_is_begun),
    ("Deployment", "web", workload_is_restarted),
)
"""Between a change in AWS and the end of what follows."""


async def until_moment(space, number, moment):
    """As soon as it has come: the next step is milliseconds away."""
    kind, name, has_come = moment
    async with asyncio.timeout(LIMIT), space.watch(kind, name) as events:
        async for event in events:
            if has_come(number, event["object"]):
                return
    raise AssertionError("the watch ended")


async def test_20_kills_between_the_write_and_the_restart_lose_none_and_double_none(
    run_operator, cluster, aws, space, name
):
    """A workload of each form is restarted exactly once for each of 20 rotations."""
    settings = {"WATCH_NAMESPACE": space.name, "RESTART_MIN_INTERVAL": "0"}
    refers = {"container": {"envFrom": [{"secretRef": {"name": "demo"}}]}}
    await cluster.create(workload(space.name))
    await cluster.create(workload(space.name, "user", "StatefulSet", annotations=OPT_IN, **refers))
    await cluster.create(workload(space.name, "argo", "Rollout"))
    targets = [*WEB["targets"], {"kind": "Rollout", "name": "argo"}]
    operator = await run_operator(**settings)
    await space.write("demo", dataFrom=all_keys(name), restart={**WEB, "targets": targets, "consumers": True})
    await space.until_synced("demo")
    stamps = [await stamp(space, "argo", "Rollout")]
    for number in range(1, KILLS + 1):
        aws.world.put(name, f'{{"a": "{number}"}}')
        await until_moment(space, number, MOMENTS[number % len(MOMENTS)])
        await kill(operator)
        operator = await run_operator(**settings)
        found = await until_restarted(space, number)
        assert [entry["revision"] for entry in found["restarts"]] == [number] * 3
        assert await restarts(space) == number
        assert await restarts(space, "user", "StatefulSet") == number
        stamps.append(await stamp(space, "argo", "Rollout"))
    assert await restarts(space, "argo", "Rollout") == KILLS
    assert len(set(stamps)) == KILLS + 1
    assert not complaints(operator.log)


async def test_two_replicas_restart_once_when_the_leader_is_killed(run_operator, cluster, aws, space, name):
    await cluster.create(workload(space.name))
    settings = {
        "WATCH_NAMESPACE": space.name,
        "RESTART_MIN_INTERVAL": "0",
        "LEADER_ELECTION": "true",
        "POD_NAMESPACE": "k8s-secret-syncer",
    }
    first = await run_operator(**settings)
    await space.write("demo", dataFrom=all_keys(name), restart=WEB)
    await space.until_synced("demo")
    second = await run_operator(**settings)
    aws.world.put(name, '{"a": "1"}')
    await until_moment(space, 1, MOMENTS[0])
    await kill(first)
    await until_restarted(space, 1)

    async def leads():  # the first one may have done all before it was killed
        assert await measured(second, "secretsyncer_leader") == 1

    await eventually(leads)
    assert await restarts(space) == 1
    assert await second.stop() == 0
    assert not complaints(second.log)


async def test_shards_that_name_one_workload_keep_its_interval(run_operator, cluster, aws, space):
    await cluster.create(workload(space.name))
    settings = {"WATCH_NAMESPACE": space.name, "RESTART_MIN_INTERVAL": "20"}  # while it waits, that must be seen
    names = {shard: new_secret(aws, '{"a": "0"}') for shard in "ab"}
    for shard, source in names.items():
        await space.write(shard, dataFrom=all_keys(source), restart=WEB)
        await cluster.merge("SyncedSecret", space.name, shard, {"metadata": {"labels": {"shard": shard}}})
        await run_operator(WATCH_SELECTOR=f"shard={shard}", **settings)
        await space.until_synced(shard)
    aws.world.put(names["a"], '{"a": "1"}')
    await until_restarted(space, 1, "a")
    first = await stamp(space)
    aws.world.put(names["b"], '{"a": "1"}')
    message = await until_told(space, "WaitingForInterval", "b")
    assert message.startswith(f"Deployment web was restarted at {first}")
    await until_restarted(space, 1, "b")
    assert await restarts(space) == 2


@contextlib.asynccontextmanager
async def without_permissions(cluster):
    binding = await cluster.get("ClusterRoleBinding", "", "secretsyncer-restarts")
    await cluster.delete("ClusterRoleBinding", "", "secretsyncer-restarts")
    try:
        yield
    finally:
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            binding["metadata"].pop(field, None)
        await cluster.create(binding)


async def test_without_the_permissions_the_condition_says_so_once(run_operator, cluster, aws, space):
    async with without_permissions(cluster):
        operator = await run_operator(WATCH_NAMESPACE=space.name, RESTART_MIN_INTERVAL="0")
        names = [new_secret(aws, '{"a": "0"}') for _ in range(10)]
        for number, source in enumerate(names):
            targets = [{"kind": "Deployment", "name": f"web-{number}"}]
            await space.write(f"demo-{number}", dataFrom=all_keys(source), restart={**WEB, "targets": targets})
            await space.until_synced(f"demo-{number}")
        for source in names:
            aws.world.put(source, '{"a": "1"}')
        for number in range(10):
            message = await until_told(space, "Forbidden", f"demo-{number}")
            assert "may not get deployments" in message
            assert "install the component restarts" in message
        before = {number: await status(space, f"demo-{number}") for number in range(10)}
        await asyncio.sleep(5)  # no retry is due, and none must happen
        assert before == {number: await status(space, f"demo-{number}") for number in range(10)}
        refused = series(await operator.metrics(), "secretsyncer_kubernetes_requests_total", status="403")
        assert list(refused.values()) == [1.0]
        assert condition(before[0])[0] == "False"
        assert (await space.ready("demo-0"))["status"] == "True"


async def test_a_refresh_after_the_permissions_were_granted_restarts_at_once(
    run_operator, cluster, aws, space, name
):
    """Without it, the next try would be a minute after the first."""
    await cluster.create(workload(space.name))
    async with without_permissions(cluster):
        await run_operator(WATCH_NAMESPACE=space.name)
        await space.write("demo", dataFrom=all_keys(name), restart=WEB)
        await space.until_synced("demo")
        aws.world.put(name, '{"a": "1"}')
        await until_told(space, "Forbidden")

    async def refreshed():  # the API server may learn of the permissions a moment later
        annotations = {REFRESH_ANNOTATION: str(time.time())}
        await cluster.merge("SyncedSecret", space.name, "demo", {"metadata": {"annotations": annotations}})
        assert (await status(space))["restartedRevision"] == 1

    await eventually(refreshed, within=40)
    assert await restarts(space) == 1
    assert condition(await status(space))[:2] == ("True", "Restarted")


async def test_kills_while_a_secret_is_deleted_and_created_again_lose_no_restart(
    run_operator, cluster, aws, space, name
):
    """An immutable Secret does not exist for a moment: the process ends as soon as it is gone."""
    settings = {"WATCH_NAMESPACE": space.name, "RESTART_MIN_INTERVAL": "0"}
    await cluster.create(workload(space.name))
    operator = await run_operator(**settings)
    await space.write("demo", dataFrom=all_keys(name), restart=WEB, immutable=True, recreateOnTypeChange=True)
    await space.until_synced("demo")
    for number in range(1, 6):
        async with space.watch("Secret", "demo") as events:
            aws.world.put(name, f'{{"a": "{number}"}}')
            async for event in events:
                if event["type"] == "DELETED":
                    break
            await kill(operator)
        operator = await run_operator(**settings)
        found = await until_restarted(space, number)
        assert await space.data("demo") == {"a": str(number).encode()}
        assert await restarts(space) == number
        assert "nextRevision" not in found
    assert not complaints(operator.log)
