"""The life of an object: adoption, ownership, deletion, and its metrics."""

from __future__ import annotations

import base64

import pytest

from tests.support.eventually import eventually
from tests.support.measures import series
from tests.support.specs import all_keys, literal

pytestmark = pytest.mark.real

MANAGED = {"secrets.contentful.com/managed": "true"}


async def foreign_secret(space, **metadata):
    """A Secret `demo` that somebody else made."""
    data = {"old": base64.b64encode(b"value").decode()}
    metadata = {"name": "demo", "namespace": space.name, **metadata}
    return await space.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


async def test_a_secret_that_exists_is_adopted_and_then_holds_exactly_what_was_rendered(operator, space, name):
    await foreign_secret(space, labels={"team": "db"}, annotations={"note": "kept"})
    await space.write("demo", adopt=True, dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    metadata = (await space.secret("demo"))["metadata"]
    assert metadata["labels"] == {"team": "db", **MANAGED}
    assert metadata["annotations"] == {"note": "kept"}


async def test_a_deleted_object_leaves_its_secret(operator, cluster, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    before = await space.secret("demo")
    assert "ownerReferences" not in before["metadata"]
    await cluster.delete("SyncedSecret", space.name, "demo")
    await gone_from_metrics(operator, space)
    assert await space.secret("demo") == before
    await cluster.delete("Secret", space.name, "demo")  # and nobody makes it again
    await space.write("other", data=[literal("a", "1")])
    await space.until_synced("other")
    assert await space.secret("demo") is None


async def test_with_deletion_policy_delete_the_object_owns_its_secret(operator, space, name):
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Delete")
    obj = await space.until_synced("demo")
    (owner,) = (await space.secret("demo"))["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("SyncedSecret", "demo", obj["metadata"]["uid"])
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Retain")

    async def let_go():
        assert not (await space.secret("demo"))["metadata"].get("ownerReferences")

    await eventually(let_go)


async def test_metrics_have_the_state_of_each_object_and_no_deleted_ones(operator, cluster, space, name):
    await space.write("good", dataFrom=all_keys(name))
    await space.write("bad", dataFrom=all_keys(f"{name}-missing"))
    await space.until_synced("good")
    await space.until_failed("bad", "SecretNotFound")

    async def told():
        metrics = await operator.metrics()
        assert series(metrics, "secretsyncer_object_ready", namespace=space.name) == {
            ("good", space.name, "Synced"): 1,
            ("bad", space.name, "SecretNotFound"): 0,
        }
        assert (metrics["secret_sync_success"], metrics["secret_sync_failures"]) == (1, 1), "objects of other tests"

    await eventually(told)
    for obj in ("good", "bad"):
        await cluster.delete("SyncedSecret", space.name, obj)
    await gone_from_metrics(operator, space)


async def gone_from_metrics(operator, space):
    async def probe():
        left = [key for key in await operator.metrics() if space.name in key]
        assert not left, left

    await eventually(probe)


async def test_a_recreated_object_does_not_keep_the_state_of_the_old_one(operator, cluster, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    await cluster.delete("SyncedSecret", space.name, "demo")
    await space.write("demo", data=[literal("b", "2")])
    await space.until_data("demo", {"b": b"2"})
    await space.until_synced("demo")
