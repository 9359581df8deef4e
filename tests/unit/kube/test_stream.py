"""A watch stream: when it counts as silent, and what that costs. `test_reflector_liveness` has what follows from it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from secretsyncer.errors import KubeError
from secretsyncer.kube.stream import READ_BUFFER, SILENT, WatchStream
from tests.support.scripted_api import modified

pytestmark = pytest.mark.looptime

INACTIVITY = 10.0


@pytest.fixture
async def reader():
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.transport = asyncio.Transport()  # it is connected
    return StreamReader(protocol, READ_BUFFER, loop=loop)


@pytest.fixture
async def stream(reader):
    return WatchStream(reader, inactivity=INACTIVITY, lifetime=1000.0)


@pytest.fixture
async def timers(monkeypatch):
    """The timers that are set."""
    loop, made = asyncio.get_running_loop(), []
    original = loop.call_at

    def call_at(*args, **options):
        made.append(original(*args, **options))
        return made[-1]

    monkeypatch.setattr(loop, "call_at", call_at)
    return made


async def read(stream, reader, lines):
    for number in range(lines):
        reader.feed_data(modified("x", number + 1))
        await anext(stream)


@pytest.mark.parametrize("lines", [1, 100])
async def test_lines_that_come_at_once_share_one_timer(stream, reader, timers, lines):
    await read(stream, reader, lines)
    assert len(timers) == 1


async def test_a_stream_is_silent_so_long_after_its_last_line_and_not_after_its_first(stream, reader):
    began = asyncio.get_running_loop().time()
    for number in range(3):
        asyncio.get_running_loop().call_later(7.0, reader.feed_data, modified("x", number + 1))
        await anext(stream)
    with pytest.raises(KubeError) as failure:
        await anext(stream)
    assert failure.value.reason == SILENT
    assert asyncio.get_running_loop().time() - began == pytest.approx(3 * 7.0 + INACTIVITY)


@pytest.mark.parametrize(
    "part", [b"", b"\n", b'{"type":', modified("x", 1)], ids=["nothing", "no event", "part", "line"]
)
async def test_what_comes_at_the_last_moment_keeps_no_stream_open_for_ever(stream, reader, part):
    """asyncio reads from its sockets before it looks at its timers."""
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + INACTIVITY, reader.feed_data, part)  # before the timer of the stream is set
    async with asyncio.timeout(3 * INACTIVITY):
        with pytest.raises(KubeError) as failure:
            [event async for event in stream]
    assert failure.value.reason == SILENT


async def test_the_time_in_which_nobody_reads_does_not_count(stream, reader):
    await read(stream, reader, 1)
    await asyncio.sleep(3 * INACTIVITY)
    await read(stream, reader, 1)
    asyncio.get_running_loop().call_later(INACTIVITY - 1, reader.feed_data, modified("x", 3))
    assert (await anext(stream)).version == "3"


async def test_a_closed_stream_leaves_no_timer(stream, reader, timers):
    await read(stream, reader, 1)
    stream.close()
    assert all(timer.cancelled() for timer in timers)
