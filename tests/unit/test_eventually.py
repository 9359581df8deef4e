"""How tests wait: a server that is away for a moment is no failure, and one that stays away is told as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.support.eventually import eventually


@asynccontextmanager
async def server_that_hangs_up(times: int) -> AsyncIterator[str]:
    """A server that closes the first connections without a word, and answers on the later ones."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        await reader.readuntil(b"\r\n\r\n")
        if seen > times:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def patched(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.patch(url, data=b"{}") as response:
        return await response.text()


async def test_a_server_that_hangs_up_once_is_asked_again():
    async with server_that_hangs_up(1) as url:
        assert await eventually(lambda: patched(url)) == "ok"


async def test_a_server_that_always_hangs_up_is_told():
    async with server_that_hangs_up(1000) as url:
        with pytest.raises(AssertionError, match="Server disconnected"):
            await eventually(lambda: patched(url), within=0.1)


async def test_after_the_limit_it_looks_once_more_because_this_process_may_have_been_stopped_during_a_look():
    looks = []

    async def stopped_during_the_first() -> int:
        looks.append("a look")
        if len(looks) == 1:
            await asyncio.sleep(0.2)
            raise AssertionError("seen before the stop")
        return len(looks)

    assert await eventually(stopped_during_the_first, within=0.1) == 2


@pytest.mark.parametrize(
    "problem",
    [
        TimeoutError(),
        aiohttp.ClientPayloadError("cut"),
        ConnectionResetError(),
        KeyError("status"),
        TypeError("None"),
    ],
)
async def test_what_is_not_there_yet_and_a_server_that_does_not_answer_in_whole_are_asked_for_again(problem):
    problems = [problem]

    async def ask() -> str:
        if problems:
            raise problems.pop()
        return "ok"

    assert await eventually(ask) == "ok"
