"""Informers on a running server miss no change, with any fault of the connection; with both forms of lists."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube import client as client_module
from secretsyncer.kube import reflector
from secretsyncer.kube.informer import Informer
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import NAMESPACES, SECRETS
from secretsyncer.kube.streamed_lists import StreamedLists
from tests.support.eventually import LIMIT, eventually
from tests.support.scripted_api import pages_only

QUICK = dataclasses.replace(reflector.BACKOFF, initial=0.05, cap=0.2)


@pytest.fixture(params=["pages", "stream"])
def streamed(request):
    return StreamedLists() if request.param == "stream" else None


@pytest.fixture
async def start(client, metrics, heartbeats, streamed):
    """Run an informer of Secrets; `heard` of it is what its handlers were told."""
    tasks = []
    options = {"metrics": metrics, "heartbeats": heartbeats, "backoff": QUICK, "streamed": streamed}

    async def run(resource=SECRETS, **more):
        informer = Informer(client, resource, **options, **more)
        informer.heard = []
        informer.add_handler(lambda kind, key, old, new: informer.heard.append((str(kind), key.name)))
        tasks.append(asyncio.create_task(informer.run()))
        async with asyncio.timeout(LIMIT):
            await informer.synced.wait()
        return informer

    yield run
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


def secret(namespace, name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "data": data}


async def same(informer, admin, namespace):
    """The store holds what the server holds."""

    async def probe():
        found = {obj["metadata"]["name"]: obj for obj in await admin.list("Secret", namespace)}
        held = {key.name: obj for key, obj in informer.items() if key.namespace == namespace}
        assert {name: obj["metadata"]["resourceVersion"] for name, obj in held.items()} == {
            name: obj["metadata"]["resourceVersion"] for name, obj in found.items()
        }

    await eventually(probe)


async def test_store_follows_the_server(start, admin, namespace):
    await admin.create(secret(namespace, "before", k="dg=="))
    informer = await start(namespaces=(namespace,))
    assert informer.get(Key(namespace, "before"))["data"] == {"k": "dg=="}
    await admin.create(secret(namespace, "x", k="dg=="))
    await admin.merge("Secret", namespace, "x", {"data": {"k": "dw=="}})
    await admin.delete("Secret", namespace, "before")
    await same(informer, admin, namespace)
    assert informer.get(Key(namespace, "x"))["data"] == {"k": "dw=="}
    assert informer.heard == [
        ("ADDED", "before"),
        ("ADDED", "x"),
        ("MODIFIED", "x"),
        ("DELETED", "before"),
    ]


async def test_listed_and_watched_objects_look_alike(start, admin, namespace):
    await admin.create(secret(namespace, "listed"))
    informer = await start(namespaces=(namespace,))
    await admin.create(secret(namespace, "watched"))
    await same(informer, admin, namespace)
    shapes = [(obj["kind"], obj["apiVersion"]) for _, obj in informer.items()]
    assert shapes == [("Secret", "v1")] * 2


async def test_metadata_is_enough_for_namespaces(start, admin):
    informer = await start(NAMESPACES, metadata_only=True)
    space = await admin.space(annotations={"a": "b"})

    async def probe():
        found = informer.get(Key("", space.name))
        assert found
        assert found["metadata"]["annotations"]["a"] == "b"
        assert "status" not in found

    await eventually(probe)


async def test_a_server_that_streams_lists_is_asked_for_no_other(start, streamed, admin, namespace, value):
    await admin.create(secret(namespace, "x"))
    informer = await start(namespaces=(namespace,))
    assert len(informer) == 1
    lists = value("secretsyncer_kubernetes_requests_total", verb="list", resource="secrets", status="200")
    assert lists == (None if streamed else 1)


@pages_only
async def test_pages_of_a_long_list_are_joined(start, admin, namespace):
    for number in range(12):
        await admin.create(secret(namespace, f"x{number}"))
    informer = await start(namespaces=(namespace,), page_size=5)
    assert len(informer) == 12


@pages_only
async def test_large_objects_come_in_smaller_pages(start, admin, namespace, monkeypatch, value):
    """All of them in memory at once, as text and as objects, would be too much."""
    monkeypatch.setattr(client_module, "PAGE_BYTES", 50_000)
    for number in range(12):
        await admin.create(secret(namespace, f"x{number}", k="abcd" * 3000))
    informer = await start(namespaces=(namespace,))
    assert len(informer) == 12
    lists = value("secretsyncer_kubernetes_requests_total", verb="list", resource="secrets", status="200")
    assert lists == 4 + 10 + 1  # pages of 500, 125, 31 and 7 were too large


@pages_only
async def test_pages_grow_again_after_a_large_object(start, admin, namespace, monkeypatch, value):
    monkeypatch.setattr(client_module, "PAGE_BYTES", 50_000)
    await admin.create(secret(namespace, "a-large-one", k="abcd" * 12_000))
    for number in range(60):
        await admin.create(secret(namespace, f"x{number:02}"))
    informer = await start(namespaces=(namespace,), page_size=40)
    assert len(informer) == 61
    lists = value("secretsyncer_kubernetes_requests_total", verb="list", resource="secrets", status="200")
    assert lists <= 3 + 10 + 10 + 1  # too large; one by one; then four, and all others


@pytest.mark.parametrize("server", [pytest.param("real", marks=pytest.mark.real)], indirect=True)
async def test_an_object_that_is_long_as_json_ends_no_watch(start, admin, client, namespace, value):
    """Whoever may create Secrets can make one of 8 MB: the server stores its type in any length, and escapes it."""
    informer = await start(namespaces=(namespace,))
    long = {**secret(namespace, "long"), "type": "<" * 1_300_000}
    with pytest.raises(KubeError, match="more than"):
        await client.create(SECRETS, namespace, long)
    await same(informer, admin, namespace)
    assert len(informer.get(Key(namespace, "long"))["type"]) == 1_300_000
    with pytest.raises(KubeError, match="more than"):  # a dozen reconciles may read one at the same time
        await client.get(SECRETS, namespace, "long")
    await admin.create(secret(namespace, "after"))
    await same(informer, admin, namespace)
    assert value("secretsyncer_relists_total", resource="secrets") == 1


async def test_own_write_is_visible_at_once_and_forgotten_in_time(start, admin, client, namespace):
    informer = await start(namespaces=(namespace,))
    key = Key(namespace, "x")
    informer.remember(await client.create(SECRETS, namespace, secret(namespace, "x", k="dg==")))
    assert informer.get(key)["data"] == {"k": "dg=="}
    await admin.delete("Secret", namespace, "x")
    await same(informer, admin, namespace)

    async def probe():
        assert informer.get(key) is None

    await eventually(probe)


async def list_three(informer, admin, namespace):
    for name in ("kept", "edited", "deleted"):
        await admin.create(secret(namespace, name, k="dg=="))
    await same(informer, admin, namespace)


async def change_three(admin, namespace):
    """One of each change, beside the one that is kept."""
    await admin.create(secret(namespace, "created"))
    await admin.merge("Secret", namespace, "edited", {"data": {"k": "dw=="}})
    await admin.delete("Secret", namespace, "deleted")


class TestFaults:
    """On the embedded server, which can be asked for them."""

    @pytest.fixture
    def server(self, embedded):
        return embedded

    @pytest.fixture
    async def informer(self, start, namespace):
        return await start(namespaces=(namespace,))

    async def test_changes_during_an_outage_are_not_missed(self, informer, embedded, admin, namespace, value):
        await list_three(informer, admin, namespace)
        with embedded.faults.fail(503, verb="watch"):
            embedded.faults.end_watches()
            await change_three(admin, namespace)

            async def probe():
                assert "503" in (informer.health() or "")

            await eventually(probe)
        await same(informer, admin, namespace)
        assert informer.heard[3:] == [("ADDED", "created"), ("MODIFIED", "edited"), ("DELETED", "deleted")]
        assert value("secretsyncer_relists_total", resource="secrets") == 1

    async def test_restart_of_the_server_needs_no_list(self, informer, embedded, admin, namespace, value):
        await embedded.stop_listening()
        await asyncio.sleep(0.3)
        await embedded.start_listening()
        await admin.create(secret(namespace, "x"))
        await same(informer, admin, namespace)
        assert value("secretsyncer_relists_total", resource="secrets") == 1

    async def test_compaction_under_a_broken_watch_reports_the_difference(
        self, informer, embedded, admin, namespace
    ):
        await list_three(informer, admin, namespace)
        with embedded.faults.fail(503, verb="watch"):
            embedded.faults.end_watches()
            await change_three(admin, namespace)
            embedded.compact()
        await same(informer, admin, namespace)
        assert sorted(informer.heard[3:]) == [("ADDED", "created"), ("DELETED", "deleted"), ("MODIFIED", "edited")]

    async def test_expiry_in_the_stream_lists_again(self, informer, embedded, admin, namespace, value):
        embedded.faults.expire_watches()
        await admin.create(secret(namespace, "x"))
        await same(informer, admin, namespace)
        assert value("secretsyncer_watch_restarts_total", resource="secrets", cause="expired") == 1

    async def test_cut_line_loses_nothing(self, informer, embedded, admin, namespace, value):
        embedded.faults.cut(verb="watch")
        await admin.create(secret(namespace, "x", k="dg=="))
        await same(informer, admin, namespace)
        assert value("secretsyncer_relists_total", resource="secrets") == 1
        assert informer.heard == [("ADDED", "x")]

    async def test_silent_stream_is_replaced(self, embedded, start, admin, namespace, monkeypatch):
        monkeypatch.setattr(reflector, "INACTIVITY", 1.0)
        informer = await start(namespaces=(namespace,))
        with embedded.faults.silence(verb="watch", times=1):
            await admin.create(secret(namespace, "x"))
            await same(informer, admin, namespace)

    async def test_lost_and_given_back_rights_are_told(self, informer, embedded, admin, namespace):
        with embedded.faults.fail(403):
            embedded.faults.end_watches()

            async def lost():
                assert "403 Forbidden" in (informer.health() or "")

            await eventually(lost)
        await admin.create(secret(namespace, "x"))
        await same(informer, admin, namespace)

        async def well():
            assert informer.health() is None

        await eventually(well)

    async def test_throttled_list_waits(self, embedded, start, streamed, namespace):
        with embedded.faults.fail(429, retry_after=1, verb="watch" if streamed else "list", times=1):
            started = asyncio.get_running_loop().time()
            await start(namespaces=(namespace,))
            assert asyncio.get_running_loop().time() - started >= 1

    @pytest.mark.parametrize("status", [400, 422])
    async def test_server_that_refuses_streams_is_read_in_pages(
        self, embedded, start, streamed, admin, namespace, status
    ):
        await admin.create(secret(namespace, "x"))
        refused = embedded.faults.fail(status, when=lambda request: "sendInitialEvents" in request.query)
        informer = await start(namespaces=(namespace,))
        assert len(informer) == 1
        embedded.faults.expire_watches()
        await admin.create(secret(namespace, "y"))
        await same(informer, admin, namespace)
        assert refused.hits == (1 if streamed else 0)

    async def test_list_cut_in_a_line_is_complete_in_the_end(self, embedded, start, admin, namespace):
        for number in range(5):
            await admin.create(secret(namespace, f"x{number}"))
        embedded.faults.cut(verb="watch")
        informer = await start(namespaces=(namespace,))
        await admin.create(secret(namespace, "y"))
        await same(informer, admin, namespace)
        assert sorted(informer.heard) == [*(("ADDED", f"x{number}") for number in range(5)), ("ADDED", "y")]

    async def test_large_objects_arrive(self, embedded, start, admin, namespace):
        for number in range(6):
            await admin.create(secret(namespace, f"x{number}", k="abcd" * 250_000))
        informer = await start(namespaces=(namespace,), transform=lambda obj: {**obj, "data": {}})
        assert len(informer) == 6
