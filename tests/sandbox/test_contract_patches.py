"""Patches: merge and strategic merge."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import MERGE_PATCH, STRATEGIC, secret, widget


async def test_merge_patch_merges_objects_and_null_removes(client, secrets):
    await client.make(secrets, secret("a", data={"k": "MQ==", "l": "MQ=="}))
    reply = await client.patch(f"{secrets}/a", {"data": {"k": None, "m": "MQ=="}})
    assert reply.status == 200
    assert reply.body["data"] == {"l": "MQ==", "m": "MQ=="}
    reply = await client.patch(f"{secrets}/a", {"data": None})
    assert "data" not in reply.body


async def test_merge_patch_replaces_lists(client, widgets):
    await client.make(widgets, widget("a", names=["a", "b"]))
    reply = await client.patch(f"{widgets}/a", {"spec": {"names": ["c"]}})
    assert reply.body["spec"] == {"size": 1, "mode": "slow", "names": ["c"]}


async def test_merge_patch_of_a_missing_object_is_404(client, secrets):
    assert (await client.patch(f"{secrets}/a", {"data": {}})).status == 404


@pytest.mark.parametrize(
    "patch",
    [{}, {"data": {"k": "MQ=="}}, {"metadata": {"labels": {}}}, {"metadata": {"labels": {"none": None}}}],
)
async def test_patch_that_changes_nothing_keeps_the_version_and_all_else(client, secrets, patch):
    made = await client.make(secrets, secret("a", data={"k": "MQ=="}))
    assert (await client.patch(f"{secrets}/a", patch)).body == made


async def test_status_patch_that_changes_nothing_keeps_the_version(client, widgets):
    await client.make(widgets, widget("a"))
    first = await client.patch(f"{widgets}/a/status", {"status": {"phase": "on"}})
    again = await client.patch(f"{widgets}/a/status", {"status": {"phase": "on"}})
    assert again.body == first.body


async def test_resource_version_in_a_merge_patch_is_a_precondition(client, secrets, widgets):
    for path, body, patch in (
        (secrets, secret("a"), {"data": {"k": "MQ=="}}),
        (widgets, widget("a"), {"spec": {"size": 2}}),
    ):
        first = (await client.make(path, body))["metadata"]["resourceVersion"]
        reply = await client.patch(f"{path}/a", {**patch, "metadata": {"resourceVersion": first}})
        assert reply.status == 200
        reply = await client.patch(f"{path}/a", {**patch, "metadata": {"resourceVersion": first}})
        assert (reply.status, reply.reason) == (409, "Conflict")


@pytest.mark.parametrize(
    ("metadata", "status"),
    [({"name": "b"}, 400), ({"namespace": "default"}, 400), ({"uid": "x"}, 422)],
)
async def test_patch_cannot_make_it_another_object(client, secrets, metadata, status):
    await client.make(secrets, secret("a"))
    assert (await client.patch(f"{secrets}/a", {"metadata": metadata})).status == status


async def test_patch_cannot_change_server_owned_metadata(client, widgets):
    made = await client.make(widgets, widget("a"))
    patch = {"metadata": {"creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7}}
    reply = await client.patch(f"{widgets}/a", patch)
    assert reply.body == made


async def test_patch_cannot_change_the_kind(client, secrets, widgets):
    await client.make(secrets, secret("a"))
    await client.make(widgets, widget("a"))
    reply = await client.patch(f"{secrets}/a", {"kind": "ConfigMap"})
    assert (reply.status, reply.causes()) == (422, {("patch", "FieldValueInvalid")})
    reply = await client.patch(f"{widgets}/a", {"kind": "Gadget"})
    assert (reply.status, reply.causes()) == (422, {("kind", "FieldValueInvalid")})


async def test_message_of_an_invalid_patch_has_the_whole_object_with_its_secret_data(client, secrets):
    """What a client must not pass on: the message holds what it patched."""
    await client.make(secrets, secret("a", data={"k": "c2VjcmV0"}))
    reply = await client.patch(f"{secrets}/a", {"data": {"other": "not base64"}})
    assert (reply.status, reply.causes()) == (422, {("patch", "FieldValueInvalid")})
    assert "c2VjcmV0" in reply.body["message"]


async def test_patch_that_is_no_object_is_refused(client, secrets, minor):
    await client.make(secrets, secret("a"))
    reply = await client.patch(f"{secrets}/a", [1])
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert "error decoding patch" in reply.body["message"]
    reply = await client.request("PATCH", f"{secrets}/a", b"{oops", MERGE_PATCH)
    assert (reply.status, reply.reason) == (400, "BadRequest")
    assert ("error decoding patch" if minor <= 32 else "invalid JSON patch") in reply.body["message"]


async def test_patch_without_a_kind_of_patch_is_unsupported(client, secrets):
    await client.make(secrets, secret("a"))
    reply = await client.patch(f"{secrets}/a", {}, "application/json")
    assert (reply.status, reply.reason) == (415, "UnsupportedMediaType")


async def test_custom_objects_take_no_strategic_merge(client, widgets):
    await client.make(widgets, widget("a"))
    reply = await client.patch(f"{widgets}/a", {"spec": {"size": 2}}, STRATEGIC)
    assert (reply.status, reply.reason) == (415, "UnsupportedMediaType")
    assert "application/merge-patch+json" in reply.body["message"]


async def test_strategic_merge_merges_lists_by_their_keys(client, secrets):
    await client.make(secrets, secret("a"))
    owner = {"apiVersion": "example.com/v1", "kind": "Unknown", "name": "x", "uid": "1"}
    for uid in ("1", "2"):
        patch = {"metadata": {"ownerReferences": [{**owner, "uid": uid}]}}
        reply = await client.patch(f"{secrets}/a", patch, STRATEGIC)
    assert sorted(owner["uid"] for owner in reply.body["metadata"]["ownerReferences"]) == ["1", "2"]
    patch = {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "1"}]}}
    reply = await client.patch(f"{secrets}/a", patch, STRATEGIC)
    assert [owner["uid"] for owner in reply.body["metadata"]["ownerReferences"]] == ["2"]


async def test_strategic_merge_obeys_its_directives(client, secrets):
    await client.make(secrets, secret("a", data={"k": "MQ=="}))
    await client.patch(f"{secrets}/a", {"metadata": {"finalizers": ["a.b/c"]}}, STRATEGIC)
    reply = await client.patch(f"{secrets}/a", {"metadata": {"finalizers": ["a.b/d"]}}, STRATEGIC)
    assert sorted(reply.body["metadata"]["finalizers"]) == ["a.b/c", "a.b/d"]
    patch = {
        "data": {"k": None},
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["a.b/c", "a.b/d"]},
    }
    reply = await client.patch(f"{secrets}/a", patch, STRATEGIC)
    assert "data" not in reply.body
    assert "finalizers" not in reply.body["metadata"]


async def test_one_and_true_are_two_values(client, widgets):
    made = await client.make(widgets, widget("a", free={"x": 1}))
    reply = await client.patch(f"{widgets}/a", {"spec": {"free": {"x": True}}})
    assert reply.body["spec"]["free"]["x"] is True
    assert reply.version != made["metadata"]["resourceVersion"]
