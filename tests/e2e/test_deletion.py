"""Deletions by Kubernetes: its own garbage collector and namespace controller run here."""

from __future__ import annotations

import pytest

from sandbox.kubernetes_client import path_of
from tests.e2e.conftest import collected, until_gone
from tests.support.eventually import eventually
from tests.support.measures import measured, series
from tests.support.specs import all_keys, literal

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("controllers")]


async def delete(space, name, policy):
    await space.cluster.delete("SyncedSecret", space.name, name, propagation_policy=policy)


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_with_deletion_policy_delete_the_secret_goes_with_its_object(operator, space, name, policy):
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.until_synced("demo")
    await delete(space, "demo", policy)
    await until_gone(space, "SyncedSecret", "demo")
    await until_gone(space, "Secret", "demo")
    await collected(space)
    assert await space.secret("demo") is None


async def test_an_orphaned_secret_stays_and_has_no_owner(operator, space, name):
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.until_synced("demo")
    await delete(space, "demo", "Orphan")
    await until_gone(space, "SyncedSecret", "demo")
    await collected(space)
    assert await space.data("demo") == {"a": b"1"}
    assert "ownerReferences" not in (await space.secret("demo"))["metadata"]


async def test_without_a_deletion_policy_the_secret_stays(operator, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    await delete(space, "demo", "Background")
    await collected(space)
    assert await space.data("demo") == {"a": b"1"}


async def test_the_secret_of_an_object_that_was_set_to_retain_stays(operator, space, name):
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.until_synced("demo")
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Retain")

    async def disowned():
        assert not (await space.secret("demo"))["metadata"].get("ownerReferences")

    await eventually(disowned)
    await delete(space, "demo", "Background")
    await collected(space)
    assert await space.data("demo") == {"a": b"1"}


async def test_a_recreated_object_has_its_own_secret(operator, space, name):
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.until_synced("demo")
    await delete(space, "demo", "Background")
    made = await space.write("demo", deletionPolicy="Delete", data=[literal("b", "2")])

    async def owned():
        (owner,) = (await space.secret("demo") or {"metadata": {}})["metadata"].get("ownerReferences") or [{}]
        assert owner.get("uid") == made["metadata"]["uid"]

    await eventually(owned)
    await collected(space)
    await space.until_data("demo", {"b": b"2"})


async def test_a_deleted_namespace_goes_with_all_that_is_in_it(operator, cluster, aws, space, name):
    await space.write("kept", dataFrom=all_keys(name))
    await space.write("owned", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.write("failed", dataFrom=all_keys(f"{name}-missing"))
    for synced in ("kept", "owned"):
        await space.until_synced(synced)
    await space.until_failed("failed", "SecretNotFound")
    passes = await gone_passes(operator)
    await cluster.delete("Namespace", "", space.name)

    async def seen():
        assert await gone_passes(operator) >= passes + 3

    await eventually(seen)
    aws.world.put(name, '{"a": "2"}')
    aws.world.create(f"{name}-missing", '{"a": "1"}')  # there is something to write now, and it may not be written
    reply = await cluster.request("DELETE", path_of("Secret", space.name, "kept"))
    assert reply.status in {200, 404}, "on a busy machine it may be gone already"

    async def gone():
        assert await cluster.get("Namespace", "", space.name) is None

    await eventually(gone)
    await forgotten(operator, space)
    assert series(await operator.metrics(), "secretsyncer_kubernetes_requests_total", status="403") == {}


async def gone_passes(operator):
    return await measured(operator, "secretsyncer_reconciles_total", result="gone")


async def forgotten(operator, space):
    async def probe():
        left = [key for key in await operator.metrics() if space.name in key]
        assert not left, left

    await eventually(probe)


async def test_an_object_that_keeps_its_namespace_from_going_gets_no_secret(operator, cluster, aws, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    held = {"metadata": {"finalizers": ["example.com/hold"]}}
    await cluster.merge("SyncedSecret", space.name, "demo", held)
    await cluster.delete("Namespace", "", space.name)
    await until_gone(space, "Secret", "demo")

    async def terminating():  # the namespace's controller empties one kind after another
        assert (await space.synced("demo"))["metadata"].get("deletionTimestamp")

    await eventually(terminating)
    polls = await measured(operator, "secretsyncer_polls_total")
    aws.world.put(name, '{"a": "2"}')

    async def polled():
        assert await measured(operator, "secretsyncer_polls_total") >= polls + 3

    await eventually(polled)
    assert await space.secret("demo") is None
    await cluster.merge("SyncedSecret", space.name, "demo", {"metadata": {"finalizers": None}})
    await forgotten(operator, space)


async def test_a_recreated_namespace_is_served(operator, cluster, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    await cluster.delete("Namespace", "", space.name)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name}}
    await eventually(lambda: cluster.create(body))
    assert await space.synced("demo") is None
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
