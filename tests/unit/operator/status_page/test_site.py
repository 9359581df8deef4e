"""The pages of a process: what they take from its stores, its listing and its counters."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from secretsyncer.kube.objects import Key
from secretsyncer.operator.status_page.site import share
from secretsyncer.operator.status_page.view import View
from tests.support.builders import namespace
from tests.support.html import Reading
from tests.support.pages import reported, site

KEY = Key("team", "demo")


async def test_the_list_shows_the_objects_that_the_informer_holds(metrics):
    async with site([reported("demo", "team", {})], metrics) as page:
        assert Reading(page.front(View())()).objects == ["team/demo"]
        assert Reading(page.front(View(words="nothing"))()).objects == []


async def test_a_page_shows_the_moment_of_its_snapshot(metrics):
    async with site([reported("demo", "team", {})], metrics) as page:
        render, one = page.front(View()), page.one(KEY)
        await page._stores.objects.replace("", [], "2")
        assert Reading(render()).objects == ["team/demo"]
        assert Reading(one()).headings[0] == "demo"
        assert Reading(page.one(KEY)()).headings == ["There is no such SyncedSecret"]


async def test_the_page_of_no_object_shows_the_role_and_the_time_of_now(metrics, monkeypatch):
    leading, now = [], 86_400.5
    monkeypatch.setattr("secretsyncer.operator.status_page.site.time", SimpleNamespace(time=lambda: now))
    async with site([], metrics) as page:
        monkeypatch.setattr(page, "_leading", lambda: bool(leading))
        assert b"standby" in page.missing()()
        leading, now = [True], now + 60
        shown = page.missing()()
        assert b"leader" in shown
        assert b"standby" not in shown
        assert b"1970-01-02 00:01:00 UTC" in shown


async def test_an_object_is_explained_with_its_namespace_its_events_and_the_operators_account(metrics):
    events = [
        {"uid": "team/demo", "metadata": {}, "reason": "Sent"},
        {"uid": "other", "metadata": {}, "reason": "Not"},
    ]
    objects = [reported("demo", "team", {}, IAMRole="reader")]
    async with site(objects, metrics, spaces=[namespace(roles=["writer"])], events=events) as page:
        assert (page.has(KEY), page.has(Key("team", "other"))) == (True, False)
        reading = Reading(page.one(KEY)())
        assert reading.facts["Access"].startswith("Denied: role arn:aws:iam::123456789012:role/reader is not in")
        assert [row["Reason"] for row in reading.tables[0][1:]] == ["Sent"]


async def test_an_object_whose_namespace_was_not_seen_says_so(metrics):
    async with site([reported("demo", "team", {})], metrics) as page:
        await page._stores.namespaces.replace("", [], "2")
        access = Reading(page.one(KEY)()).facts["Access"]
        assert access == "not known: the operator has not seen the namespace"


async def test_an_object_that_is_kept_without_its_content_has_pages(metrics):
    bare = {"metadata": {"name": "demo", "namespace": "team", "uid": "u"}, "kind": None, "apiVersion": None}
    async with site([bare], metrics) as page:
        assert Reading(page.front(View(words="team/demo"))()).objects == ["team/demo"]
        assert Reading(page.one(KEY)()).headings[0] == "demo"


async def test_the_page_about_aws_has_the_figures_of_the_process(metrics):
    for operation, outcome in (
        ("ListSecrets", "success"),
        ("GetSecretValue", "denied"),
        ("GetSecretValue", "success"),
    ):
        metrics.aws_calls.labels(operation, outcome).inc()
    for result in ("hit", "hit", "hit", "miss"):
        metrics.cache_requests.labels("SecretsManager", result).inc()
    async with site([reported("demo", "team", {})], metrics, leading=False) as page:
        for name in ("a", "b"):
            page._queue.add(Key("team", name))
        await page._queue.get()
        reading = Reading(page.aws()())
    assert [list(row.values())[:3] for row in reading.tables[1][1:]] == [
        ["GetSecretValue", "2", "1"],
        ["ListSecrets", "1", "0"],
    ]
    assert reading.facts == {"Queue": "1 waiting, 1 running", "Reads from the cache": "75 %", "Objects": "1"}
    assert "standby" in reading.text


@pytest.mark.parametrize(("part", "whole", "text"), [(0, 0, "-"), (0, 5, "0 %"), (1, 3, "33 %"), (5, 5, "100 %")])
def test_a_share_is_shown_in_per_cent(part, whole, text):
    assert share(part, whole) == text
