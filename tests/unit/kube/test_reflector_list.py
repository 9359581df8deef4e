"""Lists: only complete ones are used, and their differences are reported."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from secretsyncer.kube.errors import TOO_LARGE
from secretsyncer.kube.objects import Key
from tests.support.scripted_api import END, EXPIRED, added, failed, modified, obj, page, pages_only, refused

pytestmark = pytest.mark.looptime


def names(informer):
    return sorted(key.name for key, _ in informer.items())


@pages_only
async def test_list_pages_are_joined(api, running, heard):
    api.lists += [page(7, obj("x", 1), obj("y", 2), following="t"), page(7, obj("z", 3))]
    informer = running(page_size=2)
    await asyncio.sleep(1)
    assert names(informer) == ["x", "y", "z"]
    assert heard == [("ADDED", "x"), ("ADDED", "y"), ("ADDED", "z")]
    assert [(asked.limit, asked.following) for asked in api.asked if asked.verb == "list"] == [(2, ""), (2, "t")]


async def test_watch_starts_at_the_version_of_the_list_and_not_of_its_newest_item(api, running):
    api.lists += [page(7, obj("x", 3))]
    running()
    await asyncio.sleep(1)
    assert api.versions() == ["7"]


async def test_pages_of_one_list_are_watched_from_the_first_page(api, running):
    api.lists += [page(7, obj("x", 1), following="t"), page(9, obj("z", 3))]
    running()
    await asyncio.sleep(1)
    assert api.versions() == ["7"]


@pages_only
async def test_expired_page_restarts_the_list(api, running):
    api.lists += [page(7, obj("x", 1), obj("gone", 2), following="t"), EXPIRED, page(9, obj("x", 1), obj("y", 8))]
    informer = running()
    await asyncio.sleep(0.5)
    assert names(informer) == ["x", "y"]
    assert [asked.limit for asked in api.asked if asked.verb == "list"] == [500, 500, 0]
    assert api.versions() == ["9"]


@pages_only
async def test_a_list_in_one_request_that_is_too_large_is_read_in_pages_later(api, running):
    api.lists += [page(7, obj("x", 1), following="t"), EXPIRED, refused(0, TOO_LARGE), page(9, obj("y", 8))]
    informer = running()
    await asyncio.sleep(2)
    assert names(informer) == ["y"]
    assert [asked.limit for asked in api.asked if asked.verb == "list"] == [500, 500, 0, 500]
    assert api.times("list") == pytest.approx([0, 0, 0, 0.8])


@pages_only
async def test_list_that_keeps_expiring_backs_off(api, running):
    api.lists += [EXPIRED, EXPIRED, EXPIRED, EXPIRED, page(9)]
    running()
    await asyncio.sleep(10)
    assert api.times("list") == pytest.approx([0, 0, 0.8, 0.8, 2.4])


async def test_relist_reports_objects_that_vanished(api, running, heard):
    api.lists += [page(5, obj("kept", 1), obj("edited", 2), obj("vanished", 3))]
    api.watches += [[2.0, failed(410, "Expired")]]
    api.lists += [page(9, obj("kept", 1), obj("edited", 8), obj("new", 9))]
    informer = running()
    await asyncio.sleep(1)
    heard.clear()
    await asyncio.sleep(2)
    assert sorted(heard) == [("ADDED", "new"), ("DELETED", "vanished"), ("MODIFIED", "edited")]
    assert names(informer) == ["edited", "kept", "new"]


async def test_vanished_object_is_reported_with_its_last_known_state(api, running):
    api.lists += [page(5, obj("x", 1, spec={"k": "v"})), page(9)]
    api.watches += [[2.0, failed(410, "Expired")]]
    informer = running()
    deletions = []
    informer.add_handler(lambda kind, key, old, new: deletions.append((old, new)) if kind == "DELETED" else None)
    await asyncio.sleep(3)
    assert deletions == [(obj("x", 1, spec={"k": "v"}), None)]


async def test_failed_list_backs_off_and_the_old_store_keeps_serving(api, running, heard):
    api.lists += [page(5, obj("x", 1))]
    api.watches += [[2.0, failed(410, "Expired")]]
    api.lists += [refused(500), refused(503), refused(0, "ConnectionFailed"), page(9, obj("x", 1), obj("y", 8))]
    informer = running()
    await asyncio.sleep(7)
    assert names(informer) == ["x"]
    assert "DELETED" not in dict(heard)
    await asyncio.sleep(3)
    assert api.times("list") == pytest.approx([0, 2, 2.8, 4.4, 7.6])
    assert names(informer) == ["x", "y"]


async def test_long_outage_is_waited_out_at_the_longest_delay(api, running):
    api.lists += [refused(0)] * 50
    api.lists += [page(1)]
    informer = running()
    await asyncio.sleep(2000)
    tries = api.times("list")[:51]  # later ones only ask for the version
    gaps = [later - sooner for sooner, later in itertools.pairwise(tries)]
    assert max(gaps) == pytest.approx(15)
    assert informer.has_synced()


@pages_only
@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "SyncedSecretList", "metadata": {"resourceVersion": "9"}},
        {"kind": "SyncedSecretList", "metadata": {"resourceVersion": "9"}, "items": {}},
        {"kind": "SyncedSecretList", "metadata": {"resourceVersion": "9"}, "items": ["x"]},
        {"kind": "SyncedSecretList", "items": []},
        {"kind": "SyncedSecretList", "metadata": {"resourceVersion": "0"}, "items": []},
        {"kind": "SyncedSecretList", "metadata": {}, "items": []},
        {"error": "a proxy's", "metadata": {"resourceVersion": "9"}, "items": []},
    ],
    ids=["no-items", "items-no-list", "items-no-objects", "no-metadata", "version-0", "no-version", "no-list"],
)
async def test_answer_that_is_no_list_does_not_empty_the_store(api, running, answer):
    api.lists += [page(5, obj("x", 1)), answer, page(9)]
    api.watches += [[2.0, failed(410, "Expired")]]
    informer = running()
    await asyncio.sleep(2.5)
    assert names(informer) == ["x"]
    assert "BadAnswer" in informer.health()
    await asyncio.sleep(1)
    assert names(informer) == []


@pages_only
async def test_list_of_null_is_empty(api, running):
    api.lists += [{"kind": "SyncedSecretList", "metadata": {"resourceVersion": "9"}, "items": None}]
    informer = running()
    await asyncio.sleep(1)
    assert informer.has_synced()


@pages_only
async def test_list_that_repeats_a_page_is_a_failure(api, running):
    api.lists += [page(5, obj("x", 1), following="t"), page(5, obj("y", 1), following="t"), page(9)]
    informer = running()
    await asyncio.sleep(0.5)
    assert not informer.has_synced()
    await asyncio.sleep(1)
    assert informer.has_synced()


async def test_workers_may_start_only_when_the_first_list_is_applied(api, running, heard):
    api.lists += [refused(503), page(5, obj("x", 1), following="t"), page(5, obj("y", 1))]
    informer = running()
    await asyncio.sleep(0.5)
    assert not informer.synced.is_set()
    await informer.synced.wait()
    assert heard == [("ADDED", "x"), ("ADDED", "y")]


async def test_empty_list_syncs_too(api, running):
    api.lists += [page(5)]
    informer = running()
    await asyncio.wait_for(informer.synced.wait(), 1)
    assert len(informer) == 0


@pages_only
async def test_items_of_lists_say_what_they_are_as_those_of_watches_do(api, running):
    bare = obj("x", 1)
    del bare["kind"], bare["apiVersion"]
    api.lists += [page(5, bare)]
    informer = running()
    await asyncio.sleep(1)
    assert informer.get(Key("a", "x")) == obj("x", 1)


async def test_lists_and_restarts_are_counted(api, running, value):
    api.lists += [page(5), page(9)]
    api.watches += [[2.0, END], [2.0, failed(410, "Expired")]]
    running()
    await asyncio.sleep(10)
    assert value("secretsyncer_relists_total", resource="syncedsecrets") == 2
    for cause in ("ended", "expired"):
        assert value("secretsyncer_watch_restarts_total", resource="syncedsecrets", cause=cause) == 1


async def test_objects_are_counted(api, running, value):
    api.lists += [page(5, obj("x", 1))]
    api.watches += [[added("y", 6), modified("x", 7)]]
    running()
    await asyncio.sleep(1)
    assert value("secretsyncer_informer_objects", resource="syncedsecrets") == 2
