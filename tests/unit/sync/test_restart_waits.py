"""Restarts that wait: what ends the wait sooner, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync.observed import REFRESH_ANNOTATION
from secretsyncer.sync.restart_memory import Reason
from secretsyncer.sync.workload_api import Obstacle
from tests.support.restart_site import DEPLOYMENTS, WEB, Site
from tests.support.workloads import OPT_IN, RESTARTED_AT

pytestmark = pytest.mark.looptime

FORBIDDEN = KubeError(403, "Forbidden", "no")
REFUSED = KubeError(403, "Forbidden", 'admission webhook "w" denied the request: no')
LABELLED = {"targets": [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}], "delay": "0s"}
CONSUMERS = {"consumers": True, "delay": "0s"}
LATER = [{"from": "14:00", "to": "15:00", "timezone": "Etc/UTC"}]
USES = {"container": {"envFrom": [{"secretRef": {"name": "demo"}}, {"secretRef": {"name": "other"}}]}}


@pytest.fixture(params=[False, True], ids=["kept", "stubs"])
async def site(request):
    return Site(stubs=request.param)


def refusing(verb, error):
    return lambda asked, plural, _: error if (asked, plural) == (verb, "deployments") else None


def refresh(site, token, name="demo"):
    annotations = {REFRESH_ANNOTATION: token}
    site.cluster.edit(SYNCED_SECRETS, Key("team", name), {"metadata": {"annotations": annotations}})


def deploy(site, **parts):
    site.deploy(labels={"app": "a"}, annotations=OPT_IN, **USES, **parts)


@pytest.mark.parametrize(
    ("verb", "restart"), [("get", WEB), ("patch", WEB), ("list", LABELLED), ("list", CONSUMERS)]
)
async def test_a_permission_is_used_within_two_minutes_however_long_it_was_missing(site, verb, restart):
    deploy(site)
    site.put(revision=1, restart=restart)
    site.cluster.refuse = refusing(verb, FORBIDDEN)
    async with site.running():
        await asyncio.sleep(7200)
        assert site.told()[1] == "Forbidden"
        site.cluster.refuse = lambda *_: None
        await asyncio.sleep(120)
    assert site.told()[0] == "True"
    assert site.restarts() == 1


@pytest.mark.parametrize(
    ("verb", "error", "restart"),
    [
        ("get", FORBIDDEN, WEB),
        ("patch", FORBIDDEN, WEB),
        ("list", FORBIDDEN, LABELLED),
        ("list", FORBIDDEN, CONSUMERS),
        ("patch", REFUSED, WEB),
        ("get", KubeError(404, "NotFound", "x"), WEB),
        ("get", KubeError(0, "ConnectionFailed", "x"), WEB),
    ],
)
async def test_a_refresh_tries_again_at_once_what_failed(site, verb, error, restart):
    deploy(site)
    site.put(revision=1, restart=restart)
    answer, failed, often = refusing(verb, error), [], asyncio.Event()

    def refuse(*asked):
        if found := answer(*asked):
            failed.append(asked)
            if len(failed) == 6:
                often.set()
        return found

    site.cluster.refuse = refuse
    async with site.running():
        await often.wait()
        await asyncio.sleep(11)
        assert site.told()[0] == "False"
        site.cluster.refuse = lambda *_: None
        refresh(site, "1")
        await asyncio.sleep(1)
    assert site.told()[0] == "True"
    assert site.restarts() == 1


async def test_a_refresh_looks_at_once_at_a_paused_workload_and_at_too_many(site):
    site.deploy(paused=True)
    for number in range(201):
        site.deploy(f"web-{number}", labels={"app": "a"})
    site.put(revision=1)
    site.put("many", revision=1, restart=LABELLED)
    async with site.running():
        await asyncio.sleep(11)
        assert (site.told()[1], site.told("many")[1]) == ("Paused", "TooManyWorkloads")
        site.deploy()
        for number in range(200):
            site.deploy(f"web-{number}")
        for name in ("demo", "many"):
            refresh(site, "1", name)
        await asyncio.sleep(1)
    assert (site.told()[0], site.told("many")[0]) == ("True", "True")


async def test_a_refresh_ends_the_wait_after_what_nobody_expected(site):
    site.deploy()
    site.put(revision=1)
    real = site.cluster.get

    async def get(*_):
        raise ValueError("what nobody expected")

    site.cluster.get = get
    async with site.running():
        await asyncio.sleep(3000)
        site.cluster.get = real
        refresh(site, "1")
        await asyncio.sleep(11)  # the last try may have been just before: one request in ten seconds
    assert site.restarts() == 1


async def test_refreshes_make_at_most_one_request_in_ten_seconds(site):
    site.put(revision=1)
    site.cluster.refuse = refusing("get", FORBIDDEN)
    async with site.running():
        await asyncio.sleep(1)
        asked = len(site.cluster.reads)
        for number in range(200):
            refresh(site, str(number))
            await asyncio.sleep(0.5)
        assert 8 <= len(site.cluster.reads) - asked <= 10


async def test_a_refresh_right_after_a_try_has_its_turn_ten_seconds_after_that(site):
    site.deploy()
    site.put(revision=1)
    site.cluster.refuse = refusing("get", FORBIDDEN)
    async with site.running():
        await asyncio.sleep(5)
        site.cluster.refuse = lambda *_: None
        refresh(site, "1")
        await asyncio.sleep(4)
        assert site.restarts() == 0
        await asyncio.sleep(2.5)
        assert site.restarts() == 1


async def test_a_refresh_does_not_shorten_the_wait_that_the_api_server_asks_for(site):
    site.deploy()
    site.put(revision=1)
    site.cluster.refuse = refusing("get", KubeError(429, "TooManyRequests", "x", retry_after=100.0))
    async with site.running():
        await asyncio.sleep(20)
        site.cluster.refuse = lambda *_: None
        refresh(site, "1")
        await asyncio.sleep(70)
        assert site.restarts() == 0
        await asyncio.sleep(15)
        assert site.restarts() == 1


async def test_a_refresh_ends_no_delay_and_no_interval_and_opens_no_window(site):
    site.deploy()
    for name in ("db", "mail"):
        site.deploy(name)
    site.put("first", revision=1)
    targets = {name: [{"kind": "Deployment", "name": name}] for name in ("db", "mail")}
    site.put("delayed", revision=1, restart={"targets": targets["db"], "delay": "10m"})
    site.put("windowed", revision=1, restart={**WEB, "targets": targets["mail"], "windows": LATER})
    async with site.running():
        await asyncio.sleep(20)
        site.changes("first", 2)
        await asyncio.sleep(20)
        for name in ("first", "delayed", "windowed"):
            refresh(site, "1", name)
        await asyncio.sleep(200)
        assert (site.restarts(), site.restarts("db"), site.restarts("mail")) == (1, 0, 0)
        assert site.told("first")[1] == "WaitingForInterval"
        assert site.told("windowed")[1] == "WaitingForWindow"
        assert site.told("delayed") is None
        await asyncio.sleep(400)
        assert (site.restarts(), site.restarts("db"), site.restarts("mail")) == (2, 1, 0)
        await asyncio.sleep(7200)
    assert site.restarts("mail") == 1


@pytest.mark.parametrize("waits", [{"windows": LATER}, {"delay": "24h"}], ids=["window", "delay"])
@pytest.mark.parametrize("restart", [WEB, LABELLED, CONSUMERS], ids=["name", "labels", "consumers"])
@pytest.mark.parametrize("waiting", ["demo", "other"])
@pytest.mark.parametrize("first", [True, False], ids=["waits-before", "looked-at-together"])
async def test_what_was_restarted_for_another_object_waits_for_nothing(site, waiting, restart, waits, first):
    deploy(site)
    names = {"demo", "other"}
    for name in sorted(names):
        site.put(name, restart={**restart, **(waits if name == waiting else {})})
    async with site.running():
        for name in sorted(names, key=lambda name: name != waiting):
            site.changes(name, 1)
            await asyncio.sleep(30 if first else 0)
        await asyncio.sleep(5)
        assert site.restarts() == 1
        for name in names:
            assert site.told(name) == ("True", "Restarted", "revision 1: Deployment web")
            assert site.status(name)["restartedRevision"] == 1
        await asyncio.sleep(100_000)
    assert site.restarts() == 1


async def test_what_else_has_to_be_restarted_still_waits_for_its_window(site):
    site.deploy()
    site.deploy("db")
    targets = [*WEB["targets"], {"kind": "Deployment", "name": "db"}]
    site.put(revision=1, restart={**WEB, "targets": targets, "windows": LATER})
    site.put("other", revision=1)
    site.put("without-window", restart={**WEB, "targets": targets[1:]})
    async with site.running():
        await asyncio.sleep(30)
        message = "revision 1 waits for the next window, which begins at 2026-01-01T14:00:00Z"
        assert site.told() == ("False", "WaitingForWindow", message)
        assert (site.restarts(), site.restarts("db")) == (1, 0)
        site.changes("without-window", 1)  # the window of the one must not hold up the other
        await asyncio.sleep(2)
        assert site.told("without-window")[0] == site.told()[0] == "True"
        await asyncio.sleep(8000)
    assert (site.restarts(), site.restarts("db")) == (1, 1)


async def test_a_change_after_the_restart_waits_for_the_window(site):
    site.deploy()
    site.put(revision=1, restart={**WEB, "windows": LATER})
    site.put("other", revision=1)
    async with site.running():
        await asyncio.sleep(30)
        site.changes("demo", 2)
        await asyncio.sleep(600)
        assert site.told()[1] == "WaitingForWindow"
        assert site.status()["restartedRevision"] == 1
        assert site.restarts() == 1
        await asyncio.sleep(7200)
    assert site.restarts() == 2


async def test_who_waits_for_a_window_makes_no_request(site):
    deploy(site)
    site.put(revision=1, restart={**LABELLED, "windows": LATER})
    site.put("other", revision=1, restart={**CONSUMERS, "delay": "24h"})
    async with site.running():
        await asyncio.sleep(600)
    assert not site.cluster.reads


@pytest.mark.parametrize(("pending", "stamp"), [(False, None), (True, "2026-01-01T11:00:00Z")])
async def test_a_process_finds_that_what_waits_was_restarted_already(site, pending, stamp):
    """The one before it has ended before it could say so."""
    site.deploy()
    if stamp:
        template = {"metadata": {"annotations": {RESTARTED_AT: stamp}}}
        site.cluster.edit(DEPLOYMENTS, Key("team", "web"), {"spec": {"template": template}})
    site.put(revision=1, restart={**WEB, "windows": LATER})
    entry = {"kind": "Deployment", "name": "web", "revision": 1, "time": "2026-01-01T11:00:00Z"}
    await asyncio.sleep(1)
    site.report("demo", {"restarts": [entry | ({"pending": True} if pending else {})]})
    await asyncio.sleep(1)
    async with site.running():
        await asyncio.sleep(2)
        assert site.told() == ("True", "Restarted", "revision 1: Deployment web")
        assert site.status()["restarts"] == [entry]
        await asyncio.sleep(8000)
    assert site.restarts() == 0


async def test_a_restart_that_had_only_begun_waits_for_the_window(site):
    """The process ended before the workload got its time."""
    site.deploy()
    site.put(revision=1, restart={**WEB, "windows": LATER})
    entry = {"kind": "Deployment", "name": "web", "revision": 1, "time": "2026-01-01T11:00:00Z", "pending": True}
    site.put("other")
    await asyncio.sleep(1)
    site.report("demo", {"restarts": [entry]})
    await asyncio.sleep(1)
    async with site.running():
        await asyncio.sleep(600)
        assert site.told()[1] == "WaitingForWindow"
        assert site.restarts() == 0
        assert len(site.cluster.reads) == 1
        site.changes("other", 1)  # has no window
        await asyncio.sleep(2)
        assert site.told("other")[0] == site.told()[0] == "True"
    assert site.restarts() == 1


async def test_a_window_that_closes_between_two_turns_of_a_pass_is_waited_for(site):
    """Each request takes a second, and there are more workloads than the window has seconds."""
    real = site.cluster.get

    async def get(resource, namespace, name):
        await asyncio.sleep(1)
        return await real(resource, namespace, name)

    site.cluster.get = get
    names = [f"web-{number:03}" for number in range(100)]
    for name in names:
        site.deploy(name, labels={"app": "a"})
    short = [{"from": "12:00", "to": "12:01", "timezone": "Etc/UTC"}]
    site.put(revision=1, restart={**LABELLED, "windows": short})
    async with site.running():
        await asyncio.sleep(600)
        done = sum(map(site.restarts, names))
        assert 40 < done < 70
        assert site.told()[1] == "WaitingForWindow"
        await asyncio.sleep(86_400)
    assert [site.restarts(name) for name in names] == [1] * len(names)


def test_a_refresh_never_lengthens_a_wait():
    assert Obstacle(Reason.PAUSED, "x", 5.0, soonest=9.0).soonest == 5.0
    assert Obstacle(Reason.WAITING_FOR_WINDOW, "x", 5.0).soonest == 5.0
