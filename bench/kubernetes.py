"""Bare requests to the API server: what sets the scene, and what the operator is measured against.

No informer, no queue, no checks: aiohttp, JSON and as many requests at once as it is told. What this reaches is the
most that a client written in Python can get out of that server on that machine.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from bench import objects
from sandbox.access import KubernetesApi

CONCURRENCY = 16
"""Requests at once: as many as the operator has workers."""

Object = dict[str, Any]
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
SYNCED = "/apis/secrets.contentful.com/v1"


class Kube:
    """One connection pool to one API server."""

    def __init__(self, api: KubernetesApi) -> None:
        ca = api.ca_file
        self._session = aiohttp.ClientSession(
            api.url,
            headers={"Authorization": f"Bearer {api.token}", "Accept-Encoding": "identity"},
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca) if ca else True),
            timeout=aiohttp.ClientTimeout(total=60),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Object | None = None, **headers: str) -> Object:
        """One request; RuntimeError unless it succeeds."""
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        sent = {"Content-Type": "application/json", **headers}
        async with self._session.request(method, path, data=data, headers=sent) as response:
            content = await response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
        return dict(json.loads(content))

    async def create(self, path: str, body: Object) -> Object:
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: Object) -> Object:
        return await self.call("PATCH", path, body, **MERGE_PATCH)

    async def items(self, path: str) -> list[Object]:
        """A whole collection."""
        found: list[Object] = list((await self.call("GET", path))["items"])
        return found

    async def until_served(self, path: str) -> None:
        async with asyncio.timeout(30):
            while (await self._session.get(path)).status != 200:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[AsyncIterator[Object]]:
        """The events of a collection from now on."""
        version = (await self.call("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
        query = f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(query, timeout=timeout, read_bufsize=2**20) as response:
            yield (json.loads(line) async for line in response.content)

    # Many at once

    async def namespace(self, name: str) -> None:
        await self.create("/api/v1/namespaces", {"metadata": {"name": name}})

    async def apply(self, manifests: Iterable[Object], *, concurrency: int = 32) -> None:
        """Create SyncedSecrets."""
        await each(manifests, lambda body: self.create(_synced(body["metadata"]["namespace"]), body), concurrency)

    async def synced(self, namespace: str) -> list[Object]:
        return await self.items(_synced(namespace))

    async def secrets(self, namespace: str) -> list[Object]:
        return await self.items(_secrets(namespace))

    async def clear(self, namespace: str) -> None:
        """Delete all SyncedSecrets and Secrets of a namespace."""
        await self.call("DELETE", _synced(namespace))
        await self.call("DELETE", _secrets(namespace))

    # The limits

    async def limit_of_creating(self, namespace: str, names: list[str], *, concurrency: int = CONCURRENCY) -> float:
        """Seconds to create a Secret and patch a status for each name; the SyncedSecrets are there."""

        async def write(name: str) -> None:
            await self.create(_secrets(namespace), objects.secret(namespace, name))
            await self.patch(f"{_synced(namespace)}/{name}/status", objects.status(name))

        return await timed(each(names, write, concurrency))

    async def limit_of_patching(self, namespace: str, names: list[str], *, concurrency: int = CONCURRENCY) -> float:
        """Seconds to patch a Secret and a status for each name; both are there."""
        stamp = str(time.time_ns())

        async def write(name: str) -> None:
            await self.patch(f"{_secrets(namespace)}/{name}", {"data": objects.data(name, stamp)})
            await self.patch(f"{_synced(namespace)}/{name}/status", objects.status(name, stamp))

        return await timed(each(names, write, concurrency))

    async def round_trip(self, namespace: str, name: str) -> float:
        """Seconds of one patch of a Secret."""
        body = {"data": objects.data(name, str(time.time_ns()))}
        return await timed(self.patch(f"{_secrets(namespace)}/{name}", body))


def _synced(namespace: str) -> str:
    return f"{SYNCED}/namespaces/{namespace}/syncedsecrets"


def _secrets(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


async def each(items: Iterable[Any], action: Callable[[Any], Awaitable[Any]], concurrency: int) -> None:
    """The action for every item, so many at once."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await action(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())


async def timed(work: Awaitable[Any]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started
