"""Restarts of workloads: when, how many, and what the status says; also when the process ends at any moment."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync.workload_api import Obstacle, Workloads
from secretsyncer.sync.workloads import Ref
from tests.support.core import KEY
from tests.support.restart_site import DEPLOYMENTS, WEB, Site
from tests.support.workloads import OPT_IN, RESTARTED_AT, workload

pytestmark = pytest.mark.looptime


@pytest.fixture(params=[False, True], ids=["kept", "stubs"])
async def site(request):
    return Site(stubs=request.param)


async def test_a_due_restart_is_done_and_the_status_says_so(site):
    site.deploy()
    site.put(revision=1)
    async with site.running():
        await asyncio.sleep(2)
    assert site.restarted_at() == "2026-01-01T12:00:00Z"
    entry = {"kind": "Deployment", "name": "web", "revision": 1, "time": "2026-01-01T12:00:00Z"}
    assert site.status()["restarts"] == [entry]
    assert site.status()["restartedRevision"] == 1
    assert site.told() == ("True", "Restarted", "revision 1: Deployment web")
    assert site.events == [
        ("web", "Normal", "Restarted", "restarted because of new data in Secret demo"),
        ("demo", "Normal", "Restarted", "Deployment web restarted for revision 1"),
    ]
    assert site.metrics.registry.get_sample_value("secretsyncer_restarts_total", {"outcome": "restarted"}) == 1
    assert site.metrics.registry.get_sample_value("secretsyncer_restarts_pending") == 0


async def test_nothing_is_done_for_the_first_revision_a_suspended_and_an_invalid_object(site):
    site.deploy()
    site.put("new")
    site.put("suspended", revision=1, suspend=True)
    site.put("invalid", revision=1, restart={"targets": []})
    async with site.running():
        await asyncio.sleep(1000)
    assert site.restarts() == 0


async def test_changes_within_the_delay_of_the_first_become_one_restart(site):
    site.deploy()
    async with site.running():
        for number in range(3):
            site.put(f"demo-{number}", restart={**WEB, "delay": "30s"})
        await asyncio.sleep(1)
        for number in range(3):
            site.changes(f"demo-{number}", 1)
            await asyncio.sleep(8)
        assert site.restarts() == 0
        await asyncio.sleep(10)
        assert site.restarts() == 1
        await asyncio.sleep(600)
    assert site.restarts() == 1
    assert {site.status(f"demo-{number}")["restartedRevision"] for number in range(3)} == {1}


async def test_one_change_after_the_other_does_not_put_a_restart_off(site):
    site.deploy()
    site.put(restart={**WEB, "delay": "30s"})
    async with site.running():
        for revision in range(1, 8):
            site.changes("demo", revision)
            await asyncio.sleep(10)
        assert site.restarts() == 1


async def test_a_second_change_waits_for_the_interval_and_says_until_when(site):
    site.deploy()
    site.put(revision=1)
    async with site.running():
        await asyncio.sleep(10)
        site.changes("demo", 2)
        await asyncio.sleep(100)
        message = "Deployment web was restarted at 2026-01-01T12:00:00Z, and may be again at 2026-01-01T12:05:00Z"
        assert site.told() == ("False", "WaitingForInterval", message)
        await asyncio.sleep(200)
    assert site.restarted_at() == "2026-01-01T12:05:00Z"
    assert site.restarts() == 2
    assert [event[2] for event in site.events if event[1] == "Warning"] == []


async def test_the_interval_holds_when_the_annotation_was_removed(site):
    site.deploy()
    site.put(revision=1)
    site.put("other")
    async with site.running():
        await asyncio.sleep(10)
        site.deploy()  # as a tool would write it
        site.changes("other", 1)
        await asyncio.sleep(280)
        assert site.restarts() == 1
        await asyncio.sleep(20)
    assert site.restarts() == 2
    assert site.status()["restartedRevision"] == 1


async def test_a_restart_waits_for_its_window(site):
    site.deploy()
    windows = [{"days": ["Thu"], "from": "14:00", "to": "15:00", "timezone": "Europe/Berlin"}]
    site.put(revision=1, restart={**WEB, "windows": windows})
    async with site.running():
        await asyncio.sleep(3590)
        told = "revision 1 waits for the next window, which begins at 2026-01-01T13:00:00Z"
        assert site.told() == ("False", "WaitingForWindow", told)
        assert site.restarts() == 0
        await asyncio.sleep(20)
    assert site.restarted_at() == "2026-01-01T13:00:00Z"
    assert site.told()[0] == "True"


async def test_a_paused_workload_is_told_once_and_restarted_when_it_is_resumed(site):
    site.deploy(paused=True)
    site.put(revision=1)
    async with site.running():
        await asyncio.sleep(200)
        assert site.told() == ("False", "Paused", "Deployment web is paused; resume it")
        assert site.metrics.registry.get_sample_value("secretsyncer_restarts_blocked") == 1
        site.deploy()
        await asyncio.sleep(60)
    assert site.told()[0] == "True"
    assert [event[:3] for event in site.events if event[1] == "Warning"] == [("demo", "Warning", "Paused")]
    assert site.metrics.registry.get_sample_value("secretsyncer_restarts_blocked") == 0


async def test_a_missing_workload_holds_up_no_other(site):
    site.deploy()
    targets = [{"kind": "StatefulSet", "name": "db"}, *WEB["targets"]]
    site.put(revision=1, restart={**WEB, "targets": targets})
    async with site.running():
        await asyncio.sleep(1)
        assert site.restarts() == 1
        assert site.told() == ("False", "NotFound", "there is no StatefulSet db in namespace team")
        site.deploy("db", "StatefulSet")
        await asyncio.sleep(400)
    assert site.restarts() == 1
    assert site.told() == ("True", "Restarted", "revision 1: StatefulSet db, Deployment web")


def refused(verb, error):
    return lambda asked, plural, key: error if (asked, plural) == (verb, "deployments") else None


DENIED = KubeError(403, "Forbidden", 'admission webhook "w" denied the request: password=hunter2')


@pytest.mark.parametrize(
    ("verb", "error", "reason", "text"),
    [
        ("get", KubeError(403, "Forbidden", "no"), "Forbidden", "may not get deployments in namespace team"),
        ("patch", KubeError(403, "Forbidden", "no"), "Forbidden", "may not patch deployments in namespace team"),
        ("patch", DENIED, "Refused", "an admission policy or webhook refuses the restart of Deployment web"),
        (
            "get",
            KubeError(0, "ConnectionFailed", "x"),
            "KubernetesError",
            "the Kubernetes API says ConnectionFailed",
        ),
        ("patch", KubeError(503, "Unavailable", "x"), "KubernetesError", "the Kubernetes API says 503 Unavailable"),
        ("patch", KubeError(409, "Conflict", "x"), "KubernetesError", "Deployment web keeps being modified"),
    ],
)
async def test_what_fails_is_told_and_tried_again_ever_more_rarely(site, verb, error, reason, text):
    site.deploy()
    site.put(revision=1)
    site.cluster.refuse = refused(verb, error)
    async with site.running():
        await asyncio.sleep(3600)
        assert site.told()[:2] == ("False", reason)
        assert text in site.told()[2]
        assert "hunter2" not in site.told()[2]
        asked = len(site.cluster.reads)
        assert asked < (60 if error.status != 409 else 4000)
        site.cluster.refuse = lambda *_: None
        await asyncio.sleep(2500)
    assert site.told()[0] == "True"
    assert site.restarts() == 1


async def test_a_missing_permission_is_asked_for_once_whoever_needs_it(site):
    for number in range(20):
        site.put(
            f"demo-{number}",
            revision=1,
            restart={**WEB, "targets": [{"kind": "Deployment", "name": f"w-{number}"}]},
        )
    site.cluster.refuse = refused("get", KubeError(403, "Forbidden", "no"))
    async with site.running():
        await asyncio.sleep(50)
    assert len(site.cluster.reads) == 1
    assert {site.told(f"demo-{number}")[1] for number in range(20)} == {"Forbidden"}


async def test_selectors_and_consumers_find_workloads_of_their_namespace(site):
    uses = {"container": {"envFrom": [{"secretRef": {"name": "demo"}}]}}
    site.deploy("a", labels={"app": "a"})
    site.deploy("b", labels={"app": "b"})
    site.deploy("c", annotations=OPT_IN, **uses)
    site.deploy("d", **uses)
    site.cluster.put(workload("other", "e", annotations=OPT_IN, **uses))
    targets = [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}]
    site.put(revision=1, restart={"targets": targets, "consumers": True, "delay": "0s"})
    async with site.running():
        await asyncio.sleep(2)
    assert [entry["name"] for entry in site.status()["restarts"]] == ["a", "c"]
    assert site.told()[2] == "revision 1: Deployment a, Deployment c"


async def test_nothing_that_uses_the_secret_is_no_failure(site):
    site.put(revision=1, restart={"consumers": True, "delay": "0s"})
    async with site.running():
        await asyncio.sleep(2)
    assert site.told() == ("True", "Restarted", "revision 1: spec.restart selects no workload")


async def test_more_workloads_than_a_status_can_hold_are_refused(site):
    for number in range(201):
        site.deploy(f"web-{number}", labels={"app": "a"})
    site.put(revision=1, restart={"targets": [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}]})
    async with site.running():
        await asyncio.sleep(60)
    assert site.told()[1] == "TooManyWorkloads"
    assert not [write for write in site.cluster.writes if write[1] == "deployments"]


async def test_a_workload_that_others_change_meanwhile_is_read_again(site):
    site.deploy()
    site.put(revision=1)
    conflicts = iter([KubeError(409, "Conflict", "x")] * 2)
    site.cluster.refuse = lambda verb, plural, _: (
        next(conflicts, None) if (verb, plural) == ("patch", "deployments") else None
    )
    async with site.running():
        await asyncio.sleep(1)
    assert site.restarts() == 1
    assert site.told()[0] == "True"


async def test_a_process_without_the_lease_restarts_nothing(site):
    site.deploy()
    site.put(revision=1)
    site.fresh = False
    async with site.running():
        await asyncio.sleep(30)
    assert site.restarts() == 0


@pytest.mark.parametrize("sharers", [1, 3])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
async def test_a_process_that_ends_at_any_write_loses_no_restart_and_doubles_none(at, when, sharers):
    """It ends before or after its n-th write; another process follows."""
    site = Site(min_interval=0.0)
    site.deploy()
    for number in range(sharers):
        site.put(f"demo-{number}", revision=1)
    count = 0
    real = site.cluster.merge_patch

    async def patch(*arguments, **options):
        nonlocal count
        count += 1
        if count == at and when == "before":
            await asyncio.Event().wait()
        answer = await real(*arguments, **options)
        if count == at:
            await asyncio.Event().wait()
        return answer

    site.cluster.merge_patch = patch
    async with site.running():
        await asyncio.sleep(5)
    site.cluster.merge_patch = real
    site.start_process()
    async with site.running():
        await asyncio.sleep(20)
    assert site.restarts() == 1
    for number in range(sharers):
        status = site.status(f"demo-{number}")
        assert status["restartedRevision"] == 1
        assert [entry.get("pending") for entry in status["restarts"]] == [None]


async def test_a_second_process_that_acts_on_an_old_picture_does_not_restart_again(site):
    """Both have read the workload before either has restarted it."""
    site.min_interval = 0.0
    site.start_process()
    site.deploy()
    site.put(revision=1)
    real, calls = site.cluster.merge_patch, []

    async def patch(resource, namespace, name, body, **options):
        calls.append(resource.plural)
        if calls.count("deployments") == 1 and resource is DEPLOYMENTS:
            # Another process has restarted the workload between the read and the write.
            template = {"metadata": {"annotations": {RESTARTED_AT: "2026-01-01T12:00:07Z"}}}
            site.cluster.edit(DEPLOYMENTS, Key("team", "web"), {"spec": {"template": template}})
        return await real(resource, namespace, name, body, **options)

    site.cluster.merge_patch = patch
    async with site.running():
        await asyncio.sleep(30)
    assert site.restarted_at() == "2026-01-01T12:00:07Z"
    assert site.status()["restartedRevision"] == 1


async def test_an_object_that_is_gone_is_forgotten(site):
    site.put(revision=1)
    async with site.running():
        await asyncio.sleep(1)
        assert site.metrics.registry.get_sample_value("secretsyncer_restarts_blocked") == 1
        site.cluster.remove(SYNCED_SECRETS, KEY)
        await asyncio.sleep(1)
        assert site.metrics.registry.get_sample_value("secretsyncer_restarts_blocked") == 0
        assert site.metrics.registry.get_sample_value("secretsyncer_restarts_pending") == 0


async def test_a_status_that_cannot_be_written_delays_a_restart_and_loses_none(site):
    site.deploy()
    site.put(revision=1)
    site.cluster.refuse = lambda verb, *_: KubeError(500, "InternalError", "oops") if "status" in verb else None
    async with site.running():
        await asyncio.sleep(30)
        assert site.restarts() == 0
        site.cluster.refuse = lambda *_: None
        await asyncio.sleep(10)
    assert site.restarts() == 1
    assert site.told()[0] == "True"


@pytest.mark.parametrize("failing", range(1, 4))
async def test_a_status_that_fails_once_at_any_step_delays_a_restart_and_doubles_none(failing):
    site = Site(min_interval=0.0)
    site.deploy()
    site.put(revision=1)
    asked = 0

    def refuse(verb, *_):
        nonlocal asked
        asked += "status" in verb
        return KubeError(500, "InternalError", "oops") if "status" in verb and asked == failing else None

    site.cluster.refuse = refuse
    async with site.running():
        await asyncio.sleep(60)
    assert site.restarts() == 1
    assert site.status()["restartedRevision"] == 1


async def test_a_condition_that_cannot_be_written_is_written_later(site):
    site.put(revision=1)
    refused = iter([KubeError(500, "InternalError", "oops")])
    site.cluster.refuse = lambda verb, *_: next(refused, None) if "status" in verb else None
    async with site.running():
        await asyncio.sleep(60)
    assert site.told()[:2] == ("False", "NotFound")


@pytest.mark.parametrize(
    "restart",
    [{"consumers": True}, {"targets": [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}]}],
)
async def test_a_list_that_is_refused_is_told_and_made_up_for(site, restart):
    uses = {"container": {"envFrom": [{"secretRef": {"name": "demo"}}]}}
    site.deploy(labels={"app": "a"}, annotations=OPT_IN, **uses)
    for name in ("demo", "other"):
        site.put(name, revision=1, restart={**restart, "delay": "0s"})
    site.cluster.refuse = refused("list", KubeError(403, "Forbidden", "no"))
    async with site.running():
        await asyncio.sleep(30)
        for name in ("demo", "other"):
            assert site.told(name)[:2] == ("False", "Forbidden")
            assert "may not list deployments" in site.told(name)[2]
        assert len(site.cluster.reads) == 1
        site.cluster.refuse = lambda *_: None
        await asyncio.sleep(100)
    assert site.restarts() == 1
    assert site.told()[0] == "True"


async def test_a_worker_outlives_what_nobody_expected(site, caplog):
    site.deploy()
    site.put(revision=1)
    real, broken = site.cluster.get, iter([ValueError("what nobody expected")])

    async def get(*arguments):
        if error := next(broken, None):
            raise error
        return await real(*arguments)

    site.cluster.get = get
    async with site.running():
        await asyncio.sleep(10)
    assert site.restarts() == 1
    assert "restarts failed" in caplog.text


async def test_a_closed_queue_lets_its_workers_wait_for_their_end(site):
    async with site.running():
        site.restarter._queue.close()
        await asyncio.sleep(1)


async def test_a_workload_that_no_longer_matches_is_left_alone(site):
    """Its label is taken away between the list and the restart."""
    site.deploy(labels={"app": "a"})
    targets = [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}]
    site.put(revision=1, restart={"targets": targets, "delay": "0s"})
    real = site.cluster.get

    async def get(*arguments):
        site.cluster.edit(DEPLOYMENTS, Key("team", "web"), {"metadata": {"labels": {"app": None}}})
        return await real(*arguments)

    site.cluster.get = get
    async with site.running():
        await asyncio.sleep(5)
    assert site.restarts() == 0
    assert site.told()[0] == "True"


class Pages:
    """An API with a list of three pages."""

    def __init__(self):
        self.asked = []

    async def list(self, resource, namespace, *, label_selector="", continue_=""):
        self.asked.append((resource.plural, namespace, label_selector, continue_))
        number = int(continue_ or 0)
        items = [workload(namespace, f"web-{number}", annotations=OPT_IN)]
        return {"items": items, "metadata": {"continue": str(number + 1) if number < 2 else ""}}


async def test_a_list_is_read_page_by_page():
    api = Pages()
    found = await Workloads(api, now=lambda: 0.0).selected("team", "Deployment", {"b": "2", "a": "1"})
    assert [one.ref.name for one in found] == ["web-0", "web-1", "web-2"]
    assert api.asked == [("deployments", "team", "a=1,b=2", token) for token in ("", "1", "2")]


async def test_an_endless_list_ends(monkeypatch):
    monkeypatch.setattr("secretsyncer.sync.workload_api.MOST_PAGES", 2)
    assert len(await Workloads(Pages(), now=lambda: 0.0).selected("team", "Deployment", {"a": "1"})) == 2


async def test_failures_are_remembered_up_to_a_limit(site, monkeypatch):
    monkeypatch.setattr("secretsyncer.sync.workload_api.REMEMBERED", 2)
    api = Workloads(site.cluster, now=site.now)
    for number in range(3):
        for _ in range(2):
            with pytest.raises(Obstacle):
                await api.get("team", Ref("Deployment", f"web-{number}"))
    assert len(site.cluster.reads) == 3
    with pytest.raises(Obstacle):
        await api.get("team", Ref("Deployment", "web-0"))
    assert len(site.cluster.reads) == 4


async def test_failures_of_ever_new_namespaces_are_forgotten(site, monkeypatch):
    monkeypatch.setattr("secretsyncer.sync.workload_api.NAMESPACES", 2)
    api = Workloads(site.cluster, now=site.now)
    for number in (0, 1, 2, 2, 0):
        with pytest.raises(Obstacle):
            await api.get(f"preview-{number}", Ref("Deployment", "web"))
    assert [key.namespace for _, _, key in site.cluster.reads] == [f"preview-{number}" for number in (0, 1, 2, 0)]
    assert len(api._failed) == 2


async def test_who_waits_is_not_looked_at_again_when_others_change(site):
    """Many objects, each with a selector of its own: one more change makes no request for the others."""
    site.deploy(labels={"app": "a"})
    for number in range(20):
        targets = [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a", "n": str(number)}}}]
        site.put(f"demo-{number}", revision=1, restart={"targets": [*targets, *WEB["targets"]], "delay": "0s"})
    async with site.running():
        await asyncio.sleep(10)
        for number in range(20):
            site.changes(f"demo-{number}", 2)
        await asyncio.sleep(10)
        assert {site.told(f"demo-{number}")[1] for number in range(20)} == {"WaitingForInterval"}
        asked = len(site.cluster.reads)
        site.put("another", revision=1)
        await asyncio.sleep(10)
        assert len(site.cluster.reads) == asked + 1
        await asyncio.sleep(300)
    assert site.restarts() == 2
    assert {site.status(f"demo-{number}")["restartedRevision"] for number in range(20)} == {2}


async def test_equal_selectors_are_one_list(site):
    site.deploy(labels={"app": "a"})
    targets = [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}]
    for number in range(20):
        site.put(f"demo-{number}", revision=1, restart={"targets": targets, "delay": "0s"})
    async with site.running():
        await asyncio.sleep(10)
    assert [read[0] for read in site.cluster.reads].count("list") == 1
    assert site.restarts() == 1
