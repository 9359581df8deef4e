"""The connections of the HTTP port: how many there are, how long they last, and which one gives way.

The port has no authentication, and the probes come through it. So no client may keep another from being answered. A
connection is for one request, which has to arrive within seconds. When there are too many connections, a new one is not
refused: the oldest one ends, of the client address that has the most.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from typing import cast

from aiohttp import web

CONNECTIONS = 512
"""Maximum number of connections. A further one ends another."""

REQUEST_TIME = 5.0
"""Seconds in which a request has to arrive."""

LIFETIME = 10.0
"""Maximum duration of a connection in seconds. It is the time that Prometheus gives a scrape by default."""

REQUEST_BYTES = 32 * 1024
"""Bytes of a request after which no more are read until it is answered."""

SOCKET_BUFFER = 16 * 1024
"""Bytes that the kernel keeps per connection and direction; it doubles them. Without a limit, a client that does not read
costs several MiB."""

QUEUE = 2048
"""Connections that wait in the kernel to be accepted."""

AT_ONCE = 16
"""Connections that are accepted before what has arrived is read. It is far less than `CONNECTIONS`, so that in a flood a
request is read before its connection could have to give way."""


class Connections:
    """Makes the protocol of each new connection. `handler` makes aiohttp's part of it."""

    def __init__(self, handler: Callable[[], web.RequestHandler]) -> None:
        self._handler = handler
        self._open: dict[asyncio.Protocol, _Connection] = {}  # by aiohttp's part, the oldest first

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self._handler(), self._open)

    def asked(self, handler: asyncio.Protocol) -> None:
        """The request of this connection has arrived."""
        if connection := self._open.get(handler):
            connection.has_asked = True


class _Connection(asyncio.Protocol):
    """One connection. What arrives goes to aiohttp."""

    def __init__(self, handler: web.RequestHandler, others: dict[asyncio.Protocol, _Connection]) -> None:
        self.has_asked = False
        self.address = ""
        self._handler = handler
        self._open = others
        self._received = 0
        self._transport: asyncio.Transport | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def end(self) -> None:
        """End it at once, without waiting for a client that does not read."""
        self._open.pop(self._handler, None)
        if self._transport is not None:
            self._transport.abort()

    def _end_without_request(self) -> None:
        if not self.has_asked:
            self.end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=SOCKET_BUFFER)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(REQUEST_TIME, self._end_without_request),
            loop.call_later(LIFETIME, self.end),
        ]
        if len(self._open) >= CONNECTIONS:
            _first_of_most(self._open.values()).end()
        self._open[self._handler] = self
        self._handler.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._open.pop(self._handler, None)
        for timer in self._timers:
            timer.cancel()
        self._handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > REQUEST_BYTES and not self.has_asked and self._transport is not None:
            self._transport.pause_reading()
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()


def _first_of_most(connections: Collection[_Connection]) -> _Connection:
    """The oldest of the client address that has the most; they come the oldest first."""
    counts = Counter(connection.address for connection in connections)
    return max(connections, key=lambda connection: counts[connection.address])
