"""What the embedded API does beyond a bare, old kube-apiserver: controllers and newer features."""

from __future__ import annotations

import time

from contract import APPLY, connect, crd, define, secret, widget

from sandbox.apiserver import EmbeddedKubernetes

SECRETS = "/api/v1/namespaces/default/secrets"
WIDGETS = "/apis/contract.example.com/v1/namespaces/default/widgets"


def owned(name, owner):
    body = secret(name)
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    meta = owner["metadata"]
    body["metadata"]["ownerReferences"] = [{**reference, "name": meta["name"], "uid": meta["uid"]}]
    return body


async def test_deleted_namespace_is_emptied_and_gone(embedded):
    async with connect(embedded) as client:
        await client.make("/api/v1/namespaces", {"metadata": {"name": "x"}})
        await client.make("/api/v1/namespaces/x/secrets", secret("a"))
        start = (await client.get("/api/v1/secrets")).version
        await client.delete("/api/v1/namespaces/x")
        assert (await client.get("/api/v1/namespaces/x")).status == 404
        assert (await client.get("/api/v1/namespaces/x/secrets")).names() == []
        async with client.watch(f"/api/v1/secrets?resourceVersion={start}") as watch:
            assert await watch.short() == ("DELETED", "a")


async def test_namespace_waits_for_the_finalizers_of_its_content(embedded):
    async with connect(embedded) as client:
        await client.make("/api/v1/namespaces", {"metadata": {"name": "x"}})
        body = secret("a")
        body["metadata"]["finalizers"] = ["example.com/wait"]
        await client.make("/api/v1/namespaces/x/secrets", body)
        await client.delete("/api/v1/namespaces/x")
        assert (await client.get("/api/v1/namespaces/x")).body["status"]["phase"] == "Terminating"
        reply = await client.post("/api/v1/namespaces/x/secrets", secret("b"))
        assert (reply.status, reply.reason) == (403, "Forbidden")
        assert reply.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
        await client.patch("/api/v1/namespaces/x/secrets/a", {"metadata": {"finalizers": None}})
        assert (await client.get("/api/v1/namespaces/x")).status == 404


async def test_owner_references_are_not_followed_unless_asked_for(embedded):
    async with connect(embedded) as client:
        owner = await client.make(SECRETS, secret("owner"))
        await client.make(SECRETS, owned("a", owner))
        await client.delete(f"{SECRETS}/owner")
        assert (await client.get(SECRETS)).names() == ["a"]


async def test_garbage_collector_deletes_what_has_no_owner_left():
    async with EmbeddedKubernetes(collect_garbage=True) as api, connect(api) as client:
        await define(client, crd("widgets", "Widget"))
        first = await client.make(WIDGETS, widget("first"))
        second = await client.make(WIDGETS, widget("second"))
        await client.make(SECRETS, owned("one", first))
        both = owned("both", first)
        both["metadata"]["ownerReferences"] += owned("both", second)["metadata"]["ownerReferences"]
        await client.make(SECRETS, both)
        await client.make(SECRETS, secret("free"))
        await client.delete(f"{WIDGETS}/first")
        assert (await client.get(SECRETS)).names() == ["both", "free"]
        await client.delete(f"{WIDGETS}/second", {"propagationPolicy": "Foreground"})
        assert (await client.get(SECRETS)).names() == ["free"]
        assert (await client.get(WIDGETS)).names() == []


async def test_garbage_collector_deletes_what_is_written_for_an_owner_that_has_gone():
    async with EmbeddedKubernetes(collect_garbage=True) as api, connect(api) as client:
        await define(client, crd("widgets", "Widget"))
        owner = await client.make(WIDGETS, widget("owner"))
        await client.delete(f"{WIDGETS}/owner")
        await client.make(SECRETS, owned("late", owner))
        assert (await client.get(SECRETS)).names() == []
        await client.make(SECRETS, owned("of-a-kind-it-does-not-know", {**owner, "kind": "Unknown"}))
        assert (await client.get(SECRETS)).names() == ["of-a-kind-it-does-not-know"]


async def test_strict_field_validation_refuses_unknown_fields(embedded):
    async with connect(embedded) as client:
        await define(client, crd("widgets", "Widget"))
        reply = await client.post(f"{WIDGETS}?fieldValidation=Strict", widget("a", bogus=1))
        assert (reply.status, reply.reason) == (400, "BadRequest")
        assert 'strict decoding error: unknown field "spec.bogus"' in reply.body["message"]
        reply = await client.post(f"{SECRETS}?fieldValidation=Strict", secret("a", bogus=1))
        assert reply.status == 400
        await client.make(f"{WIDGETS}?fieldValidation=Ignore", widget("a", bogus=1))


async def test_list_with_keys_is_owned_item_by_item(embedded):
    async with connect(embedded) as client:
        await define(client, crd("widgets", "Widget"))

        async def apply(manager, *parts):
            body = {**widget("a"), "spec": {"parts": list(parts)}}
            if manager == "alpha":
                body["spec"]["size"] = 1
            return await client.patch(f"{WIDGETS}/a?fieldManager={manager}", body, APPLY)

        p, q, r = ({"name": name, "value": "1"} for name in "pqr")
        await apply("alpha", p, q)
        assert (await apply("beta", r)).body["spec"]["parts"] == [p, q, r]
        reply = await apply("beta", {**p, "value": "2"}, r)
        assert reply.status == 409
        assert reply.causes() == {('.spec.parts[name="p"].value', "FieldManagerConflict")}
        assert (await apply("alpha", p)).body["spec"]["parts"] == [p, r]
        assert (await apply("alpha")).body["spec"]["parts"] == [r]


async def test_namespaces_carry_their_name_as_a_label(embedded):
    async with connect(embedded) as client:
        reply = await client.get("/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name%3Ddefault")
        assert reply.names() == ["default"]


async def test_thousand_objects_are_no_problem(embedded):
    async with connect(embedded) as client:
        start = (await client.get(SECRETS)).version
        began = time.monotonic()
        for number in range(1000):
            await client.make(SECRETS, secret(f"s{number}", stringData={"k": "v" * 100}))
        async with client.watch(f"{SECRETS}?resourceVersion={start}") as watch:
            for number in range(1000):
                assert await watch.short() == ("ADDED", f"s{number}")
        assert len((await client.get(SECRETS)).body["items"]) == 1000
        assert time.monotonic() - began < 30
