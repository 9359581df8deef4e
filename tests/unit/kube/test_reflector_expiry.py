"""A lost version, or one that may be lost: one relist, and its differences."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.scripted_api import END, EXPIRED, failed, line, modified, obj, page, pages_only, refused

pytestmark = pytest.mark.looptime

TOO_LARGE = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}


@pytest.fixture(autouse=True)
def lists(api):
    api.lists += [page(5, obj("x", 1)), page(9, obj("y", 8))]


def expect_one_relist(api, heard, *, at):
    assert api.times("list") == pytest.approx([0, at])
    assert api.versions()[-1] == "9"
    assert heard == [("ADDED", "x"), ("DELETED", "x"), ("ADDED", "y")]


@pytest.mark.parametrize("error", [EXPIRED, refused(410, "Gone"), refused(410, "Odd")])
async def test_410_at_open(api, running, heard, error):
    api.watches += [[modified("x", 6), 2.0, END], error]
    running()
    await asyncio.sleep(5)
    heard.remove(("MODIFIED", "x"))
    expect_one_relist(api, heard, at=2)


@pytest.mark.parametrize(
    "event", [failed(410, "Expired"), failed(410, "Gone"), failed(410), failed(0, "Expired"), failed(500, "Gone")]
)
async def test_410_in_stream(api, running, heard, event):
    api.watches += [[2.0, event]]
    running()
    await asyncio.sleep(5)
    expect_one_relist(api, heard, at=2)


async def test_410_on_list(api, running, heard):
    api.lists.insert(1, EXPIRED)
    api.watches += [[2.0, failed(410)]]
    running()
    await asyncio.sleep(5)
    assert api.times("list") == pytest.approx([0, 2, 2])
    assert heard == [("ADDED", "x"), ("DELETED", "x"), ("ADDED", "y")]


@pages_only
async def test_expiry_right_after_a_list_does_not_become_a_storm_of_lists(api, running):
    api.lists += [page(9)] * 10
    api.watches += [EXPIRED] * 6
    running()
    await asyncio.sleep(30)
    assert api.times("list") == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8])


async def test_expiry_after_a_proven_stream_does_not_back_off(api, running):
    api.lists += [page(12)]
    api.watches += [[2.0, failed(410)], [2.0, failed(410)]]
    running()
    await asyncio.sleep(10)
    assert api.times("list") == pytest.approx([0, 2, 4])


async def test_too_large_version_in_a_stream_lists_again(api, running, heard):
    api.watches += [[2.0, failed(504, "Timeout", details=TOO_LARGE)]]
    running()
    await asyncio.sleep(5)
    expect_one_relist(api, heard, at=2.8)


async def test_server_with_a_decreased_version_is_detected_by_its_silence(api, running, heard):
    """Restored from a backup, it keeps a watch from a version of the future open and silent."""
    api.lists[1] = page(3, obj("y", 2))
    api.lists += [page(3, obj("y", 2))]
    api.watches += [[2.0, END], []]
    running()
    await asyncio.sleep(100)
    assert [asked.limit == 1 for asked in api.asked if asked.verb == "list"] == [False, True, False]
    assert heard == [("ADDED", "x"), ("DELETED", "x"), ("ADDED", "y")]
    assert api.versions() == ["5", "5", "3"]


async def test_server_errors_in_a_stream_resume(api, running):
    api.watches += [[2.0, failed(500, "InternalError")], [2.0, failed(503, "ServiceUnavailable")]]
    running()
    await asyncio.sleep(20)
    assert api.verbs().count("list") == 1
    assert api.times("watch") == pytest.approx([0, 2.8, 6.4])


async def test_server_error_about_the_version_leads_to_a_relist(api, running, heard):
    api.watches += [[2.0, failed(500, "InternalError")]] * 6
    running()
    await asyncio.sleep(120)
    assert api.verbs().count("list") == 2
    assert api.versions() == ["5"] * 6 + ["9"]
    assert heard == [("ADDED", "x"), ("DELETED", "x"), ("ADDED", "y")]


@pytest.mark.parametrize(
    "event",
    [
        failed(0),
        failed(400, "BadRequest"),
        line("ERROR", {"kind": "Pod", "message": "not a Status"}),
        b"<html>a proxy's</html>\n",
        b"[]\n",
        b'{"type": "ADDED"}\n',
        b'{"type": 1, "object": {}}\n',
        line("ADDED", {"kind": "SyncedSecret", "metadata": {"name": "y", "namespace": "a"}}),
        line("BOOKMARK", {"kind": "SyncedSecret"}),
        b"[" * 100_000 + b"\n",
    ],
    ids=[
        "status-0",
        "status-400",
        "no-status",
        "html",
        "list",
        "no-object",
        "type-no-text",
        "no-version",
        "bookmark-no-version",
        "deep",
    ],
)
async def test_an_unreadable_stream_is_relisted_after_a_pause(api, running, heard, event):
    api.watches += [[2.0, event]]
    informer = running()
    await asyncio.sleep(2.5)
    assert "watch failed" in informer.health()
    await asyncio.sleep(3)
    expect_one_relist(api, heard, at=2.8)
    assert informer.health() is None


async def test_line_that_is_too_long_lists_again(api, running, heard, value):
    megabyte = b"x" * 2**20
    api.watches += [[2.0, *[megabyte] * 13]]
    running()
    await asyncio.sleep(5)
    expect_one_relist(api, heard, at=2.8)
    series = {"resource": "syncedsecrets", "cause": "line_too_long"}
    assert value("secretsyncer_watch_restarts_total", **series) == 1


async def test_broken_lines_are_not_quoted(api, running, caplog):
    caplog.set_level("DEBUG")
    api.watches += [[2.0, b'{"type": "ADDED", "object": "hunter2"}\n'], [2.0, b"hunter2 " * 2_100_000]]
    informer = running()
    for _ in range(12):
        assert "hunter2" not in str(informer.health())
        await asyncio.sleep(0.5)
    assert "hunter2" not in caplog.text
