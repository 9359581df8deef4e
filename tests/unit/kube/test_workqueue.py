"""The work queue: no duplicates, priorities, delays, and its end."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

from secretsyncer.kube.workqueue import BACKOFF, Priority, QueueClosed, WorkQueue
from tests.support.turns import counting_turns

pytestmark = pytest.mark.looptime

HIGH, LOW = Priority.HIGH, Priority.LOW


@pytest.fixture
async def queue(metrics):
    return WorkQueue(metrics=metrics, backoff=dataclasses.replace(BACKOFF, rand=lambda: 0.0))


async def take(queue, seconds=0.0):
    """The next key, None if there is none within so many seconds."""
    try:
        async with asyncio.timeout(seconds + 0.001):
            return await queue.get()
    except TimeoutError:
        return None


def now():
    return asyncio.get_running_loop().time()


async def passes(queue, seconds):
    """Serve the queue for so many seconds: which key was taken when."""
    taken = []
    end = now() + seconds
    while (key := await take(queue, end - now())) is not None:
        taken.append((key, round(now(), 3)))
        queue.done(key)
    return taken


async def test_put_twice_runs_once(queue):
    queue.add("a")
    queue.add("a")
    assert len(queue) == 1
    assert await take(queue) == "a"
    queue.done("a")
    assert await take(queue) is None


async def test_first_come_first_served(queue):
    for key in "cab":
        queue.add(key)
    assert [await take(queue) for _ in range(3)] == ["c", "a", "b"]


async def test_change_while_running_runs_once_more(queue):
    queue.add("a")
    assert await take(queue) == "a"
    for _ in range(3):
        queue.add("a")
    assert await take(queue) is None
    queue.done("a")
    assert await take(queue) == "a"
    queue.done("a")
    assert await take(queue) is None


async def test_same_key_never_runs_twice_at_once(queue):
    running, most, runs = set(), 0, 0

    async def work():
        nonlocal most, runs
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            most, runs = max(most, len(running)), runs + 1
            await asyncio.sleep(0.3)
            running.discard(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for round_ in range(200):
        queue.add(f"key-{round_ % 3}")
        queue.add_after(f"key-{round_ % 3}", 0.05)
        await asyncio.sleep(0.1)
    assert not [worker for worker in workers if worker.done()]
    assert most == 3
    assert runs > 100
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


class TestPriority:
    """Fresh edits overtake bulk."""

    async def test_high_goes_before_low(self, queue):
        queue.add("bulk-1", LOW)
        queue.add("bulk-2", LOW)
        queue.add("fresh", HIGH)
        assert [await take(queue) for _ in range(3)] == ["fresh", "bulk-1", "bulk-2"]

    async def test_bulk_leaves_workers_to_fresh_edits(self, metrics):
        queue = WorkQueue(metrics=metrics, bulk=2)
        for key in "abc":
            queue.add(key, LOW)
        assert [await take(queue) for _ in range(3)] == ["a", "b", None]
        queue.add("edit", HIGH)
        queue.add("c", HIGH)  # it was bulk, and is none any more
        assert [await take(queue) for _ in range(2)] == ["edit", "c"]
        queue.add("d", LOW)
        queue.done("edit")
        assert await take(queue) is None
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.done("a")  # makes room
        assert await waiting == "d"

    async def test_bulk_that_comes_again_while_it_runs_waits_for_its_turn(self, metrics):
        queue = WorkQueue(metrics=metrics, bulk=1)
        queue.add("a", LOW)
        queue.add("b", LOW)
        assert await take(queue) == "a"
        queue.add("a", LOW)
        queue.done("a")
        assert [await take(queue) for _ in range(2)] == ["b", None]
        queue.done("b")
        assert await take(queue) == "a"

    async def test_waiting_bulk_that_is_edited_moves_up(self, queue):
        queue.add("bulk-1", LOW)
        queue.add("bulk-2", LOW)
        queue.add("bulk-2", HIGH)
        assert len(queue) == 2
        assert [await take(queue) for _ in range(2)] == ["bulk-2", "bulk-1"]

    async def test_waiting_edit_does_not_move_down(self, queue):
        queue.add("edit", HIGH)
        queue.add("edit", LOW)
        queue.add("later", HIGH)
        assert [await take(queue) for _ in range(2)] == ["edit", "later"]

    @pytest.mark.parametrize("order", [(HIGH, LOW), (LOW, HIGH)])
    async def test_change_while_running_keeps_its_highest_priority(self, queue, order):
        queue.add("a", LOW)
        assert await take(queue) == "a"
        for priority in order:
            queue.add("a", priority)
        queue.add("bulk", LOW)
        queue.done("a")
        assert await take(queue) == "a"

    async def test_delayed_key_keeps_its_priority(self, queue):
        queue.add_after("late-bulk", 1.0, LOW)
        queue.add_after("late-edit", 1.0, HIGH)
        await asyncio.sleep(2)
        assert [await take(queue) for _ in range(2)] == ["late-edit", "late-bulk"]

    async def test_failing_keys_stay_behind_working_ones(self, queue):
        queue.retry("failing")
        await asyncio.sleep(2)
        queue.add("working")
        assert [await take(queue) for _ in range(2)] == ["working", "failing"]


class TestLong:
    """Keys that take long have few workers, so that others find a free one."""

    @pytest.fixture
    async def queue(self, metrics):
        """Eight workers, two of them for what takes long; the namespace is the first letter of a key."""
        return WorkQueue(metrics=metrics, workers=8, party=lambda key: key[0])

    async def test_they_have_a_quarter_of_the_workers(self, queue):
        for key in ("a1", "b1", "c1"):
            queue.set_long(key, takes_long=True)
            queue.add(key)
        assert [await take(queue) for _ in range(3)] == ["a1", "b1", None]
        queue.add("d1")
        queue.add("e1", LOW)
        assert [await take(queue) for _ in range(2)] == ["d1", "e1"]
        assert [queue.is_long(key) for key in ("a1", "d1")] == [True, False]
        queue.done("a1")
        assert await take(queue) == "c1"

    async def test_they_go_before_bulk_and_after_edits(self, queue):
        queue.set_long("a1", takes_long=True)
        queue.add("b1", LOW)
        queue.add("a1", LOW)
        queue.add("c1", HIGH)
        assert [await take(queue) for _ in range(3)] == ["c1", "a1", "b1"]

    async def test_a_key_that_turns_out_to_take_long_comes_again_in_their_line(self, queue):
        queue.add("a1")
        assert await take(queue) == "a1"
        queue.set_long("a1", takes_long=True)
        queue.add("a1")
        queue.done("a1")
        assert await take(queue) == "a1"
        assert queue.is_long("a1")

    async def test_one_that_no_longer_does_has_all_workers_again(self, queue):
        for key in ("a1", "b1"):
            queue.set_long(key, takes_long=True)
            queue.add(key)
            await take(queue)
        queue.set_long("a1", takes_long=False)
        queue.add("a1")
        queue.done("a1")
        assert await take(queue) == "a1"
        assert not queue.is_long("a1")

    async def test_an_object_that_is_gone_leaves_no_mark(self, queue):
        queue.set_long("a1", takes_long=True)
        queue.discard("a1")
        queue.add("a1")
        assert await take(queue) == "a1"
        assert not queue.is_long("a1")


class TestDelays:
    """One timer per key."""

    async def test_earliest_delay_wins(self, queue, caplog):
        queue.add_after("a", 5.0)
        queue.add_after("a", 2.0)
        queue.add_after("a", 9.0)
        assert await passes(queue, 20) == [("a", 2)]
        assert caplog.messages == []  # no timer was left to fire

    async def test_immediate_put_does_not_cancel_the_timer(self, queue):
        queue.add_after("a", 5.0)
        queue.add("a")
        assert await passes(queue, 20) == [("a", 0), ("a", 5)]

    async def test_timer_on_a_waiting_key_changes_nothing(self, queue):
        queue.add_after("a", 5.0)
        await asyncio.sleep(4)
        queue.add("a")
        await asyncio.sleep(4)
        assert await passes(queue, 20) == [("a", 8)]

    async def test_timer_on_a_running_key_runs_it_once_more(self, queue):
        queue.add("a")
        assert await take(queue) == "a"
        queue.add_after("a", 1.0)
        await asyncio.sleep(2)
        assert len(queue) == 0
        queue.done("a")
        assert await passes(queue, 20) == [("a", 2.0)]

    async def test_no_delay_is_at_once(self, queue):
        queue.add_after("a", -1.0)
        assert await take(queue) == "a"

    async def test_keys_of_one_tick_come_together_and_none_too_late(self, queue):
        await asyncio.sleep(0.3)  # ticks are moments of the clock, not of the first key
        queue.add_after("a", 4.1, tick=2.0)
        queue.add_after("b", 5.1, tick=2.0)
        queue.add_after("c", 6.1, tick=2.0)
        assert await passes(queue, 8.0) == [("a", 4.0), ("b", 4.0), ("c", 6.0)]

    async def test_key_that_leaves_a_tick_takes_no_other_along(self, queue):
        for key in "abc":
            queue.add_after(key, 4.0, tick=2.0)
        queue.forget("a")
        queue.add_after("b", 1.0)
        assert await passes(queue, 6.0) == [("b", 1.0), ("c", 4.0)]

    async def test_ten_thousand_delayed_keys_need_no_tasks(self, queue, value):
        tasks = len(asyncio.all_tasks())
        for number in range(10_000):
            queue.add_after(number, 1.0 + number % 10)
        assert len(asyncio.all_tasks()) == tasks
        assert value("secretsyncer_queue_delayed") == 10_000
        await asyncio.sleep(12)
        assert len(queue) == 10_000
        assert value("secretsyncer_queue_delayed") == 0

    async def test_timers_set_again_and_again_do_not_pile_up(self, queue):
        for _ in range(10_000):
            queue.add_after("a", 100.0)
            queue.forget("a")
        await asyncio.sleep(0.001)
        assert len(asyncio.get_running_loop()._scheduled) < 10


class TestRetries:
    """Backoff, per key."""

    async def test_delays_double_up_to_five_minutes(self, queue):
        assert [queue.retry("a") for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]

    async def test_keys_fail_on_their_own(self, queue):
        queue.retry("a")
        queue.retry("a")
        assert queue.retry("b") == 1
        assert (queue.failures("a"), queue.failures("b"), queue.failures("c")) == (2, 1, 0)

    async def test_retry_runs_after_its_delay(self, queue):
        queue.retry("a")
        queue.forget("a")
        queue.retry("b")
        assert await passes(queue, 20) == [("b", 1)]

    async def test_what_the_server_asked_for_is_a_floor(self, queue):
        assert queue.retry("a", at_least=7.0) == 7
        assert queue.retry("a", at_least=0.5) == 2
        assert await passes(queue, 20) == [("a", 2)]

    async def test_success_forgets_failures(self, queue):
        queue.retry("a")
        queue.retry("a")
        queue.forget("a")
        assert queue.failures("a") == 0
        assert await passes(queue, 20) == []
        assert queue.retry("a") == 1

    async def test_backoff_survives_ten_thousand_failures(self, queue):
        for _ in range(10_000):
            seconds = queue.retry("a")
        assert seconds == 300
        assert queue.failures("a") == 10_000

    async def test_delays_have_jitter(self, metrics):
        queue = WorkQueue(metrics=metrics)
        delays = {queue.retry(number) for number in range(50)}
        assert len(delays) > 40
        assert all(1 <= delay <= 1.5 for delay in delays)

    async def test_recreated_object_starts_afresh(self, queue):
        for _ in range(5):
            queue.retry("a")
        queue.discard("a")
        queue.add("a")
        assert await take(queue) == "a"
        assert queue.retry("a") == 1

    async def test_gone_object_leaves_nothing(self, queue, value):
        queue.add("a", LOW)
        queue.retry("a")
        queue.discard("a")
        assert await passes(queue, 20) == []
        assert (len(queue), queue.running(), queue.failures("a")) == (0, 0, 0)
        assert value("secretsyncer_queue_delayed") == 0

    async def test_object_recreated_during_the_last_pass_of_its_predecessor_is_not_lost(self, queue):
        queue.add("a")
        assert await take(queue) == "a"
        queue.add("a")
        queue.discard("a")
        queue.done("a")
        assert await take(queue) == "a"


class TestGetters:
    """Who waits is woken."""

    @pytest.mark.looptime(False)  # it is about the time that passes take
    async def test_passes_that_wait_for_nothing_let_others_have_the_loop(self, queue):
        for key in range(40):
            queue.add(key)
        async with counting_turns() as turns:
            while len(queue):
                key = await queue.get()
                time.sleep(0.002)  # noqa: ASYNC251 - so it is with work in memory
                queue.done(key)
        assert turns.count >= 5

    async def test_waiting_getter_gets_what_is_added(self, queue):
        getter = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.add("a")
        assert await getter == "a"

    async def test_cancelled_getter_passes_the_item_on(self, queue):
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await asyncio.wait_for(second, 1) == "a"
        assert first.cancelled()

    async def test_getter_cancelled_while_it_waits_takes_nothing(self, queue):
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        queue.add("a")
        assert await asyncio.wait_for(second, 1) == "a"

    async def test_done_is_called_when_cancelled(self, queue):
        """A worker's `finally` frees the key, and what came meanwhile runs."""

        async def work():
            key = await queue.get()
            try:
                await asyncio.sleep(100)
            finally:
                queue.done(key)

        queue.add("a")
        worker = asyncio.create_task(work())
        await asyncio.sleep(1)
        queue.add("a")
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        assert queue.running() == 0
        assert await take(queue) == "a"

    async def test_done_of_a_key_that_does_not_run_is_a_bug(self, queue):
        with pytest.raises(KeyError):
            queue.done("a")


class TestEnd:
    """Shutdown."""

    async def test_closed_queue_takes_nothing_and_gives_nothing(self, queue, value, caplog):
        queue.add("waiting")
        queue.add_after("delayed", 1.0)
        queue.close()
        queue.add("late")
        queue.add_after("later", 1.0)
        queue.retry("failed")
        await asyncio.sleep(500)
        assert len(queue) == 0
        assert value("secretsyncer_queue_delayed") == 0
        with pytest.raises(QueueClosed):
            await queue.get()
        assert caplog.messages == []  # no timer was left to fire

    async def test_waiting_workers_are_told(self, queue):
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        ends = await asyncio.gather(*workers, return_exceptions=True)
        assert [type(end) for end in ends] == [QueueClosed] * 3

    async def test_drain_finishes_running_work_and_respects_its_deadline(self, queue):
        for key, seconds in (("quick", 3.0), ("slow", 30.0)):
            queue.add(key)
            await take(queue)
            asyncio.get_running_loop().call_later(seconds, queue.done, key)
        queue.add("waiting")
        started = now()
        assert await queue.drain(10.0) is False
        assert now() - started == pytest.approx(10, abs=0.01)
        assert queue.running() == 1
        assert await queue.drain(100.0) is True
        assert queue.running() == 0
        assert len(queue) == 0

    async def test_drain_of_an_idle_queue_is_immediate(self, queue):
        assert await queue.drain(0.0) is True

    async def test_change_while_draining_runs_no_more(self, queue):
        queue.add("a")
        await take(queue)
        queue.add("a")
        queue.close()
        queue.done("a")
        assert len(queue) == 0


class TestMetrics:
    """What operators see of it."""

    async def test_depth_and_retries(self, queue, value):
        queue.add("a")
        queue.add("b", LOW)
        queue.retry("c")
        assert value("secretsyncer_queue_depth") == 2
        assert value("secretsyncer_queue_delayed") == 1
        assert value("secretsyncer_queue_retries_total") == 1

    async def test_wait_is_told_by_priority(self, queue, value):
        queue.add("a", HIGH)
        queue.add("b", LOW)
        await asyncio.sleep(3)
        await take(queue)
        await asyncio.sleep(4)
        await take(queue)
        assert value("secretsyncer_queue_wait_seconds_sum", priority="high") == pytest.approx(3, abs=0.01)
        assert value("secretsyncer_queue_wait_seconds_sum", priority="low") == pytest.approx(7, abs=0.01)

    async def test_stuck_worker_shows(self, queue, value):
        assert value("secretsyncer_queue_longest_running_seconds") == 0
        queue.add("a")
        await take(queue)
        await asyncio.sleep(9)
        assert value("secretsyncer_queue_longest_running_seconds") == pytest.approx(9, abs=0.01)
        assert queue.running() == 1
