"""The controller manager: garbage collection, deletion of namespaces, a ServiceAccount in each."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import secret, widget
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("controllers")


def reference(owner):
    meta = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}


def owned(name, *owners, **fields):
    body = secret(name)
    body["metadata"]["ownerReferences"] = [{**reference(owner), **fields} for owner in owners]
    return body


async def until_left(client, path, names):
    """Until just these objects are there."""

    async def probe():
        assert (await client.get(path)).names() == list(names)

    await eventually(probe)


async def test_what_has_no_owner_left_is_deleted(client, secrets, widgets):
    first, second = await client.make(widgets, widget("first")), await client.make(widgets, widget("second"))
    await client.make(secrets, owned("both", first, second))
    await client.make(secrets, owned("one", first))
    await client.make(secrets, secret("free"))
    await client.delete(f"{widgets}/first")
    await until_left(client, secrets, ["both", "free"])

    async def disowned():
        assert (await client.get(f"{secrets}/both")).body["metadata"]["ownerReferences"] == [reference(second)]

    await eventually(disowned)
    await client.delete(f"{widgets}/second")
    await until_left(client, secrets, ["free"])


async def test_what_is_written_for_an_owner_that_has_gone_is_deleted(client, secrets, widgets):
    owner = await client.make(widgets, widget("owner"))
    await client.delete(f"{widgets}/owner")
    await client.make(secrets, owned("late", owner))
    await until_left(client, secrets, [])


async def test_an_owner_of_the_same_name_is_another_one(client, secrets, widgets):
    owner = await client.make(widgets, widget("owner"))
    await client.make(secrets, owned("a", owner))
    await client.delete(f"{widgets}/owner")
    await client.make(widgets, widget("owner"))
    await until_left(client, secrets, [])


async def test_what_an_unknown_kind_owns_stays(client, secrets, widgets):
    owner = await client.make(widgets, widget("owner"))
    await client.make(secrets, owned("a", {**owner, "kind": "Unknown"}))
    await client.make(secrets, owned("b", owner))
    await client.delete(f"{widgets}/owner")
    await until_left(client, secrets, ["a"])


async def test_foreground_deletion_waits_for_the_dependents(client, secrets, widgets):
    owner = await client.make(widgets, widget("owner"))
    body = owned("a", owner, blockOwnerDeletion=True)
    body["metadata"]["finalizers"] = ["example.com/wait"]
    await client.make(secrets, body)
    await client.delete(f"{widgets}/owner", {"propagationPolicy": "Foreground"})

    async def marked():
        assert (await client.get(f"{secrets}/a")).body["metadata"].get("deletionTimestamp")

    await eventually(marked)
    assert (await client.get(f"{widgets}/owner")).body["metadata"]["finalizers"] == ["foregroundDeletion"]
    await client.patch(f"{secrets}/a", {"metadata": {"finalizers": None}})
    await until_left(client, widgets, [])
    assert (await client.get(secrets)).names() == []


async def test_orphans_stay_without_their_owner(client, secrets, widgets):
    owner = await client.make(widgets, widget("owner"))
    await client.make(secrets, owned("a", owner))
    await client.delete(f"{widgets}/owner", {"propagationPolicy": "Orphan"})
    await until_left(client, widgets, [])
    assert "ownerReferences" not in (await client.get(f"{secrets}/a")).body["metadata"]


async def test_a_deleted_namespace_is_emptied_and_gone(client, namespace, secrets, widgets):
    await client.make(secrets, secret("a"))
    await client.make(widgets, widget("a"))
    start = (await client.get("/api/v1/secrets")).version
    await client.delete(f"/api/v1/namespaces/{namespace}")

    async def gone():
        assert (await client.get(f"/api/v1/namespaces/{namespace}")).status == 404

    await eventually(gone)
    assert (await client.get(secrets)).names() == (await client.get(widgets)).names() == []
    selector = f"fieldSelector=metadata.namespace%3D{namespace}"
    async with client.watch(f"/api/v1/secrets?resourceVersion={start}&{selector}") as watch:
        assert await watch.short() == ("DELETED", "a")


async def test_a_namespace_waits_for_the_finalizers_of_its_content(client, namespace, secrets):
    body = secret("a")
    body["metadata"]["finalizers"] = ["example.com/wait"]
    await client.make(secrets, body)
    await client.delete(f"/api/v1/namespaces/{namespace}")
    assert (await client.get(f"/api/v1/namespaces/{namespace}")).body["status"]["phase"] == "Terminating"
    reply = await client.post(secrets, secret("b"))
    assert (reply.status, reply.reason) == (403, "Forbidden")
    assert reply.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await client.patch(f"{secrets}/a", {"metadata": {"finalizers": None}})

    async def gone():
        assert (await client.get(f"/api/v1/namespaces/{namespace}")).status == 404

    await eventually(gone)
