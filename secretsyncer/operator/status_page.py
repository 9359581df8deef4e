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

from secretsyncer.synced_secret import target_of

ROWS = 500
"""Objects on one page; the search finds the others. Those that are not ready come first."""
SOURCES = 5
"""Sources shown of one object; the search knows all of them."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""


class Source(NamedTuple):
    """An AWS secret that an object was made from, and the version of it."""

    name: str
    version: str


class Row(NamedTuple):
    """One SyncedSecret on the page."""

    ready: str
    namespace: str
    name: str
    secret: str
    reason: str
    message: str
    last_sync: str
    sources: tuple[Source, ...]

    def matches(self, words: Iterable[str]) -> bool:
        sources = (part for source in self.sources for part in source)
        text = " ".join((f"{self.namespace}/{self.name}", self.secret, self.reason, self.message, *sources)).lower()
        return all(word in text for word in words)


def row_of(obj: Mapping[str, Any], now: float) -> Row:
    """The row of a raw object, whatever is in its status."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    ready: Mapping[str, Any] = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {})
    sources = (Source(str(s.get("name")), str(s.get("versionID"))) for s in status.get("sources") or [])
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
    body = "".join(_row(row) for row in found[:ROWS]) or '<tr class="none"><td colspan="5">nothing here</td></tr>'
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


def _sources(sources: tuple[Source, ...]) -> str:
    shown = [f"<li>{escape(name)} <code>{escape(version)}</code></li>" for name, version in sources[:SOURCES]]
    more = [f"<li>and {len(sources) - SOURCES} more</li>"] if len(sources) > SOURCES else []
    return f"<ul>{''.join(shown + more)}</ul>" if shown else ""


_STYLE = """
:root{color-scheme:light dark;--line:#8883;--bad:#b3261e;--good:#18703a;--new:#7a5d00}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--good:#7bd69a;--new:#e5c76b}}
*{box-sizing:border-box}body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:84rem}
h1{font-size:1.25rem;margin:0 0 .7rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.5rem;margin:0 0 1rem}
dl div{border:1px solid var(--line);border-radius:.5rem;padding:.4rem .7rem}
dt{font-size:.8rem;opacity:.75}dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
input{font:inherit;padding:.4rem .6rem;flex:1 1 14rem;max-width:26rem;min-width:0}
button{font:inherit;padding:.4rem .9rem}
table{border-collapse:collapse;width:100%;margin-top:1rem}
th,td{text-align:left;padding:.45rem .6rem;vertical-align:top;overflow-wrap:anywhere}
th{font-size:.8rem;font-weight:600;opacity:.75;white-space:nowrap}tr{border-top:1px solid var(--line)}thead tr{border:0}
th:nth-child(1),td:nth-child(1){min-width:11rem}td:nth-child(2),td:nth-child(3){white-space:nowrap}
td:nth-child(4){min-width:19rem}td:nth-child(5){min-width:14rem}
small{display:block;font-size:.85rem;opacity:.75}ul{list-style:none;margin:0;padding:0}li+li{margin-top:.25rem}
code{display:block;font:12px/1.4 ui-monospace,monospace;opacity:.75}
em{font-style:normal;font-weight:600}
.bad em{color:var(--bad)}.good em{color:var(--good)}.new em{color:var(--new)}
@media(max-width:50rem){thead{display:none}tr{display:block;padding:.6rem 0}
tr.none td{display:block}td:nth-child(n){display:grid;grid-template-columns:7.5rem 1fr;padding:.12rem 0;min-width:0;
white-space:normal}td:nth-child(1){display:block}td::before{content:attr(data-name);opacity:.75;font-size:.85rem}
td:nth-child(1)::before{content:none}td:empty{display:none}}
"""
