"""Restarts beside tenants who do whatever they can: they harm only themselves, and the work stays in proportion."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import pytest

from secretsyncer.errors import KubeError, Rejected
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync.restart_memory import MOST_WORKLOADS
from secretsyncer.sync.workload_api import Look, Workloads
from secretsyncer.sync.workloads import Ref
from secretsyncer.synced_secret import SyncedSecretSpec, parse
from secretsyncer.synced_secret.restart import Restart
from tests.support.restart_site import WEB, Site
from tests.support.workloads import OPT_IN, RESTARTED_AT, workload

pytestmark = pytest.mark.looptime


@pytest.fixture(params=[False, True], ids=["kept", "stubs"])
async def site(request):
    return Site(stubs=request.param)


def named(*names, kind="Deployment"):
    return {"targets": [{"kind": kind, "name": name} for name in names], "delay": "0s"}


def stamped(stamp):
    """A workload whose annotation somebody else has written."""
    obj = workload("team", "odd")
    obj["spec"]["template"]["metadata"]["annotations"] = {RESTARTED_AT: stamp}
    return obj


@pytest.mark.parametrize("min_interval", [0.0, 300.0])
@pytest.mark.parametrize(
    "stamp",
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "2999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "x"],
)
async def test_a_time_that_no_restart_can_have_delays_none(stamp, min_interval):
    site = Site(min_interval=min_interval)
    site.cluster.put(stamped(stamp))
    site.deploy()
    site.put("first", revision=1, restart=named("odd"))
    site.put("second", revision=1)
    async with site.running():
        await asyncio.sleep(10)
    assert site.told("first") == ("True", "Restarted", "revision 1: Deployment odd")
    assert site.restarted_at("odd").startswith("2026-01-01T12:00:0")
    assert site.restarts() == site.restarts("odd") == 1


async def test_a_time_of_the_future_in_a_status_delays_no_restart(site):
    site.deploy()
    site.put("other")
    future = {"kind": "Deployment", "name": "web", "revision": 1, "time": "9999-12-31T23:59:59Z"}
    site.report("other", {"restarts": [future]})
    site.put(revision=1)
    site.report("demo", {"revisionTime": "9999-12-31T23:59:59Z"})
    await asyncio.sleep(1)
    async with site.running():
        await asyncio.sleep(10)
    assert site.restarts() == 1


@pytest.mark.parametrize("template", ["x", {"spec": {"volumes": "x"}}, {"metadata": {"annotations": ["x"]}}, ["x"]])
async def test_a_rollout_of_any_form_is_restarted(site, template):
    """Argo's definition lets parts of the pod template have any form."""
    obj = workload("team", "argo", "Rollout")
    obj["spec"]["template"] = template
    site.cluster.put(obj)
    site.deploy()
    site.put("first", revision=1, restart=named("argo", kind="Rollout"))
    site.put("second", revision=1)
    async with site.running():
        await asyncio.sleep(10)
    assert site.told("first")[0] == site.told("second")[0] == "True"


async def test_what_nobody_expected_of_one_object_holds_up_no_other(site, caplog):
    site.deploy()
    site.deploy("odd")
    real = site.cluster.get

    async def get(resource, namespace, name):
        if name == "odd":
            raise ValueError("what nobody expected")
        return await real(resource, namespace, name)

    site.cluster.get = get
    for number in range(3):
        site.put(f"a-{number}", revision=1, restart=named("odd"))
    site.put("last", revision=1)
    async with site.running():
        await asyncio.sleep(3)
        assert site.told("last")[0] == "True"
        assert caplog.text.count("ValueError: what nobody expected") == 3
        site.cluster.get = real
        await asyncio.sleep(400)
    assert site.told("a-0")[0] == "True"


async def test_a_spec_whose_expressions_take_long_is_not_parsed_for_a_restart(site, monkeypatch):
    """Only spec.restart matters, and the event loop has no time for the rest."""
    site.deploy()
    site.put(revision=1)
    monkeypatch.setattr(
        SyncedSecretSpec, "model_validate", lambda *_, **__: pytest.fail("the whole spec was parsed")
    )
    async with site.running():
        await asyncio.sleep(5)
    assert site.restarts() == 1


async def test_a_namespace_with_much_to_do_lets_others_have_their_turn(site):
    """Each request for the large ones takes a second, and there are more such namespaces than workers."""
    real = site.cluster.get

    async def get(resource, namespace, name):
        if namespace != "team":
            await asyncio.sleep(1)
        return await real(resource, namespace, name)

    site.cluster.get = get
    for place in range(4):
        for number in range(20):
            names = [f"none-{number}-{one}" for one in range(10)]
            site.put(f"o-{number}", revision=1, restart=named(*names), namespace=f"large-{place}")
    async with site.running():
        await asyncio.sleep(30)
        site.deploy()
        site.put(revision=1)
        await asyncio.sleep(20)
        assert site.restarts() == 1
        await asyncio.sleep(750)
    for number in range(20):
        assert site.told(f"o-{number}", namespace="large-0")[1] == "NotFound"


async def test_a_change_while_a_namespace_has_much_to_do_is_not_forgotten(site):
    real = site.cluster.get

    async def get(*arguments):
        await asyncio.sleep(1)
        return await real(*arguments)

    site.cluster.get = get
    for number in range(10):
        site.deploy(f"web-{number}")
        site.put(f"o-{number}", revision=1, restart=named(f"web-{number}"))
    site.min_interval = 0.0
    site.start_process()
    async with site.running():
        await asyncio.sleep(6)
        for number in range(10):
            site.changes(f"o-{number}", 2)
        site.put("late", revision=1, restart=named("web-0"))
        await asyncio.sleep(120)
    for number in range(10):
        assert site.status(f"o-{number}")["restartedRevision"] == 2
    assert site.status("late")["restartedRevision"] == 1


async def work(count, restart_of):
    """How many calls of functions of `sync` the restarts of so many objects take, by the name of the function."""
    site, calls = Site(), Counter()
    for number in range(count):
        site.deploy(f"web-{number}", labels={"app": f"web-{number}"}, annotations=OPT_IN, **uses(f"o-{number}"))
        site.put(f"o-{number}", revision=1, restart=restart_of(number))

    def note(frame, what, _):
        if what == "call" and "secretsyncer/sync/" in frame.f_code.co_filename:
            calls[frame.f_code.co_qualname] += 1

    async with site.running():
        sys.setprofile(note)
        try:
            await asyncio.sleep(100)
        finally:
            sys.setprofile(None)
    assert sum(site.restarts(f"web-{number}") for number in range(count)) == count
    return calls


def uses(secret):
    return {"container": {"envFrom": [{"secretRef": {"name": secret}}]}}


def selected(number):
    labels = {"app": f"web-{number}"}
    return {"targets": [{"kind": "Deployment", "selector": {"matchLabels": labels}}], "delay": "0s"}


@pytest.mark.parametrize(
    "restart_of",
    [lambda number: named(f"web-{number}"), selected, lambda _: {"consumers": True, "delay": "0s"}],
    ids=["named", "selected", "consumers"],
)
async def test_twice_as_many_objects_take_twice_the_work(restart_of):
    once, twice = await work(20, restart_of), await work(40, restart_of)
    assert {name: (once[name], calls) for name, calls in twice.items() if calls > 2.3 * once[name] + 10} == {}


async def test_failures_of_one_namespace_do_not_push_out_those_of_others(site, monkeypatch):
    monkeypatch.setattr("secretsyncer.sync.workload_api.REMEMBERED", 3)
    api = Workloads(site.cluster, now=site.now)

    async def ask(namespace, name):
        with pytest.raises(Exception, match="there is no"):
            await api.get(namespace, Ref("Deployment", name))

    await ask("team", "web")
    for number in range(10):
        await ask("large", f"none-{number}")
    asked = len(site.cluster.reads)
    await ask("team", "web")
    assert len(site.cluster.reads) == asked


class Crowded:
    """An API with an endless list of large pages."""

    def __init__(self):
        self.asked = 0

    async def list(self, resource, namespace, *, label_selector="", continue_=""):
        self.asked += 1
        items = [workload(namespace, f"web-{self.asked}-{number}") for number in range(500)]
        return {"items": items, "metadata": {"continue": "more"}}


async def test_a_list_that_selects_too_many_is_not_read_to_its_end():
    api = Crowded()
    targets = [{"kind": "Deployment", "selector": {"matchLabels": {"app": f"a-{number}"}}} for number in range(50)]
    restart = Restart.model_validate({"targets": targets, "consumers": True})
    refs, obstacles = await Look(Workloads(api, now=lambda: 0.0), "team").targets(restart, "demo")
    assert len(refs) > MOST_WORKLOADS
    assert obstacles == []
    assert api.asked == 1


async def test_a_missing_permission_to_list_holds_up_no_workload_that_is_named(site):
    site.deploy()
    refused = KubeError(403, "Forbidden", "no")
    site.cluster.refuse = lambda verb, plural, _: refused if (verb, plural) == ("list", "deployments") else None
    site.put("users", revision=1, restart={"consumers": True, "delay": "0s"})
    async with site.running():
        await asyncio.sleep(2)
        site.put("named", revision=1)
        await asyncio.sleep(10)
    assert "may not list deployments" in site.told("users")[2]
    assert site.told("named")[0] == "True"


async def test_a_kind_that_the_api_does_not_know_is_told(site):
    site.cluster.refuse = lambda verb, plural, _: KubeError(404, "NotFound", "no") if plural == "rollouts" else None
    selected = {"targets": [{"kind": "Rollout", "selector": {"matchLabels": {"app": "a"}}}], "delay": "0s"}
    site.put(revision=1, restart=selected)
    async with site.running():
        await asyncio.sleep(10)
    assert site.told()[1:] == ("NotFound", "the Kubernetes API does not know rollouts: install their definition")


async def test_what_this_process_has_written_counts_before_the_watch_shows_it():
    site = Site(min_interval=0.0)
    site.cluster.lag = 5.0
    site.deploy()
    site.put(revision=1)
    await asyncio.sleep(2)
    site.put("late", revision=1, restart=named("another"))
    async with site.running():
        await asyncio.sleep(60)
    assert site.restarts() == 1
    assert site.status()["restartedRevision"] == 1


async def test_of_objects_that_are_too_large_to_be_kept_nothing_large_is_kept(site):
    site.deploy()
    site.put(revision=1, restart={**WEB, "delay": "10s"}, secretMetadata={"annotations": {"large": "x" * 100_000}})
    async with site.running():
        await asyncio.sleep(5)
        assert len(str(vars(site.restarter._index))) < 10_000
        await asyncio.sleep(20)
    assert site.restarts() == 1
    too_long = [{"kind": "Deployment", "name": f"{number:0250}"} for number in range(50)]
    site.put("long", revision=1, restart={"targets": too_long})
    with pytest.raises(Rejected, match=r"spec\.restart: is longer than 7000 bytes"):
        parse(site.cluster.synced_secret(Key("team", "long")))
    async with site.running():
        await asyncio.sleep(60)
    assert "restarts" not in site.status("long")


async def test_what_objects_ask_for_is_not_parsed_for_each_workload(site, monkeypatch):
    """Many objects, each with other words, wait for the same workload."""
    site.deploy("a", labels={"app": "a"}, annotations=OPT_IN, **uses("o-0"))
    count = 150
    for number in range(count):
        labels = [{"app": "a"}, {"app": f"none-{number}"}]
        targets = [{"kind": "Deployment", "selector": {"matchLabels": one}} for one in labels]
        site.put(f"o-{number}", revision=1, restart={"targets": targets, "consumers": True, "delay": "0s"})
    async with site.running():
        await asyncio.sleep(60)
        assert {site.told(f"o-{number}")[0] for number in range(count)} == {"True"}
        parsed = Counter()
        real = Restart.model_validate
        monkeypatch.setattr(Restart, "model_validate", lambda given: parsed.update(["all"]) or real(given))
        for number in range(count):
            site.changes(f"o-{number}", 2)
        asked = len(site.cluster.reads)
        await asyncio.sleep(60)
        assert sum(read[0] == "get" for read in site.cluster.reads[asked:]) < 10
        assert {site.told(f"o-{number}")[1] for number in range(count)} == {"WaitingForInterval"}
    assert site.restarts("a") == 1
    assert parsed["all"] < count * 10


async def test_an_edit_while_a_restart_goes_on_is_looked_at_again(site):
    """Workloads that the spec names now are not taken for restarted."""
    for name in ("a", "b", "c"):
        site.deploy(name)
    real = site.cluster.get

    async def get(*arguments):
        await asyncio.sleep(1.5)
        return await real(*arguments)

    site.cluster.get = get
    site.put(revision=1, restart=named("a", "b"))
    async with site.running():
        await asyncio.sleep(2)
        edit = {"metadata": {"generation": 2}, "spec": {"restart": named("a", "c")}}
        site.cluster.edit(SYNCED_SECRETS, Key("team", "demo"), edit)
        await asyncio.sleep(60)
    assert site.restarted_at("c")
    assert site.told() == ("True", "Restarted", "revision 1: Deployment a, Deployment c")


async def test_a_worker_outlives_what_nobody_expected_of_a_whole_namespace(site, monkeypatch, caplog):
    site.deploy()
    site.put(revision=1)
    real, broken = site.restarter._index.due_in, iter([ValueError("what nobody expected")])

    def due_in(namespace):
        if error := next(broken, None):
            raise error
        return real(namespace)

    monkeypatch.setattr(site.restarter._index, "due_in", due_in)
    async with site.running():
        await asyncio.sleep(10)
    assert site.restarts() == 1
    assert "restarts failed" in caplog.text
