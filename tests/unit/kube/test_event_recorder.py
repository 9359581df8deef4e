"""Events never block a reconcile, and their number is limited."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.event_recorder import BACKOFF, EventRecorder

pytestmark = pytest.mark.looptime

START = datetime(2026, 1, 1, tzinfo=UTC)


class Cluster:
    """Keeps events, and fails as it is told to."""

    def __init__(self):
        self.events = {}
        self.errors = []
        self.requests = 0

    async def create(self, resource, namespace, body):
        await self._maybe_fail()
        key = namespace, body["metadata"]["name"]
        if key in self.events:
            raise KubeError(409, "AlreadyExists", "it is there")
        self.events[key] = body
        return body

    async def merge_patch(self, resource, namespace, name, body):
        await self._maybe_fail()
        if (namespace, name) not in self.events:
            raise KubeError(404, "NotFound", "it has expired")
        self.events[namespace, name].update(body)
        return self.events[namespace, name]

    async def _maybe_fail(self):
        self.requests += 1
        if self.errors and (error := self.errors.pop(0)):
            if error is HANG:
                await asyncio.Event().wait()
            raise error

    def told(self):
        return [(event["reason"], event["message"], event["count"]) for event in self.events.values()]


HANG = object()
UNAVAILABLE = KubeError(503, "ServiceUnavailable", "not now")


def synced_secret(name="x", **metadata):
    return {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "metadata": {"namespace": "a", "name": name, "uid": f"uid-of-{name}", "resourceVersion": "7", **metadata},
    }


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
async def recorder(cluster, metrics):
    loop = asyncio.get_running_loop()
    recorder = EventRecorder(
        cluster,
        metrics,
        instance="pod-1",
        backoff=dataclasses.replace(BACKOFF, rand=lambda: 0.0),
        now=lambda: START.timestamp() + loop.time(),
    )
    recorder.task = asyncio.create_task(recorder.run())
    yield recorder
    recorder.task.cancel()
    await asyncio.gather(recorder.task, return_exceptions=True)


async def test_event_says_what_happened_to_what(recorder, cluster):
    recorder.event(synced_secret(), "Warning", "AccessDenied", "role r may not read s")
    await asyncio.sleep(1)
    [((namespace, name), event)] = cluster.events.items()
    assert namespace == "a"
    assert name.startswith("x.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "a"},
        "involvedObject": {
            "apiVersion": "secrets.contentful.com/v1",
            "kind": "SyncedSecret",
            "namespace": "a",
            "name": "x",
            "uid": "uid-of-x",
            "resourceVersion": "7",
        },
        "type": "Warning",
        "reason": "AccessDenied",
        "message": "role r may not read s",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "secretsyncer"},
        "reportingComponent": "secretsyncer",
        "reportingInstance": "pod-1",
    }


async def test_equal_events_become_one_with_a_count(recorder, cluster):
    for _ in range(5):
        recorder.event(synced_secret(), "Normal", "Synced", "m")
        await asyncio.sleep(10)
    assert cluster.told() == [("Synced", "m", 5)]
    [event] = cluster.events.values()
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:40Z")


async def test_what_was_sent_about_an_object_is_remembered(recorder):
    for message, obj in (("m", synced_secret()), ("other", synced_secret("y")), ("m", synced_secret())):
        recorder.event(obj, "Normal", "Synced", message)
        await asyncio.sleep(10)
    [event] = recorder.sent("uid-of-x")
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Normal", "Synced", "m", 2)
    assert event["lastTimestamp"] == "2026-01-01T00:00:20Z"
    assert recorder.sent("uid-of-z") == []


async def test_equal_events_that_wait_together_are_one_request(recorder, cluster):
    for _ in range(5):
        recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    assert cluster.told() == [("Synced", "m", 5)]
    assert cluster.requests == 1


async def test_equal_event_after_ten_minutes_is_a_new_one(recorder, cluster):
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(601)
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    assert cluster.told() == [("Synced", "m", 1)] * 2


@pytest.mark.parametrize(
    "other",
    [
        (synced_secret("y"), "Normal", "Synced", "m"),
        (synced_secret(uid="of its successor"), "Normal", "Synced", "m"),
        (synced_secret(), "Warning", "Synced", "m"),
        (synced_secret(), "Normal", "Changed", "m"),
        (synced_secret(), "Normal", "Synced", "n"),
    ],
)
async def test_events_that_differ_stay_apart(recorder, cluster, other):
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    recorder.event(*other)
    await asyncio.sleep(1)
    assert [event["count"] for event in cluster.events.values()] == [1, 1]


async def test_event_that_has_expired_in_the_cluster_is_created_again(recorder, cluster):
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    cluster.events.clear()
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    assert cluster.told() == [("Synced", "m", 1)]


async def test_talkative_object_is_slowed_down_and_others_are_not(recorder, cluster, value):
    for number in range(40):
        recorder.event(synced_secret("loud"), "Warning", "Denied", f"m{number}")
    recorder.event(synced_secret("quiet"), "Warning", "Denied", "m")
    await asyncio.sleep(1)
    assert len(cluster.events) == 26
    assert value("secretsyncer_events_total", outcome="summarised") == 15
    await asyncio.sleep(600)
    [message] = about_namespaces(cluster)
    assert message == (
        "15 more Events with this reason in this namespace, for example about SyncedSecret loud; "
        "the status of each object shows the rest"
    )
    for number in range(40, 45):
        recorder.event(synced_secret("loud"), "Warning", "Denied", f"m{number}")
    await asyncio.sleep(1)
    assert len(cluster.events) == 26 + 1 + 2


async def test_many_of_one_namespace_are_summarised_and_those_of_others_are_not(recorder, cluster, value):
    for number in range(300):
        recorder.event(synced_secret(f"x{number}"), "Normal", "Synced", "m")
    recorder.event(synced_secret("other", namespace="b"), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    assert [namespace for namespace, _ in cluster.events].count("a") == 10
    assert [namespace for namespace, _ in cluster.events].count("b") == 1
    await asyncio.sleep(60)
    [summary] = [event for event in cluster.events.values() if event["involvedObject"]["kind"] == "Namespace"]
    assert summary["involvedObject"] == {"apiVersion": "v1", "kind": "Namespace", "name": "a", "namespace": "a"}
    assert (summary["type"], summary["reason"]) == ("Normal", "Synced")
    assert summary["message"].startswith(
        "290 more Events with this reason in this namespace, for example about SyncedSecret x10,"
    )
    assert summary["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert value("secretsyncer_events_total", outcome="summarised") == 290
    await asyncio.sleep(600)
    assert len(about_namespaces(cluster)) == 1


async def test_a_summary_names_the_kind_of_each_object(recorder, cluster):
    for number in range(10):
        recorder.event(synced_secret(f"x{number}"), "Normal", "Restarted", "m")
    for obj in (synced_secret("app"), {**synced_secret("web"), "kind": "Deployment"}):
        recorder.event(obj, "Normal", "Restarted", "m")
    await asyncio.sleep(61)
    [message] = about_namespaces(cluster)
    assert "for example about SyncedSecret app, Deployment web;" in message


async def test_a_first_sync_of_many_crowds_out_no_warning(recorder, cluster):
    """Neither by its number, nor by an API server that does not answer one of its Events, nor for the same object."""
    cluster.errors = [HANG]
    recorder.event(synced_secret("first"), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    for number in range(1_500):
        recorder.event(synced_secret(f"x{number}", namespace=f"n{number % 500}"), "Normal", "Synced", "m")
    for number in range(30):
        recorder.event(synced_secret("broken"), "Normal", "Synced", f"m{number}")
    recorder.event(synced_secret("broken"), "Warning", "AccessDenied", "no")
    await asyncio.sleep(1)
    assert cluster.told() == [("AccessDenied", "no", 1)]


async def test_warnings_of_an_outage_are_bounded_and_summarised_by_reason(recorder, cluster):
    for number in range(2_000):
        reason = "AWSUnavailable" if number % 2 else "AccessDenied"
        recorder.event(synced_secret(f"x{number}"), "Warning", reason, "m")
    await asyncio.sleep(61)
    assert sum(event["involvedObject"]["kind"] == "SyncedSecret" for event in cluster.events.values()) == 50
    assert [message.partition(" ")[0] for message in about_namespaces(cluster)] == ["975", "975"]


async def test_events_of_all_namespaces_are_bounded(recorder, cluster, value):
    for number in range(2_000):
        recorder.event(synced_secret(f"x{number}", namespace=f"n{number}"), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    assert len(cluster.events) == 100
    assert value("secretsyncer_events_total", outcome="dropped") == 2_000 - 100 - 500
    await asyncio.sleep(60)
    assert len(cluster.events) == 100 + 500


async def test_nothing_grows_while_no_event_can_be_sent(recorder, cluster, value):
    cluster.errors = [HANG]
    for minute in range(30):
        for number in range(600):
            recorder.event(synced_secret(f"x{number}", namespace=f"n{number}"), "Warning", f"R{minute}", "m")
        await asyncio.sleep(60)
    lane = recorder._lanes["Warning"]
    assert len(lane._queue) <= 1000
    assert len(lane._left_out) <= 500
    assert value("secretsyncer_events_total", outcome="dropped") > 0


async def test_the_budget_of_a_namespace_comes_back(recorder, cluster):
    for number in range(11):
        recorder.event(synced_secret(f"x{number}"), "Normal", "Synced", "m")
    await asyncio.sleep(100)
    for number in range(100, 110):
        recorder.event(synced_secret(f"x{number}"), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    assert len(cluster.events) == 10 + 1 + 10


def about_namespaces(cluster):
    """What was told about namespaces: the summaries."""
    told = cluster.events.values()
    return [event["message"] for event in told if event["involvedObject"]["kind"] == "Namespace"]


async def test_message_is_cut(recorder, cluster):
    recorder.event(synced_secret(), "Normal", "Synced", "m" * 5000)
    await asyncio.sleep(1)
    [event] = cluster.events.values()
    assert len(event["message"]) == 1024


async def test_name_of_an_event_fits_for_any_name_of_an_object(recorder, cluster):
    recorder.event(synced_secret("n" * 199 + "." + "n" * 53), "Normal", "Synced", "m")
    await asyncio.sleep(1)
    [(_, name)] = cluster.events
    assert len(name) <= 253
    assert ".." not in name


async def test_passing_failure_is_tried_again(recorder, cluster, value):
    cluster.errors = [UNAVAILABLE, UNAVAILABLE, None]
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(10)
    assert cluster.told() == [("Synced", "m", 1)]
    assert value("secretsyncer_events_total", outcome="sent") == 1


async def test_tries_are_bounded_and_the_next_event_has_its_turn(recorder, cluster, value):
    cluster.errors = [UNAVAILABLE] * 5
    recorder.event(synced_secret(), "Normal", "Synced", "lost")
    recorder.event(synced_secret(), "Normal", "Synced", "sent")
    await asyncio.sleep(100)
    assert cluster.told() == [("Synced", "sent", 1)]
    assert value("secretsyncer_events_total", outcome="failed") == 1


async def test_lasting_failure_is_not_tried_again(recorder, cluster, value):
    cluster.errors = [KubeError(403, "Forbidden", "the namespace is being terminated")]
    recorder.event(synced_secret(), "Normal", "Synced", "lost")
    await asyncio.sleep(100)
    assert cluster.requests == 1
    assert value("secretsyncer_events_total", outcome="failed") == 1


async def test_event_whose_response_was_lost_is_not_created_twice(recorder, cluster, value):
    create, cluster.create = cluster.create, None

    async def lose_answer(*arguments):
        await create(*arguments)
        cluster.create = create
        raise KubeError(0, "ConnectionFailed", "no answer")

    cluster.create = lose_answer
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    await asyncio.sleep(100)
    assert cluster.told() == [("Synced", "m", 1)]
    assert value("secretsyncer_events_total", outcome="sent") == 1


async def test_flush_sends_what_waits_and_what_was_interrupted(recorder, cluster):
    cluster.errors = [HANG]
    recorder.event(synced_secret(), "Normal", "Synced", "interrupted")
    recorder.event(synced_secret(), "Normal", "Synced", "waiting")
    await asyncio.sleep(1)
    recorder.task.cancel()
    await asyncio.gather(recorder.task, return_exceptions=True)
    await recorder.flush(5.0)
    assert [message for _, message, _ in cluster.told()] == ["interrupted", "waiting"]


async def test_flush_tells_what_was_left_out(recorder, cluster):
    recorder.task.cancel()
    for number in range(12):
        recorder.event(synced_secret(f"x{number}"), "Normal", "Synced", "m")
    await recorder.flush(5.0)
    assert [message.partition(" ")[0] for message in about_namespaces(cluster)] == ["2"]


async def test_flush_respects_its_deadline(recorder, cluster):
    recorder.task.cancel()
    cluster.errors = [HANG]
    recorder.event(synced_secret(), "Normal", "Synced", "m")
    started = asyncio.get_running_loop().time()
    await recorder.flush(5.0)
    assert asyncio.get_running_loop().time() - started == 5


@pytest.mark.no_cover
async def test_memory_is_bounded(recorder, cluster):
    for number in range(6_000):
        recorder.event(synced_secret(f"x{number}", namespace=f"n{number}"), "Warning", "Denied", "m")
        await asyncio.sleep(0.201)
    lane = recorder._lanes["Warning"]
    assert len(cluster.events) == 6_000
    assert max(len(lane._sent), len(lane._budget._buckets)) <= 4096
