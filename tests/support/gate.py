"""A TCP proxy between an operator and its API server, which passes, cuts, refuses or never answers connections.

TLS passes as it is, because the certificate is for the host, whatever the port. It belongs to the loop that it is
entered in.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from sandbox.access import free_port


class Gate:
    """`async with Gate(server.url) as gate:` listens at `gate.url` and passes everything on while it is open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = parts.hostname or "", parts.port or 0
        self._port = free_port()
        self.url = f"{parts.scheme}://127.0.0.1:{self._port}"
        self.waiting = 0
        """Connections that were accepted and are not answered."""

        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Break every connection; new ones pass."""
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Break every connection; new ones are accepted and never answered."""
        self._open = False
        self.cut()

    def release(self) -> None:
        """Break what is held; new connections pass again."""
        self._open = True
        self.cut()

    async def refuse(self) -> None:
        """Break every connection; new ones are refused."""
        if self._server:
            self._server.close()
        self.cut()

    async def listen(self) -> None:
        """Take connections, at first and after `refuse`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            if self._open:
                await self._pass_on(reader, writer)
            else:
                self.waiting += 1
                while await reader.read(65536):
                    pass
        self._writers.discard(writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers.add(far_writer)
        ways = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(far_writer)
            far_writer.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            to.write(data)
            await to.drain()
