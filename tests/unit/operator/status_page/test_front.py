"""The page at `/`: what it shows of each object and of the listing, and that its HTML is safe and small."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

import pytest

from secretsyncer import __version__
from secretsyncer.ages import age, seconds
from secretsyncer.aws.listing.outlook import Outlook
from secretsyncer.errors import Reason, Rejected
from secretsyncer.operator.status_page.front import MESSAGE, SOURCES, SPACES, front
from secretsyncer.operator.status_page.layout import Frame
from secretsyncer.operator.status_page.overview import NAMESPACES, REASONS, ROWS, overview
from secretsyncer.operator.status_page.style import POLICY
from secretsyncer.operator.status_page.view import SEARCH_LIMIT, View
from secretsyncer.sync import status
from secretsyncer.sync.status import Source
from tests.support.html import Reading
from tests.support.pages import many, reported

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
LISTED = Outlook("Secrets Manager", "ListSecrets", "eu-west-1", "the operator", 7, NOON - 12, 100.0, None, 9000.0)
SMALL = 100_000
"""Bytes of a page of usual objects, however many there are."""
HOSTILE = 600_000
"""The same if every text has its maximum length, and each character that may has to be escaped."""
EVIL = "<script>alert('\"&')</script>"


def good(name="demo", team="team", sources=(("app", "v1"),), now=NOON - 120, **spec):
    listed = tuple(Source(source, f"arn:{source}", version) for source, version in sources)
    return reported(name, team, status.synced({}, generation=1, sources=listed, keys=2, now=now), **spec)


def bad(name="broken", team="team", message="no permission"):
    failure = Rejected(Reason.ACCESS_DENIED, message)
    return reported(name, team, status.failed(good()["status"], failure, generation=1, now=NOON - 60))


def made(*objects, view=None, role="leader", listings=(LISTED,)):
    return front(Frame("./", role, NOON), overview(objects, view or View()), listings)


def shown(*objects, **options):
    return Reading(made(*objects, **options))


# The answer


@pytest.mark.parametrize(
    ("objects", "answer"),
    [
        ([], "There is no SyncedSecret"),
        ([good()], "The only object is ready"),
        ([good("a"), good("b")], "All 2 objects are ready"),
        ([bad("a"), good("b")], "1 of 2 objects is ready"),
        ([bad("a")], "0 of 1 object is ready"),
        ([bad("a"), *(good(f"b{n}") for n in range(1999))], "1,999 of 2,000 objects are ready"),
    ],
)
def test_the_page_begins_with_the_answer(objects, answer):
    assert shown(*objects).headings[0] == answer


def test_the_counts_are_links_that_filter():
    links = shown(bad(), good(), good("other", "zoo")).links
    assert ("?state=change-needed", "1Change needed") in links
    assert ("?state=ready", "2Ready") in links
    assert ("?reason=AccessDenied", "AccessDenied") in links
    assert ("?namespace=zoo", "zoo") in links
    assert ("?state=not-ready", "all 1") in links


def test_a_chosen_filter_is_shown_and_its_links_remove_it():
    reading = shown(bad(), good(), view=View(words="team", state="change-needed"))
    assert reading.objects == ["team/broken"]
    assert ("?q=team", "1Change needed") in reading.links
    assert ("?q=team", "state: change-needed \u00d7") in reading.links
    assert ("?state=change-needed", "search: team \u00d7") in reading.links
    assert "1 object found" in reading.text


def test_a_filter_that_finds_nothing_leads_back():
    reading = shown(good(), view=View(namespace="nowhere"))
    assert reading.rows == {}
    assert ("?", "Show all objects") in reading.links


# The objects


def test_what_needs_somebody_has_a_section_of_its_own():
    reading = shown(good(), bad())
    assert reading.headings[-2:] == ["Somebody has to act 1", "The others 1"]
    assert shown(good()).headings[-1] == "Objects 1"


def test_a_row_has_object_state_times_sources_and_message():
    reading = shown(good(sources=[("app", "v1"), ("db", "v2")], target={"name": "other"}), bad())
    assert reading.rows["team/demo"] == {
        "": "demoin teamwrites the Secret other",
        "State": "Synced",
        "Since": "2 min ago",
        "Last synced": "2 min ago",
        "Sources": "appdb",
        "Message": "2 keys from 2 AWS secrets",
    }
    assert reading.rows["team/broken"] == {
        "": "brokenin team",
        "State": "AccessDenied",
        "Since": "1 min ago",
        "Last synced": "2 min ago",
        "Sources": "app",
        "Message": "no permission",
    }
    assert reading.kinds == {"team/broken": "change-needed", "team/demo": "ready"}
    assert ("objects/team/demo", "demo") in reading.links


@pytest.mark.parametrize(
    "content", [None, {}, {"conditions": None, "sources": None}, {"lastSyncTime": "when?", "sources": ["x", 1]}]
)
def test_an_object_with_any_status_has_a_row(content):
    reading = shown({**reported("demo", "team", {}), "status": content, "spec": None})
    row = reading.rows["team/demo"]
    assert (row["State"], row["Since"], row["Last synced"], row["Sources"]) == (
        "NotReportedpending",
        "-",
        "-",
        "none",
    )
    assert reading.kinds == {"team/demo": "pending"}


def test_of_many_sources_and_of_a_long_message_the_first_are_shown():
    one = good(sources=[(f"app-{n}", "v") for n in range(SOURCES + 2)])
    assert shown(one).rows["team/demo"]["Sources"] == "app-0app-1app-2and 2 more"
    assert shown(bad(message="x" * 1000)).rows["team/broken"]["Message"] == "x" * (MESSAGE - 1) + "…"


def test_a_long_list_has_pages():
    objects = [good(f"o-{n:03}") for n in range(2 * ROWS + 1)]
    reading = shown(*objects, view=View(words="o", page=2))
    assert reading.objects[0] == f"team/o-{ROWS:03}"
    assert f"{ROWS + 1} to {2 * ROWS} of {2 * ROWS + 1}" in reading.text
    assert reading.links[-4:] == [
        ("?q=o", "First"), ("?q=o", "Previous"), ("?q=o&page=3", "Next"), ("?q=o&page=3", "Last"),
    ]  # fmt: skip
    assert "Previous" not in shown(*objects[:ROWS]).text


def test_namespaces_beyond_the_first_can_be_unfolded():
    reading = shown(*(good("demo", f"team-{n:03}") for n in range(SPACES + 2)))
    assert "2 more namespaces" in reading.text
    assert (f"?namespace=team-{SPACES + 1:03}", f"team-{SPACES + 1:03}") in reading.links
    many_spaces = [bad("demo", f"team-{n:03}") for n in range(NAMESPACES + 5)]
    assert "and 5 more: search for their names" in shown(*many_spaces).text


def test_reasons_beyond_the_most_frequent_are_counted():
    objects = [bad(f"o-{n}") for n in range(REASONS + 2)]
    for number, one in enumerate(objects):
        one["status"]["conditions"][0]["reason"] = f"Reason{number}"
    assert "and 2 more reasons" in shown(*objects).text


# The listing


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "Secrets Manager in eu-west-1: 7 secrets, all listed 12 s ago."),
        (
            {"listings": [LISTED._replace(service="Parameter Store", operation="DescribeParameters")]},
            "Parameter Store in eu-west-1: 7 parameters, all listed 12 s ago.",
        ),
        ({"listings": [LISTED._replace(listed_at=None)]}, "Secrets Manager has not been listed yet."),
        (
            {"listings": [LISTED._replace(problem="listing AWS has failed")]},
            "Secrets Manager: listing AWS has failed.",
        ),
        ({"role": "standby"}, "This process is a standby"),
    ],
)
def test_the_page_says_how_old_the_listing_is(options, text):
    reading = shown(good(), **options)
    assert text in reading.text
    assert f"{options.get('role', 'leader')} · {__version__}" in reading.text


# HTML


def evil():
    one = bad(EVIL, EVIL, EVIL)
    one["status"]["conditions"][0]["reason"] = EVIL
    one["status"]["sources"] = [{"name": EVIL, "versionID": EVIL, "arn": EVIL}]
    one["spec"]["target"] = {"name": EVIL + "x"}
    return one


def test_nothing_that_users_write_becomes_html():
    html = made(
        evil(), view=View(words="alert", reason=EVIL), listings=[LISTED._replace(problem=EVIL, identity=EVIL)]
    )
    reading = Reading(html)
    assert b"<script" not in html
    assert set(reading.tags) <= {
        "html", "head", "meta", "title", "style", "body", "a", "svg", "symbol", "path", "rect", "use", "header", "nav",
        "span", "main", "h1", "h2", "p", "div", "section", "ul", "li", "form", "label", "input", "button", "table",
        "thead", "tbody", "tr", "th", "td", "small", "time", "footer",
    }  # fmt: skip
    row = reading.rows[f"{EVIL}/{EVIL}"]
    assert (row["State"], row["Message"], row["Sources"]) == (EVIL, EVIL, EVIL)
    assert row[""] == f"{EVIL}in {EVIL}writes the Secret {EVIL}x"


def test_the_search_stays_in_its_field():
    assert 'value="&#34;&gt;&lt;b&gt;"' in made(good(), view=View(words='"><b>')).decode()


def test_the_page_loads_nothing_and_its_style_is_the_one_that_the_policy_allows():
    html = made(good(), bad()).decode()
    assert not re.search(r"https?:|src=|<script|<link|@import|url\(|style=", html)
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("count", [0, 8, 5000])
def test_the_page_is_small_however_many_objects_there_are(count):
    assert len(made(*many(count, now=NOON))) < SMALL


def test_the_page_has_a_maximum_size_whatever_the_texts():
    objects = []
    for number in range(300):
        name, team = f"{number}-".ljust(253, "x"), f"{number}-".ljust(63, "x")
        one = bad(name, team, "&" * 1024)
        one["status"]["conditions"][0]["reason"] = f"R{number}".ljust(1024, "R")
        one["status"]["sources"] = [{"name": "&" * 512} for _ in range(50)]
        objects.append(one)
    for view in (View(), View(words="&&&&", state="change-needed"), View(words="&" * SEARCH_LIMIT)):
        assert len(made(*objects, view=view)) < HOSTILE


# Times


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86_399, "23 h"),
        (86_400, "1 d"),
        (864_000, "10 d"),
    ],
)
def test_a_time_is_shown_in_its_largest_unit(count, text):
    assert seconds(count) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [("2026-01-01T11:00:00Z", "1 h"), ("2026-01-01T12:00:10Z", "0 s"), (None, "-"), ("", "-"), (5, "-")],
)
def test_an_age_is_shown_for_a_valid_timestamp(timestamp, text):
    assert age(timestamp, NOON) == text
