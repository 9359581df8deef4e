"""Objects that fill a Secret of somebody else, with all parts of the process connected."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.sync import held_keys
from secretsyncer.sync.held_keys import HELD, MOST_HOLDERS
from secretsyncer.sync.marks import MARK
from tests.support.builders import kube_secret, namespace, synced_secret
from tests.support.core import KEY
from tests.support.specs import literal

pytestmark = pytest.mark.looptime

MERGE = {"name": "demo", "policy": "Merge"}


def fills(name="web", *keys, **spec):
    data = [literal(key, "1") for key in keys or ("a",)]
    obj = synced_secret(*data, name=name, uid=f"uid-{name}", **{"target": MERGE, **spec})
    obj["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"  # of equally old ones, the first by name is older
    return obj


def foreign(**data):
    return kube_secret(data or {"x": "theirs"}, ours=False)


def writes(one):
    return [verb for verb, plural, _ in one.cluster.writes if plural == "secrets"]


def ready(one, name="web"):
    return one.cluster.synced_secret(Key("team", name))["status"]["conditions"][0]


async def test_a_secret_that_appears_is_filled_at_once_and_costs_nothing_before(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(fills())
    async with one.running():
        await asyncio.sleep(2000)
        assert ready(one)["reason"] == "SecretMissing"
        assert writes(one) == []
        one.cluster.put(kube_secret({"x": "1"}, name="unrelated", ours=False))
        one.cluster.put(foreign())
        await asyncio.sleep(2)
        assert one.data() == {"x": b"theirs", "a": b"1"}
        one.cluster.remove(SECRETS, KEY)
        await asyncio.sleep(1)
        assert ready(one)["reason"] == "SecretMissing"
        one.cluster.put(foreign())
        await asyncio.sleep(2)
        assert one.data() == {"x": b"theirs", "a": b"1"}


@pytest.mark.parametrize(
    "error",
    [KubeError(410, "Expired", "too old"), KubeError(500, "InternalError", "oops"), KubeError(403, "F", "no")],
)
async def test_a_watch_that_breaks_misses_no_secret(process, error):
    one = process(sync_interval_sec=3600)
    one.cluster.put(fills())
    watch, broken = one.cluster.watch, True

    @contextlib.asynccontextmanager
    async def breaks(resource, space=None, *, metadata_only=False, **options):
        if broken and resource is SECRETS and metadata_only:
            raise error
        async with watch(resource, space, **options) as events:
            yield events

    one.cluster.watch = breaks
    async with one.running():
        await asyncio.sleep(60)
        one.cluster.put(foreign())  # seen by nobody
        await asyncio.sleep(60)
        broken = False
        await asyncio.sleep(60)
        assert one.data() == {"x": b"theirs", "a": b"1"}
        assert one.failing("health") == {}


async def test_only_namespaces_that_are_watched_are_waited_for(process):
    one = process(sync_interval_sec=3600, watch_namespace=("team", "other"))
    one.cluster.put(namespace("other"))
    one.cluster.put(fills())
    async with one.running():
        await asyncio.sleep(60)
        one.cluster.put(foreign())
        await asyncio.sleep(5)
        assert one.data() == {"x": b"theirs", "a": b"1"}


async def test_replace_without_create_waits_too(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(fills(target={"name": "demo", "create": False}))
    async with one.running():
        await asyncio.sleep(60)
        assert ready(one)["reason"] == "SecretMissing"
        one.cluster.put(foreign(a="theirs"))
        await asyncio.sleep(2)
        assert one.data() == {"a": b"1"}


async def test_keys_of_an_object_that_exists_are_not_removed_even_if_the_informer_does_not_know_it(process):
    """One of another shard, or one that the informer has not seen yet."""
    one = process(sync_interval_sec=10)
    text = json.dumps({"other": {"keys": ["a"], "deletionPolicy": "Delete"}})
    async with one.running():
        await asyncio.sleep(1)
        shown, one.cluster._show = one.cluster._show, lambda *event: None
        one.cluster.put(fills("other", "a"))
        one.cluster._show = shown
        secret = kube_secret({"a": "1", "b": "x"}, ours=False, labels={MARK: "keys"}, annotations={HELD: text})
        one.cluster.put(secret)
        await asyncio.sleep(30)
        assert one.data() == {"a": b"1", "b": b"x"}
        del one.cluster._objects["syncedsecrets"][Key("team", "other")]
        one.cluster.edit(SECRETS, KEY, {"data": {"b": "eQ=="}})
        await asyncio.sleep(1)
        assert one.data() == {"b": b"y"}


async def test_a_failure_to_remove_keys_is_tried_again(process):
    one = process(sync_interval_sec=10)
    one.cluster.put(foreign())
    one.cluster.put(fills(deletionPolicy="Delete"))
    async with one.running():
        await asyncio.sleep(1)
        assert one.data() == {"x": b"theirs", "a": b"1"}
        one.cluster.refuse = lambda verb, plural, key: KubeError(500, "InternalError", "oops")
        one.cluster.remove(SYNCED_SECRETS, Key("team", "web"))
        await asyncio.sleep(60)
        assert one.data() == {"x": b"theirs", "a": b"1"}
        one.cluster.refuse = lambda verb, plural, key: KubeError(409, "Conflict", "modified")
        await asyncio.sleep(60)
        one.cluster.refuse = lambda verb, plural, key: None
        await asyncio.sleep(60)
        assert one.data() == {"x": b"theirs"}
        samples = [s for family in one.metrics.registry.collect() for s in family.samples]
        assert not [s for s in samples if s.labels.get("name") == "web"], "nothing is left of the object"


async def test_somebody_who_forges_the_annotation_again_and_again_is_answered_with_a_few_writes(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(foreign())
    one.cluster.put(fills())
    async with one.running():
        await asyncio.sleep(1)
        before = len(writes(one))
        for number in range(200):
            gone = {f"o{n}": {"keys": ["y"], "deletionPolicy": "Delete"} for n in range(30)}
            text = json.dumps({**gone, "web": {"keys": [f"k{number}"]}})
            one.cluster.edit(SECRETS, KEY, {"metadata": {"annotations": {HELD: text}, "labels": {MARK: "keys"}}})
            await asyncio.sleep(0.5)
        await asyncio.sleep(600)
        assert len(writes(one)) - before < 200 * 3
        assert one.data() == {"x": b"theirs", "a": b"1"}
        assert held_keys.read(one.cluster.secret(KEY)["metadata"]["annotations"]).keys() == {"web"}


async def test_somebody_who_fights_over_one_object_does_not_slow_the_others_down(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(foreign())
    one.cluster.put(fills("web", "a"))
    one.cluster.put(fills("db", "b"))
    async with one.running():
        await asyncio.sleep(1)
        for _ in range(40):
            one.cluster.edit(SECRETS, KEY, {"data": {"a": "eA=="}})
            await asyncio.sleep(1)
        assert ready(one, "web")["reason"] == "Conflict"
        one.cluster.edit(SECRETS, KEY, {"data": {"b": "eA=="}})
        await asyncio.sleep(1)
        assert one.data()["b"] == b"1"
        assert ready(one, "db")["reason"] == "Synced"


async def test_a_key_that_an_older_object_has_taken_and_retained_is_not_taken_back(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(foreign())
    one.cluster.put(fills("old", "b"))
    one.cluster.put(fills("young", "a"))
    async with one.running():
        await asyncio.sleep(1)
        one.cluster.put(fills("old", "a"))
        await asyncio.sleep(1)
        assert ready(one, "young")["reason"] == "Conflict"
        one.cluster.remove(SYNCED_SECRETS, Key("team", "old"))
        await asyncio.sleep(5)
        assert "has the key a already, written by no SyncedSecret" in ready(one, "young")["message"]
        one.cluster.put(fills("young", "a", adopt=True))
        await asyncio.sleep(1)
        assert ready(one, "young")["reason"] == "Synced"


async def test_a_secret_that_goes_while_it_is_written_is_awaited(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(foreign())

    def refuse(verb, plural, key):
        if (verb, plural) == ("patch", "secrets") and one.cluster.secret(KEY):
            one.cluster.remove(SECRETS, KEY)

    one.cluster.refuse = refuse
    one.cluster.put(fills())
    async with one.running():
        await asyncio.sleep(60)
        assert ready(one)["reason"] == "SecretMissing"
        one.cluster.refuse = lambda *_: None
        one.cluster.put(foreign())
        await asyncio.sleep(2)
        assert one.data() == {"x": b"theirs", "a": b"1"}


async def test_objects_that_come_and_go_leave_room_for_others(process):
    """Their keys stay, as they ask for, and what remembers them goes when it would fill the annotation."""
    one = process(sync_interval_sec=3600)
    one.cluster.put(foreign())
    one.cluster.put(fills("lives", "a"))
    async with one.running():
        await asyncio.sleep(1)
        for number in range(2 * MOST_HOLDERS):
            one.cluster.put(fills(f"o{number}", f"k{number}"))
            await asyncio.sleep(1)
            assert ready(one, f"o{number}")["reason"] == "Synced", number
            one.cluster.remove(SYNCED_SECRETS, Key("team", f"o{number}"))
            await asyncio.sleep(1)
        assert one.data() == {"x": b"theirs", "a": b"1", **{f"k{n}": b"1" for n in range(2 * MOST_HOLDERS)}}
        held = held_keys.read(one.cluster.secret(KEY)["metadata"]["annotations"])
        assert held["lives"].keys == {"a"}
        assert len(held) < MOST_HOLDERS
        # One that is made again goes on with its keys.
        last = f"k{2 * MOST_HOLDERS - 1}"
        one.cluster.put(fills(f"o{2 * MOST_HOLDERS - 1}", last, deletionPolicy="Delete"))
        await asyncio.sleep(1)
        one.cluster.remove(SYNCED_SECRETS, Key("team", f"o{2 * MOST_HOLDERS - 1}"))
        await asyncio.sleep(1)
        assert last not in one.data()


async def test_long_names_of_keys_of_objects_that_are_gone_leave_room_for_others(process):
    one = process(sync_interval_sec=3600)
    one.cluster.put(foreign())
    async with one.running():
        for number in range(6):
            one.cluster.put(fills(f"o{number}", *[f"{number}-{one}-{'k' * 240}" for one in range(100)]))
            await asyncio.sleep(1)
            assert ready(one, f"o{number}")["reason"] == "Synced", number
            one.cluster.remove(SYNCED_SECRETS, Key("team", f"o{number}"))
            await asyncio.sleep(1)


async def test_ten_objects_that_want_one_key_come_to_rest(process):
    one = process(sync_interval_sec=120)
    one.cluster.put(foreign())
    for number in range(10):
        one.cluster.put(fills(f"o{number}", "a"))
    async with one.running():
        await asyncio.sleep(10)
        before = list(one.cluster.writes)
        assert [ready(one, f"o{number}")["reason"] for number in range(10)] == ["Synced", *["Conflict"] * 9]
        await asyncio.sleep(1200)
        more = one.cluster.writes[len(before) :]
        assert [write for write in more if write[1] in {"secrets", "syncedsecrets"}] == []


async def test_forged_holders_of_many_secrets_cost_a_few_requests_a_second(process):
    one = process(sync_interval_sec=3600)
    asked, found = [], one.cluster.list

    async def listed(resource, space=None, **options):
        if options.get("field_selector"):
            asked.append(space)
        return await found(resource, space, **options)

    one.cluster.list = listed
    one.cluster.put(namespace("other"))
    async with one.running():
        await asyncio.sleep(60)
        text = json.dumps({f"o{n}": {"keys": ["a"], "deletionPolicy": "Delete"} for n in range(MOST_HOLDERS)})
        forged = {"labels": {MARK: "keys"}, "annotations": {HELD: text}}
        for number in range(100):
            one.cluster.put(kube_secret({"a": "1"}, ours=False, name=f"s{number}", **forged))
        gone = json.dumps({"gone": {"keys": ["a"], "deletionPolicy": "Delete"}})
        honest = kube_secret({"a": "1", "b": "x"}, ours=False, labels={MARK: "keys"}, annotations={HELD: gone})
        honest["metadata"]["namespace"] = "other"
        one.cluster.put(honest)
        await asyncio.sleep(59)
        assert asked.count("team") <= 2 * 300
        assert one.data(Key("other", "demo")) == {"b": b"x"}
        await asyncio.sleep(1200)
        assert all(one.data(Key("team", f"s{number}")) == {} for number in range(100))
        assert asked.count("team") < 100 * MOST_HOLDERS * 1.5
