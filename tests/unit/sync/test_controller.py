"""What follows from the outcome of a reconcile, and what the controller does when one goes wrong."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.sync.controller import STUCK, Controller
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.reconcile import Outcome
from secretsyncer.sync.stores import Stores
from tests.support.builders import synced_secret
from tests.support.core import KEY, Core
from tests.support.specs import all_keys, literal

pytestmark = pytest.mark.looptime

DEADLINE = 120
INTERVAL = 1000


class Scripted:
    """A reconciler whose reconciles are what a test says; the last of them for ever."""

    def __init__(self, *reconciles, in_step=lambda key: None):
        self.reconciles = list(reconciles)
        self.in_step = in_step

    async def reconcile(self, key):
        return await (self.reconciles.pop(0) if len(self.reconciles) > 1 else self.reconciles[0])(key)


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
    """Has one worker reconcile the keys that are queued; its controller."""
    workers = []

    def start(*reconciles, **options):
        stores = Stores(*(ObjectStore(kind) for kind in (SYNCED_SECRETS, NAMESPACES, SECRETS)))
        controller = Controller(
            Scripted(*reconciles, **options),
            queue,
            DependencyIndex(),
            Owners(),
            stores,
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


async def test_a_bug_in_one_reconcile_leaves_the_worker_at_work_and_its_key_is_tried_again(
    work, queue, count, caplog
):
    work(has_a_bug, succeed)
    queue.add(KEY)
    queue.add(Key("web", "other"))
    await asyncio.sleep(0.1)
    assert (count("bug"), count("changed")) == (1, 1)  # the other has not suffered
    await asyncio.sleep(10)
    assert (count("bug"), count("changed")) == (1, 2)
    assert "KeyError: 'a bug'" in caplog.text  # with its traceback


async def test_a_bug_in_the_comparison_costs_a_reconcile_and_no_worker(work, queue, count, caplog):
    work(succeed, in_step=lambda key: {}[key])
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


async def test_an_object_that_is_in_step_is_counted_and_compared_again_after_the_interval(work, queue, count):
    work(has_a_bug, in_step=lambda key: Outcome("unchanged"))
    queue.add(KEY)
    await asyncio.sleep(1)
    assert count("unchanged") == 1
    await asyncio.sleep(INTERVAL)
    assert count("unchanged") == 2
    assert count("bug") == 0


async def test_a_reconcile_that_hangs_is_ended_at_its_deadline_and_tried_again(work, queue, count):
    work(hangs, succeed)
    queue.add(KEY)
    await asyncio.sleep(DEADLINE - 1)
    assert queue.running() == 1
    await asyncio.sleep(2)
    assert count("timeout") == 1
    await asyncio.sleep(10)
    assert count("changed") == 1


async def test_a_reconcile_that_outlives_its_deadline_fails_the_probe(work, queue):
    controller = work(cannot_be_ended)
    queue.add(KEY)
    await asyncio.sleep(STUCK - 1)
    assert controller.stuck() is None
    await asyncio.sleep(2)
    assert controller.stuck() == "a reconcile runs for 241 s"


# The watch's echo of own writes


@pytest.mark.parametrize("lag", [0.0, 0.5, 5.0], ids=["before the answer", "after the answer", "after the status"])
async def test_an_own_write_leads_to_no_second_write_and_no_call(lag):
    core = Core(sync_interval=100 * INTERVAL)
    core.cluster.lag, core.cluster.latency = lag, 0.1
    core.world.create("app", '{"a": "1"}')
    await core.list_aws()
    async with core.running():
        core.cluster.put(synced_secret(dataFrom=all_keys("app")))
        await asyncio.sleep(30)
    assert core.data() == {"a": b"1"}
    assert core.cluster.writes == [("create", "secrets", KEY), ("patch status", "syncedsecrets", KEY)]
    assert core.calls == {"GetSecretValue": 1}
    assert (core.count("changed"), core.count("unchanged")) == (1, 1)
    assert core.registry.get_sample_value("secretsyncer_reconcile_duration_seconds_count") == 1


async def test_a_change_of_the_secret_by_others_right_after_an_own_write_is_put_right():
    core = Core()
    core.cluster.lag = 1.0
    async with core.running():
        core.cluster.put(synced_secret(literal("a", "1")))
        await asyncio.sleep(1.5)  # written, and not shown yet
        core.cluster.edit(SECRETS, KEY, {"data": {"a": "Mg=="}})
        await asyncio.sleep(5)
    assert core.data() == {"a": b"1"}
    assert [verb for verb, plural, _ in core.cluster.writes if plural == "secrets"] == ["create", "patch"]


async def test_the_echoes_of_a_start_leave_the_resyncs_spread_over_the_interval():
    core = Core(sync_interval=INTERVAL)
    for number in range(100):
        core.cluster.put(synced_secret(literal("a", "1"), name=f"app-{number}"))
    async with core.running():
        await asyncio.sleep(INTERVAL / 100)
        assert (core.count("changed"), core.count("unchanged")) == (100, 100)
        await asyncio.sleep(INTERVAL / 2)
        assert 120 < core.count("unchanged") < 180
        await asyncio.sleep(INTERVAL / 2)
        assert core.count("unchanged") >= 200
