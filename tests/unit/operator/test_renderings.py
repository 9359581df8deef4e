"""Renderings: how often, for whom, and never older than the request."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future

import pytest

from secretsyncer.operator.renderings import INTERVAL, WAITING, Busy, Renderings

pytestmark = pytest.mark.looptime


class InPlace(Executor):
    """Runs what it gets at once."""

    def submit(self, function, /, *args, **options):
        done = Future()
        try:
            done.set_result(function(*args, **options))
        except ValueError as exc:
            done.set_exception(exc)
        return done


class Pages:
    """Notes when which page was made, and whether it works."""

    def __init__(self, **options):
        self.renderings = Renderings(InPlace(), **options)
        self.made = []
        self.fails = False

    async def get(self, key="a", client=""):
        return await self.renderings.get(key, lambda: lambda: self.make(key), client)

    def make(self, key):
        if self.fails:
            raise ValueError(key)
        self.made.append((key, round(asyncio.get_running_loop().time(), 3)))
        return f"{key}{len(self.made)}".encode()


async def test_who_waits_for_the_same_page_shares_one_rendering():
    pages = Pages()
    assert await asyncio.gather(*(pages.get() for _ in range(100))) == [b"a1"] * 100
    assert await asyncio.gather(*(pages.get() for _ in range(100))) == [b"a2"] * 100
    assert pages.made == [("a", 0), ("a", INTERVAL)]


async def test_a_page_is_rendered_at_most_once_a_second_and_at_once_after_a_pause():
    pages = Pages()
    for _ in range(3):
        await pages.get()
    await asyncio.sleep(10.5)
    await pages.get()
    assert [when for _, when in pages.made] == [0, 1, 2, 12.5]


async def test_different_pages_take_turns():
    pages = Pages()
    assert await asyncio.gather(*map(pages.get, "abcab")) == [b"a1", b"b2", b"c3", b"a1", b"b2"]
    assert pages.made == [("a", 0), ("b", 1), ("c", 2)]


async def test_only_so_many_different_pages_can_be_waited_for():
    pages = Pages()
    results = await asyncio.gather(*(pages.get(key) for key in range(WAITING + 3)), return_exceptions=True)
    assert [type(one) for one in results] == [bytes] * WAITING + [Busy] * 3
    assert await pages.get("later")


async def test_one_client_can_wait_for_fewer_and_leaves_room_for_others():
    pages = Pages(of_one=2)
    greedy = [asyncio.create_task(pages.get(key, "greedy")) for key in range(1000)]
    await asyncio.sleep(0)
    assert await pages.get("a", "other") == b"a3"
    results = await asyncio.gather(*greedy, return_exceptions=True)
    assert [type(one) for one in results].count(bytes) == 2
    assert await pages.get("later", "greedy")
    assert not pages.renderings._asked


async def test_who_waits_for_a_page_of_another_does_not_count():
    pages = Pages(of_one=1)
    await pages.get()
    waiting = [asyncio.create_task(pages.get(key, client)) for key, client in (("a", "x"), ("a", "y"), ("b", "y"))]
    assert await asyncio.gather(*waiting) == [b"a2", b"a2", b"b3"]


async def test_the_pause_can_depend_on_the_time_that_the_last_one_took():
    pages = Pages(pause=lambda took: 0.25 + took)
    for _ in range(3):
        await pages.get()
    assert [when for _, when in pages.made] == [0, 0.25, 0.5]


async def test_a_client_that_goes_takes_the_page_from_nobody():
    pages = Pages()
    await pages.get()
    first, second = asyncio.create_task(pages.get()), asyncio.create_task(pages.get())
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == b"a2"


async def test_a_failure_is_that_of_those_who_waited_for_it():
    pages = Pages()
    pages.fails = True
    with pytest.raises(ValueError, match="a"):
        await pages.get()
    pages.fails = False
    assert await pages.get() == b"a1"


async def test_at_the_end_nobody_waits_any_longer():
    pages = Pages()
    await pages.get()
    waiting = asyncio.create_task(pages.get())
    await asyncio.sleep(0.1)
    await pages.renderings.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting
