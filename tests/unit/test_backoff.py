"""The delay after a number of failures, and the reset of the number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.backoff import Backoff, Retries

STEADY = Backoff(initial=1, factor=2, cap=60, jitter=0.5, rand=lambda: 0.0)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_each_failure_doubles_the_delay_up_to_the_cap():
    assert [STEADY.delay(n) for n in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_jitter_comes_on_top_of_the_cap_too():
    most = Backoff(initial=1, factor=2, cap=60, jitter=0.5, rand=lambda: 1.0)
    assert (most.delay(1), most.delay(50)) == (1.5, 90)


@pytest.mark.parametrize("failures", [0, -1, -(10**9)])
def test_no_failure_waits_like_one(failures):
    assert STEADY.delay(failures) == 1


def test_a_factor_of_one_keeps_the_delay():
    steady = Backoff(initial=2, factor=1, cap=60, rand=lambda: 0.0)
    assert {steady.delay(n) for n in (1, 2, 64, 65, 66, 10_000)} == {2}


@given(
    failures=st.one_of(st.integers(), st.just(10**400)),
    initial=st.floats(0.001, 100),
    factor=st.floats(1, 10),
    cap=st.floats(100, 1e6),
    jitter=st.floats(0, 1),
    rand=st.floats(0, 1),
)
def test_the_delay_is_between_the_first_and_the_last_for_any_number(failures, initial, factor, cap, jitter, rand):
    delay = Backoff(initial=initial, factor=factor, cap=cap, jitter=jitter, rand=lambda: rand).delay(failures)
    assert math.isfinite(delay)
    assert initial <= delay <= cap * (1 + jitter)


@given(failures=st.integers(1, 200), factor=st.floats(1, 4))
def test_a_further_failure_never_waits_less(failures, factor):
    backoff = Backoff(initial=0.5, factor=factor, cap=1e5, rand=lambda: 0.0)
    assert backoff.delay(failures) <= backoff.delay(failures + 1)


def test_failures_in_a_row_are_counted(clock):
    retries = Retries(STEADY, clock=clock, reset_after=120)
    assert [retries.failed() for _ in range(3)] == [1, 2, 4]
    assert retries.failures == 3


def test_the_wait_is_never_shorter_than_the_server_asked_for(clock):
    retries = Retries(STEADY, clock=clock, reset_after=120)
    assert retries.failed(at_least=30) == 30
    assert retries.failed(at_least=0.1) == 2
    assert retries.failed(at_least=None) == 4


def test_a_flapping_owner_keeps_its_long_delays(clock):
    retries = Retries(STEADY, clock=clock, reset_after=120)
    for _ in range(4):
        retries.failed()
        clock.now += 60
    assert retries.failures == 4
    assert retries.failed() == 16


def test_a_failure_after_the_quiet_time_is_a_first_one(clock):
    retries = Retries(STEADY, clock=clock, reset_after=120)
    for _ in range(5):
        retries.failed()
    clock.now += 121
    assert retries.failed() == 1
