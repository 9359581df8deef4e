"""Windows: hours of the week in time zones, over midnight and over changes of the clock."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.sync.restart_windows import opening
from secretsyncer.synced_secret.restart import DAYS, RestartWindow


def window(begin, end, *days, timezone="UTC"):
    return RestartWindow.model_validate({"from": begin, "to": end, "days": days, "timezone": timezone})


def at(text, timezone="UTC"):
    """Unix time of a time on the wall; a `+` at its end is the second of two."""
    moment = datetime.fromisoformat(text.rstrip("+")).replace(tzinfo=ZoneInfo(timezone))
    return moment.replace(fold=text.endswith("+")).timestamp()


def next_opening(text, *windows, timezone="UTC"):
    """When a restart may happen that is due at this time; empty if at once."""
    now = at(text, timezone)
    opens = opening(windows, now)
    shown = datetime.fromtimestamp(opens, ZoneInfo(timezone))
    return "" if opens == now else f"{shown:%Y-%m-%dT%H:%M}"


def test_without_windows_a_restart_never_waits():
    assert opening((), 17.5) == 17.5


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-27T21:59", "2026-11-27T22:00"),
        ("2026-11-27T22:00", ""),
        ("2026-11-28T05:59", ""),
        ("2026-11-28T06:00", "2026-11-28T22:00"),
    ],
)
def test_a_window_over_midnight(now, opens):
    assert next_opening(now, window("22:00", "06:00")) == opens


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-28T02:00", ""),  # of Friday's window
        ("2026-11-28T06:00", "2026-11-30T22:00"),
        ("2026-11-30T02:00", "2026-11-30T22:00"),  # Sunday is not among the days
    ],
)
def test_a_window_belongs_to_the_day_on_which_it_begins(now, opens):
    assert next_opening(now, window("22:00", "06:00", "Mon", "Tue", "Wed", "Thu", "Fri")) == opens


def test_equal_times_are_a_whole_day():
    sunday = window("00:00", "00:00", "Sun")
    assert next_opening("2026-11-28T12:00", sunday) == "2026-11-29T00:00"
    assert next_opening("2026-11-29T23:59", sunday) == ""
    assert next_opening("2026-11-30T00:00", sunday) == "2026-12-06T00:00"


def test_the_earliest_of_several_windows_counts():
    windows = (window("22:00", "23:00"), window("12:00", "13:00", timezone="America/New_York"))
    assert next_opening("2026-11-28T10:00", *windows) == "2026-11-28T17:00"
    assert next_opening("2026-11-28T17:30", *windows) == ""
    assert next_opening("2026-11-28T18:00", *windows) == "2026-11-28T22:00"


BERLIN = "Europe/Berlin"


def test_the_hour_that_the_clock_skips():
    """On 2026-03-29, 02:00 is followed by 03:00."""
    early = window("02:30", "05:00", timezone=BERLIN)
    assert next_opening("2026-03-29T01:59", early, timezone=BERLIN) == "2026-03-29T03:30"
    assert next_opening("2026-03-29T03:30", early, timezone=BERLIN) == ""
    until = window("01:00", "02:30", timezone=BERLIN)
    assert next_opening("2026-03-29T03:29", until, timezone=BERLIN) == ""
    assert next_opening("2026-03-29T03:30", until, timezone=BERLIN) == "2026-03-30T01:00"


def test_the_hour_that_the_clock_shows_twice():
    """On 2026-10-25, 03:00 is followed by 02:00."""
    night = window("02:30", "02:45", timezone=BERLIN)
    assert next_opening("2026-10-25T02:15", night, timezone=BERLIN) == "2026-10-25T02:30"
    assert opening((night,), at("2026-10-25T02:30", BERLIN)) == at("2026-10-25T02:30", BERLIN)
    assert opening((night,), at("2026-10-25T02:44+", BERLIN)) == at("2026-10-25T02:44+", BERLIN)
    assert next_opening("2026-10-25T02:45+", night, timezone=BERLIN) == "2026-10-26T02:30"


ZONES = st.sampled_from(
    ["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
)
TIMES = st.times().map(lambda time: f"{time:%H:%M}")
WINDOWS = st.builds(
    lambda begin, end, days, zone: window(begin, end, *days, timezone=zone),
    TIMES,
    TIMES,
    st.sets(st.sampled_from(DAYS)),
    ZONES,
)


@given(st.lists(WINDOWS, min_size=1, max_size=3), st.integers(1_700_000_000, 2_000_000_000))
def test_a_restart_waits_for_nine_days_at_most_and_then_not_again(windows, now):
    opens = opening(windows, now)
    assert now <= opens <= now + 9 * 86_400
    assert opening(windows, opens) == opens
