"""The counts, the filters, the order and the pages of the list."""

from __future__ import annotations

import pytest

from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.explain.state import Acts
from secretsyncer.operator.status_page.overview import NAMESPACES, REASONS, ROWS, overview
from secretsyncer.operator.status_page.view import View
from secretsyncer.sync import status
from secretsyncer.sync.status import Source
from tests.support.pages import reported

NOON = 1_767_268_800.0
DENIED, SLOW = Rejected(Reason.ACCESS_DENIED, "no permission"), Unavailable(Reason.AWS_UNAVAILABLE, "no answer")


def good(name, team="team", sources=(), **spec):
    return reported(name, team, status.synced({}, generation=1, sources=tuple(sources), keys=1, now=NOON), **spec)


def bad(name, team="team", failure=DENIED):
    return reported(name, team, status.failed({}, failure, generation=1, now=NOON))


OBJECTS = [
    good("b"),
    good("a"),
    bad("z", failure=SLOW),
    bad("y", "zoo"),
    bad("x", "zoo"),
    reported("new", "team", {}),
    reported("idle", "team", status.suspended({}, generation=1, now=NOON)),
]


def names(seen):
    return [row.key.name for row in seen.rows]


def test_what_needs_somebody_comes_first_and_what_is_ready_last():
    assert names(overview(OBJECTS, View())) == ["x", "y", "z", "new", "idle", "a", "b"]


def test_the_counts_without_a_filter_are_those_of_all():
    seen = overview(OBJECTS, View())
    assert seen.all == seen.states == seen.found
    assert [seen.all[acts] for acts in Acts] == [2, 1, 1, 1, 2]
    assert seen.reasons == [("AccessDenied", 2), ("AWSUnavailable", 1), ("NotReported", 1), ("Suspended", 1)]
    assert seen.namespaces == [("team", 3, 5), ("zoo", 2, 2)]


@pytest.mark.parametrize(
    ("view", "found"),
    [
        (View(state="change-needed"), ["x", "y"]),
        (View(state="not-ready"), ["x", "y", "z", "new", "idle"]),
        (View(state="ready"), ["a", "b"]),
        (View(reason="AWSUnavailable"), ["z"]),
        (View(namespace="zoo"), ["x", "y"]),
        (View(namespace="team", state="ready", words="a"), ["a", "b"]),
        (View(namespace="zoo", state="ready"), []),
        (View(namespace="nowhere"), []),
    ],
)
def test_a_filter_selects_objects(view, found):
    seen = overview(OBJECTS, view)
    assert names(seen) == found
    assert seen.found.total() == len(found)
    assert seen.all.total() == len(OBJECTS)


def test_a_count_shows_what_its_filter_would_find_beside_the_other_filters():
    for view in (View(namespace="team"), View(state="not-ready"), View(words="no", state="retrying")):
        seen = overview(OBJECTS, view)
        for acts, count in seen.states.items():
            slug = acts.replace(" ", "-")
            assert overview(OBJECTS, view._replace(state=slug)).found.total() == count
        for reason, count in seen.reasons:
            shown = overview(OBJECTS, view._replace(reason=reason))
            assert shown.found.total() - shown.found[Acts.NOBODY] == count
        for one in seen.namespaces:
            assert overview(OBJECTS, view._replace(namespace=one.name)).found.total() == one.objects


@pytest.mark.parametrize(
    "words",
    [
        "wanted",
        "TEAM/WANTED",
        "synced",
        "aws secrets",
        "secrets AWS",
        "db/app",
        "v77",
        "its-secret",
        ":secret:db/app",
    ],
)
def test_a_search_finds_objects_with_all_of_its_words(words):
    sources = [
        Source(n, f"arn:aws:secretsmanager:eu-west-1:1:secret:{n}", "v77") for n in ("a", "b", "c", "db/app")
    ]
    wanted = good("wanted", sources=sources, target={"name": "its-secret"})
    assert names(overview([bad("other"), wanted], View(words=words))) == ["wanted"]
    assert names(overview([bad("other"), wanted], View(words=f"{words} more"))) == []


@pytest.mark.parametrize("content", [None, {}, {"conditions": None, "sources": None}, {"lastSyncTime": "when?"}])
def test_an_object_with_any_status_is_counted(content):
    seen = overview([{**reported("demo", "team", {}), "status": content, "spec": None}], View(words="team/demo"))
    assert [seen.all[acts] for acts in Acts] == [0, 0, 1, 0, 0]
    assert names(seen) == ["demo"]


def test_the_list_is_cut_into_pages_and_a_page_beyond_the_last_is_the_last():
    objects = [good(f"o-{number:04}") for number in range(2 * ROWS + 1)]
    pages = [overview(objects, View(page=number)) for number in (1, 2, 3, 4, 999_999)]
    assert [len(seen.rows) for seen in pages] == [ROWS, ROWS, 1, 1, 1]
    assert [seen.view.page for seen in pages] == [1, 2, 3, 3, 3]
    assert {seen.pages for seen in pages} == {3}
    assert [name for seen in pages[:3] for name in names(seen)] == [
        f"o-{number:04}" for number in range(2 * ROWS + 1)
    ]
    assert (pages[1].first, overview([], View(page=5)).pages) == (ROWS, 1)


def test_only_so_many_reasons_and_namespaces_are_counted_and_the_rest_is_said():
    objects = []
    for number in range(NAMESPACES + 7):
        one = bad("demo", f"team-{number:04}")
        one["status"]["conditions"][0]["reason"] = f"Reason{number % (REASONS + 3)}"
        objects.append(one)
    seen = overview([*objects, good("fine", "aaa")], View())
    assert (len(seen.reasons), seen.other_reasons) == (REASONS, 3)
    assert (len(seen.namespaces), seen.other_namespaces) == (NAMESPACES, 8)
    assert seen.namespaces[0].name == "team-0000"
