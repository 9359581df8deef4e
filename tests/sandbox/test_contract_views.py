"""Tables, metadata only, and discovery, as kubectl and informers request them."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import secret, widget

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def rows(table):
    """The cells, by column, of each row."""
    names = [column["name"] for column in table["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]


async def test_table_of_a_custom_resource_has_its_printer_columns(client, widgets):
    await client.make(widgets, widget("a", size=7))
    conditions = [{"type": "Other", "status": "Unknown"}, {"type": "Ready", "status": "True"}]
    await client.patch(f"{widgets}/a/status", {"status": {"conditions": conditions}})
    await client.make(widgets, widget("b"))
    table = (await client.get(widgets, Accept=TABLE)).body
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    first, second = rows(table)
    assert first.pop("Age").endswith("s")
    assert first == {"Name": "a", "Size": 7, "Ready": "True", "Mode": "slow"}
    assert second["Ready"] is None
    shown = [(column["type"], column["priority"]) for column in table["columnDefinitions"]]
    assert shown == [("string", 0), ("integer", 0), ("string", 0), ("string", 1), ("date", 0)]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize(("include", "kind"), [("Object", "Widget"), ("Metadata", "PartialObjectMetadata")])
async def test_table_rows_include_what_is_asked_for(client, widgets, include, kind):
    await client.make(widgets, widget("a"))
    table = (await client.get(f"{widgets}?includeObject={include}", Accept=TABLE)).body
    assert table["rows"][0]["object"]["kind"] == kind


async def test_table_rows_can_go_without_objects(client, widgets):
    await client.make(widgets, widget("a"))
    table = (await client.get(f"{widgets}?includeObject=None", Accept=TABLE)).body
    assert table["rows"][0]["object"] is None


async def test_table_of_secrets(client, secrets):
    await client.make(secrets, secret("a", data={"k": "MQ==", "l": "MQ=="}))
    (row,) = rows((await client.get(secrets, Accept=TABLE)).body)
    assert row.pop("Age")
    assert row == {"Name": "a", "Type": "Opaque", "Data": 2}
    one = (await client.get(f"{secrets}/a", Accept=TABLE)).body
    assert [row["Name"] for row in rows(one)] == ["a"]


async def test_table_of_namespaces(client, namespace):
    (row,) = rows((await client.get(f"/api/v1/namespaces/{namespace}", Accept=TABLE)).body)
    assert (row["Name"], row["Status"]) == (namespace, "Active")


async def test_watch_of_tables(client, widgets):
    async with client.watch(widgets, Accept=TABLE) as watch:
        await client.make(widgets, widget("a"))
        event = await watch.next()
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table")
    assert [row["Name"] for row in rows(event["object"])] == ["a"]


async def test_metadata_of_a_list(client, secrets, widgets):
    await client.make(secrets, secret("a", data={"k": "MQ=="}))
    await client.make(widgets, widget("a"))
    for path in (secrets, widgets):
        body = (await client.get(path, Accept=METADATA_LIST)).body
        assert (body["kind"], body["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
        (item,) = body["items"]
        assert (item["kind"], item["metadata"]["name"]) == ("PartialObjectMetadata", "a")
        assert set(item) == {"kind", "apiVersion", "metadata"}


async def test_metadata_of_one_object(client, secrets):
    await client.make(secrets, secret("a", data={"k": "MQ=="}))
    body = (await client.get(f"{secrets}/a", Accept=METADATA)).body
    assert set(body) == {"kind", "apiVersion", "metadata"}


async def test_metadata_of_lists_and_objects_are_two_things(client, secrets):
    await client.make(secrets, secret("a"))
    for path, accept in ((secrets, METADATA), (f"{secrets}/a", METADATA_LIST)):
        reply = await client.get(path, Accept=accept)
        assert (reply.status, reply.reason) == (406, "NotAcceptable")


async def test_first_form_that_is_known_is_taken(client, secrets):
    await client.make(secrets, secret("a"))
    known = "application/json;as=Nothing;v=v1;g=meta.k8s.io,application/json"
    assert (await client.get(f"{secrets}/a", Accept=known)).body["kind"] == "Secret"
    reply = await client.get(f"{secrets}/a", Accept="text/html")
    assert (reply.status, reply.reason) == (406, "NotAcceptable")


async def test_core_resources_are_discovered(client):
    assert (await client.get("/api")).body["versions"] == ["v1"]
    body = (await client.get("/api/v1")).body
    assert body["kind"] == "APIResourceList"
    resources = {item["name"]: item for item in body["resources"]}
    assert resources["secrets"]["namespaced"] is True
    assert resources["namespaces"]["shortNames"] == ["ns"]
    assert {"get", "list", "watch", "create", "update", "patch", "delete"} <= set(resources["secrets"]["verbs"])


async def test_custom_resources_are_discovered(client, widgets):
    groups = {group["name"]: group for group in (await client.get("/apis")).body["groups"]}
    versions = {item["groupVersion"] for item in groups["contract.example.com"]["versions"]}
    assert "contract.example.com/v1" in versions
    body = (await client.get("/apis/contract.example.com/v1")).body
    resources = {item["name"]: item for item in body["resources"]}
    assert (resources["widgets"]["kind"], resources["widgets"]["namespaced"]) == ("Widget", True)
    assert set(resources["widgets/status"]["verbs"]) == {"get", "patch", "update"}


async def test_version_says_its_parts(client):
    body = (await client.get("/version")).body
    assert body["major"] == "1"
    assert body["gitVersion"].startswith("v1.")
