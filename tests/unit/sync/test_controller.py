"""What follows from the outcome of a reconcile, and bugs in it."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.sync.controller import STUCK, Controller
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.reconcile import Outcome
from secretsyncer.sync.stores import Stores
from tests.support.builders import ANNOTATION, namespace, synced_secret
from tests.support.core import KEY, Core
from tests.support.specs import all_keys, literal, whole

pytestmark = pytest.mark.looptime

DEADLINE = 120
INTERVAL = 1000


class Scripted:
    """A reconciler whose reconciles are what a test says; the last of them for ever."""

    def __init__(self, *reconciles, in_step=lambda key: None):
        self.reconciles = list(reconciles)
        self.in_step = in_step

    async def reconcile(self, key, long_work):
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
        controller.stores = stores
        workers.append(asyncio.create_task(controller.work()))
        return controller

    yield start
    for worker in workers:
        while not worker.done():
            worker.cancel()
            await asyncio.wait([worker], timeout=0.01)


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
async def test_an_own_write_leads_to_no_second_look(lag):
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
    assert (core.count("changed"), core.count("unchanged")) == (1, 0)
    assert core.registry.get_sample_value("secretsyncer_reconcile_duration_seconds_count") == 1


@pytest.mark.parametrize(
    ("lag", "when"),
    [(0.0, 0.1), (0.0, 0.3), (1.0, 1.5)],
    ids=["before the answer", "before the status", "before the event"],
)
async def test_a_change_by_others_right_after_an_own_write_is_corrected(lag, when):
    core = Core()
    core.cluster.lag, core.cluster.latency = lag, 0.2
    async with core.running():
        core.cluster.put(synced_secret(literal("a", "1")))
        await asyncio.sleep(when)
        core.cluster.edit(SECRETS, KEY, {"data": {"a": "Mg=="}})
        await asyncio.sleep(5)
    assert core.data() == {"a": b"1"}
    assert [verb for verb, plural, _ in core.cluster.writes if plural == "secrets"] == ["create", "patch"]


async def test_the_resyncs_after_a_start_are_spread_over_the_interval():
    core = Core(sync_interval=INTERVAL)
    for number in range(100):
        core.cluster.put(synced_secret(literal("a", "1"), name=f"app-{number}"))
    async with core.running():
        await asyncio.sleep(INTERVAL / 100)
        assert (core.count("changed"), core.count("unchanged")) == (100, 0)
        await asyncio.sleep(INTERVAL / 2)
        assert 20 < core.count("unchanged") < 80
        await asyncio.sleep(INTERVAL / 2)
        assert core.count("unchanged") >= 100


# What each outcome leads to


def failing(reason, kind, **options):
    async def reconcile(key):
        raise kind(reason, "why it fails", **options)

    return reconcile


@pytest.fixture
def ready(metrics):
    """What the metrics show of an object: 1, 0, or None where there is nothing."""

    def shown(reason):
        labels = {"namespace": KEY.namespace, "name": KEY.name, "reason": reason}
        return metrics.registry.get_sample_value("secretsyncer_object_ready", labels)

    return shown


async def test_what_is_rejected_waits_for_a_change_or_the_next_resync(work, queue, count, ready, caplog):
    caplog.set_level("INFO", "secretsyncer.sync.controller")
    work(failing(Reason.ROLE_NOT_ALLOWED, Rejected), succeed)
    queue.add(KEY)
    await asyncio.sleep(INTERVAL / 100)
    assert (count("rejected"), count("changed"), ready("RoleNotAllowed")) == (1, 0, 0)
    await asyncio.sleep(INTERVAL)
    assert (count("rejected"), count("changed")) == (1, 1)
    assert (ready("RoleNotAllowed"), ready("Synced")) == (None, 1)
    record = next(record for record in caplog.records if record.message == "reconcile rejected")
    assert (record.reason, record.error) == ("RoleNotAllowed", "why it fails")


async def test_what_is_not_available_is_tried_again_soon_and_not_sooner_than_asked(work, queue, count, ready):
    work(failing(Reason.AWS_UNAVAILABLE, Unavailable, retry_after=60.0), succeed)
    queue.add(KEY)
    await asyncio.sleep(59)
    assert (count("unavailable"), count("changed"), ready("AWSUnavailable")) == (1, 0, 0)
    await asyncio.sleep(20)
    assert (count("unavailable"), count("changed"), ready("Synced")) == (1, 1, 1)


async def test_each_failure_makes_the_next_try_wait_longer_until_one_works(work, queue, count):
    fails = failing(Reason.AWS_UNAVAILABLE, Unavailable)
    work(*[fails] * 6, succeed, fails, succeed)
    queue.add(KEY)
    await asyncio.sleep(5)
    assert 2 <= count("unavailable") < 6
    await asyncio.sleep(100)
    assert (count("unavailable"), count("changed")) == (6, 1)
    queue.add(KEY)
    await asyncio.sleep(5)  # forgotten: the first try after a success comes soon again
    assert (count("unavailable"), count("changed")) == (7, 2)


@pytest.mark.parametrize(
    ("reason", "at_once"), [(Reason.KUBERNETES_ERROR, True), (Reason.AWS_UNAVAILABLE, False)], ids=["API", "AWS"]
)
async def test_what_an_outage_of_the_api_server_stopped_is_tried_again_at_its_end(
    work, queue, count, reason, at_once
):
    controller = work(*[failing(reason, Unavailable)] * 9, succeed)
    controller.leading = True
    queue.add(KEY)
    await asyncio.sleep(400)  # the next try comes after 511 s at the earliest
    assert (count("unavailable"), count("changed")) == (9, 0)
    controller.stores.objects.recovered()
    await asyncio.sleep(1)
    assert count("changed") == at_once
    controller.stores.namespaces.recovered()
    await asyncio.sleep(1)
    assert count("changed") == at_once  # once


async def test_an_object_that_is_gone_leaves_no_series_and_no_resync(work, queue, count, ready):
    async def gone(key):
        return Outcome("gone")

    work(succeed, gone)
    queue.add(KEY)
    await asyncio.sleep(1)
    assert ready("Synced") == 1
    queue.add(KEY)
    await asyncio.sleep(1)
    assert (count("gone"), ready("Synced")) == (1, None)
    await asyncio.sleep(3 * INTERVAL)
    assert count("gone") == 1


async def test_a_suspended_object_is_neither_ready_nor_failing(work, queue, ready, metrics):
    async def suspended(key):
        return Outcome("unchanged", Reason.SUSPENDED)

    work(suspended)
    queue.add(KEY)
    await asyncio.sleep(1)
    assert ready("Suspended") == 0
    assert metrics.registry.get_sample_value("secret_sync_failures") == 0


async def test_an_object_with_a_refresh_interval_is_reconciled_by_it_if_it_is_the_shorter_one(work, queue, count):
    async def refreshed(key):
        return Outcome("unchanged", refresh_after=50 if key == KEY else 50 * INTERVAL)

    work(refreshed)
    queue.add(KEY)
    await asyncio.sleep(INTERVAL)
    assert 19 <= count("unchanged") <= 22
    queue.discard(KEY)
    before = count("unchanged")
    queue.add(Key("team", "other"))
    await asyncio.sleep(2 * INTERVAL)
    assert 2 <= count("unchanged") - before <= 4


async def test_a_worker_waits_to_be_stopped_once_the_queue_is_closed(queue, work, count):
    work(succeed)
    queue.close()
    await asyncio.sleep(10)
    running = [task for task in asyncio.all_tasks() if task.get_coro().__name__ == "work"]
    assert len(running) == 1
    assert count("changed") == 0


# What leads to a reconcile


def reconciled(core):
    """Reconciles and comparisons so far."""
    return core.count("changed") + core.count("unchanged") + core.count("gone")


async def test_everything_is_queued_once_it_leads_and_nothing_before():
    core = Core()
    for name in ("a", "b"):
        core.cluster.put(synced_secret(literal("a", "1"), name=name, uid=name))
    await core.list_aws()
    await asyncio.sleep(1)
    assert len(core.queue) == 0
    async with core.running():
        await asyncio.sleep(1)
    assert core.count("changed") == 2


async def test_a_change_of_a_status_by_others_leads_to_nothing():
    core = Core(sync_interval=100 * INTERVAL)
    core.cluster.put(synced_secret(literal("a", "1")))
    async with core.running():
        await asyncio.sleep(1)
        before = reconciled(core)
        core.cluster.edit(SYNCED_SECRETS, KEY, {"status": {"lastSyncTime": "2026-01-01T00:00:00Z"}})
        await asyncio.sleep(1)
        assert reconciled(core) == before
        core.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"labels": {"a": "b"}}})
        await asyncio.sleep(1)
        assert reconciled(core) == before + 1


async def test_a_change_of_a_namespace_that_matters_leads_to_its_objects_and_no_others():
    core = Core(sync_interval=100 * INTERVAL)
    core.cluster.put(namespace("other"))
    for name in ("team", "other"):
        core.cluster.put(synced_secret(literal("a", "1"), namespace=name, uid=name))
    async with core.running():
        await asyncio.sleep(1)
        before = reconciled(core)
        team = Key("", "team")
        core.cluster.edit(NAMESPACES, team, {"metadata": {"annotations": {"somebody.else/x": "y"}}})
        await asyncio.sleep(1)
        assert reconciled(core) == before
        core.cluster.edit(NAMESPACES, team, {"metadata": {"annotations": {ANNOTATION: "[]"}}})
        await asyncio.sleep(1)
        assert core.count("rejected") == 1
        assert core.ready()["reason"] == "RoleNotAllowed"
        core.cluster.remove(NAMESPACES, Key("", "other"))
        await asyncio.sleep(1)
        assert reconciled(core) == before


async def test_a_change_in_aws_leads_to_what_depends_on_it_and_is_logged(caplog):
    caplog.set_level("INFO", "secretsyncer.sync.controller")
    core = Core(sync_interval=100 * INTERVAL)
    for name in ("a", "b"):
        core.world.create(name, "x")
        core.cluster.put(synced_secret(whole("v", name), name=name, uid=name))
    await core.list_aws()
    async with core.running():
        await asyncio.sleep(1)
        before = reconciled(core)
        core.world.put("a", "y")
        await core.list_aws()
        await asyncio.sleep(1)
        assert reconciled(core) == before + 1
        assert core.data(Key("team", "a")) == {"v": b"y"}
    record = next(record for record in caplog.records if record.message == "secrets changed in AWS")
    assert (record.secrets, record.objects) == (1, 1)


async def test_what_many_objects_need_after_a_change_is_fetched_in_full_batches():
    core = Core(sync_interval=100 * INTERVAL)
    for number in range(40):
        core.world.create(f"app-{number}", "x")
        core.cluster.put(synced_secret(whole("v", f"app-{number}"), name=f"demo-{number}", uid=f"{number}"))
    await core.list_aws()
    async with core.running():
        await asyncio.sleep(5)
        core.calls.clear()
        for number in range(40):
            core.world.put(f"app-{number}", "y")
        await core.list_aws()
        await asyncio.sleep(5)
    assert core.calls == {"BatchGetSecretValue": 2}
    assert core.data(Key("team", "demo-39")) == {"v": b"y"}


async def test_what_no_listing_shows_leads_to_a_reconcile_once_a_recheck_finds_it_changed():
    core = Core(sync_interval=100 * INTERVAL)
    theirs = core.world.create("app", "x", account="999999999999", shared_with=["123456789012"])
    core.cluster.put(synced_secret(whole("v", theirs.arn)))
    await core.list_aws()
    async with core.running():
        await asyncio.sleep(1)
        core.world.put("app", "y", account="999999999999")
        await core.list_aws()
        await asyncio.sleep(1)
    assert core.data() == {"v": b"y"}


async def test_secrets_that_an_event_names_lead_to_what_depends_on_them():
    core = Core(sync_interval=100 * INTERVAL)
    for name in ("a", "b"):
        core.world.create(name, "x")
        core.cluster.put(synced_secret(whole("v", name), name=name, uid=name))
    async with core.running():
        await asyncio.sleep(1)
        core.world.put("a", "y")
        core.world.put("b", "y")
        core.aws.cache.invalidate(["a", "b"])
        core.controller.on_secrets(["a", "unknown"], "SecretsManager")
        await asyncio.sleep(1)
    assert (core.data(Key("team", "a")), core.data(Key("team", "b"))) == ({"v": b"y"}, {"v": b"x"})


async def test_an_object_that_gives_up_its_target_leaves_it_to_the_next():
    core = Core(sync_interval=100 * INTERVAL)
    for number, name in enumerate(("older", "younger")):
        obj = synced_secret(literal("by", name), name=name, uid=name, target={"name": "shared"})
        obj["metadata"]["creationTimestamp"] = f"2026-01-0{number + 1}T00:00:00Z"
        core.cluster.put(obj)
    async with core.running():
        await asyncio.sleep(1)
        assert core.data(Key("team", "shared")) == {"by": b"older"}
        core.cluster.put(synced_secret(literal("by", "older"), name="older", uid="older"))
        await asyncio.sleep(1)
    assert core.data(Key("team", "shared")) == {"by": b"younger"}
    assert core.data(Key("team", "older")) == {"by": b"older"}


async def test_an_object_is_synced_when_its_namespace_is_created_later():
    core = Core(sync_interval=100 * INTERVAL)
    core.cluster.put(synced_secret(literal("a", "1"), namespace="late"))
    async with core.running():
        await asyncio.sleep(1)
        assert core.count("unavailable") >= 1
        core.cluster.put(namespace("late"))
        await asyncio.sleep(0.2)
    assert core.data(Key("late", "demo")) == {"a": b"1"}
