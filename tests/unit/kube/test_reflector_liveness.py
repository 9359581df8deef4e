"""Silent streams are detected, failures back off without a hot loop, and health reports them."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from secretsyncer.kube.reflector import BACKOFF, BEAT_LIMIT, INACTIVITY, OUTDATED
from tests.support.scripted_api import END, added, bookmark, failed, modified, obj, page, pages_only, refused

pytestmark = pytest.mark.looptime


@pytest.fixture(autouse=True)
def first_list(api):
    api.lists += [page(5, obj("x", 1))]


async def test_silent_stream_is_reopened(api, running, heard):
    api.watches += [[modified("x", 6)], [modified("x", 7)]]
    running()
    await asyncio.sleep(75)
    assert api.versions() == ["5", "6"]
    assert api.times("watch") == pytest.approx([0, 70])
    assert heard[-1] == ("MODIFIED", "x")
    assert api.open == 1


async def test_bookmarks_keep_a_quiet_stream_open(api, running):
    api.watches += [[60.0, bookmark(6), 60.0, bookmark(7), 60.0, bookmark(8)]]
    running()
    await asyncio.sleep(240)
    assert api.times("watch") == [0]


async def test_idle_cluster_without_bookmarks_is_watched_all_the_time(api, running):
    """Old servers send none where nothing happens; then a silent stream is no reason to back off."""
    api.lists += [page(5)] * 30
    api.watches += [[]] * 20
    informer = running()
    await asyncio.sleep(1000)
    assert api.times("watch") == pytest.approx([70 * count for count in range(15)])
    assert informer.health() is None


async def test_dripping_stream_is_left_after_its_time(api, running):
    """Bytes that never become a line are no life."""
    api.watches += [[modified("x", 6), *[b" ", 30.0] * 100]]
    running()
    await asyncio.sleep(100)
    assert len(api.times("watch")) == 2


async def test_stream_that_outlives_its_timeout_is_left(api, running):
    api.watches += [[modified("x", 6), *[30.0, bookmark(7)] * 100]]
    running()
    await asyncio.sleep(1000)
    asked = [one for one in api.asked if one.verb == "watch"]
    assert asked[1].at == pytest.approx(asked[0].timeout + 30)


async def test_watches_are_asked_to_end_at_different_times(api, running):
    api.watches += [[2.0, END]] * 50
    running()
    await asyncio.sleep(99)
    timeouts = {asked.timeout for asked in api.asked if asked.verb == "watch"}
    assert all(300 <= timeout <= 600 for timeout in timeouts)
    assert len(timeouts) > 10


@pytest.mark.parametrize("stream", [[END], [bookmark(6), END]], ids=["empty", "only-a-bookmark"])
async def test_short_empty_watches_back_off(api, running, stream):
    api.watches += [stream] * 100
    running()
    await asyncio.sleep(60)
    assert api.times("watch") == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8, 39.8, 54.8])
    assert api.verbs().count("list") == 1


async def test_an_opened_watch_alone_is_not_a_success(api, running):
    """Taken and dropped: the delays go on growing, and health says so between the tries."""
    api.watches += [refused(503), [END]] * 10
    informer = running()
    await asyncio.sleep(60)
    assert api.times("watch") == pytest.approx([0, 0.8, 2.4, 5.6, 12, 24.8, 39.8, 54.8])
    assert "watch failed" in informer.health()


async def test_streams_that_bring_something_are_reopened_at_once(api, running):
    api.watches += [[0.1, modified("x", version), END] for version in range(6, 16)]
    running()
    await asyncio.sleep(2)
    assert api.times("watch") == pytest.approx([0.1 * count for count in range(11)])


async def test_backoff_has_the_numbers_of_client_go_but_never_waits_over_30_s():
    least = dataclasses.replace(BACKOFF, rand=lambda: 0.0)
    most = dataclasses.replace(BACKOFF, rand=lambda: 1.0)
    assert [least.delay(failures) for failures in (1, 2, 100)] == [0.8, 1.6, 15.0]
    assert [most.delay(failures) for failures in (1, 2, 100)] == [1.6, 3.2, 30.0]


async def test_backoff_is_forgotten_after_two_quiet_minutes(api, running):
    api.watches += [refused(503)] * 4 + [[added("y", 6), *[60.0, bookmark(7)] * 3, failed(500)]]
    running()
    await asyncio.sleep(250)
    assert api.times("watch") == pytest.approx([0, 0.8, 2.4, 5.6, 12, 192.8])


async def test_flapping_keeps_its_long_delays(api, running):
    api.watches += [refused(503)] * 4 + [[added("y", 6), 30.0, failed(500)]]
    running()
    await asyncio.sleep(100)
    assert api.times("watch") == pytest.approx([0, 0.8, 2.4, 5.6, 12, 42 + 12.8])


async def test_loop_that_fails_and_retries_is_alive(api, running, late):
    api.lists.clear()
    api.lists += [refused(0)] * 200
    running()
    for _ in range(200):
        await asyncio.sleep(10)
        assert late() == []


@pages_only
async def test_loop_that_waits_within_its_limit_is_alive(api, running, late):
    api.watches += [refused(429, retry_after=300.0)]
    running()
    for _ in range(30):
        await asyncio.sleep(10)
        assert late() == []


async def test_quiet_stream_is_alive(api, running, late):
    api.lists += [page(5)] * 30
    api.watches += [[]] * 20
    running()
    for _ in range(100):
        await asyncio.sleep(10)
        assert late() == []


async def test_stuck_loop_is_late(api, running, late):
    """A request that no time limit ends: only a restart helps."""
    api.lists.clear()
    running()
    await asyncio.sleep(BEAT_LIMIT + 1)
    assert late() == ["informer syncedsecrets"]


async def test_health_has_the_problem_and_the_end_of_it(api, running):
    api.lists.appendleft(refused(403, "Forbidden"))
    api.watches += [[2.0, END], refused(503, "ServiceUnavailable"), []]
    informer = running()
    assert informer.health() == "syncedsecrets: the first list is not done"
    await asyncio.sleep(0.1)
    assert informer.health() == "syncedsecrets: list failed: 403 Forbidden: refused by the script"
    await asyncio.sleep(1)
    assert informer.health() is None
    await asyncio.sleep(2)
    assert informer.health() == "syncedsecrets: watch failed: 503 ServiceUnavailable: refused by the script"
    await asyncio.sleep(5)
    assert informer.health() is None


async def test_outage_is_logged_once_and_its_end_too(api, running, caplog):
    caplog.set_level("INFO")
    api.watches += [[2.0, END], *[refused(503)] * 20, [modified("x", 6)]]
    running()
    await asyncio.sleep(1000)
    assert caplog.messages == ["watch started", "watch failed", "watch started"]


# How old the picture is


async def test_a_picture_is_current_while_bookmarks_come(api, running):
    api.watches += [[60.0, bookmark(6), 60.0, bookmark(7), 60.0, bookmark(8)]]
    informer = running()
    for _ in range(24):
        await asyncio.sleep(10)
        assert not informer.is_outdated("a")
        assert informer.outdated() is None


async def test_a_picture_is_current_on_an_idle_server_without_bookmarks(api, running):
    api.lists += [page(5)] * 30
    api.watches += [[]] * 20
    informer = running()
    for _ in range(100):
        await asyncio.sleep(10)
        assert not informer.is_outdated("a")


async def test_a_stream_that_dies_after_events_is_reopened_before_the_picture_is_too_old(api, running):
    """Its connection was lost without a word, and the next bookmark comes a minute after the new one is open."""
    api.watches += [[modified("x", 6)], [60.0, bookmark(7), 60.0, bookmark(8)]]
    informer = running()
    for _ in range(18):
        await asyncio.sleep(10)
        assert not informer.is_outdated("a")


@pytest.mark.parametrize("watch", [refused(503), refused(403), [END], [0.5, ConnectionResetError()]])
async def test_a_picture_that_no_watch_confirms_is_too_old_after_the_bound_and_current_again_by_itself(
    api, running, watch
):
    api.watches += [[modified("x", 6), END], *[watch] * 12, [modified("x", 7)]]
    informer = running()
    await asyncio.sleep(OUTDATED - 1)
    assert not informer.is_outdated("a")
    await asyncio.sleep(2)
    assert informer.is_outdated("a")
    assert informer.outdated().startswith("not confirmed by the API server for 91 s: syncedsecrets: watch failed")
    await asyncio.sleep(100)
    assert api.versions()[-1] == "6"
    assert not informer.is_outdated("a")
    assert informer.outdated() is None


async def test_a_proxy_that_answers_lists_and_holds_watches_back_does_not_hide_changes_for_ever(
    api, running, heard
):
    api.lists += [page(5), page(9, obj("x", 8))]
    api.watches += [[]] * 10
    running()
    await asyncio.sleep(2 * INACTIVITY + 1)
    assert heard[-1] == ("MODIFIED", "x")


# Namespaces that may not be read


async def test_a_namespace_that_may_not_be_listed_does_not_keep_the_others_waiting(api, running):
    api.lists.clear()
    api.lists += [refused(403, "Forbidden"), page(5, obj("x", 1, namespace="b"))]
    api.watches += [[60.0, bookmark(6), 60.0, bookmark(7)]]
    informer = running(namespaces=("a", "b"))
    await asyncio.sleep(0.1)
    assert informer.has_synced()
    assert informer.unwatched() == "syncedsecrets in a: list failed: 403 Forbidden: refused by the script"
    await asyncio.sleep(OUTDATED)
    assert informer.is_outdated("a")
    assert not informer.is_outdated("b")
    assert informer.outdated() is None


async def test_nothing_is_synced_where_no_namespace_may_be_listed(api, running):
    api.lists.clear()
    api.lists += [refused(403, "Forbidden")] * 2
    informer = running(namespaces=("a", "b"))
    await asyncio.sleep(0.1)
    assert not informer.has_synced()


async def test_the_end_of_an_outage_is_reported_once(api, running):
    reports = []
    api.watches += [[modified("x", 6), failed(500)], refused(0), refused(0), [60.0, bookmark(7), 60.0, bookmark(8)]]
    running().add_recovery_handler(lambda: reports.append(api.open))
    await asyncio.sleep(1)
    reports.clear()  # the first list
    await asyncio.sleep(200)
    assert reports == [1]
