"""The shares of the connections: what hangs leaves some for others, and whoever waits gets a turn or gives up."""

import asyncio
import contextlib
import random

import pytest

from secretsyncer.aws.api.shares import PATIENCE, Full, Share, Shares

pytestmark = pytest.mark.looptime


class Callers:
    """Calls on shares of 90 connections. Those that hang do so until the end of the test."""

    def __init__(self, connections=90):
        self.shares = Shares(connections)
        self.running = 0
        self.full = 0
        self._tasks = []

    async def _hang(self, share):
        try:
            async with self.shares.turn(share):
                self.running += 1
                await asyncio.Event().wait()
        except Full:
            self.full += 1

    async def hang(self, *shares):
        self._tasks += [asyncio.create_task(self._hang(share)) for share in shares]
        await asyncio.sleep(0.01)

    async def call(self, role, region="eu-west-1", *, answered=True, takes=0.05):
        async with self.shares.turn(Share(role, region)) as turn:
            await asyncio.sleep(takes)
            turn.answered = answered

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def callers():
    made = Callers()
    yield made
    await made.close()
    assert made.shares._free == 90
    assert not made.shares._used
    assert not made.shares._waiting


def now():
    return asyncio.get_running_loop().time()


async def test_one_region_of_one_role_gets_a_third_at_most(callers):
    await callers.hang(*[Share("a", "eu-west-1")] * 200)
    assert callers.running <= 30
    began = now()
    await asyncio.gather(*(callers.call(f"role-{number}") for number in range(20)))
    assert now() - began < 0.5


async def test_all_regions_of_one_role_get_half_at_most_and_leave_some_for_its_region_that_works(callers):
    await callers.call("a", "eu-west-1")
    await callers.hang(*[Share("a", f"region-{number}") for number in range(34) for _ in range(8)])
    assert callers.running <= 45
    began = now()
    await callers.call("b")
    await callers.call("a", "eu-west-1")
    assert now() - began < 0.5


async def test_however_many_roles_hang_those_that_were_answered_go_on(callers):
    await callers.call("good")
    await callers.hang(*[Share(f"role-{number}", "x") for number in range(500)])
    began = now()
    await asyncio.gather(*(callers.call("good") for _ in range(5)))
    assert now() - began < 0.3


async def test_what_was_not_answered_loses_its_place_among_those_that_are(callers):
    await callers.call("bad")
    await callers.call("bad", answered=False)
    await callers.hang(*[Share(f"role-{number}", "x") for number in range(500)])
    with pytest.raises(Full):
        await callers.call("bad")


async def test_a_call_that_gets_no_place_gives_up_in_time(callers):
    await callers.hang(*[Share("a", "eu-west-1")] * 31)
    began = now()
    with pytest.raises(Full):
        await callers.call("a")
    assert now() - began == pytest.approx(PATIENCE, abs=0.1)
    assert callers.full


async def test_those_who_wait_take_turns(callers):
    """A role with hundreds of waiting calls delays another by no more than one turn."""
    busy = [asyncio.create_task(callers.call("busy", takes=1.0)) for _ in range(150)]
    await asyncio.sleep(0.01)
    began = now()
    await callers.call("other")
    assert now() - began < 0.2
    await asyncio.gather(*busy)


async def test_a_caller_that_is_cancelled_while_it_waits_leaves_nothing_behind(callers):
    running = [asyncio.create_task(callers.call("a", takes=1.0)) for _ in range(40)]
    await asyncio.sleep(0.5)
    for task in running[30:]:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_one_connection_is_enough(callers):
    one = Callers(1)
    await asyncio.gather(*(one.call(f"role-{number % 3}") for number in range(9)))
    assert one.shares._free == 1


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_whatever_happens(callers, seed):
    """Calls start, end, give up and are cancelled at random: at the end everything is free (see the fixture)."""
    chance = random.Random(seed)

    async def one():
        with contextlib.suppress(Full):
            await callers.call(
                f"role-{chance.randrange(6)}",
                f"region-{chance.randrange(3)}",
                answered=chance.random() < 0.7,
                takes=chance.choice([0.0, 0.01, 1.0, 15.0]),
            )

    tasks = []
    for _ in range(600):
        tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(chance.choice([0, 0.01]))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
