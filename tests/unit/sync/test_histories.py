"""Random histories: once they are over, there is nothing left to do that no event has led to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from copy import deepcopy

import pytest

from secretsyncer.errors import KubeError, SyncFailure
from secretsyncer.kube.objects import Key, key_of
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.sync.held_keys import HELD
from secretsyncer.sync.marks import MARK, SOME_KEYS
from tests.support.builders import kube_secret, synced_secret
from tests.support.core import Core
from tests.support.specs import literal

pytestmark = pytest.mark.looptime

HISTORIES, CHANGES = 60, 12
SETTLED = 2000
"""Seconds after which no correction is delayed and no retry waits any more."""
PAUSES = (0.0, 0.0, 0.004, 0.03, 0.2, 1.5, 20.0)


def spec(chance):
    """One of two Secrets, which objects fill together or compete for, or which is left alone."""
    target = {"name": chance.choice(["one", "two"])}
    if chance.random() < 0.4:
        target |= {"policy": "Merge", "create": True}
    data = literal(chance.choice("xy"), str(chance.randrange(2)))
    return {"data": [data], "target": target, "suspend": chance.random() < 0.1}


def change(core, chance):
    """By somebody else than the operator."""
    cluster, name = core.cluster, chance.choice("abc")
    secrets = [key_of(secret) for secret in cluster.all(SECRETS)]
    kind = chance.random() if secrets else 0.0
    if kind < 0.3:
        cluster.put(synced_secret(name=name, uid=f"uid-{chance.random()}", **spec(chance)))
    elif kind < 0.4:
        if cluster.all(SYNCED_SECRETS):
            cluster.remove(SYNCED_SECRETS, key_of(chance.choice(cluster.all(SYNCED_SECRETS))))
    elif kind < 0.55:
        cluster.remove(SECRETS, chance.choice(secrets))
    else:
        cluster.edit(
            SECRETS, chance.choice(secrets), {"data": {chance.choice("xyz"): chance.choice([None, "OTk="])}}
        )


async def history(seed, *, stubs):
    chance = random.Random(seed)
    random.seed(seed)  # the jitter of retries
    core = Core(sync_interval=1e7, stubs=stubs)
    cluster = core.cluster
    cluster.latency, cluster.lag = chance.choice([0.0, 0.01, 0.5]), chance.choice([0.0, 0.02, 3.0])
    refused = [None, None, KubeError(409, "Conflict", "x"), KubeError(500, "InternalError", "x")]
    if chance.random() < 0.5:
        cluster.refuse = lambda *_: chance.choice(refused)
    async with core.running():
        for _ in range(CHANGES):
            change(core, chance)
            await asyncio.sleep(chance.choice(PAUSES))
        cluster.refuse = lambda *_: None
        await asyncio.sleep(SETTLED)
    return core


@pytest.mark.parametrize("stubs", [False, True], ids=["whole", "stubs"])
async def test_after_any_history_a_new_reconcile_of_everything_changes_nothing(stubs):
    for seed in range(HISTORIES):
        core = await history(seed, stubs=stubs)
        before = deepcopy([core.cluster.all(SECRETS), core.cluster.all(SYNCED_SECRETS)])
        core.restart()
        for obj in core.cluster.all(SYNCED_SECRETS):
            with contextlib.suppress(SyncFailure):
                await core.reconciler.reconcile(key_of(obj))
        assert [core.cluster.all(SECRETS), core.cluster.all(SYNCED_SECRETS)] == before, f"history {seed}"


async def test_keys_that_the_watch_shows_after_their_object_has_left_the_secret_go_with_it():
    core = Core(sync_interval=1e7)
    core.cluster.lag = 3.0
    merge = {"policy": "Merge", "create": True}
    async with core.running():
        for name in ("two", "one"):
            target = {"name": name, **merge}
            core.cluster.put(synced_secret(data=[literal("x", "1")], target=target, deletionPolicy="Delete"))
            await asyncio.sleep(0.03)
        await asyncio.sleep(30)
    left = core.cluster.secret(Key("team", "two"))
    assert (left["data"], left["metadata"]["labels"], left["metadata"]["annotations"]) == ({}, {}, {})
    assert core.data(Key("team", "one")) == {"x": b"1"}


def wants(name, target, **spec):
    """An object that deletes the Secret that it names when it leaves it."""
    return synced_secret(
        literal("x", "1"), name=name, uid=name, target={"name": target}, deletionPolicy="Delete", **spec
    )


async def test_a_secret_that_was_left_to_another_object_goes_when_that_is_deleted():
    core = Core(sync_interval=100)
    async with core.running():
        core.cluster.put(wants("a", "one"))
        await asyncio.sleep(5)
        core.cluster.put(wants("b", "one", suspend=True))  # younger, and never takes it over
        await asyncio.sleep(5)
        core.cluster.put(wants("a", "two"))
        await asyncio.sleep(500)
        assert core.cluster.secret(Key("team", "one")), "it may still take it over"
        core.cluster.remove(SYNCED_SECRETS, Key("team", "b"))
        await asyncio.sleep(200)
    assert core.cluster.secret(Key("team", "two"))
    assert core.cluster.secret(Key("team", "one")) is None


@pytest.mark.parametrize("stubs", [False, True], ids=["whole", "stubs"])
async def test_while_the_watch_shows_no_edits_of_objects_they_do_not_undo_each_others_writes(stubs):
    core = Core(sync_interval=1e7, stubs=stubs)
    one = Key("team", "one")

    def fills(name, key, target, **spec):
        core.cluster.put(
            synced_secret(literal(key, "1"), name=name, uid=name, target={"name": "one", **target}, **spec)
        )

    async with core.running():
        for name, key in ("a", "x"), ("b", "y"):
            fills(name, key, {"policy": "Merge", "create": True})
        await asyncio.sleep(30)
        core.cluster.silent.add(SYNCED_SECRETS)  # from here, the watch shows no change of them
        for name, key in ("a", "x"), ("b", "y"):
            fills(name, key, {}, adopt=True)
        core.cluster.refuse = lambda verb, plural, key: KubeError(500, "", "x") if plural == "secrets" else None
        core.cluster.edit(SECRETS, one, {"data": {"x": "OTk=", "y": "OTk="}})
        await asyncio.sleep(3)  # their statuses say why, and the answers show the new specs
        core.cluster.refuse = lambda *_: None
        before = len(core.cluster.writes)
        await asyncio.sleep(50)
        assert len(core.cluster.writes) - before < 20


async def test_what_a_forged_annotation_says_of_an_object_leads_to_no_work():
    core = Core()
    held = {HELD: json.dumps({name: {"keys": ["x"]} for name in "ab"})}
    async with core.running():
        for name in "ab":
            core.cluster.put(synced_secret(literal("x", "1"), name=name, uid=name))
        await asyncio.sleep(30)
        before = len(core.cluster.writes), core.count("changed") + core.count("unchanged")
        for number in range(20):
            name = f"forged-{number}"
            core.cluster.put(kube_secret({}, name=name, ours=False, labels={MARK: SOME_KEYS}, annotations=held))
        await asyncio.sleep(1)
        assert (len(core.cluster.writes), core.count("changed") + core.count("unchanged")) == before


async def test_a_secret_that_is_changed_while_its_object_leaves_it_is_left_later():
    core = Core(sync_interval=100)
    one, refusals = Key("team", "one"), [KubeError(409, "Conflict", "changed")]

    async with core.running():
        core.cluster.put(wants("a", "one"))
        await asyncio.sleep(5)
        core.cluster.refuse = lambda verb, _, key: refusals.pop() if refusals and key == one else None
        core.cluster.put(wants("a", "two"))
        await asyncio.sleep(5)
        assert not refusals
        await asyncio.sleep(200)
    assert core.cluster.secret(one) is None
    assert core.cluster.secret(Key("team", "two"))


async def test_of_the_secrets_that_an_object_leaves_one_that_another_begins_to_name_stays():
    core = Core(sync_interval=1e7)
    cluster, one, two = core.cluster, Key("team", "one"), Key("team", "two")

    def begins(verb, _, key):  # while the first is being deleted
        if (verb, key) == ("delete", one):
            cluster.put(wants("d", "two", suspend=True))

    cluster.latency, cluster.refuse = 1.0, begins
    owned = [{"kind": "SyncedSecret", "apiVersion": "secrets.contentful.com/v1", "name": "a", "uid": "a"}]
    for name in ("one", "two"):
        cluster.put(kube_secret({"x": b"1"}, name=name, owners=owned))
    cluster.put(wants("a", "three"))
    async with core.running():
        await asyncio.sleep(60)
    assert cluster.secret(one) is None
    assert cluster.secret(two)
