"""The query of the page: what is understood, what is refused, and the links to other views."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.operator.status_page.view import NAME_LIMIT, SEARCH_LIMIT, View, object_link


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ({}, View()),
        ({"q": " a   b "}, View(words="a b")),
        ({"state": "change-needed", "page": "7"}, View(state="change-needed", page=7)),
        (
            {"state": "not-ready", "reason": "Conflict", "namespace": "team"},
            View("", "not-ready", "Conflict", "team"),
        ),
        ({"unknown": "x", "utm": "y"}, View()),
    ],
)
def test_a_query_asks_for_a_view(query, view):
    assert View.of(query) == view


def test_a_search_has_a_maximum_length():
    assert View.of({"q": "x" * 5000}) == View(words="x" * SEARCH_LIMIT)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"state": "<script>"}, "state: must be one of not-ready, change-needed, retrying"),
        ({"page": "0"}, "page: must be a number from 1"),
        ({"page": "-1"}, "page: must be a number from 1"),
        ({"page": "1e9"}, "page: must be a number from 1"),
        ({"page": "9" * 5000}, "page: must be a number from 1"),
        ({"page": "\u0661"}, "page: must be a number from 1"),
        ({"reason": "x" * (NAME_LIMIT + 1)}, "reason: at most"),
        ({"namespace": "x" * (NAME_LIMIT + 1)}, "namespace: at most"),
    ],
)
def test_what_is_not_valid_is_refused_and_not_repeated(query, problem):
    with pytest.raises(ValueError, match=problem) as refused:
        View.of(query)
    assert not any(value in str(refused.value) for value in query.values() if len(value) > 1)


@pytest.mark.parametrize(
    "view", [View("a b&c=d#", "ready", "R", "n", 3), View(), View(words='"><b>'), View(page=2)]
)
def test_a_link_to_a_view_asks_for_it(view):
    assert View.of(dict(parse_qsl(view.link(page=view.page)[1:]))) == view


def test_a_link_changes_a_filter_keeps_the_others_and_starts_at_the_first_page():
    view = View("words", "ready", "", "team", 9)
    assert view.link({"state": "", "reason": "Synced"}) == "?q=words&reason=Synced&namespace=team"


def test_a_link_to_an_object_stays_below_its_path():
    assert object_link(Key("team", "demo")) == "objects/team/demo"
    assert object_link(Key("..", "a/../../?x#y")) == "objects/../a%2F..%2F..%2F%3Fx%23y"
