"""Faults on demand: each has its effect, for the requests that it matches, as often as requested."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from sandbox.apiserver import EmbeddedKubernetes
from tests.sandbox.contract import connect, secret
from tests.support.eventually import eventually

SECRETS = "/api/v1/namespaces/default/secrets"


@pytest.fixture
async def api(embedded):
    return embedded


async def test_failure_has_its_status_object_and_retry_after(api, client):
    api.faults.fail(429, retry_after=7, verb="list", resource="secrets")
    reply = await client.get(SECRETS)
    assert (reply.status, reply.reason) == (429, "TooManyRequests")
    assert reply.headers["Retry-After"] == "7"
    assert reply.body["details"]["retryAfterSeconds"] == 7
    assert (await client.get("/api/v1/namespaces/default/events")).status == 200
    assert (await client.post(SECRETS, secret("a"))).status == 201


async def test_fault_ends_after_so_many_times(api, client):
    fault = api.faults.fail(503, times=2)
    assert [(await client.get(SECRETS)).status for _ in range(4)] == [503, 503, 200, 200]
    assert fault.hits == 2


async def test_fault_ends_with_its_block(api, client):
    with api.faults.fail(500) as fault:
        assert (await client.get(SECRETS)).status == 500
    assert (await client.get(SECRETS)).status == 200
    assert fault.hits == 1


async def test_clear_ends_all_faults(api, client):
    api.faults.fail(500)
    api.faults.fail(403)
    api.faults.clear()
    assert (await client.get(SECRETS)).status == 200


@pytest.mark.parametrize(
    "where",
    [
        {"verb": "patch"},
        {"resource": "secrets/status"},
        {"namespace": "kube-system"},
        {"name": "b"},
        {"when": lambda request: request.query.get("limit") == "1"},
    ],
)
async def test_fault_spares_the_requests_that_it_is_not_for(api, client, where):
    await client.make(SECRETS, secret("a"))
    api.faults.fail(500, **where)
    assert (await client.get(f"{SECRETS}/a")).status == 200


async def test_failed_write_was_not_done(api, client):
    api.faults.fail(500, verb="create", times=1)
    assert (await client.post(SECRETS, secret("a"))).status == 500
    assert (await client.get(f"{SECRETS}/a")).status == 404


async def test_delay_is_waited_for(api, client):
    api.faults.delay(0.3, times=1)
    start = time.monotonic()
    assert (await client.get(SECRETS)).status == 200
    assert time.monotonic() - start >= 0.3


async def test_hang_never_answers_until_it_is_removed(api, client):
    fault = api.faults.hang(resource="secrets")
    asking = asyncio.create_task(client.get(SECRETS))
    await asyncio.wait([asking], timeout=0.3)
    assert not asking.done()
    fault.remove()
    assert (await asking).status == 200


async def test_dropped_request_was_not_done(api, client):
    api.faults.drop(verb="create", times=1)
    with pytest.raises(aiohttp.ClientError):
        await client.post(SECRETS, secret("a"))
    assert (await client.get(f"{SECRETS}/a")).status == 404


async def test_dropped_answer_was_done(api, client):
    api.faults.drop_answer(verb="create", times=1)
    with pytest.raises(aiohttp.ClientError):
        await client.post(SECRETS, secret("a"))
    assert (await client.get(f"{SECRETS}/a")).status == 200


async def test_cut_ends_a_stream_in_the_middle_of_a_line(api, client):
    fault = api.faults.cut(resource="secrets")
    async with client.watch(SECRETS) as watch:
        await client.make(SECRETS, secret("a"))
        received = bytearray()
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read_into(received, watch.content)
    assert received.startswith(b'{"type":"ADDED"')
    assert not received.endswith(b"\n")
    assert fault.hits == 1


async def _read_into(received, content):
    async for chunk in content.iter_any():
        received += chunk


async def test_silent_watch_is_open_and_sends_nothing(api, client):
    async with client.watch(SECRETS) as watch:
        await client.make(SECRETS, secret("a"))
        assert await watch.short() == ("ADDED", "a")
        fault = api.faults.silence(resource="secrets")
        await client.make(SECRETS, secret("b"))
        with pytest.raises(TimeoutError):
            await watch.next(within=0.3)
        fault.remove()
        assert await watch.short() == ("ADDED", "b")


async def test_silent_watch_gets_no_bookmarks_and_no_end(api, client):
    api.faults.silence(resource="secrets")
    async with client.watch(f"{SECRETS}?allowWatchBookmarks=1&timeoutSeconds=1") as watch:
        await client.make(SECRETS, secret("a"))
        with pytest.raises(TimeoutError):
            await watch.next(within=1.5)


async def test_injected_line_arrives_as_it_is(api, client):
    async with client.watch(SECRETS) as watch:
        await _until_watched(api)
        assert api.faults.inject(b"{oops\n", resource="secrets") == 1
        assert await watch.content.readline() == b"{oops\n"
        assert api.faults.inject(b"x\n", resource="events") == 0


async def _until_watched(api, count=1):
    async def probe():
        assert api.faults.live_watches() == count

    await eventually(probe)


async def test_expired_watches_are_told_410_and_end(api, client):
    async with client.watch(SECRETS) as watch:
        await _until_watched(api)
        assert api.faults.expire_watches() == 1
        (event,) = await watch.rest()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_ended_watches_end_in_good_order(api, client):
    async with client.watch(SECRETS) as watch:
        await _until_watched(api)
        assert api.faults.end_watches() == 1
        assert await watch.rest() == []


async def test_410_at_the_opening_of_a_watch(api, client):
    api.faults.fail(410, verb="watch", times=1)
    reply = await client.get(f"{SECRETS}?watch=1&resourceVersion=1")
    assert (reply.status, reply.reason) == (410, "Expired")


async def test_closed_watch_is_forgotten(api, client):
    async with client.watch(SECRETS):
        await _until_watched(api)
    await _until_watched(api, count=0)


async def test_refused_connections_and_the_same_data_afterwards(api, client):
    made = await client.make(SECRETS, secret("a"))
    url = api.url
    await api.stop_listening()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(SECRETS)
    await api.start_listening()
    assert api.url == url
    assert (await client.get(f"{SECRETS}/a")).body == made


async def test_watch_is_cut_when_the_server_stops_and_resumes_after(api, client):
    start = (await client.get(SECRETS)).version
    async with client.watch(f"{SECRETS}?resourceVersion={start}") as watch:
        await _until_watched(api)
        await api.stop_listening()
        with pytest.raises(aiohttp.ClientError):
            await watch.content.readline()
    await api.start_listening()
    await client.make(SECRETS, secret("a"))
    async with client.watch(f"{SECRETS}?resourceVersion={start}") as watch:
        assert await watch.short() == ("ADDED", "a")


async def test_watch_that_falls_behind_the_window_is_told_410():
    async with EmbeddedKubernetes(history=3) as api, connect(api) as client:
        start = (await client.get(SECRETS)).version
        for name in "abc":
            await client.make(SECRETS, secret(name))
        async with client.watch(f"{SECRETS}?resourceVersion={start}") as watch:
            assert [await watch.short() for _ in range(3)] == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        await client.make(SECRETS, secret("d"))
        async with client.watch(f"{SECRETS}?resourceVersion={start}") as watch:
            (event,) = await watch.rest()
        assert event["object"]["code"] == 410


async def test_requests_are_counted_by_verb_and_resource(api, client):
    api.requests.clear()
    await client.make(SECRETS, secret("a"))
    await client.get(SECRETS)
    await client.get(SECRETS)
    await client.patch(f"{SECRETS}/a", {})
    async with client.watch(SECRETS):
        pass
    assert dict(api.requests) == {
        ("create", "secrets"): 1,
        ("list", "secrets"): 2,
        ("patch", "secrets"): 1,
        ("watch", "secrets"): 1,
    }
    assert api.writes() == 2


async def test_bookmarks_come_at_the_interval(api, client):
    start = (await client.get(SECRETS)).version
    async with client.watch(f"{SECRETS}?resourceVersion={start}&allowWatchBookmarks=1") as watch:
        await client.make("/api/v1/namespaces", {"metadata": {"name": "a"}})
        for _ in range(2):
            event = await watch.next()
            assert event["type"] == "BOOKMARK"
            assert int(event["object"]["metadata"]["resourceVersion"]) == int(start) + 1


async def test_users_have_tokens_of_their_own(tmp_path):
    async with EmbeddedKubernetes(users=("admin", "operator")) as api:
        path = api.write_kubeconfig(tmp_path / "config", user="operator")
        assert path.stat().st_mode & 0o777 == 0o600
        config = json.loads(path.read_text())
        token = config["users"][0]["user"]["token"]
        assert token != api.token
        async with connect(api, token) as client:
            assert (await client.get(SECRETS)).status == 200
