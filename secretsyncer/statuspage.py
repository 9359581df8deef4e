"""The page at `/`: every SyncedSecret, why it is as it is, and how the operator fares. Pure: values in, HTML out.

It shows what `kubectl get syncedsecrets -A` and the metrics show and nothing else; no value of a secret ever gets
here, because it is made from statuses. No script, no style or image from anywhere, so that it opens on a phone and
under a strict content policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

from secretsyncer.models import target_of

ROWS = 500
"""Objects on one page; the search finds the others. Those that are not ready come first."""
SOURCES = 5
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""


class Row(NamedTuple):
    """One SyncedSecret on the page."""

    ready: str
    namespace: str
    name: str
    secret: str
    reason: str
    message: str
    last_sync: str
    sources: str

    def matches(self, words: Iterable[str]) -> bool:
        text = " ".join(self).lower()
        return all(word in text for word in words)


def row_of(obj: Mapping[str, Any], now: float) -> Row:
    """The row of a raw object, whatever is in its status."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    ready: Mapping[str, Any] = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {})
    sources = [f"{s.get('name')} @ {s.get('versionID')}" for s in status.get("sources") or []]
    more = [f"and {len(sources) - SOURCES} more"] if len(sources) > SOURCES else []
    return Row(
        str(ready.get("status", "")),
        metadata.get("namespace", ""),
        metadata["name"],
        target_of(dict(obj)).name,
        str(ready.get("reason", "not seen yet")),
        str(ready.get("message", "")),
        age(status.get("lastSyncTime"), now),
        ", ".join(sources[:SOURCES] + more),
    )


def age(timestamp: Any, now: float) -> str:
    """The time since an RFC 3339 timestamp, as people say it; a dash where there is none."""
    try:
        then = datetime.fromisoformat(str(timestamp)).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return "-"
    return seconds(now - then)


def seconds(count: float) -> str:
    """A time as people say it, in its largest unit."""
    whole = max(0, int(count))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent; a dash where there is nothing yet."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def page(objects: Iterable[Mapping[str, Any]], facts: Mapping[str, str], *, query: str, now: float) -> str:
    """The HTML document. `facts` are shown on top, in order; `query` are words that a row must all hold."""
    rows = [row_of(obj, now) for obj in objects]
    words = query.lower().split()
    found = sorted((row for row in rows if row.matches(words)), key=lambda row: (row.ready == "True", row[1:3]))
    not_ready = sum(row.ready != "True" for row in rows)
    summary = f"{len(rows)} objects, {not_ready} not ready" + (f", {len(found)} found" if words else "")
    cut = f"<p>The first {ROWS} are shown; search for the others.</p>" if len(found) > ROWS else ""
    top = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    body = "".join(_row(row) for row in found[:ROWS]) or '<tr><td colspan="7">nothing here</td></tr>'
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>secretsyncer</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>secretsyncer</h1><dl>{top}</dl>"
        f'<form method="get"><input type="search" name="q" value="{escape(query)}" aria-label="Search"'
        f' placeholder="namespace, name, reason"> <button>Search</button> <span>{summary}</span></form>{cut}'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></body></html>"
    )


_COLUMNS = ("Namespace", "Name", "Secret", "Reason", "Last sync", "Sources", "Message")


def _row(row: Row) -> str:
    kind = {"True": "good", "False": "bad"}.get(row.ready, "")
    cells = (row.namespace, row.name, row.secret, row.reason, row.last_sync, row.sources, row.message)
    marked = "".join(
        f'<td data-name="{name}">{escape(text)}</td>' for name, text in zip(_COLUMNS, cells, strict=True)
    )
    return f'<tr class="{kind}">{marked}</tr>'


_STYLE = """
:root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;margin:1rem;max-width:80rem}
h1{font-size:1.3rem;margin:0 0 .5rem}dl{display:flex;flex-wrap:wrap;gap:.4rem 1.6rem;margin:0 0 1rem}
dt{font-size:.8rem;opacity:.7}dd{margin:0;font-variant-numeric:tabular-nums}
input{font:inherit;padding:.3rem;width:16rem;max-width:60vw}button{font:inherit;padding:.3rem .8rem}
table{border-collapse:collapse;width:100%;margin-top:.8rem}
th,td{text-align:left;padding:.35rem .6rem;vertical-align:top}
th{font-size:.8rem;opacity:.7}tr{border-top:1px solid #8884}td{overflow-wrap:anywhere}
.bad td:nth-child(4){color:#c2331d;font-weight:600}.good td:nth-child(4){color:#1d7a3a}
td:nth-child(4),td:nth-child(5){white-space:nowrap}
@media(max-width:45rem){thead{display:none}tr{display:block;padding:.5rem 0}td{display:block;padding:.1rem 0}
td::before{content:attr(data-name) ": ";opacity:.6}td:empty{display:none}}
"""
