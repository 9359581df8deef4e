"""Streaming lists: what they bring, when they are refused or ignored, and for how long that is remembered."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import asynccontextmanager

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.kube.reflector import INACTIVITY
from secretsyncer.kube.shelf import Limit, is_stub
from secretsyncer.kube.stream import WatchStream
from secretsyncer.kube.streamed_lists import LONGEST, REMEMBERED, STALLED, StreamedLists
from tests.support.scripted_api import (
    END,
    added,
    bookmark,
    end_of_list,
    failed,
    line,
    modified,
    obj,
    page,
    refused,
)

pytestmark = pytest.mark.looptime

FORBIDDEN = refused(422, "Invalid")


@pytest.fixture
def streamed():
    return StreamedLists()


def names(informer):
    return sorted(key.name for key, _ in informer.items())


async def test_the_watch_goes_on_where_the_list_ends(api, running, heard, value):
    api.streams += [[added("x", 1), added("y", 2), end_of_list(7), 1.0, modified("x", 8), 2.0, END]]
    informer = running()
    await asyncio.sleep(0.5)
    assert names(informer) == ["x", "y"]
    assert informer.has_synced()
    assert informer.health() is None
    await asyncio.sleep(1)
    assert informer.get(Key("a", "x")) == obj("x", 8)
    assert api.verbs() == ["stream"]
    await asyncio.sleep(3)
    assert api.verbs() == ["stream", "watch"]
    assert api.versions() == ["8"]
    assert value("secretsyncer_relists_total", resource="syncedsecrets") == 1


async def test_the_limit_of_the_store_holds_while_the_list_is_read(api, running, heard):
    stubs = []

    def stub(obj):
        stubs.append(obj["metadata"]["name"])
        return {"metadata": obj["metadata"], "stub": True}

    api.streams += [[added("x", 1), added("y", 2), 5.0, end_of_list(7)]]
    informer = running(limit=Limit(1, lambda obj: "stub" not in obj, stub))
    await asyncio.sleep(1)
    assert stubs == ["x", "y"]
    assert not informer.has_synced()
    await asyncio.sleep(5)
    assert [is_stub(obj) for _, obj in informer.items()] == [True, True]


async def test_nothing_is_used_before_the_end(api, running, heard):
    api.streams += [[added("x", 1), 5.0, added("y", 2), 5.0, end_of_list(7)]]
    informer = running()
    await asyncio.sleep(9)
    assert (names(informer), heard) == ([], [])
    assert not informer.has_synced()
    await asyncio.sleep(2)
    assert heard == [("ADDED", "x"), ("ADDED", "y")]


async def test_empty_list_is_its_bookmark(api, running):
    api.streams += [[end_of_list(7)]]
    informer = running()
    await asyncio.wait_for(informer.synced.wait(), 1)


async def test_version_is_that_of_the_bookmark(api, running):
    api.streams += [[added("x", 3), end_of_list(7), 2.0, END]]
    running()
    await asyncio.sleep(3)
    assert api.versions() == ["7"]


async def test_relist_is_a_stream_too_and_reports_what_vanished(api, running, heard):
    api.streams += [
        [added("kept", 1), added("edited", 2), added("vanished", 3), end_of_list(5), 2.0, failed(410)],
        [added("kept", 1), added("edited", 8), added("new", 9), end_of_list(9)],
    ]
    running()
    await asyncio.sleep(1)
    heard.clear()
    await asyncio.sleep(2)
    assert sorted(heard) == [("ADDED", "new"), ("DELETED", "vanished"), ("MODIFIED", "edited")]
    assert api.times("stream") == pytest.approx([0, 2])


async def test_strange_events_in_the_list_are_skipped(api, running, heard):
    pod = line("ADDED", {**obj("pod", 1), "kind": "Pod"})
    nameless = line("ADDED", {"kind": "SyncedSecret", "metadata": {"resourceVersion": "6"}})
    api.streams += [[pod, line("SHOUTED", obj("z", 1)), nameless, added("x", 1), end_of_list(7)]]
    running()
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x")]


async def test_metadata_alone_is_a_list_too(api, running, heard):
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    metadata = {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}
    end = line("BOOKMARK", {**partial, "metadata": metadata})
    api.streams += [[line("ADDED", {**obj("x", 1), **partial}), end]]
    running(metadata_only=True)
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x")]


# Servers without streaming lists

NOT_OFFERED = {
    "422": (FORBIDDEN, 0.0),
    "400": (refused(400, "BadRequest"), 0.0),
    "other-bookmark": ([added("x", 1), bookmark(6)], 0.0),
    "bookmark-with-other-annotations": ([added("x", 1), end_of_list(6, annotations={"a": "true"})], 0.0),
    "end-is-false": (
        [added("x", 1), end_of_list(6, annotations={"k8s.io/initial-events-end": "false"})],
        0.0,
    ),
    "annotations-of-no-form": ([added("x", 1), end_of_list(6, annotations=["k8s.io/initial-events-end"])], 0.0),
    "silence": ([added("x", 1)], STALLED),
    "silence-from-the-start": ([], STALLED),
    "changes-for-ever": ([step for n in range(20) for step in (modified("x", 10 + n), 20.0)], LONGEST),
}


@pytest.mark.parametrize(("answer", "after"), NOT_OFFERED.values(), ids=NOT_OFFERED.keys())
async def test_pages_are_read_at_once_where_streams_are_not_offered(api, running, heard, answer, after):
    api.streams += [answer]
    api.lists += [page(9, obj("y", 8))]
    informer = running()
    await asyncio.sleep(after + 0.5)
    assert names(informer) == ["y"]
    assert heard == [("ADDED", "y")]
    assert api.times("list") == pytest.approx([after])
    assert api.versions() == ["9"]
    assert api.open == 0  # the stream is closed, and the watch is not answered yet


@pytest.mark.parametrize(("answer", "after"), NOT_OFFERED.values(), ids=NOT_OFFERED.keys())
async def test_it_is_remembered_for_all_informers(api, running, streamed, answer, after):
    api.streams += [answer]
    api.lists += [page(9), page(9), page(12)]
    api.watches += [[2.0, failed(410)], []]
    running()
    await asyncio.sleep(after + 1)
    running()
    await asyncio.sleep(5)
    assert api.verbs().count("stream") == 1
    assert api.verbs().count("list") == 3
    assert not streamed.offered()


async def test_it_is_logged_once(api, running, caplog):
    caplog.set_level("INFO")
    api.streams += [FORBIDDEN, FORBIDDEN]
    api.lists += [page(9), page(9)]
    running(namespaces=("a", "b"))
    await asyncio.sleep(1)
    assert caplog.messages.count("lists in pages") == 1


async def test_server_that_no_longer_offers_streams_is_read_in_pages(api, running, heard):
    api.streams += [[added("x", 1), end_of_list(5), 2.0, failed(410)], FORBIDDEN]
    api.lists += [page(9, obj("y", 8))]
    running()
    await asyncio.sleep(3)
    assert api.times("list") == pytest.approx([2])
    assert heard == [("ADDED", "x"), ("DELETED", "x"), ("ADDED", "y")]


@pytest.mark.parametrize("broken", [ConnectionResetError(), b"half a line"], ids=["reset", "cut"])
async def test_a_broken_connection_makes_it_try_again_at_the_next_list(api, running, broken):
    """The server may have been replaced by one of another version."""
    api.streams += [FORBIDDEN, [added("y", 8), end_of_list(9)]]
    api.lists += [page(5, obj("x", 1))]
    api.watches += [[2.0, broken, END], failed_at_open()]
    informer = running()
    await asyncio.sleep(3)
    assert names(informer) == ["y"]
    assert api.times("stream") == pytest.approx([0, 2])


async def test_a_server_that_was_away_is_tried_again_at_the_next_list(api, running):
    api.streams += [FORBIDDEN, [added("y", 8), end_of_list(9)]]
    api.lists += [page(5, obj("x", 1))]
    api.watches += [[2.0, END], refused(0, "ConnectionFailed"), failed_at_open()]
    informer = running()
    await asyncio.sleep(5)
    assert names(informer) == ["y"]


async def test_it_is_tried_again_after_an_hour(api, running):
    hour = [step for n in range(65) for step in (60.0, bookmark(10 + n))]
    api.streams += [FORBIDDEN, [added("y", 8), end_of_list(99)]]
    api.lists += [page(5), page(6)]
    api.watches += [[2.0, failed(410)]]
    api.watches += [[*hour[start : start + 8], END] for start in range(0, len(hour), 8)]
    api.watches += [failed_at_open()]
    informer = running()
    await asyncio.sleep(10)
    assert api.verbs().count("stream") == 1
    await asyncio.sleep(REMEMBERED + 400)
    assert api.verbs().count("stream") == 2
    assert names(informer) == ["y"]


def failed_at_open():
    return refused(410, "Expired")


async def test_a_proxy_that_holds_watches_back_does_not_hide_changes_for_ever(api, running, heard):
    api.streams += [[added("x", 1), end_of_list(5)], []]
    api.lists += [page(5), page(9, obj("x", 8))]  # the first is asked for its version only
    api.watches += [[]]
    running()
    await asyncio.sleep(2 * INACTIVITY + STALLED + 1)
    assert heard == [("ADDED", "x"), ("MODIFIED", "x")]


# Failures that say nothing about streaming lists


@pytest.mark.parametrize(
    "error",
    [refused(403), refused(404), refused(401), refused(429)],
    ids=["403", "404", "401", "429"],
)
async def test_refusal_of_everything_is_retried_as_a_stream(api, running, error):
    api.streams += [error, error, [end_of_list(5)]]
    informer = running()
    await asyncio.sleep(0.5)
    assert not informer.has_synced() or error.status in {403, 404}
    await asyncio.sleep(5)
    assert api.times("stream") == pytest.approx([0, 0.8, 2.4])
    assert "list" not in api.verbs()
    assert informer.health() is None


async def test_retry_after_is_a_floor(api, running):
    api.streams += [refused(429, retry_after=7.0), [end_of_list(5)]]
    running()
    await asyncio.sleep(20)
    assert api.times("stream") == pytest.approx([0, 7])


@pytest.mark.parametrize(
    "trouble",
    [
        refused(500),
        refused(504, "Timeout"),
        refused(0, "RequestTimedOut"),
        refused(0, "ConnectionFailed"),
        [added("x", 1), END],
        [added("x", 1), failed(500)],
        [added("x", 1), b"<html>\n"],
        [*[b"x" * 2**20] * 13],
        [line("ADDED", {"kind": "SyncedSecret", "metadata": {"name": "x"}})],
        [end_of_list("")],
        [end_of_list(0)],
    ],
    ids=[
        "500",
        "504",
        "timeout",
        "reset",
        "closed",
        "error-event",
        "html",
        "long-line",
        "no-version",
        "end-without-version",
        "end-version-0",
    ],
)
async def test_the_next_try_after_another_failure_is_in_pages_and_the_next_list_a_stream(
    api, running, heard, streamed, trouble
):
    """Something may end all streams early: a proxy with a limit of time or size."""
    api.streams += [trouble, [added("z", 10), end_of_list(10)]]
    api.lists += [page(9, obj("y", 8))]
    api.watches += [[2.0, failed(410)]]
    informer = running()
    await asyncio.sleep(0.5)
    assert heard == []
    assert "list failed" in informer.health()
    await asyncio.sleep(1)
    assert names(informer) == ["y"]
    assert api.times("list") == pytest.approx([0.8])
    await asyncio.sleep(3)
    assert api.times("stream") == pytest.approx([0, 2.8])
    assert names(informer) == ["z"]
    assert streamed.offered()


@pytest.mark.parametrize("pages", [refused(403), refused(500), refused(0, "ConnectionFailed")])
async def test_streams_and_pages_take_turns_while_both_fail(api, running, pages):
    """A role may have watch and not list, and a proxy may pass only one of the two."""
    api.streams += [refused(500), refused(500), [added("x", 1), end_of_list(5)]]
    api.lists += [pages, pages]
    informer = running()
    await asyncio.sleep(40)
    assert api.verbs()[:5] == ["stream", "list", "stream", "list", "stream"]
    assert names(informer) == ["x"]
    assert informer.health() is None


async def test_expiry_right_after_a_list_is_no_storm(api, running):
    api.streams += [[end_of_list(9), failed(410)]] * 6
    running()
    await asyncio.sleep(30)
    assert api.times("stream") == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8])


async def test_values_are_not_quoted(api, running, caplog):
    caplog.set_level("DEBUG")
    api.streams += [[b'{"type": "ADDED", "object": "hunter2"}\n']]
    informer = running()
    await asyncio.sleep(0.5)
    assert "hunter2" not in str(informer.health())
    assert "hunter2" not in caplog.text


# Memory


class LargeList:
    """A server whose objects are as large as etcd allows. Each line is made when it is read."""

    SIZE = 1_400_000
    COUNT = 40

    def __init__(self):
        self.sent = 0

    async def list(self, *_, **__):
        raise AssertionError

    @asynccontextmanager
    async def watch(self, *_, **__):
        yield WatchStream(self, inactivity=70, lifetime=300)

    async def readline(self):
        self.sent += 1
        if self.sent <= self.COUNT:
            return added(f"x{self.sent}", 1, spec={"data": "v" * self.SIZE})
        if self.sent == self.COUNT + 1:
            return end_of_list(7)
        return await asyncio.Event().wait()


async def test_text_of_one_object_at_a_time_is_in_memory(api, running, heard):
    """As with pages, of which one has at most 4 MiB."""
    api.watch = LargeList().watch
    tracemalloc.start()
    try:
        informer = running(transform=lambda whole: {**whole, "spec": {}})
        await asyncio.wait_for(informer.synced.wait(), 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(informer) == LargeList.COUNT
    assert peak < 8 * LargeList.SIZE
