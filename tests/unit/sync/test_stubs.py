"""What informers keep takes a limited amount of memory, whatever tenants create."""

from __future__ import annotations

import gc
import json
import tracemalloc
from sys import getsizeof

import pytest

from secretsyncer.errors import Rejected, Unavailable
from secretsyncer.kube.objects import Key, unpacked
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.kube.shelf import is_stub
from secretsyncer.kube.store import ObjectStore
from secretsyncer.sync import held_keys
from secretsyncer.sync.held_keys import HELD, LONGEST_NAMES, MOST_HOLDERS
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.marks import MARK
from secretsyncer.sync.observed import summarise, synced_secret_view
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.records import Records
from secretsyncer.sync.restart_memory import is_behind
from secretsyncer.sync.secret_plan import is_ours, plan
from secretsyncer.sync.stubs import (
    OBJECT_LIMIT,
    ORDINARY,
    SECRET_LIMIT,
    SHORT,
    stub_of_object,
    stub_of_secret,
    weight_of_secret,
    weight_of_spec,
)
from secretsyncer.sync.users import used_services
from tests.support.builders import kube_secret, parsed, synced_secret
from tests.support.specs import literal

MOST = 256 << 10
KEY = Key("team", "demo")


def deep(value):
    """The bytes of the value and of everything in it."""
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return getsizeof(value) + sum(map(deep, inner))


OWNER = {
    "apiVersion": "secrets.contentful.com/v1",
    "kind": "SyncedSecret",
    "name": "demo",
    "uid": "uid-1",
    "controller": True,
}


def many_keys(number):
    return kube_secret({f"key-{n}": "" for n in range(number)}, annotations={HELD: "x" * 5000})


HOSTILE = {
    "keys": lambda: many_keys(500),
    "annotations": lambda: kube_secret({}, annotations={f"theirs-{n}": "x" * 1000 for n in range(100)}),
    "an annotation of ours": lambda: kube_secret({}, annotations={f"{MARK}-metadata": "x" * 200_000}),
    "labels": lambda: kube_secret({}, labels={f"theirs-{n}": f"x{n}" for n in range(500)}),
    "finalizers": lambda: (
        kube_secret({}) | {"metadata": {"name": "demo", "finalizers": [f"example.com/{n}" for n in range(1000)]}}
    ),
    "owners": lambda: kube_secret(
        {}, owners=[{"kind": "App", "apiVersion": "v1", "name": f"x{n}", "uid": f"u{n}"} for n in range(500)]
    ),
    # The API server does not limit these lengths.
    "owners that look like ours": lambda: kube_secret({}, owners=[{**OWNER, "name": "x" * 50_000}]),
    "a uid that looks like ours": lambda: kube_secret({}, owners=[{**OWNER, "uid": "x" * 50_000}]),
}


def fill(store, make, number=50):
    for each in range(number):
        obj = make()
        obj["metadata"] |= {
            "name": f"o-{each}",
            "namespace": f"hostile-{each % 2}",
            "uid": "u",
            "resourceVersion": "1",
        }
        store.apply("", "ADDED", store.prepare(obj), "1")


@pytest.mark.parametrize("what", HOSTILE)
def test_secrets_of_tenants_take_no_more_than_the_limit_and_leave_others_alone(what):
    store = ObjectStore(SECRETS, transform=summarise, limit=SECRET_LIMIT._replace(most=MOST))
    honest = {**kube_secret({"a": "1"}), "type": "Opaque"}
    honest["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    store.apply("", "ADDED", store.prepare(honest), "1")
    fill(store, HOSTILE[what])
    assert len(store) == 51
    without_data = 2500
    assert sum(deep(obj) for _, obj in store.items()) < 1.25 * MOST + 51 * (without_data + ORDINARY)
    assert not is_stub(store.get(KEY))


@pytest.mark.parametrize("what", HOSTILE)
def test_what_a_stub_saves_is_about_what_is_counted(what):
    secret = summarise(HOSTILE[what]())
    stub = stub_of_secret(secret)
    saved = deep(secret) - deep(stub)
    assert 0.6 * saved < weight_of_secret(secret) < 1.5 * saved
    assert weight_of_secret(stub) == 0


def test_of_a_type_that_is_longer_than_any_valid_one_only_the_beginning_is_kept():
    """The API server accepts any type."""
    secret = summarise(kube_secret({}, type="kubernetes.io/tls" + "x" * 1_000_000))
    assert deep(secret) < ORDINARY
    assert secret["type"].startswith("kubernetes.io/tlsx")
    with pytest.raises(Rejected, match=r"has the type kubernetes.io/tlsx+…, and spec.type is") as failed:
        plan(parsed(literal("a", "1"), type="example.com/x", adopt=True), {"a": b"1"}, secret, adopt=True)
    assert len(str(failed.value)) < 700


@pytest.mark.parametrize("delete", [False, True])
def test_what_is_always_kept_of_a_secret_is_little_even_if_its_holders_are_forged(delete):
    """Names of objects that do not exist, as many and as long as they may be."""
    more = {"deletionPolicy": "Delete"} if delete else {}
    count = 25
    tracemalloc.start()
    try:
        holders, kept = Holders(), []
        for n in range(count):
            names = [
                f"holder-{n:04}-{each:02}".ljust(LONGEST_NAMES // MOST_HOLDERS, "x") for each in range(MOST_HOLDERS)
            ]
            annotations = {HELD: json.dumps({name: {"keys": [], **more} for name in names})}
            kept.append(stub_of_secret(summarise(kube_secret({}, annotations=annotations))))
            holders.note(Key("team", f"s{n}"), kept[-1])
            assert holders.secrets_of(Key("team", names[0])) == {Key("team", f"s{n}")}
        del names, annotations
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] / count < 4 * ORDINARY
    finally:
        tracemalloc.stop()


def test_a_stub_says_that_there_is_little_room_for_more_holders():
    held = {"gone": {"keys": ["k" * 200 + str(n) for n in range(200)]}}
    secret = summarise(kube_secret({}, annotations={HELD: json.dumps(held)}))
    for each in (secret, stub_of_secret(secret)):
        holders = Holders()
        holders.note(KEY, each)
        assert holders.temporary(KEY) == [Key("team", "gone")]


def test_holders_whose_names_are_too_long_together_say_nothing():
    names = [f"{each:02}".ljust(130, "x") for each in range(MOST_HOLDERS)]
    annotations = {HELD: json.dumps({name: {"keys": ["a"]} for name in names})}
    assert held_keys.read(annotations) == {}


@pytest.mark.parametrize("number", [1, 20])
def test_however_many_ordinary_objects_there_are_all_are_kept(number):
    secret = summarise(
        kube_secret({f"KEY_NUMBER_{n}": "x" * 100 for n in range(number)}, annotations={"x": "y" * 200})
    )
    assert weight_of_secret(secret) == 0
    literals = [literal(f"KEY_NUMBER_{n}", "x" * 200) for n in range(number)]
    assert weight_of_spec(synced_secret_view(synced_secret(*literals))) == 0


def test_specs_take_no_more_than_the_limit():
    store = ObjectStore(SYNCED_SECRETS, transform=synced_secret_view, limit=OBJECT_LIMIT._replace(most=MOST))
    fill(store, lambda: synced_secret(literal("a", "x" * 20_000)))
    assert sum(deep(obj) for _, obj in store.items()) < MOST + 50 * (2500 + SHORT)
    obj = store.get(Key("hostile-0", "o-0"))
    assert (is_stub(obj), weight_of_spec(obj)) == (True, 0)


def test_the_stub_of_a_secret_says_whose_it_is():
    held = {"web": {"keys": ["a"], "deletionPolicy": "Delete"}, "other": {"keys": ["b"]}}
    secret = kube_secret(
        {"a": "1"},
        annotations={HELD: json.dumps(held), "theirs": "x"},
        owners=[{"kind": "App"}, OWNER],
        type="custom",
    )
    stub = stub_of_secret(summarise(secret))
    assert stub["metadata"]["labels"] == {MARK: "true"}
    assert stub["metadata"]["ownerReferences"] == [OWNER]
    assert (stub["type"], stub["digests"], stub["whole"]) == ("custom", {}, False)
    assert is_ours("uid-1", stub)
    of_stub, of_secret = Holders(), Holders()
    of_stub.note(KEY, stub)
    of_secret.note(KEY, summarise(secret))
    web, other = Key("team", "web"), Key("team", "other")
    for holders in (of_stub, of_secret):
        assert holders.temporary(KEY) == [web]
        assert holders.secrets_of(web) == holders.secrets_of(other) == {KEY}


def test_the_stub_of_an_object_says_which_restarts_are_due_however_many_workloads_it_names():
    targets = [{"kind": "StatefulSet", "name": f"{n:02}".ljust(253, "x")} for n in range(50)]
    spec = {"target": {"name": "x" * 253, "policy": "Merge"}, "restart": {"targets": targets, "delay": "1m"}}
    long = [literal("a", "x" * 20_000)]
    obj = {**synced_secret(*long, IAMRole="r" * 2000, **spec), "status": {"revision": 2, "restartedRevision": 1}}
    stub = stub_of_object(synced_secret_view(obj))
    assert is_behind(stub)
    assert unpacked(stub["spec"]) == {**spec, "IAMRole": "r" * 2000}


def test_the_stub_of_an_object_says_what_it_claims_and_which_restarts_are_due():
    long = literal("a", "x" * 20_000)
    spec = {"target": {"name": "app", "policy": "Merge"}, "restart": {"targets": []}}
    obj = synced_secret_view({**synced_secret(long, **spec), "status": {"revision": 2, "restartedRevision": 1}})
    stub = stub_of_object(obj)
    assert unpacked(stub["spec"]) == spec
    assert is_behind(stub)
    of_stub, of_object = Owners(), Owners()
    of_stub.note(KEY, stub)
    of_object.note(KEY, obj)
    assert of_stub._claims == of_object._claims


def test_a_stub_has_no_more_of_a_spec_than_a_few_kilobytes():
    spec = {f"field-{n}": "x" * 3000 for n in range(20)} | {"target": {"name": "x" * 200}, "data": "x" * 9000}
    stub = stub_of_object(synced_secret_view({**synced_secret(), "spec": spec}))
    assert len(stub["spec"]) <= SHORT
    assert unpacked(stub["spec"]).keys() == {"target", "field-0", "field-1"}


@pytest.mark.parametrize("spec", [None, [], "x"])
def test_an_object_with_a_strange_spec_has_a_stub(spec):
    assert unpacked(stub_of_object(synced_secret_view({**synced_secret(), "spec": spec}))["spec"]) == {}


def test_an_object_whose_spec_is_not_known_counts_as_one_that_uses_every_service():
    obj = synced_secret_view(synced_secret(literal("a", "1")))
    assert used_services([obj]) == {"SecretsManager"}
    assert used_services([stub_of_object(obj)]) == {"SecretsManager", "ParameterStore"}


def test_a_stub_is_never_taken_for_the_object():
    stub = stub_of_object(synced_secret_view(synced_secret(literal("a", "1"))))
    with pytest.raises(Unavailable, match="has to be read first"):
        Records().parse(KEY, stub)
