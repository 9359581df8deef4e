"""Twice the objects are twice the work, not four times: counted in instructions, not in seconds.

Each test does the same with n and with 2n objects, in n/5 namespaces. What the standard library and C code do is not
counted, so the tests also count what they hand out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from secretsyncer.aws.identity import OPERATOR, Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.listing.changes import diff
from secretsyncer.aws.services.parameterstore import parse_parameter_id
from secretsyncer.aws.services.secretsmanager import parse_secret_id
from secretsyncer.errors import Reason, Rejected
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.event_recorder import EventRecorder
from secretsyncer.kube.objects import Key
from secretsyncer.kube.workqueue import Priority, WorkQueue
from secretsyncer.metrics import Metrics
from secretsyncer.operator.status_page.overview import ROWS, overview
from secretsyncer.operator.status_page.view import View
from secretsyncer.sync.content import _lost
from secretsyncer.sync.dependencies import Dependencies, DependencyIndex
from secretsyncer.sync.last_good import LastGood
from secretsyncer.sync.observed import synced_secret_view
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.templates import RenderedTemplate
from tests.support.builders import namespace, synced_secret
from tests.support.cache_rig import Rig
from tests.support.core import Core
from tests.support.operations import operations
from tests.support.specs import literal

pytestmark = pytest.mark.looptime

SIZE = 100
MOST = 2.4
"""Times the work for twice the objects: 2, and a little for the depth of trees and sorting."""
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-{:05d}-abcdef"


async def growth(work: Callable[[int], Awaitable[Callable[[], Awaitable[object]]]]) -> float:
    """How many times the instructions are with twice the objects. `work` prepares, and returns what is counted."""
    counts = []
    for size in (SIZE, 2 * SIZE):
        for cached in (parse_secret_id, parse_parameter_id):  # which other tests may have filled
            cached.cache_clear()
        measured = await work(size)
        with operations() as counted:
            await measured()
        counts.append(counted.count)
    assert counts[0] > SIZE, "nothing was counted"
    return counts[1] / counts[0]


def key(number: int) -> Key:
    return Key(f"ns-{number // 5:05d}", f"object-{number:05d}")


def obj(number: int, **more):
    made = synced_secret(literal("a", "1"), **more)
    made["metadata"].update(
        namespace=key(number).namespace, name=key(number).name, uid=f"uid-{number}", generation=1,
        resourceVersion=str(number + 1), creationTimestamp="2026-01-01T00:00:00Z",
    )  # fmt: skip
    return made


def namespaces(size: int):
    for number in range(0, size, 5):
        made = namespace()
        made["metadata"].update(name=key(number).namespace, uid=f"ns-{number}", resourceVersion=str(number + 1))
        yield made


def catalogue(size: int, version: str = "v1") -> Catalogue:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Catalogue(
        [Entry(f"app-{n:05d}", ARN.format(n), {"app": str(n)}, version, now) for n in range(size)],
        region="eu-west-1",
        listed_at=1.0,
    )


async def test_first_lists_of_the_informers_with_the_controller_behind_them():
    async def work(size):
        core = Core()
        core.controller.leading = True

        async def lists():
            for store, found in (
                (core.stores.objects, map(obj, range(size))),
                (core.stores.namespaces, namespaces(size)),
            ):
                await store.replace("", [store.prepare(item) for item in found], "1000000")
            assert len(core.queue) == size

        return lists

    assert await growth(work) < MOST


async def test_changes_of_all_namespaces():
    async def work(size):
        core = Core()
        for number in range(size):
            core.stores.objects.apply("", "ADDED", obj(number), str(number + 1))
        for made in namespaces(size):
            core.stores.namespaces.apply("", "ADDED", made, "1000")

        async def changes():
            core.controller.leading = True
            for made in namespaces(size):
                made["metadata"]["labels"] = {"changed": "yes"}
                made["metadata"]["annotations"] = {"iam.amazonaws.com/allowed-roles": '["other"]'}
                made["metadata"]["resourceVersion"] = "2000"
                core.stores.namespaces.apply("", "MODIFIED", made, "2000")
            assert len(core.queue) == size

        return changes

    assert await growth(work) < MOST


async def test_lists_of_one_namespace_after_the_other():
    async def work(size):
        core = Core()
        store = core.stores.objects
        by_namespace = [[obj(n) for n in range(first, first + 5)] for first in range(0, size, 5)]

        async def lists():
            for found in by_namespace:
                await store.replace(found[0]["metadata"]["namespace"], found, "1000000")
            assert len(store) == size

        return lists

    assert await growth(work) < MOST


async def test_reconciles_and_resyncs_of_all_objects():
    async def work(size):
        core = Core()
        core.cluster.lag = core.cluster.latency = 0.0
        for made in namespaces(size):
            core.cluster.put(made)
        for number in range(size):
            core.cluster.put(obj(number))

        async def reconciles():
            async with core.running():
                await asyncio.sleep(200)
            assert core.count("changed") == size
            assert core.count("unchanged") >= size

        return reconciles

    assert await growth(work) < MOST


async def test_owners():
    async def work(size):
        owners = Owners()

        async def notes():
            for number in range(size):
                owners.note(key(number), obj(number))
            assert all(owners.owner(key(number)) == key(number) for number in range(size))

        return notes

    assert await growth(work) < MOST


async def test_index_and_what_a_listing_changes():
    """Each object reads one secret, and filters by its own value of one tag."""

    async def work(size):
        index = DependencyIndex()
        old, new = catalogue(size), catalogue(size, "v2")

        async def affected():
            for number in range(size):
                refs = frozenset([SecretRef(OPERATOR, f"app-{number:05d}", "eu-west-1")])
                filters = frozenset([Filter("tag", ("app", str(number)))])
                index.note(key(number), Dependencies(refs, filters))
            assert len(index.affected(old, new, diff(old, new), set())) == size
            for number in range(size):
                index.drop(key(number))

        return affected

    assert await growth(work) < MOST


async def test_listings_of_aws():
    async def work(size):
        core = Core()
        for number in range(size):
            core.world.create(f"app-{number:05d}", "x", tags={"app": str(number)})

        async def lists():
            await core.list_aws()
            for number in range(size):
                core.world.put(f"app-{number:05d}", "y")
            await core.list_aws()
            assert len(core.aws.catalogue.entries) == size

        return lists

    assert await growth(work) < MOST


@pytest.mark.parametrize("secrets_of_a_role", [5, SIZE])
async def test_prefetches_of_more_values_than_the_cache_holds(secrets_of_a_role):
    async def work(size):
        rig = Rig(max_values=60)
        refs = []
        for number in range(size):
            rig.world.create(f"app-{number:05d}", "x")
            role = rig.world.role(f"role-{number // secrets_of_a_role}")
            refs.append(rig.ref(f"app-{number:05d}", Identity(role)))
        await rig.poll()

        async def read():
            with rig.sources.gathered():
                rig.sources.prefetch(refs, rig.listings)
            for ref in refs:
                await rig.sources.get_many([ref], rig.listings)
                await asyncio.sleep(0.1)
            assert rig.api.calls.total() == size / min(20, secrets_of_a_role)
            await rig.sources.aclose()

        return read

    assert await growth(work) < MOST


async def test_work_queue():
    async def work(size):
        queue = WorkQueue(metrics=Metrics(CollectorRegistry()), workers=8, bulk=4, party=lambda key: key.namespace)

        async def use():
            for number in range(size):
                queue.add(key(number), Priority.LOW)
                queue.add(key(number))
            for _ in range(size):
                got = await queue.get()
                queue.retry(got)
                queue.done(got)
            for number in range(size):
                queue.add_after(key(number), 120.0 + number, Priority.LOW, tick=1.2)
            await asyncio.sleep(400)
            assert len(queue) == size
            for number in range(size):
                queue.discard(key(number))

        return use

    assert await growth(work) < MOST


async def test_events():
    async def work(size):
        recorder = EventRecorder(None, Metrics(CollectorRegistry()))

        async def record():
            for number in range(size):
                recorder.event(obj(number), "Normal", "Synced", "m")
                recorder.event(obj(number), "Warning", "AccessDenied", "m")

        return record

    assert await growth(work) < MOST


async def test_status_page():
    async def work(size):
        objects = [synced_secret_view(obj(number)) for number in range(size)]

        async def make():
            for view in (View(), View(words="object"), View(namespace=key(0).namespace)):
                assert len(overview(objects, view).rows) <= ROWS

        return make

    assert await growth(work) < MOST


async def test_metrics():
    async def work(size):
        metrics = Metrics(registry := CollectorRegistry())

        async def observe():
            for number in range(size):
                metrics.observe_object(*key(number), reason="Synced", ready=True, failing=False)
            assert generate_latest(registry).count(b"secretsyncer_object_ready{") == size
            for number in range(size):
                metrics.forget_object(*key(number))

        return observe

    assert await growth(work) < MOST


async def test_what_the_last_good_content_was_made_from():
    """Each reference that AWS does not have is looked for among all sources, and each template asks for them."""

    async def work(size):
        good = LastGood(frozenset(ARN.format(number) for number in range(size)))
        refs = [SecretRef(OPERATOR, f"absent-{number}", "eu-west-1") for number in range(size)]

        async def look():
            assert not any(good.had(ref) for ref in refs)
            assert good.had(SecretRef(OPERATOR, "app-00000", "eu-west-1"))

        return look

    assert await growth(work) < MOST


async def test_templates_that_select_nothing_beside_many_references():
    empty = frozenset({Filter("tagKey", ("nobody",))})

    async def work(size):
        good = LastGood(frozenset(ARN.format(number) for number in range(size)))
        absent = Rejected(Reason.SECRET_NOT_FOUND, "absent")
        fetched = {SecretRef(OPERATOR, ARN.format(number), "eu-west-1"): absent for number in range(size)}
        rendered = {f"t{number}": RenderedTemplate("", {}, empty, whole_catalogue=False) for number in range(size)}

        async def look():
            assert not _lost(good, rendered, Catalogue(), fetched)

        return look

    assert await growth(work) < MOST
