"""Packed values, and keys by something."""

from __future__ import annotations

import pytest

from secretsyncer.kube.objects import Key, KeysBy, packed, unpacked

A, B = Key("team", "a"), Key("team", "b")


@pytest.mark.parametrize("value", [None, {}, [], "text", {"b": [1, {"c": "\ud800"}], "a": None}])
def test_what_is_packed_comes_out_again(value):
    assert unpacked(packed(value)) == value


def test_equal_values_are_packed_alike():
    assert packed({"a": 1, "b": 2}) == packed({"b": 2, "a": 1})


def test_what_is_not_packed_stays_as_it_is():
    assert unpacked({"a": 1}) == {"a": 1}
    assert unpacked(None) is None


def test_one_key_and_several_are_found_until_they_are_discarded():
    keys = KeysBy[str]()
    assert list(keys.get("x")) == []
    keys.add("x", A)
    keys.add("x", A)
    assert list(keys.get("x")) == [A]
    keys.discard("x", B)
    keys.add("x", B)
    keys.add("x", A)
    assert set(keys.get("x")) == {A, B}
    keys.discard("x", A)
    assert list(keys.get("x")) == [B]
    keys.discard("x", B)
    keys.discard("x", B)
    assert list(keys) == []
