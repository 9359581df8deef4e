"""What can reach the operator's port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp

from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene


async def idle_connections(scene: Scene) -> None:
    """130 connections that say nothing."""
    async with scene.connections(130):
        await scene.stay()


async def half_requests(scene: Scene) -> None:
    """130 connections that never finish a request."""
    async with scene.connections(130, b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 4000):
        await scene.stay()


async def noise(scene: Scene) -> None:
    """Bytes that are no HTTP."""
    for text in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 100_000, b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50_000):
        async with scene.connections(20, text):
            await asyncio.sleep(0.1)


async def many_scrapes(scene: Scene) -> None:
    """Forty clients that ask for the metrics and for many status pages all the time."""
    paths = ("/metrics", "/", "/aws", "/readyz?verbose", f"/?q={'x' * 4000}", "/objects/no/such")
    await _requests(scene, 40, (*paths, *(f"/?q={number}&page={number}" for number in range(1, 30))), _read)


async def slow_readers(scene: Scene) -> None:
    """Sixty clients that ask for a large answer, and do not read it."""
    await _requests(scene, 60, ("/metrics", "/"), lambda _: scene.stay())


async def _read(response: aiohttp.ClientResponse) -> None:
    await response.read()


async def _requests(
    scene: Scene, clients: int, paths: tuple[str, ...], use: Callable[[aiohttp.ClientResponse], Awaitable[None]]
) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client(number: int) -> None:
            while True:
                url = f"http://127.0.0.1:{scene.operator.port}{paths[number % len(paths)]}"
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(url) as response:
                        await use(response)
                await asyncio.sleep(0.1)

        tasks = [asyncio.create_task(client(number)) for number in range(clients)]
        await scene.stay()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


KINDS = table(idle_connections, half_requests, noise, many_scrapes, slow_readers)
