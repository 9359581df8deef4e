"""Calls start evenly, and those who wait take turns."""

import asyncio

import pytest

from secretsyncer.aws.api.pace import Pace, Paces

pytestmark = pytest.mark.looptime


def now():
    return asyncio.get_running_loop().time()


async def starts(pace, *parties):
    """When each of these calls starts, by party, in the order of their start."""
    begun = []

    async def call(party):
        await pace.turn(party)
        begun.append((party, now()))

    await asyncio.gather(*map(call, parties))
    return begun


async def test_a_second_never_has_many_more_calls_than_allowed():
    moments = [moment for _, moment in await starts(Pace(20), *["a"] * 200)]
    assert moments[-1] - moments[0] == pytest.approx(9.7, abs=0.2)
    for first in moments:
        assert sum(first <= moment < first + 1 for moment in moments) <= 26


async def test_a_call_after_a_pause_starts_at_once():
    pace = Pace(20)
    await starts(pace, *["a"] * 50)
    await asyncio.sleep(1)
    began = now()
    await pace.turn("a")
    assert now() == began


async def test_a_role_that_reads_much_delays_no_other():
    pace = Pace(10)
    begun = await starts(pace, *["busy"] * 100, "other")
    assert dict(reversed(begun))["other"] < 1.0


async def test_a_caller_that_gives_up_leaves_its_turn_to_the_next():
    pace = Pace(1)
    await pace.turn("a")
    given_up = asyncio.create_task(pace.turn("a"))
    waiting = asyncio.create_task(pace.turn("a"))
    await asyncio.sleep(0.1)
    given_up.cancel()
    began = now()
    await waiting
    assert now() - began < 1.0


async def test_another_account_has_its_own_calls():
    paces = Paces(1)
    for account in ("1", "2", "3"):
        await paces.turn((account, "eu-west-1"), "role")
    assert now() == 0
