"""Watches: where they begin, what they show, how they end."""

from __future__ import annotations

from tests.sandbox.contract import expire, secret, widget


async def version_of(client, path):
    return (await client.get(path)).version


async def test_watch_shows_every_change_after_its_version(client, secrets):
    start = await version_of(client, secrets)
    await client.make(secrets, secret("a"))
    await client.patch(f"{secrets}/a", {"data": {"k": "dg=="}})
    await client.delete(f"{secrets}/a")
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        events = [await watch.next() for _ in range(3)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(start)
    assert events[2]["object"]["data"] == {"k": "dg=="}
    assert all(event["object"]["kind"] == "Secret" for event in events)


async def test_watch_shows_changes_as_they_come(client, widgets):
    start = await version_of(client, widgets)
    async with client.watch(f"{widgets}?resourceVersion={start}") as watch:
        made = await client.make(widgets, widget("a"))
        assert await watch.next() == {"type": "ADDED", "object": made}
        patched = (await client.patch(f"{widgets}/a", {"spec": {"size": 2}})).body
        assert await watch.next() == {"type": "MODIFIED", "object": patched}


async def test_watch_resumes_where_it_was_without_loss_or_repetition(client, secrets):
    start = await version_of(client, secrets)
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        await client.make(secrets, secret("a"))
        seen = (await watch.next())["object"]["metadata"]["resourceVersion"]
    await client.make(secrets, secret("b"))
    await client.delete(f"{secrets}/a")
    async with client.watch(f"{secrets}?resourceVersion={seen}") as watch:
        assert await watch.short() == ("ADDED", "b")
        assert await watch.short() == ("DELETED", "a")


async def test_watch_without_a_version_begins_with_what_is_there(client, secrets):
    await client.make(secrets, secret("a"))
    await client.make(secrets, secret("b"))
    await version_of(client, secrets)
    async with client.watch(secrets) as watch:
        assert {await watch.short(), await watch.short()} == {("ADDED", "a"), ("ADDED", "b")}
        await client.make(secrets, secret("c"))
        assert await watch.short() == ("ADDED", "c")


async def test_watch_from_zero_begins_with_what_is_there(client, widgets):
    await client.make(widgets, widget("a"))
    async with client.watch(f"{widgets}?resourceVersion=0") as watch:
        assert await watch.short() == ("ADDED", "a")


async def test_watch_sees_its_namespace_only(client, secrets, namespace):
    start = await version_of(client, secrets)
    other = f"{namespace}-other"
    await client.make("/api/v1/namespaces", {"metadata": {"name": other}})
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        await client.make(f"/api/v1/namespaces/{other}/secrets", secret("elsewhere"))
        await client.make(secrets, secret("here"))
        assert await watch.short() == ("ADDED", "here")


async def test_watch_of_all_namespaces(client, secrets):
    start = await version_of(client, "/api/v1/secrets")
    async with client.watch(f"/api/v1/secrets?resourceVersion={start}") as watch:
        await client.make(secrets, secret("here"))
        assert await watch.short() == ("ADDED", "here")


async def test_write_that_changes_nothing_is_no_event(client, secrets, widgets):
    made = await client.make(secrets, secret("a", data={"k": "dg=="}))
    start = await version_of(client, secrets)
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        await client.patch(f"{secrets}/a", {"data": {"k": "dg=="}})
        await client.put(f"{secrets}/a", made)
        await client.make(secrets, secret("b"))
        assert await watch.short() == ("ADDED", "b")


async def test_timeout_ends_the_watch_in_good_order(client, secrets):
    start = await version_of(client, secrets)
    async with client.watch(f"{secrets}?resourceVersion={start}&timeoutSeconds=1") as watch:
        assert await watch.rest() == []


async def test_bookmark_has_the_version_of_changes_that_the_watch_does_not_show(client, secrets):
    start = (await client.make(secrets, secret("a")))["metadata"]["resourceVersion"]
    query = f"resourceVersion={start}&fieldSelector=metadata.name%3Da&timeoutSeconds=8&allowWatchBookmarks=true"
    async with client.watch(f"{secrets}?{query}") as watch:
        other = await client.make(secrets, secret("b"))  # long before the last bookmark, two seconds before the end
        events = await watch.rest()
    assert {event["type"] for event in events} == {"BOOKMARK"}
    bookmark = events[-1]["object"]
    assert bookmark["kind"] == "Secret"
    assert int(bookmark["metadata"]["resourceVersion"]) >= int(other["metadata"]["resourceVersion"])
    assert "name" not in bookmark["metadata"]


async def test_no_bookmark_where_nothing_has_happened(client, widgets):
    start = await version_of(client, widgets)
    query = f"resourceVersion={start}&timeoutSeconds=3&allowWatchBookmarks=true"
    async with client.watch(f"{widgets}?{query}") as watch:
        assert await watch.rest() == []


async def test_bookmarks_come_only_where_they_are_asked_for(client, secrets):
    start = await version_of(client, secrets)
    query = f"resourceVersion={start}&fieldSelector=metadata.name%3Da&timeoutSeconds=3"
    async with client.watch(f"{secrets}?{query}") as watch:
        await client.make(secrets, secret("b"))
        assert await watch.rest() == []


async def test_object_that_starts_to_match_is_added_and_one_that_no_longer_matches_is_deleted(client, secrets):
    start = await version_of(client, secrets)
    body = secret("a", data={"k": "MQ=="})
    await client.make(secrets, body)
    async with client.watch(f"{secrets}?resourceVersion={start}&labelSelector=on%3Dyes") as watch:
        await client.patch(f"{secrets}/a", {"metadata": {"labels": {"on": "yes"}}})
        assert await watch.short() == ("ADDED", "a")
        await client.patch(f"{secrets}/a", {"data": {"k": "Mg=="}})
        assert await watch.short() == ("MODIFIED", "a")
        off = await client.patch(f"{secrets}/a", {"metadata": {"labels": {"on": "no"}}, "data": {"k": "Mw=="}})
        event = await watch.next()
        assert event["type"] == "DELETED"
        assert event["object"]["metadata"]["labels"] == {"on": "yes"}
        assert event["object"]["data"] == {"k": "Mg=="}
        assert event["object"]["metadata"]["resourceVersion"] == off.version
        await client.delete(f"{secrets}/a")
        await client.make(secrets, {**secret("b"), "metadata": {"name": "b", "labels": {"on": "yes"}}})
        assert await watch.short() == ("ADDED", "b")


async def test_watch_of_one_name_by_field_selector(client, secrets):
    start = await version_of(client, secrets)
    async with client.watch(f"{secrets}?resourceVersion={start}&fieldSelector=metadata.name%3Db") as watch:
        await client.make(secrets, secret("a"))
        await client.make(secrets, secret("b"))
        assert await watch.short() == ("ADDED", "b")


async def test_deleted_event_carries_the_version_of_the_deletion(client, secrets):
    made = await client.make(secrets, secret("a"))
    start = made["metadata"]["resourceVersion"]
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        await client.delete(f"{secrets}/a")
        event = await watch.next()
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(start)


async def test_metadata_only_watch(client, secrets):
    start = await version_of(client, secrets)
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    async with client.watch(f"{secrets}?resourceVersion={start}", Accept=accept) as watch:
        await client.make(secrets, secret("a", data={"k": "dg=="}))
        event = await watch.next()
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert event["object"]["metadata"]["name"] == "a"
    assert "data" not in event["object"]


async def test_watch_for_metadata_lists_sends_nothing(client, secrets):
    """Lists want `PartialObjectMetadataList`, watches `PartialObjectMetadata`: a mistake is not told."""
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    await client.make(secrets, secret("a"))
    async with client.watch(f"{secrets}?timeoutSeconds=1", Accept=accept) as watch:
        assert await watch.rest() == []


async def test_watch_from_before_the_remembered_past_is_an_error_event(api, client, secrets):
    """The server answers 200 and says 410 in the stream."""
    start = await version_of(client, secrets)
    await client.make(secrets, secret("a"))
    await client.make(secrets, secret("b"))
    await expire(api)
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        events = await watch.rest()
    assert [event["type"] for event in events] == ["ERROR"]
    status = events[0]["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert "too old resource version" in status["message"]


async def test_live_watch_survives_a_compaction(api, client, secrets):
    start = await version_of(client, secrets)
    async with client.watch(f"{secrets}?resourceVersion={start}") as watch:
        await client.make(secrets, secret("a"))
        assert await watch.short() == ("ADDED", "a")
        if (compacting := api.compact()) is not None:
            await compacting
        await client.make(secrets, secret("b"))
        assert await watch.short() == ("ADDED", "b")
