"""Secrets that another controller owns, as after a migration from another operator."""

from __future__ import annotations

import pytest

from tests.support.specs import literal

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "2"}  # nothing tells of a change of a Secret that is not ours yet


async def owned(space, *, controller):
    """A Secret of an owner that is there, or the garbage collector would delete it."""
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    made = await space.cluster.create({**kind, "metadata": {"name": "theirs", "namespace": space.name}})
    reference = {**kind, "name": "theirs", "uid": made["metadata"]["uid"]}
    owner = {**reference, "controller": controller}
    metadata = {"name": "demo", "namespace": space.name, "ownerReferences": [owner]}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "theirs"}}
    return await space.cluster.create(secret)


async def test_a_secret_that_another_controller_owns_is_a_conflict_that_names_it(operator, space):
    await owned(space, controller=True)
    await space.write("demo", deletionPolicy="Delete", data=[literal("a", "ours")])
    message = await space.until_failed("demo", "Conflict")
    assert "ConfigMap theirs" in message
    assert "owner reference" in message
    assert await space.data("demo") == {"a": b"theirs"}
    await space.cluster.merge("Secret", space.name, "demo", {"metadata": {"ownerReferences": None}})
    await space.until_data("demo", {"a": b"ours"})
    (owner,) = (await space.secret("demo"))["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"]) == ("SyncedSecret", True)


async def test_an_owner_that_controls_nothing_stays_beside_ours(operator, space):
    await owned(space, controller=False)
    await space.write("demo", deletionPolicy="Delete", data=[literal("a", "ours")])
    await space.until_data("demo", {"a": b"ours"})
    owners = (await space.secret("demo"))["metadata"]["ownerReferences"]
    assert [owner["kind"] for owner in owners] == ["ConfigMap", "SyncedSecret"]
