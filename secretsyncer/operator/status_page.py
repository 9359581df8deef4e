"""The page at `/`: every SyncedSecret with its state and reason, and figures about the operator.

It shows only what `kubectl get syncedsecrets -A` and the metrics show. It is built from statuses, which never contain a
value. It has no script and loads nothing, so it works on a phone and under a strict content security policy. `page` is
pure: values in, HTML out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from secretsyncer import __version__
from secretsyncer.ages import age, seconds
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.kube.objects import Key
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.metrics import Metrics
from secretsyncer.synced_secret import target_of

ROWS = 500
"""Maximum number of objects on the page. Those that are not ready come first; the search finds the others."""
SOURCES = 5
"""Maximum number of sources in a row. The search includes all of them."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""
_STYLE = Path(__file__).with_name("status_page.css").read_text("utf-8")


class StatusPage:
    """The page of one process. `leading` returns whether it reconciles."""

    def __init__(
        self,
        objects: ObjectStore,
        poller: Poller,
        queue: WorkQueue[Key],
        metrics: Metrics,
        *,
        leading: Callable[[], bool],
    ) -> None:
        self._objects = objects
        self._poller = poller
        self._queue = queue
        self._metrics = metrics
        self._leading = leading

    def snapshot(self, query: str) -> Callable[[], bytes]:
        """The page as it is now, to be made in a thread; `query` is what a reader searches for.

        The store replaces objects and never changes them, so a list of them is a snapshot.
        """
        now = time.time()
        objects, facts = [obj for _, obj in self._objects.items()], self._facts(now)
        return lambda: page(objects, facts, query=query, now=now).encode()

    def _facts(self, now: float) -> dict[str, str]:
        catalogue, metrics = self._poller.catalogue, self._metrics
        hits, wanted = metrics.total(metrics.cache_requests, result="hit"), metrics.total(metrics.cache_requests)
        return {
            "Last listing of AWS": f"{seconds(now - catalogue.listed_at)} ago"
            if catalogue.listed_at
            else "none yet",
            "AWS secrets": str(len(catalogue.entries)),
            "AWS calls": f"{metrics.total(metrics.aws_calls):.0f}",
            "Cache hits": share(hits, wanted),
            "Queue": f"{len(self._queue)} + {self._queue.running()} running",
            "Role": "leader" if self._leading() else "standby",
            "Version": __version__,
        }


class Row(NamedTuple):
    """One SyncedSecret on the page."""

    ready: str
    namespace: str
    name: str
    secret: str
    reason: str
    message: str
    last_sync: str
    sources: tuple[tuple[str, str], ...]  # name and version id of the AWS secrets

    def matches(self, words: Iterable[str]) -> bool:
        sources = (part for source in self.sources for part in source)
        text = " ".join((f"{self.namespace}/{self.name}", self.secret, self.reason, self.message, *sources)).lower()
        return all(word in text for word in words)


def row_of(obj: Mapping[str, Any], now: float) -> Row:
    """The row of a raw object. Its status may contain anything."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    ready: Mapping[str, Any] = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {})
    sources = ((str(s.get("name")), str(s.get("versionID"))) for s in status.get("sources") or [])
    return Row(
        str(ready.get("status", "")),
        metadata.get("namespace", ""),
        metadata["name"],
        target_of(dict(obj)).name,
        str(ready.get("reason", "not seen yet")),
        str(ready.get("message", "")),
        age(status.get("lastSyncTime"), now),
        tuple(sources),
    )


def share(part: float, whole: float) -> str:
    """A ratio in per cent; a dash if the total is 0."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def page(objects: Iterable[Mapping[str, Any]], facts: Mapping[str, str], *, query: str, now: float) -> str:
    """The HTML document. `facts` are shown on top, in order; a row must have all the words of `query`."""
    rows = [row_of(obj, now) for obj in objects]
    words = query.lower().split()
    found = sorted((row for row in rows if row.matches(words)), key=lambda row: (row.ready == "True", row[1:3]))
    not_ready = sum(row.ready != "True" for row in rows)
    summary = f"{len(rows)} objects, {not_ready} not ready" + (f", {len(found)} found" if words else "")
    cut = f"<p>The first {ROWS} are shown; search for the others.</p>" if len(found) > ROWS else ""
    top = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    body = "".join(_row(row) for row in found[:ROWS]) or '<tr class="none"><td colspan="5">no objects</td></tr>'
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>secretsyncer</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>secretsyncer</h1><dl>{top}</dl>"
        f'<form method="get"><input type="search" name="q" value="{escape(query)}" aria-label="Search"'
        f' placeholder="namespace, name, reason, AWS secret"><button>Search</button>'
        f"<span>{summary}</span></form>{cut}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></body></html>"
    )


_COLUMNS = ("Object", "State", "Last sync", "Read from AWS", "Message")


def _row(row: Row) -> str:
    kind = {"True": "good", "False": "bad"}.get(row.ready, "new")
    name = f"<b>{escape(row.name)}</b><small>in {escape(row.namespace)}</small>"
    secret = f"<small>writes the Secret {escape(row.secret)}</small>" if row.secret != row.name else ""
    cells = (
        name + secret,
        f"<em>{escape(row.reason)}</em>",
        escape(row.last_sync),
        _sources(row.sources),
        escape(row.message),
    )
    marked = "".join(f'<td data-name="{label}">{cell}</td>' for label, cell in zip(_COLUMNS, cells, strict=True))
    return f'<tr class="{kind}" data-object="{escape(row.namespace)}/{escape(row.name)}">{marked}</tr>'


def _sources(sources: tuple[tuple[str, str], ...]) -> str:
    shown = [f"<li>{escape(name)} <code>{escape(version)}</code></li>" for name, version in sources[:SOURCES]]
    more = [f"<li>and {len(sources) - SOURCES} more</li>"] if len(sources) > SOURCES else []
    return f"<ul>{''.join(shown + more)}</ul>" if shown else ""
