"""An API server that follows a script: its lists page by page, its watches byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from secretsyncer.errors import KubeError
from secretsyncer.kube.stream import READ_BUFFER, WatchStream

pages_only = pytest.mark.parametrize("streamed", [None], ids=["pages"])
"""For a test of what only lists in pages have, or whose times are those of a watch on its own."""

END = object()
"""The server ends the stream in good order. Without it, the stream stays open and silent."""


def obj(name, version, *, namespace="a", uid="", **fields):
    metadata = {"namespace": namespace, "name": name, "resourceVersion": str(version)}
    metadata["uid"] = uid or f"uid-of-{name}"
    return {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "metadata": metadata, **fields}


def page(version, *objects, following=""):
    metadata = {"resourceVersion": str(version), "continue": following}
    return {"kind": "SyncedSecretList", "apiVersion": "v1", "metadata": metadata, "items": list(objects)}


def line(kind, body):
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def added(name, version, **fields):
    return line("ADDED", obj(name, version, **fields))


def modified(name, version, **fields):
    return line("MODIFIED", obj(name, version, **fields))


def deleted(name, version, **fields):
    return line("DELETED", obj(name, version, **fields))


def bookmark(version):
    return line("BOOKMARK", {"kind": "SyncedSecret", "metadata": {"resourceVersion": str(version)}})


def end_of_list(version, *, annotations=None):
    """The bookmark after the objects of a streaming list."""
    annotations = {"k8s.io/initial-events-end": "true"} if annotations is None else annotations
    metadata = {"resourceVersion": str(version), "annotations": annotations}
    return line("BOOKMARK", {"kind": "SyncedSecret", "metadata": metadata})


def failed(code, reason="", *, details=None):
    """An ERROR event."""
    status = {"kind": "Status", "code": code, "reason": reason, "message": "m", "details": details}
    return line("ERROR", status)


def refused(status, reason="", *, retry_after=None):
    return KubeError(status, reason, "refused by the script", retry_after=retry_after)


EXPIRED = refused(410, "Expired")


class Asked(NamedTuple):
    """One request that the server got."""

    verb: str
    at: float
    version: str
    namespace: str | None
    limit: int
    following: str
    timeout: int


class ScriptedApi:
    """Answers lists and watches in turn; what is not in the script is never answered.

    A list is a page or an error. A watch is an error, or a list of steps: bytes to send, seconds to wait, an
    exception that breaks the connection, END. `streams` are the watches that begin with a list. Without such a script,
    that list is made of the next of `lists`, and the next watch follows it.
    """

    def __init__(self):
        self.lists = deque()
        self.watches = deque()
        self.streams = deque()
        self.asked = []
        self.open = 0

    async def list(self, resource, namespace=None, *, limit=500, continue_="", **_):
        self._note("list", namespace=namespace, limit=limit, following=continue_)
        step = self.lists.popleft() if self.lists else await _never()
        if isinstance(step, KubeError):
            raise step
        return json.loads(json.dumps(step))

    @asynccontextmanager
    async def watch(self, resource, namespace=None, *, resource_version, timeout_seconds, inactivity, **_):
        if resource_version:
            self._note("watch", version=resource_version, namespace=namespace, timeout=timeout_seconds)
            step = self.watches.popleft() if self.watches else await _never()
        elif self.streams:
            self._note("stream", namespace=namespace, timeout=timeout_seconds)
            step = self.streams.popleft()
        else:
            step = await self._list_and_watch(namespace, timeout_seconds)
        if isinstance(step, KubeError):
            raise step
        loop = asyncio.get_running_loop()
        protocol = BaseProtocol(loop)
        protocol.transport = asyncio.Transport()  # it is connected
        reader = StreamReader(protocol, READ_BUFFER, loop=loop)
        player = asyncio.create_task(_play(step, reader))
        self.open += 1
        try:
            yield WatchStream(reader, inactivity=inactivity, lifetime=timeout_seconds + 30)
        finally:
            self.open -= 1
            player.cancel()

    async def _list_and_watch(self, namespace, seconds):
        """As one stream. What comes is noted as if these were a list and a watch."""
        self._note("list", namespace=namespace)
        listed = self.lists.popleft() if self.lists else await _never()
        if isinstance(listed, KubeError):
            return listed
        steps = [line("ADDED", item) for item in listed["items"]]
        version = listed["metadata"]["resourceVersion"]
        while listed["metadata"]["continue"]:
            listed = self.lists.popleft()
            if isinstance(listed, KubeError):
                return [*steps, failed(listed.status, listed.reason)]
            steps += [line("ADDED", item) for item in listed["items"]]
        steps.append(end_of_list(version))

        def goes_on():
            self._note("watch", version=version, namespace=namespace, timeout=seconds)
            following = self.watches.popleft() if self.watches else []
            return [END] if isinstance(following, KubeError) else following

        return [*steps, goes_on]

    def times(self, verb):
        """When it was asked, in seconds of the loop."""
        return [asked.at for asked in self.asked if asked.verb == verb]

    def versions(self):
        """The versions that watches were asked from."""
        return [asked.version for asked in self.asked if asked.verb == "watch"]

    def verbs(self):
        return [asked.verb for asked in self.asked]

    def _note(self, verb, *, version="", namespace=None, limit=0, following="", timeout=0):
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(verb, now, version, namespace, limit, following, timeout))


async def _play(steps, reader):
    for step in steps:
        if isinstance(step, bytes):
            reader.feed_data(step)
        elif isinstance(step, int | float):
            await asyncio.sleep(step)
        elif callable(step):
            await _play(step(), reader)
        elif isinstance(step, BaseException):
            reader.set_exception(step)
        else:
            reader.feed_eof()
        await asyncio.sleep(0)


async def _never() -> Any:
    await asyncio.Event().wait()
