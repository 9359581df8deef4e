"""The Kubernetes client, against both servers."""

from __future__ import annotations

import asyncio
import json

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.resources import NAMESPACES, SECRETS
from tests.support.eventually import LIMIT


def secret(name, **fields):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


async def refusal(call):
    with pytest.raises(KubeError) as caught:
        await call
    return caught.value


async def next_event(events):
    async with asyncio.timeout(LIMIT):
        return await anext(events)


async def test_object_is_written_read_changed_and_deleted(client, admin, namespace):
    made = await client.create(SECRETS, namespace, secret("x", data={"k": "dg=="}))
    assert await admin.get("Secret", namespace, "x") == made == await client.get(SECRETS, namespace, "x")
    await client.merge_patch(SECRETS, namespace, "x", {"data": {"k": None, "l": "dw=="}})
    assert (await admin.get("Secret", namespace, "x"))["data"] == {"l": "dw=="}
    await client.delete(SECRETS, namespace, "x")
    assert await admin.get("Secret", namespace, "x") is None


async def test_cluster_scoped_object_has_no_namespace(client, namespace):
    assert (await client.get(NAMESPACES, "", namespace))["kind"] == "Namespace"


@pytest.mark.real
@pytest.mark.parametrize("server", ["real"], indirect=True)  # the embedded server records no managers
async def test_writes_are_ours_by_name(client, admin, namespace):
    await client.create(SECRETS, namespace, secret("x", data={"k": "dg=="}))
    await client.merge_patch(SECRETS, namespace, "x", {"data": {"l": "dw=="}})
    managers = {
        entry["manager"] for entry in (await admin.get("Secret", namespace, "x"))["metadata"]["managedFields"]
    }
    assert managers == {"secretsyncer"}


async def test_replace_of_an_object_that_has_changed_meanwhile_is_rejected(client, admin, namespace):
    made = await client.create(SECRETS, namespace, secret("x"))
    await admin.merge("Secret", namespace, "x", {"metadata": {"labels": {"by": "another"}}})
    error = await refusal(client.replace(SECRETS, namespace, "x", {**made, "data": {"k": "dg=="}}))
    assert (error.status, error.reason) == (409, "Conflict")
    present = await client.get(SECRETS, namespace, "x")
    assert "data" in await client.replace(SECRETS, namespace, "x", {**present, "data": {"k": "dg=="}})


async def test_delete_by_uid_spares_a_successor(client, namespace):
    await client.create(SECRETS, namespace, secret("x"))
    error = await refusal(client.delete(SECRETS, namespace, "x", uid="of-its-predecessor"))
    assert error.status == 409
    await client.delete(SECRETS, namespace, "x", uid=(await client.get(SECRETS, namespace, "x"))["metadata"]["uid"])


async def test_refusals_say_what_and_why(client, namespace):
    missing = await refusal(client.get(SECRETS, namespace, "gone"))
    assert (missing.status, missing.reason) == (404, "NotFound")
    assert "gone" in missing.message
    await client.create(SECRETS, namespace, secret("x"))
    there = await refusal(client.create(SECRETS, namespace, secret("x")))
    assert (there.status, there.reason) == (409, "AlreadyExists")
    invalid = await refusal(client.create(SECRETS, namespace, secret("UPPER")))
    assert (invalid.status, invalid.reason, invalid.transient) == (422, "Invalid", False)


async def test_refused_values_are_not_repeated(client, namespace):
    for data in ({"k": {"hunter2": 1}}, {"k": "hunter2 is not base64"}, {"hunter2 key": 7}):
        error = await refusal(
            client.create(SECRETS, namespace, secret("x", data={**data, "value": "aHVudGVyMg=="}))
        )
        assert error.status in {400, 422}
        assert "aHVudGVyMg" not in str(error)


async def test_lists_come_in_pages_and_by_label(client, namespace):
    for number in range(5):
        body = secret(f"x{number}")
        body["metadata"]["labels"] = {"parity": "odd" if number % 2 else "even"}
        await client.create(SECRETS, namespace, body)
    names, token = [], ""
    while True:
        page = await client.list(SECRETS, namespace, limit=2, continue_=token)
        names.append([item["metadata"]["name"] for item in page["items"]])
        if not (token := page["metadata"].get("continue", "")):
            break
    assert names == [["x0", "x1"], ["x2", "x3"], ["x4"]]
    odd = await client.list(SECRETS, namespace, label_selector="parity=odd")
    assert [item["metadata"]["name"] for item in odd["items"]] == ["x1", "x3"]


async def test_metadata_leaves_values_out(client, namespace):
    made = await client.create(SECRETS, namespace, secret("x", data={"k": "dg=="}))
    found = await client.list(SECRETS, namespace, metadata_only=True)
    assert found["kind"] == "PartialObjectMetadataList"
    assert [("data" in item, item["metadata"]["uid"]) for item in found["items"]] == [
        (False, made["metadata"]["uid"])
    ]
    start = found["metadata"]["resourceVersion"]
    async with client.watch(
        SECRETS, namespace, resource_version=start, timeout_seconds=30, inactivity=30.0, metadata_only=True
    ) as events:
        await client.merge_patch(SECRETS, namespace, "x", {"data": {"k": "dw=="}})
        event = await next_event(events)
    assert (event.kind, event.obj["metadata"]["name"]) == ("MODIFIED", "x")
    assert "data" not in event.obj


async def test_watch_shows_changes_after_a_version_and_ends_in_time(client, namespace):
    start = (await client.list(SECRETS, namespace))["metadata"]["resourceVersion"]
    await client.create(SECRETS, namespace, secret("x"))
    await client.delete(SECRETS, namespace, "x")
    async with (
        client.watch(SECRETS, namespace, resource_version=start, timeout_seconds=3, inactivity=30.0) as events,
        asyncio.timeout(LIMIT),
    ):
        seen = [event.kind async for event in events]
    assert [kind for kind in seen if kind != "BOOKMARK"] == ["ADDED", "DELETED"]


async def test_quiet_watch_is_given_up(client, namespace):
    start = (await client.list(SECRETS, namespace))["metadata"]["resourceVersion"]
    async with client.watch(
        SECRETS, namespace, resource_version=start, timeout_seconds=60, inactivity=0.2
    ) as events:
        error = await refusal(anext(events))
    assert (error.status, error.reason) == (0, "Silent")


async def test_largest_secret_goes_to_and_fro(client, namespace):
    """1 MiB of data is 1.4 MB of JSON."""
    value = "djEy" * (349_000)
    start = (await client.list(SECRETS, namespace))["metadata"]["resourceVersion"]
    async with client.watch(
        SECRETS, namespace, resource_version=start, timeout_seconds=30, inactivity=30.0
    ) as events:
        made = await client.create(SECRETS, namespace, secret("x", data={"k": value}))
        assert (await next_event(events)).obj["data"]["k"] == value
    assert made["data"]["k"] == value
    too_large = await refusal(client.create(SECRETS, namespace, secret("y", data={"k": value * 2})))
    assert too_large.status in {413, 422}


@pytest.mark.real
@pytest.mark.parametrize("server", ["real"], indirect=True)
async def test_a_surrogate_in_a_text_is_no_obstacle(client, namespace):
    body = secret("x")
    body["metadata"]["annotations"] = {"odd": json.loads('"\\ud800"')}
    assert "odd" in (await client.create(SECRETS, namespace, body))["metadata"]["annotations"]


async def test_requests_are_counted(client, namespace, value):
    await client.create(SECRETS, namespace, secret("x"))
    await refusal(client.get(SECRETS, namespace, "gone"))
    for verb, status in (("create", "201"), ("get", "404")):
        assert value("secretsyncer_kubernetes_requests_total", verb=verb, resource="secrets", status=status) == 1
