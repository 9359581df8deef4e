"""Secrets that others change back: few corrections, at growing distances, and one edit is corrected at once."""

from __future__ import annotations

import asyncio
import contextlib

import looptime
import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SECRETS
from secretsyncer.sync.damping import FREE, LONGEST_ALTERED, SOON, dispute
from tests.support.builders import damping as damping_of
from tests.support.builders import synced_secret
from tests.support.core import KEY, Core
from tests.support.specs import literal, whole

pytestmark = pytest.mark.looptime

OURS, THEIRS, POLICY = {"a": b"1"}, {"a": b"theirs"}, {"a": b"policy"}
SYNC_INTERVAL = 120.0


@pytest.fixture
async def core():
    """An object that is synced."""
    async with contextlib.AsyncExitStack() as stack:
        with looptime.enabled(strict=True):  # else fixtures wait in real time
            core = Core(sync_interval=SYNC_INTERVAL)
            core.cluster.put(synced_secret(literal("a", "1")))
            await stack.enter_async_context(core.running())
            await asyncio.sleep(1)
        assert core.data() == OURS
        yield core


def edit(core, value="dGhlaXJz", manager="argocd"):
    fields = [
        {"manager": "secretsyncer", "time": "2026-01-01T00:00:00Z"},
        {"manager": manager, "time": "2026-01-01T00:00:00Z"},
    ]
    core.cluster.edit(SECRETS, KEY, {"data": {"a": value}, "metadata": {"managedFields": fields}})


@contextlib.asynccontextmanager
async def opponent(core, act=edit, over=OURS):
    """Somebody who wants other content, at once and always."""

    async def insist():
        while True:
            if core.data() == over:
                act(core)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(insist())
    try:
        yield
    finally:
        task.cancel()


def secret_writes(core):
    return sum(plural == "secrets" for _, plural, _ in core.cluster.writes)


def undone(core):
    return core.registry.get_sample_value("secretsyncer_undone_writes_total")


async def test_a_few_edits_by_hand_are_each_corrected_at_once(core):
    for seconds in (20, 20, 20, 1, 1, 1):
        await asyncio.sleep(seconds)
        edit(core)
        await asyncio.sleep(0.5)
        assert core.data() == OURS
        assert core.ready()["reason"] == "Synced"


async def test_an_opponent_is_answered_less_and_less_often_and_named_and_the_object_is_ready_after_its_end(core):
    async with opponent(core):
        await asyncio.sleep(60)
        first_minute = secret_writes(core)
        assert FREE < first_minute <= FREE + 8
        assert core.ready()["reason"] == "Conflict"
        assert core.ready()["message"].startswith("field manager argocd keeps changing Secret team/demo back")
        assert undone(core) == first_minute
        events = len(core.events)
        statuses = len(core.cluster.writes) - first_minute
        await asyncio.sleep(1200)
        assert secret_writes(core) - first_minute <= 1200 / SYNC_INTERVAL + 4
        assert core.data() == THEIRS
        assert (len(core.events), len(core.cluster.writes) - secret_writes(core)) == (events, statuses)  # said once
    await asyncio.sleep(1.2 * SYNC_INTERVAL + 1)
    assert core.data() == OURS
    assert core.ready()["reason"] == "Conflict"  # it has to last
    await asyncio.sleep(SOON + 3.6 * SYNC_INTERVAL + 1)
    assert core.ready()["reason"] == "Synced"
    edit(core)
    await asyncio.sleep(0.5)
    assert core.data() == OURS  # and the past is forgotten


def test_a_timer_that_fires_a_moment_early_is_not_set_again():
    now = 0.0
    damping, secret = damping_of(lambda: now), Key("team", "demo")
    for _ in range(FREE):
        damping.wrote(secret, b"ours")
        assert damping.wait(secret, b"ours") == 0
    damping.wrote(secret, b"ours")
    now += (delay := damping.wait(secret, b"ours")) - 1e-6
    assert delay > 0
    assert damping.wait(secret, b"ours") == 0  # else the worker comes back without any time having passed
    damping.wrote(secret, b"ours")
    now += (trial := damping.on_trial(secret)) - 1e-6
    assert trial > 0
    assert damping.on_trial(secret) == 0


async def test_events_of_an_opponent_cost_nothing_while_the_correction_waits(core):
    async with opponent(core):
        await asyncio.sleep(60)
    before = core.count("rejected")
    for number in range(50):
        edit(core, value=f"dGhlaXJz{number:04}")
    await asyncio.sleep(0.5)
    assert core.count("rejected") == before


async def test_new_content_from_aws_is_written_at_once(core):
    core.world.create("app", "1")
    core.cluster.put(synced_secret(whole("a", "app")))
    await core.list_aws()
    await asyncio.sleep(1)
    async with opponent(core):
        await asyncio.sleep(60)
    writes = secret_writes(core)
    core.world.put("app", "2")
    await core.list_aws()
    await asyncio.sleep(0.5)
    assert core.data() == {"a": b"2"}
    assert secret_writes(core) == writes + 1


@pytest.mark.parametrize("peace", ["the write lasts", "others put it right"])
async def test_new_content_after_the_end_of_a_dispute_is_no_conflict(core, peace):
    core.world.create("app", "1")
    core.cluster.put(synced_secret(whole("a", "app")))
    await core.list_aws()
    async with opponent(core):
        await asyncio.sleep(600)
    if peace == "others put it right":
        edit(core, value="MQ==")
    await asyncio.sleep(6 * SYNC_INTERVAL)
    assert core.ready()["reason"] == "Synced"
    core.world.put("app", "2")
    await core.list_aws()
    await asyncio.sleep(0.5)
    assert core.data() == {"a": b"2"}
    assert core.ready()["reason"] == "Synced"


async def test_a_secret_that_is_deleted_again_and_again_is_a_dispute_too(core):
    async with opponent(core, lambda core: core.cluster.remove(SECRETS, KEY)):
        await asyncio.sleep(60)
        assert secret_writes(core) <= FREE + 8
        assert core.ready()["reason"] == "Conflict"
        assert core.ready()["message"].startswith("another client keeps deleting Secret team/demo")


async def test_two_operators_for_one_secret_both_slow_down_and_say_so(core):
    """Shards, or two installations: each has an object of its own, and the other's object is not among those it sees."""
    other = Core(sync_interval=SYNC_INTERVAL)
    other.cluster.put(synced_secret(literal("a", "2")))
    async with other.running(), mirrored(core, other):
        await asyncio.sleep(600)
        writes = secret_writes(core) + secret_writes(other)
        assert writes < 60
        for one in (core, other):
            assert one.ready()["reason"] == "Conflict"


@contextlib.asynccontextmanager
async def mirrored(*cores):
    """The Secret is the same in both clusters: what one writes, the other sees."""

    async def mirror():
        await asyncio.sleep(1)  # both have made it
        last = None
        while True:
            for one, two in (cores, cores[::-1]):
                data = (one.cluster.secret(KEY) or {}).get("data")
                if data is not None and data != last:
                    last = data
                    two.cluster.edit(SECRETS, KEY, {"data": data})
            await asyncio.sleep(0.2)

    task = asyncio.create_task(mirror())
    try:
        yield
    finally:
        task.cancel()


# Admission takes the label away


async def test_a_secret_that_loses_the_label_on_its_way_is_said_once_and_tried_less_and_less_often():
    core = Core(sync_interval=SYNC_INTERVAL)
    requests = []
    create, patch, get = core.cluster.create, core.cluster.merge_patch, core.cluster.get

    async def changed(call, resource, *arguments, **options):
        if resource is SECRETS:
            requests.append(call)
            body = arguments[-1]
            if isinstance(body, dict):
                body["metadata"].setdefault("labels", {})["secrets.contentful.com/managed"] = "policy"
        return await call(resource, *arguments, **options)

    for name, call in (("create", create), ("merge_patch", patch), ("get", get)):
        setattr(core.cluster, name, lambda *args, call=call, **options: changed(call, *args, **options))
    core.cluster.put(synced_secret(literal("a", "1")))
    async with core.running():
        await asyncio.sleep(600)
        assert core.ready()["reason"] == "Conflict"
        assert "without the label" in core.ready()["message"]
        assert len(requests) <= 20
        before, events = len(requests), len(core.events)
        await asyncio.sleep(24 * 3600)
        assert len(requests) - before <= 3 * 26
        assert len(core.events) == events == 1
        for name, call in (("create", create), ("merge_patch", patch), ("get", get)):
            setattr(core.cluster, name, call)
        await asyncio.sleep(1.2 * LONGEST_ALTERED + SYNC_INTERVAL)
        assert core.ready()["reason"] == "Synced"
        assert core.data() == OURS


@pytest.fixture
async def altered():
    """A core in whose cluster admission changes the Secret, and which writes created it."""
    core = Core(sync_interval=SYNC_INTERVAL)
    core.created = []

    def admitted(call):
        async def change(resource, *arguments, **options):
            if resource is SECRETS:
                core.created.append(call == create)
                arguments[-1].setdefault("data", {})["a"] = "cG9saWN5"
            return await call(resource, *arguments, **options)

        return change

    create = core.cluster.create
    core.cluster.create, core.cluster.merge_patch = admitted(create), admitted(core.cluster.merge_patch)
    core.cluster.put(synced_secret(literal("a", "1")))
    async with core.running():
        yield core


async def test_a_secret_whose_data_admission_changes_is_tried_less_and_less_often(altered):
    await asyncio.sleep(24 * 3600)
    assert altered.ready()["reason"] == "Conflict"
    assert len(altered.created) <= 40
    assert len(altered.events) == 1


async def test_a_secret_that_admission_changes_is_made_again_soon_after_it_was_deleted(altered):
    await asyncio.sleep(8 * 3600)
    assert sum(altered.created) == 1
    for number in range(2, 12):
        altered.cluster.remove(SECRETS, KEY)
        await asyncio.sleep(1.3 * SYNC_INTERVAL)
        assert altered.data() == POLICY
        assert sum(altered.created) == number
    altered.created.clear()
    async with opponent(altered, lambda core: core.cluster.remove(SECRETS, KEY), over=POLICY):
        await asyncio.sleep(3600)
    assert sum(altered.created) <= 1.3 * 3600 / SYNC_INTERVAL


# Rules


def test_a_write_that_lasts_starts_the_count_anew():
    now = 0.0
    record = damping_of(lambda: now)
    for _ in range(FREE):
        record.wrote(KEY, b"w")
        assert record.wait(KEY, b"w") == 0
    record.wrote(KEY, b"w")
    now += SOON + 1
    assert record.wait(KEY, b"w") == 0
    for _ in range(FREE):
        record.wrote(KEY, b"w")
        assert record.wait(KEY, b"w") == 0
    record.wrote(KEY, b"w")
    assert record.wait(KEY, b"w") > 0


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ([("secretsyncer", 5), ("argocd", 6), ("kubectl-edit", 1)], "field manager argocd keeps"),
        ([("secretsyncer", 5), ("argocd", 5)], "field manager argocd keeps"),
        (
            [("secretsyncer", 5), ("kubectl-edit", 1)],
            "another operator with the same field manager, secretsyncer, keeps",
        ),
        ([], "field manager unknown keeps"),
    ],
)
def test_the_last_writer_is_named(fields, who):
    managed = [{"manager": name, "time": f"2026-01-01T00:00:0{second}Z"} for name, second in fields]
    assert dispute(Key("a", "b"), {"metadata": {"managedFields": managed}}).startswith(who)
