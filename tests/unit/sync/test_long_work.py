"""Objects that take long: they begin again with one of the few workers for them, and their result is the same."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import pytest

from secretsyncer.errors import TakesLong
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync.budget import LongWork
from secretsyncer.sync.observed import REFRESH_ANNOTATION
from tests.support.builders import namespace, synced_secret
from tests.support.core import KEY, Core, InlineEngine
from tests.support.eventually import eventually
from tests.support.specs import literal, template, whole

LARGE = {"data": [whole(f"k{number}", "large") for number in range(5)]}
"""Enough to be rendered in a thread."""
SLOW_SEARCH = {"dataFrom": {"find": {"name": {"regexp": "(?:.?){900}@"}}}}
PATHS = [
    {"name": f"k{number}", "valueFrom": {"secretKeyRef": {"name": "app", "jmesPath": f"{'[]' * 240}.b{number}"}}}
    for number in range(50)
]
TEMPLATE = {"data": [template("a", "1")]}


@pytest.fixture
async def core():
    core = Core()
    for number in range(1000):
        core.world.create(f"{'n' * 200}-{number}", "v")
    core.world.create("large", "x" * 60_000)
    await core.list_aws()
    return core


async def put(core, *items, **spec):
    core.cluster.put(synced_secret(*items, **spec))
    await asyncio.sleep(2 * core.cluster.lag)


def runs(core, line):
    """Reconciles that came out of this line of the queue."""
    return core.registry.get_sample_value("secretsyncer_queue_wait_seconds_count", {"priority": line}) or 0


@pytest.mark.parametrize("spec", [LARGE, SLOW_SEARCH, {"data": PATHS}, TEMPLATE])
async def test_what_takes_long_is_neither_written_nor_reported_where_it_may_not(core, spec):
    await put(core, **spec)
    long_work = LongWork(allowed=False)
    long_work.found = spec is TEMPLATE  # as after a template that took long
    with pytest.raises(TakesLong):
        await core.reconciler.reconcile(KEY, long_work)
    assert long_work.found
    assert core.cluster.secret(KEY) is None
    assert "status" not in core.cluster.synced_secret(KEY)


async def test_it_is_done_by_the_workers_for_it_until_it_no_longer_takes_long(core):
    await put(core, **LARGE)

    async def synced(keys):
        assert len(core.data()) == keys
        assert core.ready()["reason"] == "Synced"

    async with core.running():
        await eventually(lambda: synced(5))
        long = runs(core, "long")
        assert long
        core.cluster.put(synced_secret(literal("a", "1"), generation=2))
        await eventually(lambda: synced(1))
        assert runs(core, "long") > long  # it was known to take long
        long = runs(core, "long")
        core.cluster.put(synced_secret(literal("a", "1"), literal("b", "2"), generation=3))
        await eventually(lambda: synced(2))
        assert runs(core, "long") == long


def test_templates_take_long_when_they_have_run_for_a_while():
    long_work = LongWork(allowed=False)
    long_work.ran(0.09)
    long_work.check()
    long_work.ran(0.02)
    with pytest.raises(TakesLong):
        long_work.check()


class StuckEngine(InlineEngine):
    """Its templates run until they are let go, but for those that are quick."""

    def __init__(self, engine):
        super().__init__(engine)
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def render(self, *request):
        if not request[0].startswith("quick"):
            self.asked.set()
            await self.go.wait()
        return await super().render(*request)


async def test_a_crowd_that_waits_for_templates_leaves_workers_to_others(engine):
    core = Core(StuckEngine(engine), workers=16)
    await core.list_aws()
    for number in range(20):
        core.cluster.put(synced_secret(template("a", f"{number}"), name=f"o-{number}"))
    await asyncio.sleep(2 * core.cluster.lag)

    async def synced(name):
        assert core.data(Key("team", name))

    async with core.running(16):
        await core.engine.asked.wait()
        core.cluster.put(synced_secret(literal("a", "1"), name="other"))
        await eventually(lambda: synced("other"))
        core.engine.go.set()
        for number in range(20):
            await eventually(lambda number=number: synced(f"o-{number}"))


async def test_a_refresh_also_counts_for_what_is_read_after_it_began_again(engine):
    core = Core(InlineEngine(engine))
    core.world.create("app", "x")
    await core.list_aws()
    await put(core, whole("a", "app"), name="other")
    await core.reconciler.reconcile(Key("team", "other"))  # so that the value is kept
    await put(core, literal("a", "1"))
    await core.reconciler.reconcile(KEY)
    core.world.freeze_lists()
    core.world.put("app", "y")
    core.cluster.put(synced_secret(template("a", '{{ getSecretValue (printf "%s" "app") }}'), generation=2))
    core.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"annotations": {REFRESH_ANNOTATION: "1"}}})
    await asyncio.sleep(2 * core.cluster.lag)
    long_work = LongWork(allowed=False)
    long_work.found = True
    with pytest.raises(TakesLong):
        await core.reconciler.reconcile(KEY, long_work)
    await core.reconciler.reconcile(KEY)
    assert core.data() == {"a": b"y"}


async def test_a_template_that_was_quick_does_not_wait_for_ever_new_ones(engine):
    core = Core(StuckEngine(engine), workers=16)
    core.world.create("app", "1")
    await core.list_aws()
    core.cluster.put(synced_secret(template("a", 'quick {{ getSecretValue "app" }}')))

    async def holds(text):
        assert core.data() == {"a": text}

    async with core.running(16):
        await eventually(lambda: holds(b"quick 1"))
        for number in range(10):
            core.cluster.put(namespace(f"other-{number}"))
            core.cluster.put(synced_secret(template("a", f"{number}"), namespace=f"other-{number}"))
        await core.engine.asked.wait()
        core.world.put("app", "2")
        await core.list_aws()
        await eventually(lambda: holds(b"quick 2"))
        core.engine.go.set()


async def test_calls_that_aws_does_not_answer_keep_no_workers_and_their_answer_counts(monkeypatch):
    core = Core(workers=16)
    answered, get, batch_get = asyncio.Event(), core.aws.api.get, core.aws.api.batch_get
    unanswered = set()

    async def mute(call, *args):
        if names := re.findall(r"mute-\d+", str(args)):
            unanswered.update(names)
            await answered.wait()
        return await call(*args)

    monkeypatch.setattr(core.aws.api, "get", partial(mute, get))
    monkeypatch.setattr(core.aws.api, "batch_get", partial(mute, batch_get))
    for number in range(40):
        core.world.create(f"mute-{number}", "1")
        core.cluster.put(synced_secret(whole("a", f"mute-{number}"), IAMRole="slow", name=f"o-{number}"))
    core.world.role("slow", read=["*"])
    core.world.create("app", "1")
    await core.list_aws()

    async def synced(name):
        assert core.data(Key("team", name)) == {"a": b"1"}

    async def all_wait():
        assert len(unanswered) >= 16  # as many as there are workers

    async with core.running(16):
        await eventually(all_wait)
        core.cluster.put(synced_secret(whole("a", "app"), name="other"))
        await eventually(lambda: synced("other"))
        assert "status" not in core.cluster.synced_secret(Key("team", "o-0"))
        answered.set()
        for number in range(40):
            await eventually(lambda number=number: synced(f"o-{number}"))
    assert core.calls["BatchGetSecretValue"] <= 4
