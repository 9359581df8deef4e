"""The page about AWS: what is listed and when, how many calls are made, and what they cost."""

from __future__ import annotations

import pytest

from secretsyncer.aws.listing.outlook import DAY, Outlook, calls_per_day
from secretsyncer.operator.status_page.aws import ENOUGH, Calls, Pace, aws, dollars
from secretsyncer.operator.status_page.layout import Frame
from tests.support.html import Reading

NOON = 1_767_268_800.0
LISTED = Outlook(
    "Secrets Manager", "ListSecrets", "eu-west-1", "role lister", 5000, NOON - 90, 600.0, None, 23_040.0
)
CALLS = [Calls("AssumeRole", 50, 0), Calls("ListSecrets", 1000, 3), Calls("ReceiveMessage", 7, 0)]


def shown(listing=LISTED, *, calls=CALLS, uptime=7200.0, clock=360.0):
    pace = Pace(uptime, clock, {"Queue": "0 waiting, 1 running"})
    return Reading(aws(Frame("./", "leader", NOON), [listing], calls, pace))


def test_a_source_of_the_listing_has_its_age_its_next_poll_its_calls_and_their_cost():
    assert shown().tables[0][1] == {
        "": "Secrets Manager in eu-west-1as role lister",
        "Listed": "1 min ago",
        "Next listing": "in 4 min",
        "Entries": "5,000",
        "Calls so far": "1,000",
        "Calls per day": "23,040",
        "Dollars per day": "0.1152",
    }


def test_a_source_that_was_not_listed_yet_says_so():
    row = shown(LISTED._replace(listed_at=None, due=None)).tables[0][1]
    assert (row["Listed"], row["Next listing"]) == ("not yet", "not planned")
    assert shown(clock=601.0).tables[0][1]["Next listing"] == "now"


def test_a_listing_that_fails_says_why():
    assert "Secrets Manager: no permission" in shown(LISTED._replace(problem="no permission")).text


def test_the_calls_of_a_process_that_has_run_for_long_are_those_of_a_day():
    reading = shown()
    rows = [list(row.values()) for row in reading.tables[1][1:]]
    assert rows == [
        ["AssumeRole", "50", "0", "600", "0.00"],
        ["ListSecrets", "1,000", "3", "12,000", "0.0600"],
        ["ReceiveMessage", "7", "0", "84", "-"],
    ]
    assert "At the pace since the start, 2 h ago: 0.0600 dollars per day." in reading.text
    assert reading.facts == {"Queue": "0 waiting, 1 running"}


def test_a_process_that_has_just_started_has_no_pace_yet():
    reading = shown(uptime=ENOUGH - 1)
    assert {tuple(row.values())[3:] for row in reading.tables[1][1:]} == {("-", "-")}
    assert "shown 10 minutes after the start" in reading.text


def test_without_calls_there_is_no_table_of_them():
    assert len(shown(calls=[]).tables) == 1


@pytest.mark.parametrize(
    ("secrets", "interval", "changes", "expected"),
    [
        (0, 300, 0, DAY / 300),
        (100, 300, 0, DAY / 300),
        (101, 300, 0, 2 * DAY / 300),
        (10_000, 300, 10, 37_440),
        (10_000, 3600, 10, 11_040),
    ],
)
def test_the_calls_of_a_day_follow_from_the_settings_as_the_page_on_costs_says(
    secrets, interval, changes, expected
):
    assert calls_per_day(secrets, interval=interval, changes_interval=changes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.00"), (0.00071, "0.0007"), (0.5, "0.5000"), (12.3456, "12.35")]
)
def test_small_amounts_have_more_digits(amount, text):
    assert dollars(amount) == text
