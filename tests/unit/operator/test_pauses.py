"""The garbage collector skips long-lived objects, and still frees those that are not used. Threads take short turns."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from secretsyncer.operator.pauses import LONG, TURN, short_pauses


class Node:
    """Refers to itself: only the collector can end it."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def collect():
    """Have a full collection that seems to take so many seconds of CPU."""
    times = []

    def collect(seconds):
        times[:] = [0.0, seconds]
        gc.collect()

    with short_pauses(lambda: times.pop(0) if times else 0.0):
        yield collect
    # What was frozen stays so, as all that was collected of the tests: else each later collection would look through it.


def test_what_survives_a_long_collection_is_not_looked_at_again(collect):
    kept, before = [[] for _ in range(1000)], gc.get_freeze_count()
    collect(2 * LONG)
    assert gc.get_freeze_count() >= before + len(kept)
    assert len(gc.get_objects()) < len(kept)


def test_short_collections_freeze_nothing(collect):
    before = gc.get_freeze_count()
    collect(LONG / 2)
    assert gc.get_freeze_count() == before


def test_cycles_that_come_later_are_still_collected(collect):
    collect(2 * LONG)
    node = Node()
    seen = weakref.ref(node)
    del node
    collect(0)
    assert seen() is None


def test_frozen_objects_go_when_nothing_refers_to_them(collect):
    kept = [set() for _ in range(10)]
    seen = weakref.ref(kept[0])
    collect(2 * LONG)
    del kept
    assert seen() is None


def test_threads_take_short_turns_only_while_the_operator_runs():
    before = sys.getswitchinterval()
    with short_pauses():
        assert sys.getswitchinterval() == pytest.approx(TURN)
    assert sys.getswitchinterval() == before
    assert before > TURN
