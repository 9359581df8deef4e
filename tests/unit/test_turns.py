"""Shares: nobody takes all places, whoever has the fewest goes first, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.kube.workqueue import Priority, WorkQueue
from secretsyncer.turns import Places, has_room, in_turns, places_for

pytestmark = pytest.mark.looptime

HIGH, LOW = Priority.HIGH, Priority.LOW
WORKERS, BULK = 16, 8


@pytest.fixture
async def queue(metrics):
    return WorkQueue(metrics=metrics, workers=WORKERS, bulk=BULK, party=lambda key: key.namespace)


def keys(namespace, count):
    return [Key(namespace, f"{number:03d}") for number in range(count)]


def add_all(queue, namespace, count=100, priority=HIGH):
    for key in keys(namespace, count):
        queue.add(key, priority)


async def start(queue, most=WORKERS):
    """Let so many workers take what they get; the keys."""
    taken = []
    for _ in range(most):
        try:
            async with asyncio.timeout(0.001):
                taken.append(await queue.get())
        except TimeoutError:
            break
    return taken


def of_each(taken):
    return Counter(key.namespace for key in taken)


def shares(places, parties=4):
    """How many of the places each party gets, one party after the other."""
    free, found = places, []
    for _ in range(parties):
        held = 0
        while has_room(held, free):
            held, free = held + 1, free - 1
        found.append(held)
    return found


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (1, [1, 0, 0, 0]),
        (2, [1, 1, 0, 0]),
        (4, [3, 1, 0, 0]),
        (5, [3, 1, 1, 0]),
        (8, [6, 1, 1, 0]),
        (16, [12, 3, 1, 0]),
        (64, [48, 12, 3, 1]),
    ],
)
def test_each_party_gets_three_quarters_of_what_the_ones_before_have_left(places, expected):
    assert shares(places) == expected


def test_parties_take_turns_however_many_keys_each_has_and_each_key_goes_once():
    a, b, c = keys("a", 3), keys("b", 1), keys("c", 2)
    order = in_turns([*a, *b, *c, a[0], b[0]], lambda key: key.namespace)
    assert order == [a[0], b[0], c[0], a[1], c[1], a[2]]


@pytest.mark.parametrize("share", range(1, 100))
def test_places_are_made_for_the_share_of_a_party_alone(share):
    assert shares(places_for(share))[0] == share


class TestWorkers:
    """In the queue, a party is a namespace."""

    @pytest.mark.parametrize(("priority", "share"), [(HIGH, 12), (LOW, 8)])
    async def test_a_namespace_alone_uses_all_workers_but_the_last_quarter_and_half_of_them_for_bulk(
        self, queue, priority, share
    ):
        add_all(queue, "alone", priority=priority)
        assert len(await start(queue)) == share

    @pytest.mark.parametrize("priority", [HIGH, LOW])
    async def test_objects_that_never_end_leave_workers_to_every_other_namespace(self, queue, priority):
        add_all(queue, "hostile", priority=priority)
        await start(queue)
        for number in range(100):
            key = Key(f"honest-{number}", "object")
            queue.add(key, priority)
            assert await start(queue) == [key]
            queue.done(key)

    @pytest.mark.parametrize(("priority", "share"), [(HIGH, 3), (LOW, 2)])
    async def test_a_namespace_works_at_several_objects_while_those_of_another_never_end(
        self, queue, priority, share
    ):
        add_all(queue, "hostile", priority=priority)
        await start(queue)
        add_all(queue, "honest", priority=priority)
        assert of_each(await start(queue)) == {"honest": share}

    async def test_bulk_of_a_namespace_finds_a_worker_while_edits_of_another_never_end(self, queue):
        add_all(queue, "hostile", priority=HIGH)
        await start(queue)
        queue.add(Key("honest", "object"), LOW)
        assert await start(queue) == [Key("honest", "object")]

    async def test_two_namespaces_get_the_same_however_many_objects_they_have(self, queue):
        add_all(queue, "many", 500)
        add_all(queue, "few", 20)
        assert of_each(await start(queue)) == {"many": 7, "few": 6}

    async def test_workers_that_become_free_go_to_the_namespace_with_the_fewest(self, queue):
        add_all(queue, "first")
        held = await start(queue)
        add_all(queue, "second")
        held += await start(queue)
        assert of_each(held) == {"first": 12, "second": 3}
        for _ in range(8):
            ended = next(key for key in held if key.namespace == "first")
            held.remove(ended)
            queue.done(ended)
            held += await start(queue)
        assert of_each(held) == {"first": 6, "second": 7}

    async def test_the_order_within_a_namespace_is_first_come_first_served(self, queue):
        add_all(queue, "a", 3)
        add_all(queue, "b", 3)
        assert [key.name for key in await start(queue) if key.namespace == "a"] == ["000", "001", "002"]

    async def test_a_worker_that_waits_is_woken_when_one_of_its_namespace_ends(self, queue):
        add_all(queue, "alone", 13)
        held = await start(queue)
        waiting = [asyncio.create_task(queue.get()) for _ in range(4)]
        await asyncio.sleep(1)
        queue.done(held[0])
        await asyncio.sleep(0)
        assert [task.result() for task in waiting if task.done()] == [Key("alone", "012")]
        queue.add(Key("other", "object"))
        await asyncio.sleep(0.001)
        assert [task.result() for task in waiting if task.done()][1:] == [Key("other", "object")]
        queue.close()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def test_one_worker_alone_serves_all_namespaces_in_turn(self, metrics):
        queue = WorkQueue(metrics=metrics, workers=1, bulk=1, party=lambda key: key.namespace)
        for namespace in "abc":
            add_all(queue, namespace, 3, LOW)
        served = []
        for _ in range(9):
            served += await start(queue, 1)
            queue.done(served[-1])
        assert "".join(key.namespace for key in served) == "abcabcabc"

    @pytest.mark.parametrize("seed", range(3))
    async def test_whatever_comes_and_ends_every_key_is_served_once_and_nothing_stays(self, metrics, seed):
        queue = WorkQueue(metrics=metrics, workers=4, bulk=2, party=lambda key: key.namespace)
        chance = random.Random(seed)
        served = Counter()
        removed = set()

        async def work():
            while True:
                key = await queue.get()
                await asyncio.sleep(chance.choice([0, 0.1, 5]))
                served[key] += 1
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(4)]
        added = [Key(f"ns-{chance.randrange(7)}", f"{number}") for number in range(500)]
        for key in added:
            queue.add(key, chance.choice([HIGH, LOW]))
            if chance.random() < 0.1:
                queue.discard(key)
                removed.add(key)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random())
        await asyncio.sleep(5000)
        assert set(added) - removed <= set(served)
        assert set(served.values()) == {1}
        assert (len(queue), queue.running(), +queue._held) == (0, 0, Counter())
        queue.close()
        await asyncio.gather(*workers, return_exceptions=True)


class TestPlaces:
    """A few threads for all."""

    async def hold(self, places, party, seconds, log):
        async with places.of(party):
            log.append((party, asyncio.get_running_loop().time()))
            await asyncio.sleep(seconds)

    async def test_one_party_never_delays_another(self):
        places, log = Places(2), []
        hostile = [asyncio.create_task(self.hold(places, "hostile", 2.0, log)) for _ in range(16)]
        await asyncio.sleep(3)
        began = asyncio.get_running_loop().time()
        await self.hold(places, "honest", 0.1, log)
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.1, abs=0.01)
        await asyncio.gather(*hostile)

    async def test_many_parties_delay_another_by_one_place_and_not_by_all_that_they_want(self):
        places, log = Places(2), []
        hostile = [asyncio.create_task(self.hold(places, f"hostile-{n % 2}", 2.0, log)) for n in range(16)]
        await asyncio.sleep(3)
        began = asyncio.get_running_loop().time()
        await self.hold(places, "honest", 0.1, log)
        assert asyncio.get_running_loop().time() - began < 2.2
        await asyncio.gather(*hostile)

    async def test_who_gives_up_waiting_or_holding_leaves_the_place_to_others(self):
        places, log = Places(2), []
        held = asyncio.create_task(self.hold(places, "a", 100, log))
        await asyncio.sleep(1)
        waits = asyncio.create_task(self.hold(places, "a", 100, log))
        await asyncio.sleep(1)
        waits.cancel()
        last = asyncio.create_task(self.hold(places, "a", 1, log))
        await asyncio.sleep(1)
        held.cancel()
        await last
        assert [party for party, _ in log] == ["a", "a"]
        await asyncio.gather(held, waits, return_exceptions=True)

    async def test_who_is_cancelled_in_the_moment_of_its_turn_leaves_the_place_to_others(self):
        places, log = Places(1), []
        held = asyncio.create_task(self.hold(places, "a", 1, log))
        await asyncio.sleep(0.5)
        waits = asyncio.create_task(self.hold(places, "b", 1, log))
        last = asyncio.create_task(self.hold(places, "c", 1, log))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 0.5, waits.cancel)
        async with asyncio.timeout(10):
            await asyncio.gather(held, last)
        assert waits.cancelled() or waits.done()
        await asyncio.gather(waits, return_exceptions=True)
        assert ("c" in dict(log)) is True
