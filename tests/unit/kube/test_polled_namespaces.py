"""Namespaces that are polled by name, as an informer sees them."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.informer import Informer
from secretsyncer.kube.objects import Key
from secretsyncer.kube.polled_namespaces import INTERVAL, PolledNamespaces
from secretsyncer.kube.reflector import BEAT_LIMIT, OUTDATED
from secretsyncer.kube.resources import NAMESPACES

pytestmark = pytest.mark.looptime


class Server:
    """Namespaces by name; `status` is what it refuses everything with."""

    def __init__(self, **versions):
        self.objects = {name: namespace(name, version) for name, version in versions.items()}
        self.status = 0
        self.refused = {}
        self.asked = []

    async def get(self, resource, in_namespace, name):
        self.asked.append(resource.path(in_namespace, name))
        if status := self.refused.get(name, self.status):
            raise KubeError(status, "Refused", "refused")
        if name not in self.objects:
            raise KubeError(404, "NotFound", "no such namespace")
        return self.objects[name]


def namespace(name, version, *, uid="1", **annotations):
    metadata = {"name": name, "uid": uid, "resourceVersion": str(version), "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


@pytest.fixture
async def follow(metrics, heartbeats, heard):
    """An informer of these names on this server, synced, until the test ends."""
    tasks = []

    async def start(server, *names):
        polled = PolledNamespaces(server, names) if names else server
        informer = Informer(polled, NAMESPACES, metrics=metrics, heartbeats=heartbeats)
        informer.add_handler(lambda kind, key, old, new: heard.append((str(kind), key.name)))
        tasks.append(asyncio.create_task(informer.run()))
        async with asyncio.timeout(60):
            await informer.synced.wait()
        return informer

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_only_what_is_named_is_asked_for(follow):
    server = Server(a=5, b=6, other=7)
    informer = await follow(server, "a", "b")
    await asyncio.sleep(3 * INTERVAL)
    assert set(server.asked) == {"/api/v1/namespaces/a", "/api/v1/namespaces/b"}
    assert sorted(informer.keys()) == [Key("", "a"), Key("", "b")]


async def test_a_change_is_reported_within_a_round(follow, heard):
    server = Server(a=5, b=6)
    informer = await follow(server, "a", "b")
    server.objects["a"] = namespace("a", 8, allowed="[]")
    await asyncio.sleep(INTERVAL + 0.1)
    assert heard == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a")]
    assert informer.get(Key("", "a"))["metadata"]["annotations"] == {"allowed": "[]"}


async def test_a_namespace_that_is_created_or_deleted_is_reported(follow, heard):
    server = Server()
    informer = await follow(server, "a")
    server.objects["a"] = namespace("a", 8)
    await asyncio.sleep(INTERVAL + 0.1)
    del server.objects["a"]
    await asyncio.sleep(INTERVAL)
    assert heard == [("ADDED", "a"), ("DELETED", "a")]
    assert informer.get(Key("", "a")) is None


async def test_a_recreated_namespace_is_another_one(follow, heard):
    server = Server(a=5)
    await follow(server, "a")
    server.objects["a"] = namespace("a", 8, uid="2")
    await asyncio.sleep(INTERVAL + 0.1)
    assert heard == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


@pytest.mark.parametrize("status", [403, 500])
async def test_a_server_that_rejects_requests_for_a_while_removes_nothing(follow, heard, status):
    server = Server(a=5)
    informer = await follow(server, "a")
    server.status = status
    await asyncio.sleep(60)
    assert informer.get(Key("", "a"))
    assert f"failed: {server.status}" in informer.health()
    server.objects["a"] = namespace("a", 9)
    server.status = 0
    await asyncio.sleep(60)
    assert heard == [("ADDED", "a"), ("MODIFIED", "a")]
    assert informer.health() is None


async def test_hours_with_bookmarks_only_are_not_silence(follow, heard, heartbeats):
    server = Server(a=5)
    informer = await follow(server, "a")
    for _ in range(40):
        await asyncio.sleep(BEAT_LIMIT - INTERVAL)
        assert all(check() is None for check in heartbeats.checks.values())
    assert heard == [("ADDED", "a")]
    assert informer.health() is None


async def test_a_namespace_that_cannot_be_read_is_named_and_the_others_go_on(follow, heard):
    server = Server(a=5, b=6, c=7)
    namespaces = PolledNamespaces(server, ("a", "b", "c", "d"))
    informer = await follow(namespaces)
    assert namespaces.unreadable() == "d (404 NotFound)"
    server.refused = {"a": 403, "b": 500}
    server.objects["c"] = namespace("c", 8)
    await asyncio.sleep(INTERVAL + 0.1)
    assert heard[-2:] == [("DELETED", "a"), ("MODIFIED", "c")]  # a denied one is unknown, a failure may pass
    assert namespaces.unreadable() == "a (403 Refused), b (500 Refused), d (404 NotFound)"
    assert informer.get(Key("", "b"))
    assert informer.health() is None
    server.refused = {}
    await asyncio.sleep(INTERVAL)
    assert heard[-1] == ("ADDED", "a")
    assert namespaces.unreadable() == "d (404 NotFound)"


async def test_a_namespace_that_cannot_be_read_for_too_long_is_unknown(follow, heard):
    server = Server(a=5, b=6)
    informer = await follow(PolledNamespaces(server, ("a", "b")))
    server.refused = {"b": 500}
    await asyncio.sleep(OUTDATED - INTERVAL)
    assert informer.get(Key("", "b"))
    await asyncio.sleep(3 * INTERVAL)
    assert informer.get(Key("", "b")) is None
    server.refused = {}
    await asyncio.sleep(INTERVAL)
    assert informer.get(Key("", "b"))
    assert heard[2:] == [("DELETED", "b"), ("ADDED", "b")]


async def test_a_picture_of_all_that_nobody_can_read_gets_too_old(follow):
    server = Server(a=5)
    informer = await follow(PolledNamespaces(server, ("a",)))
    server.status = 500
    await asyncio.sleep(OUTDATED - 1)
    assert not informer.is_outdated("a")
    await asyncio.sleep(INTERVAL + 2)
    assert informer.is_outdated("a")
    server.status = 0
    await asyncio.sleep(60)
    assert not informer.is_outdated("a")
