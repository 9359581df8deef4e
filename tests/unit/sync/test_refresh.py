"""Reads on demand: when an object asks for one."""

from __future__ import annotations

import pytest

from secretsyncer.sync.observed import REFRESH_ANNOTATION
from secretsyncer.sync.refresh import Refreshes
from secretsyncer.synced_secret import parse
from secretsyncer.synced_secret.formats import MIN_REFRESH
from tests.support.builders import synced_secret
from tests.support.specs import literal


class Asks:
    """An object's requests for a refresh, on a clock that stands still."""

    def __init__(self):
        self.now = 1000.0
        self._refreshes = Refreshes(lambda: self.now)

    def due(self, obj):
        return self._refreshes.is_due(obj, parse(obj))

    def due_in(self, obj):
        return self._refreshes.due_in(obj, parse(obj))

    def note(self, obj):
        return self._refreshes.note(obj, parse(obj))

    def forget(self, obj):
        self._refreshes.forget(parse(obj).key)


@pytest.fixture
def asks():
    return Asks()


def demo(token=None, **options):
    made = synced_secret(literal("a", "1"), **options)
    made["metadata"]["annotations"] = {} if token is None else {REFRESH_ANNOTATION: token}
    return made


def test_the_first_reconcile_is_due_and_nothing_has_to_be_read_again_for_it(asks):
    assert asks.due(demo())
    assert not asks.note(demo())
    assert not asks.due(demo())


def test_each_new_value_of_the_annotation_is_due_once(asks):
    asks.note(demo())
    for token in ("1", "2", "", None):
        asks.now += MIN_REFRESH
        assert asks.due(demo(token)), token
        assert asks.note(demo(token)), token
        assert not asks.due(demo(token)), token
        asks.now += MIN_REFRESH


def test_annotations_in_a_row_are_due_every_ten_seconds(asks):
    asks.note(demo())
    asks.note(demo("1"))
    for passed, due in ((0, False), (9, False), (10, True)):
        asks.now = 1000 + passed
        assert asks.due(demo("2")) is due
    assert asks.due_in(demo("2")) == MIN_REFRESH
    assert asks.due_in(demo("1")) is None


def test_a_refresh_waits_for_the_one_before_it_and_not_for_the_first_reconcile(asks):
    asks.note(demo("1"))
    assert asks.due(demo("2"))
    asks.note(demo("2"))
    asks.now += MIN_REFRESH - 1
    assert not asks.due(demo("3"))
    assert asks.due_in(demo("3")) == MIN_REFRESH  # the seconds until it is reconciled again
    asks.now += 1
    assert asks.due(demo("3"))
    asks.note(demo("3"))
    assert asks.due_in(demo("3")) is None
    assert asks.due_in(demo("3", refreshInterval="5m")) == 300


def test_an_annotation_that_is_there_at_first_asks_for_nothing(asks):
    asks.note(demo("1"))
    assert not asks.due(demo("1"))


@pytest.mark.parametrize(("passed", "due"), [(0, False), (53, False), (54, True), (60, True), (600, True)])
def test_an_interval_is_over_a_little_early_because_timers_are_never_exact(asks, passed, due):
    obj = demo(refreshInterval="1m")
    asks.note(obj)
    asks.now += passed
    assert asks.due(obj) is due


def test_the_interval_begins_at_each_refresh(asks):
    obj = demo(refreshInterval="1m")
    asks.note(obj)
    asks.now += 60
    assert asks.note(obj)
    asks.now += 30
    assert not asks.due(obj)


def test_without_an_interval_time_alone_asks_for_nothing(asks):
    asks.note(demo())
    asks.now += 1_000_000
    assert not asks.due(demo())


def test_a_recreated_object_begins_from_the_start(asks):
    asks.note(demo("1"))
    assert asks.due(demo("1", uid="another"))
    assert not asks.note(demo("1", uid="another"))


def test_a_forgotten_object_counts_as_new(asks):
    asks.note(demo())
    asks.forget(demo())
    assert asks.due(demo())
    assert not asks.note(demo())
    asks.forget(demo(name="never-seen"))


def test_objects_do_not_refresh_each_other(asks):
    asks.note(demo())
    assert asks.due(demo(name="other"))
