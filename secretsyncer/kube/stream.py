"""The events of one watch. Every failure of the stream is a `KubeError`.

A watch is an endless HTTP response with one JSON event per line (Kubernetes API concepts, "Efficient detection of
changes"). Lines can span chunks, and can be megabytes long: etcd accepts objects up to 1.5 MiB, and as JSON, each character
may take six times as much. Only complete lines become events. A clean end of the stream ends the iteration. Errors have
status 0 and one of the reasons below. They never quote the stream, because its lines contain Secrets.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, Self

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from secretsyncer.errors import KubeError
from secretsyncer.kube.feed import WatchEvent, read_event

SILENT = "Silent"
"""No line within the inactivity limit: the connection may be dead (watching through NAT, a lost node)."""
DISCONNECTED = "Disconnected"
"""The connection broke, or ended in the middle of a line."""
LINE_TOO_LONG = "LineTooLong"
"""A line over the limit. The same line would come again, so only a relist helps."""

LONGEST_LINE = 12 << 20
"""Maximum bytes of a line: more than any object has. A longer one would make the operator list everything, whenever
somebody touches that object."""
READ_BUFFER = LONGEST_LINE // 2
"""aiohttp's buffer for a watch, in bytes. The longest line that aiohttp reads is twice that."""


class LineReader(Protocol):
    """The part of aiohttp's StreamReader that is needed here."""

    async def readline(self) -> bytes: ...

    def set_exception(self, exc: BaseException) -> None: ...


class WatchStream:
    """An asynchronous iterator of events.

    `inactivity` is in seconds and starts again with every line. `lifetime` bounds the whole stream in seconds: a
    server may ignore the requested timeout, or send bytes but never a line. `close` must follow.
    """

    def __init__(self, reader: LineReader, *, inactivity: float, lifetime: float) -> None:
        self._reader = reader
        self._inactivity = inactivity
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + lifetime
        self._until = 0.0
        self._waits = False
        self._timer: asyncio.Handle | None = None

    def close(self) -> None:
        """Nothing is read any more."""
        if self._timer is not None:
            self._timer.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        line = await self._read()
        while line == b"\n":
            line = await self._read()
        if not line:
            raise StopAsyncIteration
        if not line.endswith(b"\n"):
            raise KubeError(0, DISCONNECTED, "the stream ended in the middle of a line")
        return read_event(line)

    async def _read(self) -> bytes:
        self._until = min(self._loop.time() + self._inactivity, self._end)
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._look)
        self._waits = True
        try:
            return await self._reader.readline()
        except (LineTooLong, ValueError):  # its text quotes the line
            raise KubeError(0, LINE_TOO_LONG, f"a line over {LONGEST_LINE} bytes") from None
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, RuntimeError) as exc:
            # aiohttp raises RuntimeError if the connection was closed before the read.
            raise KubeError(0, DISCONNECTED, f"the stream broke: {type(exc).__name__}") from None
        finally:
            self._waits = False

    def _look(self) -> None:
        """Called by the timer, which all lines share. If a line has come since it was set, it is set again."""
        self._timer = None
        if not self._waits:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
        else:
            self._reader.set_exception(KubeError(0, SILENT, f"nothing came for {self._inactivity:g} s"))
            # Part of a line that came at this very moment has woken the reader, which waits again without a look at that.
            self._timer = self._loop.call_soon(self._look)
