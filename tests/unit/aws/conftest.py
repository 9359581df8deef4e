"""An AWS in memory with a cache on it."""

from __future__ import annotations

import pytest

from tests.support.cache_rig import Rig


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
        await made.sources.aclose()
