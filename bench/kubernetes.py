"""Plain requests to the API server, to set up objects and to measure the limits.

There is no informer, no queue and no check, only aiohttp, JSON and concurrent requests. The result is the most that a
client in Python can reach with this server on this machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from bench import objects
from sandbox.kubernetes_client import KubernetesClient, Object, Watch, path_of

CONCURRENCY = 16
"""Requests at once: as many as the operator has workers."""


class Kube(KubernetesClient):
    """One connection pool to one API server."""

    @asynccontextmanager
    async def watch_from_now(self, kind: str, namespace: str) -> AsyncIterator[Watch]:
        """The events of a collection from now on."""
        path = path_of(kind, namespace)
        version = (await self.request("GET", f"{path}?limit=1")).body["metadata"]["resourceVersion"]
        async with self.watch(f"{path}?timeoutSeconds=3600", resource_version=version) as events:
            yield events

    @asynccontextmanager
    async def watched(self, kind: str, namespace: str) -> AsyncIterator[None]:
        """A watch of a collection is open, and what it shows is read and thrown away."""
        async with self.watch_from_now(kind, namespace) as events:

            async def drain() -> None:
                while await events.content.readany():
                    pass

            draining = asyncio.create_task(drain())
            try:
                yield
            finally:
                draining.cancel()

    # Many at once

    async def namespace(self, name: str) -> None:
        await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def create_all(self, manifests: Iterable[Object], *, concurrency: int = 32) -> None:
        await each(manifests, self.create, concurrency)

    async def clear(self, namespace: str) -> None:
        """Delete all SyncedSecrets and Secrets of a namespace."""
        await self.delete_all("SyncedSecret", namespace)
        await self.delete_all("Secret", namespace)

    # The limits

    async def limit_of_creating(self, namespace: str, names: list[str], *, concurrency: int = CONCURRENCY) -> float:
        """Seconds to create a Secret and patch a status for each name; the SyncedSecrets are there."""

        async def write(name: str) -> None:
            await self.create(objects.secret(namespace, name))
            await self.merge("SyncedSecret", namespace, name, objects.status(name), subresource="status")

        return await timed(each(names, write, concurrency))

    async def limit_of_patching(self, namespace: str, names: list[str], *, concurrency: int = CONCURRENCY) -> float:
        """Seconds to patch a Secret and a status for each name; both are there."""
        stamp = str(time.time_ns())

        async def write(name: str) -> None:
            await self.merge("Secret", namespace, name, {"data": objects.data(name, stamp)})
            await self.merge("SyncedSecret", namespace, name, objects.status(name, stamp), subresource="status")

        return await timed(each(names, write, concurrency))


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
