"""What the controller does when a pass goes wrong in ways that no API can be made to cause."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.kube.objects import Key
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.sync.controller import STUCK, Controller
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.owners import Targets
from secretsyncer.sync.reconcile import Outcome

pytestmark = pytest.mark.looptime

KEY = Key("web", "app")


DEADLINE = 120
INTERVAL = 1000


class Nothing:
    """Informers that show nothing."""

    def add_handler(self, handler):
        pass


class Passes(Nothing):
    """A reconciler whose passes are what a test says; the last of them for ever."""

    def __init__(self, *passes, glance=None):
        self.passes = list(passes)
        self.glance = glance or self.glance

    def glance(self, key):
        """Nothing can be told without a pass."""

    async def reconcile(self, key):
        return await (self.passes.pop(0) if len(self.passes) > 1 else self.passes[0])(key)


async def succeed(key):
    return Outcome("changed")


async def has_a_bug(key):
    raise KeyError("a bug")


async def hangs(key):
    await asyncio.Event().wait()


async def cannot_be_ended(key):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling() > 1:  # the test's own end
                raise


@pytest.fixture
async def queue(metrics):
    return WorkQueue(metrics=metrics)


@pytest.fixture
async def work(metrics, queue):
    """Has one worker run these passes for the keys that are queued; its controller."""
    workers = []

    def start(*passes, **options):
        nothing = Nothing()
        controller = Controller(
            Passes(*passes, **options),
            queue,
            DependencyIndex(),
            Targets(),
            objects=nothing,
            namespaces=nothing,
            secrets=nothing,
            prefetcher=nothing,
            catalogue=Catalogue,
            metrics=metrics,
            sync_interval=INTERVAL,
        )
        workers.append(asyncio.create_task(controller.work()))
        return controller

    yield start
    for worker in workers:
        while not worker.done():
            worker.cancel()
            await asyncio.sleep(1)


@pytest.fixture
def count(metrics):
    """How many passes have ended so."""
    return lambda result: metrics.registry.get_sample_value("secretsyncer_reconciles_total", {"result": result})


async def test_a_bug_in_one_pass_leaves_the_worker_at_work_and_its_key_is_tried_again(work, queue, count, caplog):
    work(has_a_bug, succeed)
    queue.add(KEY)
    queue.add(Key("web", "other"))
    await asyncio.sleep(0.1)
    assert (count("bug"), count("changed")) == (1, 1)  # the other has not suffered
    await asyncio.sleep(10)
    assert (count("bug"), count("changed")) == (1, 2)
    assert "KeyError: 'a bug'" in caplog.text  # with its traceback


async def test_a_bug_in_the_glance_costs_a_pass_and_no_worker(work, queue, count, caplog):
    work(succeed, glance=lambda key: {}[key])
    for key in (KEY, Key("web", "other")):
        queue.add(key)
    await asyncio.sleep(0.1)
    assert count("changed") == 2
    assert "KeyError" in caplog.text


async def test_the_first_resync_is_spread_over_the_interval_and_not_at_its_beginning(work, queue, count):
    work(succeed)
    for number in range(300):
        queue.add(Key("web", f"app-{number}"))
    await asyncio.sleep(INTERVAL / 100)
    assert count("changed") == 300
    await asyncio.sleep(INTERVAL / 2)
    assert 350 < count("changed") < 550
    await asyncio.sleep(INTERVAL / 2)
    assert count("changed") >= 600


async def test_what_a_glance_tells_is_counted_and_looked_at_again_after_the_interval(work, queue, count):
    work(has_a_bug, glance=lambda key: Outcome("unchanged"))
    queue.add(KEY)
    await asyncio.sleep(1)
    assert count("unchanged") == 1
    await asyncio.sleep(INTERVAL)
    assert count("unchanged") == 2
    assert count("bug") == 0


async def test_a_pass_that_hangs_is_ended_at_its_deadline_and_tried_again(work, queue, count):
    work(hangs, succeed)
    queue.add(KEY)
    await asyncio.sleep(DEADLINE - 1)
    assert queue.running() == 1
    await asyncio.sleep(2)
    assert count("timeout") == 1
    await asyncio.sleep(10)
    assert count("changed") == 1


async def test_a_pass_that_outlives_its_deadline_is_told_to_the_probe(work, queue):
    controller = work(cannot_be_ended)
    queue.add(KEY)
    await asyncio.sleep(STUCK - 1)
    assert controller.stuck() is None
    await asyncio.sleep(2)
    assert controller.stuck() == "a pass runs for 241 s"
