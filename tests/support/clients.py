"""Clients that want to block a port, as a process of their own: `python -m tests.support.clients PORT KIND COUNT`.

Each keeps one connection. When the server ends it, the client opens another two seconds later. Once all have been
connected, the process says so in a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator

AGAIN = 2.0
REQUESTS = {
    "silent": "",
    "endless headers": "GET /healthz HTTP/1.1\r\nHost: a\r\n",
    "no body": "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    "not reading": "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
}


class Clients:
    """`count` clients of one kind."""

    def __init__(self, port: int, kind: str, count: int) -> None:
        self._port = port
        self._kind = kind
        self._count = count
        self._connected = 0

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._count)))

    async def _client(self) -> None:
        first = True
        while True:
            with socket.socket() as sock, contextlib.suppress(OSError):
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
                self._connected += first
                if first and self._connected == self._count:
                    sys.stdout.write("all have been connected\n")
                    sys.stdout.flush()
                first = False
                await self._keep(sock)
            await asyncio.sleep(AGAIN)

    async def _keep(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, REQUESTS[self._kind].encode())
        while self._kind == "endless headers":
            await asyncio.sleep(AGAIN)
            await loop.sock_sendall(sock, b"X: y\r\n")
        if self._kind == "not reading":
            await asyncio.sleep(3600)
        while await loop.sock_recv(sock, 4096):
            pass


@contextlib.asynccontextmanager
async def clients(port: int, kind: str, count: int) -> AsyncIterator[asyncio.Task[bytes]]:
    """They run, and the task ends once all have been connected."""
    command = sys.executable, "-m", __name__, str(port), kind, str(count)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    connected = asyncio.create_task(process.stdout.readline())
    try:
        yield connected
    finally:
        process.kill()
        await process.wait()
        await connected


if __name__ == "__main__":
    asyncio.run(Clients(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])).run())
