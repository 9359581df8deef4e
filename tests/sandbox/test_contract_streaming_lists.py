"""Streaming lists: watches that begin with what exists and say where that ends."""

from __future__ import annotations

import pytest

from tests.sandbox.contract import expire, secret, widget

ASKED = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
END_OF_LIST = "k8s.io/initial-events-end"


async def initial(watch):
    """The events up to the bookmark at the end of the list, and that bookmark."""
    events = []
    while True:
        event = await watch.next()
        if event["type"] == "BOOKMARK":
            return events, event["object"]
        events.append(event)


def names(events):
    return [event["object"]["metadata"]["name"] for event in events]


@pytest.mark.parametrize("kind", ["secrets", "widgets"])
async def test_list_comes_as_added_with_a_bookmark_at_its_end(client, secrets, widgets, kind):
    path, make = {"secrets": (secrets, secret), "widgets": (widgets, widget)}[kind]
    made = [await client.make(path, make(name)) for name in ("b", "a")]
    async with client.watch(f"{path}?{ASKED}") as watch:
        events, end = await initial(watch)
    assert {event["type"] for event in events} == {"ADDED"}
    assert sorted(names(events)) == ["a", "b"]
    assert sorted((event["object"] for event in events), key=lambda obj: obj["metadata"]["name"]) == made[::-1]
    assert end["metadata"]["annotations"][END_OF_LIST] == "true"
    assert "name" not in end["metadata"]
    assert int(end["metadata"]["resourceVersion"]) >= int(made[1]["metadata"]["resourceVersion"])


async def test_bookmark_has_the_kind_of_the_objects(client, secrets):
    async with client.watch(f"{secrets}?{ASKED}") as watch:
        _, end = await initial(watch)
    assert (end["kind"], end["apiVersion"]) == ("Secret", "v1")


async def test_list_without_objects_is_a_bookmark(client, widgets):
    async with client.watch(f"{widgets}?{ASKED}") as watch:
        events, end = await initial(watch)
    assert events == []
    assert int(end["metadata"]["resourceVersion"]) > 0


async def test_watch_goes_on_after_the_bookmark(client, secrets):
    await client.make(secrets, secret("a"))
    async with client.watch(f"{secrets}?{ASKED}") as watch:
        await initial(watch)
        await client.make(secrets, secret("b"))
        assert await watch.short() == ("ADDED", "b")
        await client.delete(f"{secrets}/a")
        assert await watch.short() == ("DELETED", "a")


async def test_watch_resumes_at_the_version_of_the_bookmark(client, secrets):
    await client.make(secrets, secret("a"))
    async with client.watch(f"{secrets}?{ASKED}") as watch:
        _, end = await initial(watch)
    await client.make(secrets, secret("b"))
    async with client.watch(f"{secrets}?resourceVersion={end['metadata']['resourceVersion']}") as watch:
        assert await watch.short() == ("ADDED", "b")


async def test_deleted_objects_are_not_in_the_list(client, secrets):
    for name in "ab":
        await client.make(secrets, secret(name))
    await client.delete(f"{secrets}/a")
    async with client.watch(f"{secrets}?{ASKED}") as watch:
        events, _ = await initial(watch)
    assert names(events) == ["b"]


async def test_list_is_of_the_selector_and_the_namespace(client, secrets, namespace):
    other = f"{namespace}-other"
    await client.make("/api/v1/namespaces", {"metadata": {"name": other}})
    await client.make(f"/api/v1/namespaces/{other}/secrets", secret("elsewhere"))
    for name, labels in {"a": {"on": "yes"}, "b": {}}.items():
        await client.make(secrets, {**secret(name), "metadata": {"name": name, "labels": labels}})
    async with client.watch(f"{secrets}?{ASKED}&labelSelector=on%3Dyes") as watch:
        events, _ = await initial(watch)
    assert names(events) == ["a"]


async def test_metadata_only(client, secrets):
    await client.make(secrets, secret("a", data={"k": "dg=="}))
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    async with client.watch(f"{secrets}?{ASKED}", Accept=accept) as watch:
        (event,), end = await initial(watch)
    assert (event["object"]["kind"], end["kind"]) == ("PartialObjectMetadata", "PartialObjectMetadata")
    assert "data" not in event["object"]
    assert end["metadata"]["annotations"][END_OF_LIST] == "true"


async def test_a_version_of_the_past_is_enough_even_if_it_has_been_compacted(api, client, secrets):
    start = (await client.make(secrets, secret("a")))["metadata"]["resourceVersion"]
    await client.make(secrets, secret("b"))
    await expire(api)
    async with client.watch(f"{secrets}?{ASKED}&resourceVersion={start}") as watch:
        events, end = await initial(watch)
    assert sorted(names(events)) == ["a", "b"]
    assert int(end["metadata"]["resourceVersion"]) > int(start)


async def test_without_bookmarks_the_end_is_not_marked(client, secrets):
    await client.make(secrets, secret("a"))
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=3"
    async with client.watch(f"{secrets}?{query}") as watch:
        events = await watch.rest()
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [("ADDED", "a")]


async def test_watch_that_wants_no_initial_events_begins_with_the_next_change(client, secrets):
    await client.make(secrets, secret("a"))
    query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with client.watch(f"{secrets}?{query}") as watch:
        await client.make(secrets, secret("b"))
        assert await watch.short() == ("ADDED", "b")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("watch=1&sendInitialEvents=true", {"resourceVersionMatch"}),
        ("watch=1&resourceVersionMatch=NotOlderThan", {"resourceVersionMatch"}),
        ("watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", {"resourceVersionMatch"}),
        ("sendInitialEvents=true", {"sendInitialEvents"}),
    ],
)
async def test_options_that_do_not_go_together_are_invalid(client, secrets, query, fields):
    reply = await client.get(f"{secrets}?{query}")
    assert (reply.status, reply.reason) == (422, "Invalid")
    assert {field for field, _ in reply.causes()} == fields
