"""First tries in the event loop share very little time, and what they use is charged."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from types import SimpleNamespace

import pytest

from secretsyncer.sync import budget as module
from secretsyncer.sync.budget import Budget, Exhausted, Limits


@pytest.fixture
def spend(monkeypatch):
    """Let processor time pass."""
    clock = SimpleNamespace(now=0.0)
    fake = SimpleNamespace(thread_time=lambda: clock.now, perf_counter=lambda: clock.now)
    monkeypatch.setattr(module, "time", fake)

    def spend(seconds):
        clock.now += seconds

    return spend


def attempt(budget, spend, seconds):
    """A first try that takes this long; False if there is none."""
    glance = budget.glance()
    if glance is None:
        return False
    spend(seconds)
    try:
        glance.charge_time()
    except Exhausted:
        budget.settle(glance, done=False)
    else:
        budget.settle(glance, done=True)
    return True


def test_all_first_tries_of_a_reconcile_share_the_time_of_one(spend):
    budget = Budget()
    assert [attempt(budget, spend, 0.002) for _ in range(6)] == [True, True, True, False, False, False]


def test_after_a_first_try_that_was_too_long_there_are_no_others(spend):
    budget = Budget()
    assert attempt(budget, spend, 0.1)
    assert not attempt(budget, spend, 0.0)


def test_tries_that_take_no_time_are_not_limited(spend):
    budget = Budget()
    assert all(attempt(budget, spend, 0.0) for _ in range(1000))


def test_what_first_tries_use_is_charged(spend):
    budget = Budget(Limits(keys=5, cpu_seconds=0.003))
    glance = budget.glance()
    glance.charge("keys", 3)
    budget.settle(glance, done=True)
    assert budget.left("keys") == 2
    glance = budget.glance()
    glance.charge("keys", 1)
    budget.settle(glance, done=False)
    assert budget.left("keys") == 2
    glance = budget.glance()
    spend(0.004)
    with pytest.raises(Exhausted, match="processor time"):
        budget.settle(glance, done=True)


def test_the_time_between_two_looks_at_the_clock_is_charged_with_the_second(spend):
    budget = Budget(Limits(cpu_seconds=0.01))
    budget.start_clock()
    charges = count()
    with suppress(Exhausted):
        while next(charges) < 1000:
            spend(0.0001)
            budget.charge_time()
    assert next(charges) == pytest.approx(100, abs=7)
