"""How the parts of a process are connected: the effects of settings, and the probes."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key
from secretsyncer.kube.reflector import OUTDATED
from secretsyncer.kube.resources import LEASES, NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.operator.checks import REFUSED_LIMIT
from secretsyncer.operator.status_page.view import View
from secretsyncer.sync.marks import MARK, OLD_MARK, OLD_VALUE, WHOLE
from tests.support.builders import kube_secret, namespace, synced_secret
from tests.support.core import KEY
from tests.support.memory_queue import URL
from tests.support.specs import literal, whole

pytestmark = pytest.mark.looptime

OLD = "secrets with old mark"


# Probes


async def test_a_process_is_ready_once_everything_is_listed(process):
    one = process()
    lists = one.cluster.lists
    for kind in (SYNCED_SECRETS, NAMESPACES, SECRETS):
        lists[kind].clear()
    async with one.running():
        await asyncio.sleep(1)
        assert one.failing("readiness").keys() == {"syncedsecrets", "namespaces", "secrets", OLD, "aws"}
        lists[SYNCED_SECRETS].set()
        lists[NAMESPACES].set()
        await asyncio.sleep(2)
        assert one.failing("readiness").keys() == {"secrets", OLD, "aws"}
        assert "secrets: the first list is not done" in one.failing("readiness")["secrets"]
        one.aws.latency = 5
        lists[SECRETS].set()
        await asyncio.sleep(3)
        assert one.failing("readiness") == {"aws": "AWS has not been listed yet"}
        await asyncio.sleep(10)
        assert one.failing("readiness") == one.failing("health") == {}


async def test_a_process_that_cannot_list_aws_is_healthy_but_not_ready_and_has_the_reason(
    process,
):
    one = process()
    one.world.operator.deny.add("ListSecrets")
    async with one.running():
        await asyncio.sleep(60)
        (problem,) = one.failing("readiness").values()
        assert "secretsmanager:ListSecrets" in problem
        assert one.failing("health") == {}
        one.world.operator.deny.clear()
        await asyncio.sleep(300)
        assert one.failing("readiness") == {}
        one.world.operator.deny.add("ListSecrets")  # later on, the values in memory are good for resyncs
        await asyncio.sleep(600)
        assert one.failing("readiness") == {}


@pytest.mark.parametrize(
    ("unseen", "withdrawn"),
    [(NAMESPACES, "the annotation"), (SYNCED_SECRETS, "suspend"), (SYNCED_SECRETS, "object")],
)
async def test_nothing_is_read_or_written_on_an_old_picture_and_readiness_says_so(process, unseen, withdrawn):
    one = process(sync_interval_sec=30, poll_interval_sec=30)
    one.world.create("app", "before")
    one.cluster.put(synced_secret(whole("a", "app")))
    async with one.running():
        await asyncio.sleep(50)
        assert one.data() == {"a": b"before"}
        one.cluster.silent.add(unseen)
        if withdrawn == "the annotation":
            one.cluster.put(namespace(roles=[]))
        elif withdrawn == "suspend":
            one.cluster.put(synced_secret(whole("a", "app"), suspend=True))
        else:
            one.cluster.remove(SYNCED_SECRETS, KEY)
        await asyncio.sleep(OUTDATED)
        problem = one.failing("readiness")[unseen.plural]
        assert "not confirmed by the API server for" in problem
        calls = dict(one.aws.calls)
        one.world.put("app", "after")
        await asyncio.sleep(120)
        assert one.data() == {"a": b"before"}
        assert one.aws.calls["GetSecretValue"] == calls["GetSecretValue"]
        if unseen is NAMESPACES:
            conditions = one.cluster.synced_secret(KEY)["status"]["conditions"]
            assert "has not confirmed the state of" in conditions[0]["message"]
        one.cluster.silent.clear()
        await asyncio.sleep(200)
        assert one.failing("readiness") == {}
        assert one.data() == {"a": b"before"}  # what was withdrawn is seen now


async def test_an_object_goes_on_by_itself_when_its_namespace_is_seen_again(process):
    one = process(sync_interval_sec=30, poll_interval_sec=30)
    one.world.create("app", "before")
    one.cluster.put(synced_secret(whole("a", "app")))
    async with one.running():
        await asyncio.sleep(5)
        one.cluster.silent.add(NAMESPACES)
        await asyncio.sleep(OUTDATED + 60)
        one.world.put("app", "after")
        await asyncio.sleep(60)
        assert one.data() == {"a": b"before"}
        one.cluster.silent.clear()
        await asyncio.sleep(120)
        assert one.data() == {"a": b"after"}


async def test_a_namespace_that_may_not_be_read_is_named_in_the_details_of_readiness(process):
    one = process(watch_namespace=("team", "gone"))
    async with one.running():
        await asyncio.sleep(5)
        assert one.failing("readiness") == {}
        assert one.served["notes"]["namespaces"]() == "gone (404 NotFound)"
        assert one.served["notes"]["secrets"]() is None


async def test_a_standby_is_ready_without_a_listing_and_not_once_it_leads(process):
    one = process(leader_election=True)
    one.world.operator.deny.add("ListSecrets")
    lease = {"holderIdentity": "another", "leaseDurationSeconds": 15}
    one.cluster.put(
        {
            "kind": "Lease",
            "metadata": {"namespace": "operator", "name": one.settings.lease_name},
            "spec": lease,
        }
    )
    async with one.running():
        await asyncio.sleep(5)
        assert one.failing("readiness") == one.failing("health") == {}
        assert one.aws.calls == {}
        one.cluster.edit(LEASES, Key("operator", one.settings.lease_name), {"spec": {"holderIdentity": None}})
        await asyncio.sleep(5)
        assert one.failing("readiness").keys() == {"aws"}


async def test_refused_credentials_fail_readiness_at_once_and_health_after_a_while(process):
    one = process()
    async with one.running():
        await asyncio.sleep(1)
        one.cluster.refused_for = 10.0
        assert one.failing("readiness") == {
            "kubernetes credentials": "the API server has refused the credentials for 10 s"
        }
        assert one.failing("health") == {}
        one.cluster.refused_for = REFUSED_LIMIT + 1
        assert one.failing("health").keys() == {"kubernetes credentials"}


# Settings


async def test_without_its_settings_there_is_neither_a_lease_nor_an_event_queue_nor_a_page(process):
    one = process(status_page=False)
    assert (one.parts.elector, one.parts.event_queue, one.served["page"]) == (None, None, None)
    other = process(leader_election=True, events_queue_url=URL, metrics_listen="127.0.0.1:9000")
    assert other.parts.elector is not None
    assert other.parts.event_queue is not None
    assert other.served["address"] == ("127.0.0.1", 9000)


async def test_the_page_shows_the_objects(process):
    one = process()
    one.cluster.put(synced_secret(literal("a", "1")))
    async with one.running():
        await asyncio.sleep(1)
        page = one.served["page"]()
        assert b'data-object="team/demo"' in page.front(View())()
        shown = page.one(Key("team", "demo"))().decode()
        assert "leader" in shown
        assert "Allowed: namespace team has no annotation" in shown
        assert 'data-name="Reason">Synced' in shown  # the Event
        assert b"Secrets Manager in" in page.aws()()


async def test_only_the_named_namespaces_are_watched(process):
    one = process(watch_namespace=("team", "other"))
    one.cluster.put(namespace("elsewhere"))
    for name in ("team", "elsewhere"):
        one.cluster.put(synced_secret(literal("a", "1"), namespace=name, uid=name))
    async with one.running():
        await asyncio.sleep(10)
    assert one.data() == {"a": b"1"}
    assert one.data(Key("elsewhere", "demo")) == {}


async def test_a_namespace_without_the_annotation_may_be_refused(process):
    one = process(require_ns_annotation=True, ns_annotation="roles")
    one.world.create("app", "x")
    one.cluster.put(synced_secret(whole("a", "app"), IAMRole="reader"))
    one.world.role("reader")
    async with one.running():
        await asyncio.sleep(1)
        assert one.data() == {}
        one.cluster.edit(NAMESPACES, Key("", "team"), {"metadata": {"annotations": {"roles": '["reader"]'}}})
        await asyncio.sleep(1)
        assert one.data() == {"a": b"x"}


@pytest.mark.parametrize("adopt", [True, False])
async def test_a_secret_of_others_is_adopted_unless_the_setting_forbids_it(process, adopt):
    one = process(adopt_existing=adopt)
    one.cluster.put(kube_secret({"a": "x"}, ours=False))
    one.cluster.put(synced_secret(literal("a", "1")))
    async with one.running():
        await asyncio.sleep(1)
    assert one.data() == {"a": b"1" if adopt else b"x"}


async def test_an_upgrade_writes_no_secret_with_the_old_mark_and_still_corrects_it_at_once(process):
    one = process()
    one.cluster.put(kube_secret({"a": "1"}, ours=False, labels={OLD_MARK: OLD_VALUE}))
    one.cluster.put(synced_secret(literal("a", "1")))
    async with one.running():
        await asyncio.sleep(300)
        assert [verb for verb, plural, _ in one.cluster.writes if plural == "secrets"] == []
        one.cluster.edit(SECRETS, KEY, {"data": {"a": "eA==", "b": "eA=="}})
        await asyncio.sleep(1)
        assert one.data() == {"a": b"1"}
        labels = one.cluster.secret(KEY)["metadata"]["labels"]
        assert labels == {OLD_MARK: OLD_VALUE, MARK: WHOLE}
        one.cluster.edit(SECRETS, KEY, {"data": {"a": "eA=="}})  # shown by the other watch now
        await asyncio.sleep(1)
        assert one.data() == {"a": b"1"}
        one.cluster.edit(SECRETS, KEY, {"metadata": {"labels": {MARK: None}}, "data": {"a": "eA=="}})  # and back
        await asyncio.sleep(1)
        assert one.data() == {"a": b"1"}
    assert [verb for verb, plural, _ in one.cluster.writes if plural == "secrets"] == ["patch"] * 3


async def test_a_retry_never_waits_longer_than_the_sync_interval(process):
    one = process(sync_interval_sec=10)
    one.cluster.refuse = lambda verb, plural, key: KubeError(500, "InternalError", "oops")
    one.cluster.put(synced_secret(literal("a", "1")))
    async with one.running():
        await asyncio.sleep(300)
        assert one.data() == {}
        one.cluster.refuse = lambda verb, plural, key: None
        await asyncio.sleep(20)
        assert one.data() == {"a": b"1"}


async def test_bulk_gets_half_of_the_workers(process):
    one = process(workers=4)
    one.aws.latency = 0.01
    for number in range(20):
        one.cluster.put(synced_secret(literal("a", "1"), name=f"app-{number}", uid=str(number)))
    running = []
    one.cluster.latency = 1.0
    async with one.running():
        for _ in range(100):
            await asyncio.sleep(0.1)
            running.append(one.parts.queue.running())
        assert max(running) == 2
        one.cluster.put(synced_secret(literal("a", "2"), name="app-0", uid="0"))
        one.cluster.put(synced_secret(literal("a", "2"), name="app-1", uid="1"))
        await asyncio.sleep(0.2)
        assert one.parts.queue.running() >= 2
    assert one.data(KEY._replace(name="app-0")) == {"a": b"2"}
