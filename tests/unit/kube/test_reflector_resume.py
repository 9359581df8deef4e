"""A watch that ended is resumed at its version, without a list and without a lost change."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from secretsyncer.kube.objects import Key
from tests.support.scripted_api import (
    END,
    added,
    bookmark,
    deleted,
    failed,
    line,
    modified,
    obj,
    page,
    pages_only,
    refused,
)

pytestmark = pytest.mark.looptime


@pytest.fixture(autouse=True)
def first_list(api):
    api.lists += [page(5, obj("x", 1))]


async def test_clean_end_resumes_without_listing(api, running):
    api.watches += [[modified("x", 6), 60.0, END], [modified("x", 7), 60.0, END]]
    running()
    await asyncio.sleep(150)
    assert api.verbs() == ["list", "watch", "watch", "watch"]
    assert api.versions() == ["5", "6", "7"]
    assert api.times("watch") == pytest.approx([0, 60, 120])


async def test_quiet_end_resumes_at_once(api, running):
    api.watches += [[60.0, END]]
    running()
    await asyncio.sleep(61)
    assert api.times("watch") == pytest.approx([0, 60])
    assert api.verbs().count("list") == 1


@pytest.mark.parametrize(
    "event", [added("y", 8), modified("x", 8), deleted("x", 8), deleted("unknown", 8), bookmark(8)]
)
async def test_every_event_moves_the_version(api, running, event):
    api.watches += [[event, 2.0, END]]
    running()
    await asyncio.sleep(3)
    assert api.versions() == ["5", "8"]


async def test_bookmark_moves_the_version_and_nothing_else(api, running, heard):
    api.watches += [[bookmark(8), 2.0, END]]
    informer = running()
    await asyncio.sleep(0.5)
    heard.clear()
    await asyncio.sleep(3)
    assert api.versions() == ["5", "8"]
    assert heard == []
    assert informer.items() == [(Key("a", "x"), obj("x", 1))]


async def test_version_moves_only_after_the_store_took_the_object(api, running):
    api.watches += [[modified("x", 6), 2.0, END]]
    informer = running()
    seen = []
    informer.add_handler(lambda kind, key, old, new: seen.append((informer.get(key), api.versions())))
    await asyncio.sleep(3)
    assert seen[-1] == (obj("x", 6), ["5"])
    assert api.versions() == ["5", "6"]


@pytest.mark.parametrize("status", [0, 401, 403, 429, 500, 503, 504])
async def test_refused_watch_keeps_the_version(api, running, status):
    api.watches += [[modified("x", 6), 2.0, END], *[refused(status)] * 3, [modified("x", 7)]]
    running()
    await asyncio.sleep(30)
    assert api.verbs().count("list") == 1
    assert api.versions() == ["5", "6", "6", "6", "6"]
    assert api.times("watch") == pytest.approx([0, 2, 2.8, 4.4, 7.6])


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_watch_that_is_refused_for_good_reasons_lists_again(api, running, status):
    api.watches += [[2.0, END], refused(status)]
    api.lists += [page(9)]
    running()
    await asyncio.sleep(10)
    assert api.verbs() == ["list", "watch", "watch", "list", "watch"]
    assert api.times("list") == pytest.approx([0, 2.8])


@pages_only
async def test_retry_after_is_a_floor(api, running):
    api.watches += [refused(429, retry_after=7.0), refused(503, retry_after=0.1)]
    running()
    await asyncio.sleep(20)
    assert api.times("watch") == pytest.approx([0, 7, 8.6])


async def test_retry_after_in_a_stream_is_a_floor(api, running):
    api.watches += [[2.0, failed(429, "TooManyRequests", details={"retryAfterSeconds": 9})]]
    running()
    await asyncio.sleep(20)
    assert api.times("watch") == pytest.approx([0, 11])


@pages_only
async def test_retry_after_is_limited(api, running):
    api.watches += [refused(429, retry_after=86400.0)]
    running()
    await asyncio.sleep(1000)
    assert api.times("watch")[1] == pytest.approx(300)


async def test_half_a_line_is_a_disconnect(api, running, heard):
    whole = modified("x", 7)
    api.watches += [[modified("x", 6), 2.0, whole[:40], END], [whole]]
    informer = running()
    await asyncio.sleep(3)
    assert api.versions() == ["5", "6"]
    assert informer.get(Key("a", "x")) == obj("x", 7)
    assert api.verbs().count("list") == 1
    assert heard == [("ADDED", "x"), ("MODIFIED", "x"), ("MODIFIED", "x")]


async def test_broken_connection_resumes(api, running):
    api.watches += [
        [modified("x", 6), 2.0, aiohttp.ClientPayloadError("cut")],
        [modified("x", 7), 2.0, ConnectionResetError()],
        [modified("x", 8)],
    ]
    informer = running()
    await asyncio.sleep(10)
    assert api.versions() == ["5", "6", "7"]
    assert api.times("watch") == pytest.approx([0, 2, 4])
    assert informer.get(Key("a", "x")) == obj("x", 8)


async def test_connection_closed_under_the_reader_resumes(api, running):
    api.watches += [[2.0, RuntimeError("Connection closed.")]]
    running()
    await asyncio.sleep(5)
    assert api.versions() == ["5", "5"]


async def test_chunks_split_and_join_lines(api, running, heard):
    stream = modified("x", 6) + b"\n" + added("y", 7) + deleted("x", 8)
    pieces = [stream[start : start + 7] for start in range(0, len(stream), 7)]
    api.watches += [pieces]
    running()
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x"), ("MODIFIED", "x"), ("ADDED", "y"), ("DELETED", "x")]


async def test_objects_of_megabytes_arrive(api, running):
    large = "v" * 1_500_000
    event = modified("x", 6, spec={"data": large})
    api.watches += [[event[start : start + 65536] for start in range(0, len(event), 65536)]]
    informer = running()
    await asyncio.sleep(1)
    assert informer.get(Key("a", "x"))["spec"]["data"] == large


async def test_unknown_event_type_is_skipped(api, running, heard, caplog):
    api.watches += [[line("SHOUTED", obj("x", 6)), modified("x", 7)]]
    running()
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x"), ("MODIFIED", "x")]
    assert "event skipped" in caplog.messages


async def test_foreign_kind_is_skipped(api, running, heard):
    api.watches += [[line("ADDED", {**obj("y", 6), "kind": "Pod"}), modified("x", 7)]]
    running()
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x"), ("MODIFIED", "x")]


async def test_object_without_a_name_is_skipped(api, running, heard):
    api.watches += [[line("ADDED", {"kind": "SyncedSecret", "metadata": {"resourceVersion": "6"}}), 2.0, END]]
    running()
    await asyncio.sleep(3)
    assert heard == [("ADDED", "x")]
    assert api.versions() == ["5", "6"]


async def test_failing_handler_does_not_stop_the_stream(api, running, heard, caplog):
    informer = running()

    def fail(kind, key, old, new):
        raise LookupError("a bug")

    informer.add_handler(fail)
    informer.add_handler(lambda kind, key, old, new: heard.append(("after", key.name)))
    api.watches += [[modified("x", 6), modified("x", 7)]]
    await asyncio.sleep(1)
    assert heard == [("ADDED", "x"), ("after", "x"), *[("MODIFIED", "x"), ("after", "x")] * 2]
    assert "handler failed" in caplog.messages
    assert informer.health() is None


async def test_cancelled_informer_closes_its_stream(api, running):
    informer = running()
    api.watches += [[modified("x", 6)]]
    await asyncio.sleep(1)
    assert api.open == 1
    informer.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await informer.task
    assert api.open == 0
