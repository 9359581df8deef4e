"""Packed values, and keys by something."""

from __future__ import annotations

import pytest

from secretsyncer.kube.objects import Key, KeysBy, packed, unpacked, unpacked_with

A, B = Key("team", "a"), Key("team", "b")


@pytest.mark.parametrize("value", [None, {}, [], "text", {"b": [1, {"c": "\ud800"}], "a": None}])
def test_what_is_packed_comes_out_again(value):
    assert unpacked(packed(value)) == value


def test_equal_values_are_packed_alike():
    assert packed({"a": 1, "b": 2}) == packed({"b": 2, "a": 1})


def test_what_is_not_packed_stays_as_it_is():
    assert unpacked({"a": 1}) == {"a": 1}
    assert unpacked(None) is None


@pytest.mark.parametrize("field", ["a", "b", "d"])
def test_a_packed_map_is_unpacked_for_a_field_that_it_or_what_is_in_it_has(field):
    value = {"a": 1, "c": {"b": 2}, "d": None}
    assert unpacked_with(packed(value), field.encode()) == value
    assert unpacked_with(packed(value), b"x", field.encode()) == value


def test_a_packed_map_without_the_field_is_not_unpacked():
    value = {"a": 'b "b": c', "abc": ["b"]}
    assert unpacked_with(packed(value), b"b") is None
    assert unpacked_with(value, b"b") is value
    assert unpacked_with(None, b"b") is None


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
