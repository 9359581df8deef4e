"""The store and its handlers: what is kept, what is reported, and own writes."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.kube.objects import Key
from tests.support.scripted_api import added, bookmark, deleted, failed, line, modified, obj, page, refused

pytestmark = pytest.mark.looptime

X = Key("a", "x")


async def test_handlers_hear_of_old_and_new(api, running):
    api.lists += [page(5, obj("x", 1))]
    api.watches += [[modified("x", 6), deleted("x", 7)]]
    heard = []
    running().add_handler(lambda *change: heard.append(change))
    await asyncio.sleep(1)
    assert heard == [
        ("ADDED", X, None, obj("x", 1)),
        ("MODIFIED", X, obj("x", 1), obj("x", 6)),
        ("DELETED", X, obj("x", 6), None),
    ]


async def test_store_has_the_change_when_handlers_hear_of_it(api, running):
    api.lists += [page(5, obj("x", 1), obj("y", 2))]
    api.watches += [[modified("x", 6), deleted("y", 7)]]
    informer = running()
    seen = []
    informer.add_handler(lambda kind, key, old, new: seen.append(informer.get(key) == new))
    await asyncio.sleep(1)
    assert seen == [True] * 4


async def test_the_servers_records_of_who_owns_which_field_are_not_kept(api, running):
    def owned(name, version):
        found = obj(name, version)
        found["metadata"]["managedFields"] = [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
        return found

    api.lists += [page(5, owned("x", 1))]
    api.watches += [[line("ADDED", owned("y", 6))]]
    informer = running()
    await asyncio.sleep(1)
    informer.remember(owned("z", 7))
    for key in (X, Key("a", "y"), Key("a", "z")):
        assert set(informer.get(key)["metadata"]) == {"namespace", "name", "resourceVersion", "uid"}


async def test_unchanged_objects_of_a_relist_are_not_reported(api, running, heard):
    api.lists += [page(5, obj("x", 1)), page(9, obj("x", 1))]
    api.watches += [[2.0, failed(410)]]
    running()
    await asyncio.sleep(5)
    assert heard == [("ADDED", "x")]


async def test_repeated_event_is_not_reported(api, running, heard):
    api.lists += [page(5, obj("x", 1))]
    api.watches += [[modified("x", 6), modified("x", 6)]]
    running()
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x"), ("MODIFIED", "x")]


async def test_delete_of_an_unknown_key_is_ignored(api, running, heard):
    api.lists += [page(5)]
    api.watches += [[deleted("x", 6), added("x", 7), deleted("x", 8), deleted("x", 9)]]
    running()
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x"), ("DELETED", "x")]


@pytest.mark.parametrize("by_relist", [False, True])
async def test_recreated_object_starts_afresh(api, running, heard, by_relist):
    """Same name, another uid, and nobody told us of the deletion in between."""
    api.lists += [page(5, obj("x", 1, uid="one")), page(9, obj("x", 8, uid="two"))]
    api.watches += [[2.0, failed(410) if by_relist else modified("x", 8, uid="two")]]
    running()
    await asyncio.sleep(5)
    assert heard == [("ADDED", "x"), ("DELETED", "x"), ("ADDED", "x")]


async def test_malformed_object_is_kept_as_it_is(api, running):
    """To reject it is the reconcile's business."""
    strange = obj("x", 6, spec=["not", "a", "mapping"], status=7)
    api.lists += [page(5)]
    api.watches += [[added("x", 6, spec=["not", "a", "mapping"], status=7)]]
    informer = running()
    await asyncio.sleep(1)
    assert informer.get(X) == strange


async def test_namespaces_share_one_store(api, running, heard):
    api.lists += [page(5, obj("x", 1, namespace="a")), page(6, obj("y", 1, namespace="b"))]
    api.watches += [[2.0, failed(410)], [modified("y", 8, namespace="b")]]
    api.lists += [page(9)]
    informer = running(namespaces=("a", "b"))
    await asyncio.sleep(1)
    assert informer.keys() == [Key("a", "x"), Key("b", "y")]
    await asyncio.sleep(5)
    assert informer.keys() == [Key("b", "y")]
    assert heard[2:] == [("MODIFIED", "y"), ("DELETED", "x")]


async def test_synced_means_every_namespace(api, running):
    api.lists += [page(5)]
    informer = running(namespaces=("a", "b"))
    await asyncio.sleep(1)
    assert not informer.has_synced()
    assert informer.health() == "syncedsecrets in b: the first list is not done"


async def test_each_namespace_has_its_own_heartbeat(api, running, late):
    api.lists += [page(5)]
    api.watches += [[*[30.0, bookmark(6)] * 20]]
    running(namespaces=("a", "b"))
    await asyncio.sleep(250)
    assert late() == ["informer syncedsecrets b"]


async def test_cluster_scoped_objects_have_no_namespace(api, running):
    bare = obj("x", 1)
    del bare["metadata"]["namespace"]
    api.lists += [page(5, bare)]
    informer = running()
    await asyncio.sleep(1)
    assert informer.get(Key("", "x")) == bare


async def test_large_list_does_not_hold_up_the_loop(api, running, heard):
    api.lists += [page(5, *(obj(f"x{number}", 1) for number in range(2000)))]
    running()
    most = 0
    while len(heard) < 2000:
        before = len(heard)
        await asyncio.sleep(0)
        most = max(most, len(heard) - before)
    assert most == 500


class TestTransform:
    """Drops what need not be kept."""

    async def test_it_sees_every_object_before_anything_keeps_it(self, api, running):
        def drop(found):
            return {**found, "data": sorted(found.get("data", ()))}

        api.lists += [page(5, obj("x", 1, data={"k": "hunter2"}))]
        api.watches += [[added("y", 6, data={"k": "hunter2"})]]
        informer = running(transform=drop)
        heard = []
        informer.add_handler(lambda *change: heard.append(change))
        await asyncio.sleep(1)
        informer.remember(obj("x", 9, data={"k": "hunter2"}))
        assert informer.get(X) == obj("x", 9, data=["k"])
        assert len(heard) == 2
        assert "hunter2" not in str((heard, informer.items()))

    async def test_its_failure_costs_that_object_its_content_and_nothing_else(self, api, running, caplog):
        def fail(found):
            raise ValueError(found["spec"])

        api.lists += [page(5, obj("x", 1, spec="hunter2"))]
        informer = running(transform=fail)
        await asyncio.sleep(1)
        assert informer.get(X) == obj("x", 1)
        assert informer.health() is None
        assert "object kept without its content" in caplog.messages
        assert "hunter2" not in caplog.text


class TestRemember:
    """Our own writes are seen at once, until the watch has come that far."""

    @pytest.fixture
    async def informer(self, api, running):
        api.lists += [page(5, obj("x", 1)), page(12, obj("x", 11))]
        return running()

    async def test_written_object_is_seen_before_the_watch_shows_it(self, informer, heard):
        await asyncio.sleep(1)
        informer.remember(obj("x", 10, spec=1))
        informer.remember(obj("new", 11))
        assert informer.get(X) == obj("x", 10, spec=1)
        assert informer.get(Key("a", "new")) == obj("new", 11)
        assert informer.items() == [(X, obj("x", 1))]
        assert heard == [("ADDED", "x")]

    @pytest.mark.parametrize(
        ("event", "seen"),
        [
            (modified("x", 8), "ours"),
            (deleted("x", 8), "ours"),
            (modified("other", 8), "ours"),
            (bookmark(8), "ours"),
            (modified("x", 10, spec=1), "ours"),
            (modified("x", 12), obj("x", 12)),
            (deleted("x", 12), None),
            (modified("other", 12), obj("x", 1)),
            (bookmark(10), obj("x", 1)),
            (failed(410), obj("x", 11)),
        ],
        ids=[
            "older",
            "older-deletion",
            "older-of-another",
            "older-bookmark",
            "this",
            "later",
            "later-deletion",
            "later-of-another",
            "bookmark",
            "relist",
        ],
    )
    async def test_it_is_seen_until_the_watch_has_come_that_far(self, api, informer, event, seen):
        api.watches += [[2.0, event]]
        await asyncio.sleep(1)
        informer.remember(obj("x", 10, spec=1))
        await asyncio.sleep(2)
        assert informer.get(X) == (obj("x", 10, spec=1) if seen == "ours" else seen)

    async def test_answer_that_comes_after_its_event_hides_nothing(self, api, informer):
        """The watch was faster than the answer to our write, and the object is gone again."""
        api.watches += [[modified("x", 10), deleted("x", 11)]]
        await asyncio.sleep(1)
        informer.remember(obj("x", 10))
        assert informer.get(X) is None

    async def test_one_that_is_gone_again_before_any_event_is_reported_by_the_relist(self, api, informer, heard):
        """Somebody has deleted what we created, while there was no watch."""
        api.watches += [[2.0, failed(410)]]
        await asyncio.sleep(1)
        informer.remember(obj("new", 10))
        await asyncio.sleep(4)
        assert informer.get(Key("a", "new")) is None
        assert heard == [("ADDED", "x"), ("DELETED", "new"), ("MODIFIED", "x")]

    async def test_after_a_restore_of_etcd_what_was_written_since_the_backup_is_gone(self, api, running):
        api.lists += [page(50, obj("x", 1)), page(12, obj("x", 1))]
        api.watches += [[2.0, failed(410)]]
        informer, heard = running(), []
        informer.add_handler(lambda kind, key, *_: heard.append((kind, key.name)))
        await asyncio.sleep(1)
        informer.remember(obj("new", 60))
        await asyncio.sleep(4)
        assert informer.get(Key("a", "new")) is None
        assert heard == [("ADDED", "x"), ("DELETED", "new")]

    async def test_one_whose_deletion_was_reported_is_not_reported_again(self, api, informer, heard):
        api.watches += [[added("new", 9), deleted("new", 10), 2.0, failed(410)]]
        await asyncio.sleep(1)
        informer.remember(obj("new", 9))
        await asyncio.sleep(4)
        assert heard == [("ADDED", "x"), ("ADDED", "new"), ("DELETED", "new"), ("MODIFIED", "x")]

    async def test_answers_may_come_in_any_order(self, informer):
        await asyncio.sleep(1)
        informer.remember(obj("x", 12))
        informer.remember(obj("x", 10))
        assert informer.get(X) == obj("x", 12)

    async def test_write_before_the_first_list_is_seen_too(self, api, running):
        api.lists += [refused(503), page(5, obj("x", 1))]
        informer = running()
        informer.remember(obj("x", 4))
        assert informer.get(X) == obj("x", 4)
        await asyncio.sleep(1)
        assert informer.get(X) == obj("x", 1)

    async def test_versions_without_order_hold_until_any_event_of_the_key(self, api, informer):
        api.watches += [[2.0, modified("other", "v9"), 2.0, modified("x", "v3")]]
        await asyncio.sleep(1)
        informer.remember(obj("x", "v7"))
        await asyncio.sleep(2)
        assert informer.get(X) == obj("x", "v7")
        await asyncio.sleep(2)
        assert informer.get(X) == obj("x", "v3")

    async def test_writes_of_one_namespace_wait_for_its_own_watch(self, api, running):
        api.lists += [page(5), page(5)]
        api.watches += [[bookmark(20)], [2.0, bookmark(20)]]
        informer = running(namespaces=("a", "b"))
        await asyncio.sleep(1)
        informer.remember(obj("x", 10, namespace="b"))
        assert informer.get(Key("b", "x")) == obj("x", 10, namespace="b")
        await asyncio.sleep(2)
        assert informer.get(Key("b", "x")) is None
