"""The status page: what it shows of each object and of the operator, and that its HTML is safe."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from secretsyncer import __version__
from secretsyncer.ages import age, seconds
from secretsyncer.kube.objects import Key
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.operator.status_page import ROWS, SOURCES, StatusPage, page, row_of, share
from tests.support.builders import catalogue, entry, synced_secret
from tests.support.memory_cluster import MemoryCluster
from tests.support.specs import literal

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


class Reading(HTMLParser):
    """What a reader sees: the text of each cell, by object; the other texts; every tag that was opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}
        self.kinds: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        self.tags: list[str] = []
        self.text = ""
        self._row = self._term = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        fields = dict(attrs)
        if tag == "tr":
            self._row = fields.get("data-object", "")
            self.rows.setdefault(self._row, [])
            self.kinds[self._row] = fields.get("class", "")
        elif tag == "td":
            self.rows[self._row].append("")

    def handle_data(self, data):
        self.text += f"{data} "
        if self.tags[-1] == "dt":
            self._term = data
        elif self.tags[-1] == "dd":
            self.facts[self._term] = data
        if self._row and self.rows[self._row]:
            self.rows[self._row][-1] += data

    @property
    def objects(self):
        return [name for name in self.rows if name]


def demo(name="demo", *, ready="True", reason="Synced", message="1 key", sources=(), **more):
    obj = synced_secret(literal("a", "1"), name=name, **more)
    obj["status"] = {
        "conditions": [{"type": "Other"}, {"type": "Ready", "status": ready, "reason": reason, "message": message}],
        "lastSyncTime": "2026-01-01T11:58:00Z",
        "sources": [{"name": name, "versionID": version} for name, version in sources],
    }
    return obj


def shown(*objects, query="", facts=None):
    return Reading(page(objects, facts or {}, query=query, now=NOON))


# Rows


def test_a_row_has_object_state_last_sync_sources_and_message():
    reading = shown(demo(sources=[("app", "v1"), ("db", "v2")], target={"name": "other"}))
    assert reading.rows["team/demo"] == [
        "demoin teamwrites the Secret other",
        "Synced",
        "2 min",
        "app v1db v2",
        "1 key",
    ]


def test_a_secret_of_the_objects_own_name_is_not_named_twice():
    assert shown(demo()).rows["team/demo"][0] == "demoin team"


@pytest.mark.parametrize(
    ("obj", "reason", "last_sync"),
    [
        (synced_secret(literal("a", "1")), "not seen yet", "-"),
        ({**synced_secret(), "status": None}, "not seen yet", "-"),
        ({**synced_secret(), "status": {"conditions": None, "sources": None}}, "not seen yet", "-"),
        ({**synced_secret(), "status": {"lastSyncTime": "when?"}}, "not seen yet", "-"),
        ({**synced_secret(), "spec": None}, "not seen yet", "-"),
    ],
)
def test_an_object_with_any_status_has_a_row(obj, reason, last_sync):
    row = row_of(obj, NOON)
    assert (row.name, row.reason, row.last_sync, row.sources) == ("demo", reason, last_sync, ())
    assert shown(obj).kinds["team/demo"] == "new"


def test_objects_that_are_not_ready_come_first_then_by_namespace_and_name():
    reading = shown(
        demo("b"),
        demo("a"),
        demo("z", ready="False"),
        demo("y", ready="False", namespace="zoo"),
        demo("c", ready=""),
    )
    assert reading.objects == ["team/c", "team/z", "zoo/y", "team/a", "team/b"]
    assert [reading.kinds[name] for name in reading.objects] == ["new", "bad", "bad", "good", "good"]
    assert "5 objects, 3 not ready" in reading.text


def test_of_many_sources_the_first_are_shown_and_the_others_counted():
    reading = shown(demo(sources=[(f"app-{n}", "v") for n in range(SOURCES + 2)]))
    cell = reading.rows["team/demo"][3]
    assert cell.count("app-") == SOURCES
    assert cell.endswith("and 2 more")


def test_of_many_objects_the_first_are_shown_and_all_are_counted():
    reading = shown(*(demo(f"o-{n:04}") for n in range(ROWS + 1)))
    assert len(reading.objects) == ROWS
    assert f"The first {ROWS} are shown" in reading.text
    assert f"{ROWS + 1} objects" in reading.text
    assert "are shown" not in shown(*(demo(f"o-{n:04}") for n in range(ROWS))).text


def test_without_objects_the_page_shows_a_row_that_says_so():
    reading = shown()
    assert "no objects" in reading.text
    assert "0 objects, 0 not ready" in reading.text


# The search


@pytest.mark.parametrize(
    "query",
    [
        "wanted",
        "TEAM/WANTED",
        "special-reason",
        "special message",
        "message special",
        "db/app",
        "v77",
        "its-secret",
    ],
)
def test_a_search_finds_rows_with_all_of_its_words(query):
    wanted = demo(
        "wanted",
        reason="Special-Reason",
        message="a special message",
        sources=[("x", "v"), ("y", "v"), ("z", "v"), ("1", "v"), ("2", "v"), ("db/app", "v77")],
        target={"name": "its-secret"},
    )
    reading = shown(demo("other"), wanted, query=query)
    assert reading.objects == ["team/wanted"]
    assert "2 objects, 0 not ready, 1 found" in reading.text


def test_a_search_for_two_words_does_not_find_rows_with_one():
    assert shown(demo("a"), demo("b"), query="team/a team/b").objects == []


# HTML


EVIL = "<script>alert('\"&')</script>"


def test_nothing_that_users_write_becomes_html():
    obj = demo(EVIL, namespace=EVIL, reason=EVIL, message=EVIL, sources=[(EVIL, EVIL)], target={"name": EVIL + "x"})
    html = page([obj], {EVIL: EVIL}, query="alert", now=NOON)
    reading = Reading(html)
    assert "script" not in reading.tags
    assert reading.objects == [f"{EVIL}/{EVIL}"]
    assert reading.rows[f"{EVIL}/{EVIL}"] == [
        f"{EVIL}in {EVIL}writes the Secret {EVIL}x", EVIL, "2 min", f"{EVIL} {EVIL}", EVIL,
    ]  # fmt: skip
    assert reading.facts == {EVIL: EVIL}


def test_the_search_stays_in_its_field():
    html = page([], {}, query='"><b>', now=NOON)
    assert 'value="&quot;&gt;&lt;b&gt;"' in html


def test_the_page_loads_nothing():
    html = page([demo()], {"a": "b"}, query="", now=NOON)
    assert not re.search(r"https?:|src=|<script|<link|@import|url\(", html)


# Times and shares


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


@pytest.mark.parametrize(("part", "whole", "text"), [(0, 0, "-"), (0, 5, "0 %"), (1, 3, "33 %"), (5, 5, "100 %")])
def test_a_share_is_shown_in_per_cent(part, whole, text):
    assert share(part, whole) == text


# The operator's own figures


@pytest.fixture
async def status_page(metrics):
    """The page of a process with one object; `poller` is what it shows of AWS."""
    cluster = MemoryCluster(lag=0)
    cluster.put(demo())
    queue = WorkQueue(metrics=metrics)
    poller = SimpleNamespace(catalogue=catalogue(listed_at=None))
    made = StatusPage(cluster.stores.objects, poller, queue, metrics, leading=lambda: poller.leading)
    poller.leading = False
    made.poller, made.queue = poller, queue
    return made


async def test_before_the_first_listing_the_page_shows_no_figures_of_aws(status_page):
    assert Reading(status_page.snapshot("")().decode()).facts == {
        "Last listing of AWS": "none yet",
        "AWS secrets": "0",
        "AWS calls": "0",
        "Cache hits": "-",
        "Queue": "0 + 0 running",
        "Role": "standby",
        "Version": __version__,
    }


async def test_the_figures_of_a_process_at_work(status_page, metrics, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)
    status_page.poller.catalogue = catalogue(entry("a"), entry("b"), listed_at=NOON - 90)
    status_page.poller.leading = True
    for operation, outcome in (("ListSecrets", "success"), ("GetSecretValue", "denied")):
        metrics.aws_calls.labels(operation, outcome).inc()
    for result in ("hit", "hit", "hit", "miss"):
        metrics.cache_requests.labels(result).inc()
    for name in ("a", "b"):
        status_page.queue.add(Key("team", name))
    await status_page.queue.get()
    assert Reading(status_page.snapshot("")().decode()).facts == {
        "Last listing of AWS": "1 min ago",
        "AWS secrets": "2",
        "AWS calls": "2",
        "Cache hits": "75 %",
        "Queue": "1 + 1 running",
        "Role": "leader",
        "Version": __version__,
    }


async def test_the_page_searches_the_objects_that_the_informer_holds(status_page):
    assert Reading(status_page.snapshot("")().decode()).objects == ["team/demo"]
    assert Reading(status_page.snapshot("nothing")().decode()).objects == []
