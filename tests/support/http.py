"""What a server of probes is asked, and raw clients of every manner."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from tests.support.eventually import LIMIT


class Checks:
    """Named checks, each with its problem or None."""

    def __init__(self, **problems):
        self.problems = problems

    def __iter__(self):
        return iter(self.problems)

    def items(self):
        return [(name, lambda name=name: self.problems[name]) for name in self.problems]


async def connect(port, text="", **options):
    """A connection that has sent this text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    writer.write(text.encode())
    return reader, writer


async def closed(reader):
    """Once the server has ended the connection; TimeoutError where it does not."""
    async with asyncio.timeout(LIMIT):
        try:
            while await reader.read(65536):
                pass
        except ConnectionResetError:
            return


def kernel_buffers(port, *, both_ends=False):
    """Bytes that the kernel keeps for the connections of this port: what is not sent, and what is not read."""
    ends = [end for end in _open_ends() if end.local == port or (both_ends and end.remote == port)]
    return sum(end.kept for end in ends)


def clients_of(port):
    """How many connections to this port their clients have not ended."""
    return sum(end.remote == port for end in _open_ends())


class _End(NamedTuple):
    local: int
    remote: int
    kept: int


def _open_ends():
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()][1:]
    return [
        _End(
            *(int(address.split(":")[1], 16) for address in line[1:3]), sum(int(n, 16) for n in line[4].split(":"))
        )
        for line in lines
        if line[3] == "01"
    ]
