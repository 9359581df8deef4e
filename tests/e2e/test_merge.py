"""Secrets of others, of which objects fill some keys (`target.policy: Merge`), on a real API server."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from tests.support.eventually import eventually
from tests.support.measures import measured, series
from tests.support.specs import key, literal

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "300"}  # no resync helps
HELD = "secrets.contentful.com/keys"
MARK = "secrets.contentful.com/managed"
MERGE = {"name": "argocd-secret", "policy": "Merge"}
THEIRS = {"admin.password": "theirs", "server.secretkey": "theirs"}


async def foreign(space, data=THEIRS, **fields):
    metadata = {"name": "argocd-secret", "namespace": space.name, "labels": {"team": "argo"}}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data, **fields}
    return await space.cluster.create(body)


async def change(space, **data):
    """By somebody else."""
    encoded = {
        name: None if text is None else base64.b64encode(text.encode()).decode() for name, text in data.items()
    }
    await space.cluster.merge("Secret", space.name, "argocd-secret", {"data": encoded})


async def until_data(space, **data):
    expected = {name: text.encode() for name, text in {**THEIRS, **data}.items()}
    await space.until_data("argocd-secret", expected)


async def held(space):
    text = (await space.secret("argocd-secret"))["metadata"].get("annotations", {}).get(HELD, "{}")
    return {name: entry["keys"] for name, entry in json.loads(text).items()}


async def test_two_objects_fill_a_secret_of_somebody_else_and_all_else_stays(operator, aws, space, name):
    before = await foreign(space, type="example.com/argo")
    await space.write("oidc", target=MERGE, data=[key("oidc.secret", name, "a")])
    await space.write("hook", target=MERGE, data=[literal("webhook.secret", "w")])
    await until_data(space, **{"oidc.secret": "1", "webhook.secret": "w"})
    after = await space.secret("argocd-secret")
    assert after["type"] == "example.com/argo"
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {"team": "argo", MARK: "keys"}
    assert "ownerReferences" not in after["metadata"]
    assert await held(space) == {"oidc": ["oidc.secret"], "hook": ["webhook.secret"]}
    aws.world.put(name, '{"a": "2"}')
    await until_data(space, **{"oidc.secret": "2", "webhook.secret": "w"})
    for obj in ("oidc", "hook"):
        await space.until_synced(obj)
    assert "policy Merge" in (await space.ready("oidc"))["message"]


async def test_drift_of_own_keys_is_corrected_at_once_and_that_of_others_never(operator, space):
    await foreign(space)
    await space.write("oidc", target=MERGE, data=[literal("a", "1"), literal("b", "1")])
    await until_data(space, a="1", b="1")
    await change(space, a="x", b=None, **{"admin.password": "new", "more": "theirs"})
    await until_data(space, a="1", b="1", more="theirs", **{"admin.password": "new"})
    await space.cluster.merge(
        "Secret", space.name, "argocd-secret", {"metadata": {"annotations": {HELD: None}, "labels": {MARK: None}}}
    )

    async def marked():
        assert await held(space) == {"oidc": ["a", "b"]}
        assert (await space.secret("argocd-secret"))["metadata"]["labels"][MARK] == "keys"

    await eventually(marked)
    await change(space, a="x")
    await until_data(space, a="1", b="1", more="theirs", **{"admin.password": "new"})


async def test_a_missing_secret_is_filled_as_soon_as_it_appears(operator, space, new_space):
    other = await new_space()
    for place in (space, other):
        await place.write("oidc", target=MERGE, data=[literal("a", "1")])
        assert "argocd-secret does not exist" in await place.until_failed("oidc", "SecretMissing")
        await place.cluster.create(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "unrelated", "namespace": place.name}}
        )
    assert await measured(operator, "secretsyncer_missing_secrets") == 2
    await foreign(space)
    await until_data(space, a="1")
    await space.until_synced("oidc")
    assert await other.secret("argocd-secret") is None
    await other.write("oidc", target={**MERGE, "create": True}, data=[literal("a", "1")])
    await other.until_data("argocd-secret", {"a": b"1"})

    async def over():
        assert await measured(operator, "secretsyncer_missing_secrets") == 0

    await eventually(over)
    await space.cluster.delete("Secret", space.name, "argocd-secret")
    await space.until_failed("oidc", "SecretMissing")
    await foreign(space)  # by its owner again
    await until_data(space, a="1")


async def test_the_keys_of_a_deleted_object_go_with_it_only_if_it_says_so(operator, space):
    await foreign(space)
    await space.write("goes", target=MERGE, deletionPolicy="Delete", data=[literal("a", "1")])
    await space.write("stays", target=MERGE, data=[literal("b", "1")])
    await until_data(space, a="1", b="1")
    for obj in ("goes", "stays"):
        await space.until_synced(obj)
        await space.cluster.delete("SyncedSecret", space.name, obj)
    await until_data(space, b="1")
    await space.write("next", target=MERGE, data=[literal("b", "2")])
    assert "has the key b already" in await space.until_failed("next", "Conflict")
    await space.write("next", target=MERGE, adopt=True, data=[literal("b", "2")])
    await until_data(space, b="2")


async def test_an_object_that_names_another_secret_takes_its_keys_along(operator, space):
    await foreign(space)
    await space.write("demo", target=MERGE, deletionPolicy="Delete", data=[literal("a", "1")])
    await until_data(space, a="1")
    target = {"name": "other", "policy": "Merge", "create": True}
    await space.write("demo", target=target, deletionPolicy="Delete", data=[literal("a", "1")])
    await space.until_data("other", {"a": b"1"})
    await until_data(space)
    labels = (await space.secret("argocd-secret"))["metadata"]["labels"]
    assert labels == {"team": "argo"}


async def test_of_two_objects_that_want_a_key_the_older_one_writes_it(operator, space):
    await foreign(space)
    await space.write("z-older", target=MERGE, deletionPolicy="Delete", data=[literal("x", "1")])
    await space.until_synced("z-older")
    await asyncio.sleep(1.1)  # the age of objects is in seconds
    await space.write("a-younger", target=MERGE, data=[literal("a", "younger"), literal("k", "younger")])
    await until_data(space, x="1", a="younger", k="younger")
    await space.write("z-older", target=MERGE, deletionPolicy="Delete", data=[literal("k", "older")])
    await until_data(space, a="younger", k="older")
    message = await space.until_failed("a-younger", "Conflict")
    assert "the older SyncedSecret z-older writes its key k" in message
    await space.cluster.delete("SyncedSecret", space.name, "z-older")
    await until_data(space, a="younger", k="younger")
    await space.until_synced("a-younger")


async def test_there_and_back_from_one_policy_to_the_other(operator, space):
    await space.write("demo", target={"name": "argocd-secret"}, data=[literal("a", "1"), literal("b", "1")])
    await space.until_data("argocd-secret", {"a": b"1", "b": b"1"})
    await space.write("demo", target=MERGE, data=[literal("a", "2"), literal("b", "1")])
    await space.until_data("argocd-secret", {"a": b"2", "b": b"1"})
    await change(space, c="theirs")
    await space.until_synced("demo")
    await space.write("demo", target={"name": "argocd-secret"}, data=[literal("a", "3")])
    assert "its key c would be removed" in await space.until_failed("demo", "Conflict")
    assert await space.data("argocd-secret") == {"a": b"2", "b": b"1", "c": b"theirs"}
    await change(space, c=None)
    await space.until_data("argocd-secret", {"a": b"3"})
    metadata = (await space.secret("argocd-secret"))["metadata"]
    assert (metadata["labels"], metadata.get("annotations")) == ({MARK: "true"}, None)


async def test_a_secret_that_cannot_be_filled_stays_as_it_is(operator, space):
    before = await foreign(space, immutable=True)
    await space.write("demo", target=MERGE, data=[literal("a", "1")])
    assert "is immutable" in await space.until_failed("demo", "Conflict")
    await space.write("typed", target=MERGE, type="x/y", data=[literal("b", "1")])
    assert "policy Merge changes no type" in await space.until_failed("typed", "Conflict")
    await space.write("theirs", target=MERGE, data=[literal("admin.password", "ours")])
    assert "has the key admin.password already" in await space.until_failed("theirs", "Conflict")
    assert await space.secret("argocd-secret") == before


async def test_no_write_of_a_busy_owner_is_lost(operator, aws, space, name):
    await foreign(space, {})
    objects = [f"o{number}" for number in range(4)]
    for obj in objects:
        await space.write(obj, target=MERGE, data=[key(obj, name, "a")])

    async def owner():
        for number in range(60):
            await change(space, admin=str(number), **{f"k{number % 7}": str(number)})

    async def rotations():
        for number in range(10):
            aws.world.put(name, json.dumps({"a": f"v{number}"}))
            await asyncio.sleep(0.2)

    await asyncio.gather(owner(), rotations())
    kept = {f"k{number % 7}": str(number).encode() for number in range(60)}
    wanted = {"admin": b"59", **kept, **dict.fromkeys(objects, b"v9")}
    await space.until_data("argocd-secret", wanted)
    for obj in objects:
        await space.until_synced(obj)
    refused = series(await operator.metrics(), "secretsyncer_kubernetes_requests_total", status="403")
    assert refused == {}, "the permissions of the manifest are enough"


async def test_keys_that_the_type_requires_stay_when_their_object_is_deleted(operator, space):
    data = [literal("tls.crt", "c"), literal("tls.key", "k"), literal("more", "1")]
    target = {**MERGE, "create": True}
    await space.write("demo", target=target, type="kubernetes.io/tls", deletionPolicy="Delete", data=data)
    expected = {"tls.crt": b"c", "tls.key": b"k", "more": b"1"}
    await space.until_data("argocd-secret", expected)
    await space.cluster.delete("SyncedSecret", space.name, "demo")

    async def released():
        metadata = (await space.secret("argocd-secret"))["metadata"]
        assert not metadata.get("annotations")
        assert not metadata.get("labels")

    await eventually(released)
    await space.until_data("argocd-secret", {"tls.crt": b"c", "tls.key": b"k"})
