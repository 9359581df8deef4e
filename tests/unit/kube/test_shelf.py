"""How much objects take together, and who has to do with stubs."""

from __future__ import annotations

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SECRETS
from secretsyncer.kube.shelf import Limit, Shelf
from secretsyncer.kube.store import ObjectStore

LIMIT = Limit(10, lambda obj: obj.get("size", 0), lambda obj: {"metadata": obj["metadata"], "stub": True})


def obj(name, size, version="1", namespace="a"):
    metadata = {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": version}
    return {"metadata": metadata, "size": size}


def put(shelf, name, size, namespace="a"):
    shelf.put(Key(namespace, name), obj(name, size, namespace=namespace))


def sizes(shelf):
    return {str(key): found.get("size") for key, found in shelf.items()}


def test_the_namespace_with_the_most_keeps_stubs_and_the_others_everything():
    shelf = Shelf(LIMIT)
    put(shelf, "x", 4, "a")
    put(shelf, "y", 3, "b")
    put(shelf, "z", 3, "b")
    assert sizes(shelf) == {"a/x": 4, "b/y": 3, "b/z": 3}
    put(shelf, "small", 1, "c")
    assert sizes(shelf) == {"a/x": 4, "b/y": None, "b/z": None, "c/small": 1}
    assert shelf.get(Key("b", "y")) == {"metadata": obj("y", 3, namespace="b")["metadata"], "stub": True}


@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_gone_or_replaced_makes_room(replaced):
    shelf = Shelf(LIMIT)
    for _ in range(5):
        put(shelf, "x", 8)
        if replaced:
            put(shelf, "x", 0)
        else:
            shelf.pop(Key("a", "x"))
        put(shelf, "y", 10, "b")
        assert sizes(shelf)["b/y"] == 10
        shelf.pop(Key("b", "y"))
    shelf.pop(Key("a", "x"))
    shelf.pop(Key("a", "unknown"))
    assert len(shelf) == 0


def test_the_log_names_the_namespace_once(caplog):
    shelf = Shelf(LIMIT)
    for _ in range(3):
        put(shelf, "x", 11)
    (record,) = caplog.records
    assert (record.namespace, record.objects) == ("a", 1)


def test_an_object_that_is_larger_than_the_limit_is_a_stub():
    shelf = Shelf(LIMIT)
    put(shelf, "x", 11)
    assert sizes(shelf) == {"a/x": None}
    put(shelf, "x", 10)
    assert sizes(shelf) == {"a/x": 10}


def test_without_a_limit_everything_is_kept():
    shelf = Shelf()
    put(shelf, "x", 1 << 40)
    assert sizes(shelf) == {"a/x": 1 << 40}


def test_own_writes_have_a_limit_of_their_own():
    store = ObjectStore(SECRETS, limit=LIMIT)
    store.apply("", "ADDED", obj("x", 8), "1")
    store.remember(obj("y", 6, "2"))
    assert [store.get(Key("a", name))["size"] for name in ("x", "y")] == [8, 6]
    store.remember(obj("z", 5, "3"))
    assert [store.get(Key("a", name)).get("size") for name in ("x", "y", "z")] == [8, None, None]


async def test_a_list_makes_no_difference_of_what_has_become_a_stub():
    store = ObjectStore(SECRETS, limit=LIMIT)
    heard = []
    store.add_handler(lambda kind, key, old, new: heard.append((str(kind), key.name)))
    await store.replace("", [obj("x", 8), obj("y", 8)], "1")
    await store.replace("", [obj("x", 8), obj("y", 8)], "2")
    assert heard == [("ADDED", "x"), ("ADDED", "y")]
    assert sizes(store) == {"a/x": None, "a/y": None}
