"""The process from its start to its stop, on a cluster and an AWS in memory."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from secretsyncer.errors import KubeError, Reason, SettingsError, Unavailable
from secretsyncer.kube.lease import LeaderElector
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import EVENTS, LEASES, NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.operator import app as app_module
from secretsyncer.operator.app import DRAIN_DEADLINE, _stop_on_signals
from tests.support.builders import synced_secret
from tests.support.events import label_updated
from tests.support.memory_queue import URL
from tests.support.specs import literal, whole

pytestmark = pytest.mark.looptime

LEASE = Key("operator", "5a48bfe8.contentful.com")


# The start


async def test_a_process_syncs_what_is_there_and_what_comes(process):
    one = process()
    one.world.create("app", "x")
    one.cluster.put(synced_secret(whole("a", "app")))
    async with one.running():
        await asyncio.sleep(1)
        assert one.data() == {"a": b"x"}
        assert one.value("secretsyncer_leader") == 1
        one.cluster.put(synced_secret(literal("b", "1"), name="later", uid="2"))
        await asyncio.sleep(1)
        assert one.data(Key("team", "later")) == {"b": b"1"}
    assert one.code == 0
    assert one.server.started


async def test_a_change_in_aws_arrives_with_the_next_listing(process):
    one = process(poll_interval_sec=60)
    one.world.create("app", "x")
    one.cluster.put(synced_secret(whole("a", "app")))
    async with one.running():
        await asyncio.sleep(1)
        one.world.put("app", "y")
        await asyncio.sleep(65)
    assert one.data() == {"a": b"y"}


async def test_a_change_that_an_event_names_arrives_without_a_listing(process):
    one = process(events_queue_url=URL)
    secret = one.world.create("app", "x")
    one.cluster.put(synced_secret(whole("a", "app")))
    one.cluster.put(synced_secret(whole("a", secret.arn), name="by-arn", uid="2"))
    async with one.running():
        await asyncio.sleep(1)
        one.world.put("app", "y")
        one.aws.queue.send(label_updated("app", secret.arn))
        await asyncio.sleep(1)
        assert one.data() == one.data(Key("team", "by-arn")) == {"a": b"y"}
    assert one.aws.calls["ListSecrets"] == 1


async def test_a_value_that_an_event_names_is_read_again_although_no_listing_shows_the_secret(process):
    one = process(events_queue_url=URL, poll_interval_sec=86_400, sync_interval_sec=86_400)
    one.world.operator.deny |= {"ListSecrets", "DescribeSecret"}
    one.world.create("app", "x")
    one.cluster.put(synced_secret(whole("a", "app")))
    async with one.running():
        await asyncio.sleep(1)
        version = one.world.put("app", "y")
        one.aws.queue.send(label_updated("app", one.world.secret("app").arn, version=version))
        await asyncio.sleep(1)
        assert one.data() == {"a": b"y"}


@pytest.mark.parametrize("kind", [SYNCED_SECRETS, NAMESPACES, SECRETS], ids=lambda kind: kind.plural)
async def test_nothing_begins_before_every_informer_has_synced(process, kind):
    one = process(leader_election=True)
    one.cluster.put(synced_secret(literal("a", "1")))
    one.cluster.lists[kind].clear()
    async with one.running():
        await asyncio.sleep(30)
        assert (one.cluster.writes, one.aws.calls) == ([], {})
        assert one.server.started
        one.cluster.lists[kind].set()
        await asyncio.sleep(3)
        assert one.data() == {"a": b"1"}


async def test_a_standby_lists_nothing_and_writes_nothing_until_it_leads(process, metrics):
    one = process(leader_election=True)
    one.cluster.put(synced_secret(literal("a", "1")))
    other = LeaderElector(
        one.cluster, namespace=LEASE.namespace, name=LEASE.name, identity="other", metrics=metrics
    )
    await other.acquire()
    before = len(one.cluster.writes)
    async with one.running():
        holding = asyncio.create_task(other.hold())
        await asyncio.sleep(60)
        assert one.aws.calls == {}
        assert {plural for _, plural, _ in one.cluster.writes[before:]} == {"leases"}
        assert one.holder == "other"
        holding.cancel()
        await other.release()
        await asyncio.sleep(5)
        assert one.holder not in {"other", None}
        assert one.data() == {"a": b"1"}


async def test_no_object_is_reconciled_before_the_first_listing(process):
    one = process()
    one.world.create("app", "x")
    one.cluster.put(synced_secret(whole("a", "app")))
    one.aws.latency = 20
    async with one.running():
        await asyncio.sleep(19)
        assert one.aws.calls == {"ListSecrets": 1}
        assert one.cluster.writes == []
        one.aws.latency = 0.1
        await asyncio.sleep(5)
        assert one.data() == {"a": b"x"}


async def test_where_listing_fails_objects_are_reconciled_all_the_same(process):
    one = process()
    one.world.create("app", "x")
    one.world.operator.deny.add("ListSecrets")
    one.cluster.put(synced_secret(whole("a", "app")))
    async with one.running():
        await asyncio.sleep(5)
        assert one.data() == {"a": b"x"}


async def test_an_unknown_account_stops_only_the_objects_that_need_it(process):
    one = process()

    async def account():
        raise Unavailable(Reason.AWS_UNAVAILABLE, "STS does not answer")

    one.aws.known_account, one.aws.account = None, account
    one.cluster.put(synced_secret(literal("a", "1")))
    async with one.running():
        await asyncio.sleep(5)
        assert one.data() == {"a": b"1"}


async def test_a_port_that_is_taken_is_a_wrong_setting(process):
    one = process(metrics_listen="127.0.0.1:80")
    one.server.error = OSError(98, "Address already in use")
    with pytest.raises(SettingsError, match=r"^METRICS_LISTEN=127\.0\.0\.1:80: Address already in use$"):
        await one.app.run(one.stopping)
    assert one.cluster.writes == []


# The stop


async def test_a_reconcile_that_runs_is_finished_before_the_process_stops(process):
    one = process(leader_election=True)
    one.world.create("app", "x")
    async with one.running():
        await asyncio.sleep(5)
        one.aws.latency = DRAIN_DEADLINE - 2
        one.cluster.put(synced_secret(whole("a", "app")))
        await asyncio.sleep(1)
    assert one.code == 0
    assert one.data() == {"a": b"x"}
    assert [event["reason"] for event in one.cluster.all(EVENTS)] == ["Synced"]


async def test_the_lease_is_released_after_the_last_write_and_http_stops_last(process):
    one = process(leader_election=True)
    async with one.running():
        await asyncio.sleep(5)
        for number in range(5):
            one.cluster.put(synced_secret(literal("a", "1"), name=f"app-{number}", uid=str(number)))
        await asyncio.sleep(0.03)  # they are shown
    kinds = [plural for _, plural, _ in one.cluster.writes]
    assert kinds.count("secrets") == len(one.cluster.all(EVENTS)) == 5
    assert kinds[-1] == "leases"
    assert one.holder is None
    assert one.server.stopped_at == len(kinds)
    assert one.parts.engine.closed


async def test_a_reconcile_that_takes_longer_than_the_deadline_is_cancelled(process, caplog):
    one = process()
    one.world.create("app", "x")
    async with one.running():
        await asyncio.sleep(5)
        one.aws.latency = 3600
        one.cluster.put(synced_secret(whole("a", "app")))
        await asyncio.sleep(1)
        asked = asyncio.get_running_loop().time()
    assert DRAIN_DEADLINE <= asyncio.get_running_loop().time() - asked < DRAIN_DEADLINE + 2
    assert one.code == 0
    assert one.cluster.writes == []
    assert "reconciles cancelled" in caplog.messages


async def test_nothing_new_is_begun_once_the_process_stops(process):
    one = process(workers=1)
    one.world.create("app", "x")
    async with one.running():
        await asyncio.sleep(5)
        one.aws.latency = 3
        one.cluster.put(synced_secret(whole("a", "app"), name="first", uid="1"))
        one.cluster.put(synced_secret(whole("a", "app"), name="second", uid="2"))
        await asyncio.sleep(0.5)
    assert one.data(Key("team", "first")) == {"a": b"x"}
    assert one.data(Key("team", "second")) == {}


async def test_a_process_that_still_starts_stops_at_once(process):
    one = process()
    one.cluster.lists[SYNCED_SECRETS].clear()
    async with one.running():
        await asyncio.sleep(5)
        asked = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - asked < 1
    assert one.code == 0


# Failures


async def test_a_process_that_loses_its_lease_ends_without_another_write(process, caplog):
    one = process(leader_election=True)
    one.world.create("app", "x")
    async with one.running() as task:
        await asyncio.sleep(5)
        one.aws.latency = 30
        one.cluster.put(synced_secret(whole("a", "app")))
        await asyncio.sleep(1)
        lease = {"spec": {"holderIdentity": "other"}}
        one.cluster.edit(LEASES, LEASE, lease)
        before = len(one.cluster.writes)
        await asyncio.wait([task], timeout=10)
        assert task.done()
    assert one.code == 1
    assert one.cluster.writes[before:] == []
    assert one.holder == "other"
    (record,) = [record for record in caplog.records if record.message == "operator failed"]
    assert record.error == "lease died: LeaseLost"


async def test_a_process_that_was_paused_for_longer_than_its_lease_lasts_does_not_write(process):
    one = process(leader_election=True)
    async with one.running() as task:
        await asyncio.sleep(5)
        one.parts.elector._renewed = float("-inf")
        one.cluster.put(synced_secret(literal("a", "1")))
        await asyncio.wait([task], timeout=10)
    assert one.code == 1
    assert {plural for _, plural, _ in one.cluster.writes} <= {"leases", "events"}


async def test_a_loop_that_dies_during_the_start_ends_the_process(process, monkeypatch):
    one = process()
    one.cluster.lists[NAMESPACES].clear()

    async def broken():
        raise RuntimeError("a bug")

    monkeypatch.setattr(one.parts.events, "run", broken)
    async with one.running() as task:
        await asyncio.wait([task], timeout=1)
        assert task.done()
    assert one.code == 1
    assert one.server.stopped_at == 0


async def test_a_bug_in_the_start_itself_is_raised_after_all_has_stopped(process, monkeypatch):
    one = process()

    async def broken():
        raise RuntimeError("a bug")

    monkeypatch.setattr(one.parts.controller, "lead", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        await one.app.run(one.stopping)
    assert one.server.stopped_at == 0
    assert one.parts.engine.closed


async def test_events_that_cannot_be_sent_do_not_hold_up_the_stop(process, caplog):
    one = process()
    async with one.running():
        await asyncio.sleep(1)
        one.cluster.refuse = lambda verb, plural, key: (
            KubeError(503, "ServiceUnavailable", "later", retry_after=60) if plural == "events" else None
        )
        one.cluster.put(synced_secret(literal("a", "1")))
        await asyncio.sleep(1)
        asked = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - asked < 5
    assert one.code == 0
    assert "events not sent" in caplog.messages


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_for_a_stop_and_the_second_ends_the_process_on_the_spot(number, monkeypatch):
    codes = []
    monkeypatch.setattr(app_module.os, "_exit", codes.append)
    stopping = _stop_on_signals()
    try:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stopping.wait(), 10)
        assert codes == []
        os.kill(os.getpid(), number)
        for _ in range(100):
            await asyncio.sleep(0)
        assert codes == [1]
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(each)
