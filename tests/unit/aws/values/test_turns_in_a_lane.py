"""Reads of one identity take turns: one of thousands of secrets does not delay one of a few."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.aws.state import REGION
from secretsyncer.aws.identity import SecretRef
from tests.unit.aws.values.test_batcher import Bench

pytestmark = pytest.mark.looptime

THOUSANDS = 2000


@pytest.fixture
async def bench():
    made = Bench(THOUSANDS + 10)
    yield made
    await made.batcher.aclose()


def now():
    return asyncio.get_running_loop().time()


async def seconds(awaited):
    began = now()
    await awaited
    return now() - began


def pinned(bench):
    """References to versions, each of which takes a call of its own."""
    return [
        SecretRef(bench.reader, ref.id, REGION, bench.world.secret(ref.id).staged("AWSCURRENT"))
        for ref in bench.refs(THOUSANDS)
    ]


@pytest.mark.parametrize("many", [lambda bench: bench.refs(THOUSANDS), pinned], ids=["in batches", "alone"])
@pytest.mark.parametrize("alone", [False, True])
async def test_a_read_of_one_secret_passes_those_of_thousands(bench, many, alone):
    last = SecretRef(bench.reader, f"s{THOUSANDS + 5}", REGION)
    if alone:
        last = last._replace(version_id=bench.world.secret(last.id).staged("AWSCURRENT"))
    one_call = await seconds(bench.want(bench.refs(1), party="first"))
    hostile = bench.want(many(bench)[1:], party="hostile")
    await asyncio.sleep(one_call)
    assert await seconds(bench.want([last], party="honest")) < 4 * one_call
    assert not hostile.done()
    await hostile


async def test_a_secret_that_both_want_does_not_wait_for_the_longer_read(bench):
    one_call = await seconds(bench.want(bench.refs(1), party="first"))
    everything = pinned(bench)
    hostile = bench.want(everything, party="hostile")
    await asyncio.sleep(one_call)
    honest = bench.want(everything[-1:], party="honest")
    again = bench.want(everything[-1:], party="hostile")
    assert await seconds(honest) < 4 * one_call
    assert again.done()
    assert not hostile.done()
    await hostile
