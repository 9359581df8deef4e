"""The watch for Secrets that objects wait for: only while they do, only metadata, and nothing is missed or kept."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.arrivals import Arrivals
from secretsyncer.kube.feed import WatchEvent
from secretsyncer.kube.objects import Key
from secretsyncer.sync.awaited import Awaited

pytestmark = pytest.mark.looptime

WEB, AWAITED = Key("team", "web"), Key("team", "theirs")


def shown(name, kind="ADDED"):
    return WatchEvent(kind, {"metadata": {"namespace": "team", "name": name, "resourceVersion": "8"}})


class Server:
    """Answers with these events, stream by stream; then its streams are silent."""

    def __init__(self, *streams):
        self.streams = list(streams)
        self.opened = []

    async def list(self, _resource, namespace, *, limit, metadata_only):
        assert (limit, metadata_only) == (1, True)
        return {"kind": "SecretList", "metadata": {"resourceVersion": "7"}, "items": []}

    @contextlib.asynccontextmanager
    async def watch(self, _resource, namespace, *, resource_version, metadata_only, **_):
        assert (resource_version, metadata_only) == ("7", True)
        self.opened.append(namespace)

        async def events():
            for event in self.streams.pop(0) if self.streams else [None]:
                if event is None:
                    await asyncio.Event().wait()
                yield event

        yield events()


@contextlib.asynccontextmanager
async def watching(server, awaited, namespaces=("",)):
    """The Secrets that were reported; an object whose Secret is reported goes on waiting."""
    reported, beats = [], []
    arrivals = Arrivals(
        server, awaited, namespaces=namespaces, on_arrival=reported.append, beat=lambda: beats.append(1)
    )
    task = asyncio.create_task(arrivals.run())
    try:
        yield reported
        assert beats
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_nothing_is_watched_while_nothing_is_awaited():
    server, awaited = Server([shown("theirs"), None]), Awaited()
    async with watching(server, awaited) as reported:
        await asyncio.sleep(1000)
        assert server.opened == []
        awaited.wait(WEB, AWAITED)
        await asyncio.sleep(1)
        assert (server.opened, reported) == ([None], [AWAITED, AWAITED])


async def test_what_may_have_appeared_before_is_reported_and_others_are_not():
    server, awaited = (
        Server([shown("other"), shown("theirs", "DELETED"), shown("theirs", "BOOKMARK"), None]),
        Awaited(),
    )
    awaited.wait(WEB, AWAITED)
    async with watching(server, awaited) as reported:
        await asyncio.sleep(10)
        assert reported == [AWAITED]


@pytest.mark.parametrize("obj", [{}, {"metadata": "x"}, {"metadata": ["x"]}, {"metadata": {"name": ["x"]}}])
async def test_an_event_of_another_form_ends_nothing(obj):
    awaited = Awaited()
    awaited.wait(WEB, AWAITED)
    server = Server([WatchEvent("ADDED", obj), WatchEvent("ODD", obj), shown("theirs"), None])
    async with watching(server, awaited) as reported:
        await asyncio.sleep(10)
        assert reported == [AWAITED, AWAITED]  # when the watch begins, and when it appears


async def test_the_watch_ends_with_the_waiting():
    server, awaited = Server([shown("other"), shown("other")], [None]), Awaited()
    awaited.wait(WEB, AWAITED)
    async with watching(server, awaited):
        awaited.done(WEB)
        await asyncio.sleep(1000)
        assert len(server.opened) <= 1
        assert len(awaited) == 0


BROKEN = WatchEvent("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


@pytest.mark.parametrize("stream", [[], [BROKEN], [WatchEvent("ADDED", {})]])
async def test_streams_that_end_at_once_are_reopened_without_a_hot_loop(stream):
    server, awaited = Server(*[stream] * 1000), Awaited()
    awaited.wait(WEB, AWAITED)
    async with watching(server, awaited):
        await asyncio.sleep(100)
        assert 2 < len(server.opened) <= 101


async def test_a_server_that_refuses_is_asked_again_with_backoff():
    server, awaited = Server(), Awaited()
    refusals = []

    async def refuse(*_, **__):
        refusals.append(1)
        raise KubeError(403, "Forbidden", "no")

    server.list = refuse
    awaited.wait(WEB, AWAITED)
    async with watching(server, awaited):
        await asyncio.sleep(600)
        assert 10 < len(refusals) < 60


async def test_only_the_namespaces_with_something_awaited_are_watched():
    server, awaited = Server(), Awaited()
    async with watching(server, awaited, ("team", "other")) as reported:
        awaited.wait(WEB, AWAITED)
        await asyncio.sleep(100)
        assert (server.opened, reported) == (["team"], [AWAITED])
