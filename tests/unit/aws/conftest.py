"""An AWS in memory with a cache on it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cache_rig import Rig

# looptime asks for the loop before each test; without this, before the first one asyncio would make one
# that nobody closes.
asyncio.set_event_loop(None)


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.cache.aclose()


@pytest.fixture
async def make_rig():
    rigs = []

    def make(**options):
        rigs.append(Rig(**options))
        return rigs[-1]

    yield make
    for made in rigs:
        await made.cache.aclose()
