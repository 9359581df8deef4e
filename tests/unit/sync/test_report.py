"""Reports of a reconcile to users: the status of the object, and Events."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.errors import KubeError, Reason, Rejected, Unavailable
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync import status
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.content import Content
from secretsyncer.sync.dependencies import Dependencies
from secretsyncer.sync.report import Reporter
from secretsyncer.sync.restart_memory import Reason as Reasons
from secretsyncer.sync.restart_memory import explained
from secretsyncer.sync.status import Source
from secretsyncer.synced_secret import parse
from tests.support.builders import damping, synced_secret
from tests.support.core import KEY
from tests.support.memory_cluster import MemoryCluster
from tests.support.specs import literal

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
DENIED = Rejected(Reason.ACCESS_DENIED, "the role may not read app")


class Report:
    """A reporter at noon, and the object of which it reports."""

    def __init__(self, *, latency=0.0):
        self.cluster = MemoryCluster(latency=latency, lag=0)
        self.now = NOON
        self.events = []
        writer = Writer(self.cluster, self.cluster.stores, damping(), adopt=True, may_write=lambda: True)
        self.reporter = Reporter(writer, lambda obj, *event: self.events.append(event), now=lambda: self.now)
        self.cluster.put(synced_secret(literal("a", "1")))

    @property
    def obj(self):
        return self.cluster.stores.objects.get(KEY)

    @property
    def status(self):
        return self.cluster.synced_secret(KEY).get("status", {})

    @property
    def ready(self):
        return self.condition("Ready")

    def condition(self, kind):
        return status.condition(self.status, kind)

    def current(self):
        return self.reporter.is_current(self.obj)

    async def synced(self, *versions, action="", revision=None):
        sources = [Source("app", "arn:app", version) for version in versions]
        content = Content({"a": b"1"}, dict(enumerate(sources)), frozenset(), True, Dependencies())
        return await self.reporter.synced(self.obj, parse(self.obj), content, action, revision=revision)

    async def suspended(self):
        return await self.reporter.suspended(self.obj, parse(self.obj))

    async def failed(self, failure=DENIED):
        await self.reporter.failed(self.obj, failure)


@pytest.fixture
async def report():
    return Report()


async def test_a_write_is_reported_by_an_event_and_the_status(report):
    assert await report.synced("v1", action="created with key a")
    assert report.events == [("Normal", "Synced", "Secret created with key a")]
    assert report.status["currentVersionID"] == "v1"
    assert report.status["lastSyncTime"] == "2026-01-01T12:00:00Z"
    assert report.ready.items() >= {"status": "True", "message": "1 key from 1 AWS secret"}.items()


async def test_an_unchanged_status_is_neither_written_nor_reported(report):
    await report.synced("v1", action="created with key a")
    report.now += 3600
    assert not await report.synced("v1")
    assert len(report.cluster.writes) == 1
    assert len(report.events) == 1


async def test_another_version_with_the_same_content_changes_the_status_and_is_no_event(report):
    await report.synced("v1", action="created with key a")
    assert await report.synced("v2")
    assert report.status["currentVersionID"] == "v2"
    assert len(report.events) == 1


async def test_a_repeated_failure_is_one_event_and_one_write(report):
    for _ in range(3):
        await report.failed()
    assert report.events == [("Warning", "AccessDenied", "the role may not read app")]
    assert report.ready.items() >= {"status": "False", "reason": "AccessDenied"}.items()
    assert len(report.cluster.writes) == 1


async def test_a_change_of_who_must_act_is_one_write(report):
    await report.failed()
    assert report.condition("Stalled").items() >= {"status": "True", "reason": "AccessDenied"}.items()
    await report.failed(Unavailable(Reason.AWS_UNAVAILABLE, "AWS does not answer"))
    assert report.condition("Stalled") is None
    assert report.condition("Reconciling").items() >= {"status": "True", "reason": "AWSUnavailable"}.items()
    await report.failed(Unavailable(Reason.AWS_UNAVAILABLE, "AWS does not answer"))
    await report.synced("v1")
    assert [condition["type"] for condition in report.status["conditions"]] == ["Ready"]
    assert len(report.cluster.writes) == 3


async def test_a_failure_leaves_what_was_last_synced_in_the_status(report):
    await report.synced("v1", action="created with key a")
    report.now += 60
    await report.failed()
    assert report.status["currentVersionID"] == "v1"
    assert report.status["lastSyncTime"] == "2026-01-01T12:00:00Z"
    assert report.ready["lastTransitionTime"] == "2026-01-01T12:01:00Z"


async def test_the_event_of_a_failure_comes_even_if_its_status_cannot_be_written(report):
    report.cluster.refuse = lambda *_: KubeError(503, "ServiceUnavailable", "try later")
    with pytest.raises(Unavailable):
        await report.failed()
    assert report.events == [("Warning", "AccessDenied", "the role may not read app")]
    assert report.status == {}


@pytest.mark.parametrize("trouble", ["failed", "suspended"])
async def test_an_object_that_recovers_without_a_write_is_reported_once(report, trouble):
    await report.synced("v1", action="created with key a")
    await getattr(report, trouble)()
    del report.events[:]
    assert await report.synced("v1")
    assert not await report.synced("v1")
    assert report.events == [("Normal", "Synced", "in sync with AWS again")]


async def test_a_suspended_object_is_reported_once(report):
    assert await report.suspended()
    assert not await report.suspended()
    assert [event[:2] for event in report.events] == [("Normal", "Suspended")]
    assert report.ready.items() >= {"status": "False", "reason": "Suspended"}.items()
    assert len(report.cluster.writes) == 1


async def test_nothing_is_written_for_an_object_that_is_gone(report):
    obj = report.obj
    report.cluster.remove(SYNCED_SECRETS, KEY)
    await report.reporter.failed(obj, DENIED)
    assert report.cluster.writes == []


async def test_a_status_that_somebody_else_changes_is_written_again(report):
    await report.synced("v1")
    wanted = report.status
    assert report.current()
    report.cluster.edit(SYNCED_SECRETS, KEY, {"status": None})
    assert not report.current()
    assert await report.synced("v1")
    assert report.status == wanted
    assert report.current()


async def test_what_an_older_definition_of_the_resource_drops_is_not_sent_again_and_again(report):
    patch = report.cluster.merge_patch

    async def pruned(resource, namespace, name, body, **options):
        status = {key: value for key, value in body["status"].items() if key not in {"sources", "currentVersionID"}}
        return await patch(resource, namespace, name, {"status": status}, **options)

    report.cluster.merge_patch = pruned
    assert await report.synced("v1")
    writes = len(report.cluster.writes)
    report.now += 600
    assert report.current()
    assert not await report.synced("v1")
    assert len(report.cluster.writes) == writes
    assert await report.synced("v2")


async def test_a_failure_is_reported_once_even_if_its_status_is_pruned(report):
    patch = report.cluster.merge_patch

    async def pruned(resource, namespace, name, body, **options):
        kept = {key: value for key, value in body["status"].items() if key != "observedGeneration"}
        return await patch(resource, namespace, name, {"status": kept}, **options)

    report.cluster.merge_patch = pruned
    for _ in range(3):
        await report.failed(DENIED)
        report.now += 120
    assert len(report.events) == 1
    assert [verb for verb, _, _ in report.cluster.writes] == ["patch status"]


# Restarts change the same status


def restarted(revision):
    """What a restart reports."""
    return lambda old: {**old, "restartedRevision": revision, "restarts": [*(old.get("restarts") or ()), revision]}


async def test_a_sync_keeps_what_was_reported_of_restarts(report):
    await report.reporter.change(report.obj, restarted(1))
    await report.synced("v1", revision=1)
    await report.reporter.change(report.obj, restarted(2))
    assert report.status["restarts"] == [1, 2]
    assert report.status["currentVersionID"] == "v1"


async def test_changes_of_one_status_at_the_same_time_follow_each_other():
    report = Report(latency=0.01)
    await asyncio.gather(
        *(report.reporter.change(report.obj, restarted(number)) for number in range(5)),
        report.synced("v1", revision=5),
    )
    assert sorted(report.status["restarts"]) == [0, 1, 2, 3, 4]
    assert report.ready["status"] == "True"


async def test_an_exact_change_is_not_made_after_one_by_somebody_else(report):
    report.cluster.lag = 1
    report.cluster.edit(SYNCED_SECRETS, KEY, {"metadata": {"labels": {"a": "b"}}})
    change = await report.reporter.change(report.obj, restarted(1), exactly=True)
    assert not change.exists
    assert "restarts" not in report.status


async def test_what_was_reported_of_restarts_goes_with_spec_restart(report):
    await report.synced("v1", revision=3)
    await report.reporter.change(
        report.obj, lambda old: explained(old, Reasons.PAUSED, "paused", generation=1, now=NOON)
    )
    assert report.condition("Restarted")
    await report.synced("v1")
    assert report.condition("Restarted") is None
    assert not {"revision", "revisionTime", "restartedRevision"} & report.status.keys()
    written = len(report.cluster.writes)
    await report.synced("v1")
    assert len(report.cluster.writes) == written
