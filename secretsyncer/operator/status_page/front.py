"""The page at `/`: how many objects are ready, those that need somebody, and the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h

from secretsyncer.ages import seconds
from secretsyncer.aws.listing.outlook import Outlook
from secretsyncer.errors import clip
from secretsyncer.explain.explanation import sources_of
from secretsyncer.explain.state import Acts
from secretsyncer.kube.objects import unpacked
from secretsyncer.operator.status_page.layout import Frame, ago, document, icon, number, plural, row, table
from secretsyncer.operator.status_page.overview import InNamespace, Overview, Row
from secretsyncer.operator.status_page.view import NOT_READY, SLUGS, STATES, View, object_link
from secretsyncer.synced_secret import target_of

SOURCES = 3
"""AWS secrets of an object on this page. The search includes all of them."""
MESSAGE, WORD = 280, 120
"""Characters of a message on this page, and of a reason or the name of an AWS secret."""
SPACES = 8
"""Namespaces that are shown at first."""
_SAID = {Acts.OPERATOR, Acts.PENDING}
"""States that neither the reason nor the section says."""
_COLUMNS = ("Object", "State", "Since", "Last synced", "Sources", "Message")


def front(frame: Frame, seen: Overview, listings: Sequence[Outlook]) -> bytes:
    """The HTML document."""
    needing, others = _split(seen)
    return document(
        frame,
        _title(seen),
        _answer(seen),
        _listings(frame, listings),
        (_facets(seen), _search(seen)) if seen.all.total() else None,
        _section(frame, "Somebody has to act", seen.found[Acts.SOMEBODY], needing),
        _section(
            frame,
            "The others" if seen.found[Acts.SOMEBODY] else "Objects",
            seen.found.total() - seen.found[Acts.SOMEBODY],
            others,
        ),
        _none(seen),
        _paging(seen),
        current="Objects",
    )


def _title(seen: Overview) -> str:
    wrong = sum(seen.all[acts] for acts in STATES[NOT_READY])
    return f"{number(wrong)} not ready" if wrong else "all ready"


def _answer(seen: Overview) -> h.Node:
    total, ready = seen.all.total(), seen.all[Acts.NOBODY]
    if not total:
        return h.h1["There is no SyncedSecret"]
    if ready == total:
        text = f"All {plural(total, 'object')} are ready" if total > 1 else "The only object is ready"
    else:
        text = f"{number(ready)} of {plural(total, 'object')} {'is' if 1 in {ready, total} else 'are'} ready"
    return (h.h1[text], _bar(seen), _tiles(seen))


def _bar(seen: Overview) -> h.Element:
    """The shares as a picture; the numbers are below it."""
    total, x, parts = seen.all.total(), 0.0, []
    for acts in Acts:
        if share := 100 * seen.all[acts] / total:
            parts.append(h.rect(f".{SLUGS[acts]}", x=f"{x:.2f}%", width=f"{share:.2f}%", height="100%"))
            x += share
    return h.svg(".bar", aria_hidden="true", width="100%", height="10")[parts]


def _tiles(seen: Overview) -> h.Element:
    return h.nav(".tiles", aria_label="Objects by state")[(_tile(seen, acts) for acts in Acts)]


def _tile(seen: Overview, acts: Acts) -> h.Element:
    slug, count = SLUGS[acts], seen.states[acts]
    chosen = seen.view.state == slug
    link = seen.view.link({"state": "" if chosen else slug})
    return h.a(
        f".tile.{slug}" + (".zero" if not count else ""), href=link, aria_current="true" if chosen else None
    )[h.span(".count")[number(count)], h.span(".label")[icon(acts), acts.capitalize()]]


def _listings(frame: Frame, listings: Sequence[Outlook]) -> h.Node:
    if frame.role == "standby":
        return h.p(".note")[
            "This process is a standby: it shows the objects, and neither lists AWS nor writes Secrets."
        ]
    return [_listing(frame, one) for one in listings]


def _listing(frame: Frame, one: Outlook) -> h.Element:
    link = h.a(href=f"{frame.root}aws")["Calls and cost"]
    if one.problem:
        return h.p(".note.alert")[icon(Acts.OPERATOR), f"{one.service}: {one.problem}. ", link]
    if one.listed_at is None:
        return h.p(".note")[f"{one.service} has not been listed yet. ", link]
    age = seconds(frame.now - one.listed_at)
    text = f"{one.service} in {one.region}: {plural(one.secrets, one.kind)}, all listed {age} ago. "
    return h.p(".note")[text, link]


def _facets(seen: Overview) -> h.Node:
    return h.div(".facets")[
        h.section[
            h.h2["Not ready, by reason ", _all_of_them(seen)],
            h.ul(".facet")[(_facet(seen, "reason", reason, number(count)) for reason, count in seen.reasons)]
            if seen.reasons
            else h.p(".muted")["None"],
            h.p(".muted")[f"and {plural(seen.other_reasons, 'more reason')}"] if seen.other_reasons else None,
        ],
        h.section[h.h2["By namespace" if seen.view.state else "Not ready, by namespace"], _spaces(seen)],
    ]


def _all_of_them(seen: Overview) -> h.Node:
    count = sum(seen.states[acts] for acts in STATES[NOT_READY])
    return h.a(href=seen.view.link({"state": NOT_READY}))[f"all {number(count)}"] if count else None


def _spaces(seen: Overview) -> h.Node:
    first, more = seen.namespaces[:SPACES], seen.namespaces[SPACES:]
    return (
        h.ul(".facet")[(_space(seen, one) for one in first)],
        h.details[
            h.summary[f"{plural(len(more) + seen.other_namespaces, 'more namespace')}"],
            h.ul(".facet")[(_space(seen, one) for one in more)],
            h.p(".muted")[f"and {number(seen.other_namespaces)} more: search for their names"]
            if seen.other_namespaces
            else None,
        ]
        if more
        else None,
    )


def _space(seen: Overview, one: InNamespace) -> h.Element:
    text = number(one.objects) if seen.view.state else f"{number(one.not_ready)} of {number(one.objects)}"
    return _facet(seen, "namespace", one.name, text)


def _facet(seen: Overview, name: str, value: str, count: str) -> h.Element:
    chosen = seen.view.filters.get(name) == value
    link = seen.view.link({name: "" if chosen else value})
    return h.li[
        h.a(href=link, aria_current="true" if chosen else None)[clip(value, WORD) or "none"],
        " ",
        h.span(".muted")[count],
    ]


def _search(seen: Overview) -> h.Element:
    view = seen.view
    return h.form(method="get", role="search")[
        h.label(for_="q")["Search"],
        h.input("#q", type="search", name="q", value=view.words, placeholder="name, reason, source"),
        (h.input(type="hidden", name=name, value=text) for name, text in view.filters.items()),
        h.button["Search"],
        h.p(".chips")[
            h.span(role="status")[f"{plural(seen.found.total(), 'object')} found"],
            (_chip(view, name, text) for name, text in view.filters.items()),
            _chip(view, "words", view.words) if view.words else None,
        ]
        if view.filters or view.words
        else None,
    ]


def _chip(view: View, name: str, text: str) -> h.Element:
    label = "search" if name == "words" else name
    return h.a(".chip", href=view.link({name: ""}), aria_label=f"Remove the filter {label} {clip(text, WORD)}")[
        f"{label}: {clip(text, WORD)} ", h.span(aria_hidden="true")["\u00d7"]
    ]


def _split(seen: Overview) -> tuple[list[Row], list[Row]]:
    needing = [one for one in seen.rows if one.state.acts is Acts.SOMEBODY]
    return needing, seen.rows[len(needing) :]


def _section(frame: Frame, title: str, count: int, rows: list[Row]) -> h.Node:
    if not rows:
        return None
    return h.section(".list")[
        h.h2[title, " ", h.span(".muted")[number(count)]],
        table(title, _COLUMNS, [_row(frame, one) for one in rows]),
    ]


def _row(frame: Frame, one: Row) -> h.Element:
    key, state, status = one.key, one.state, unpacked(one.obj.get("status")) or {}
    secret = target_of(one.obj).name
    cells: dict[str, h.Node] = {
        "Object": (
            h.a(href=object_link(key))[key.name],
            h.small["in ", key.namespace],
            h.small["writes the Secret ", secret] if secret != key.name else None,
        ),
        "State": (
            h.span(f".state.{SLUGS[state.acts]}")[icon(state.acts), clip(state.reason, WORD)],
            h.small[state.acts] if state.acts in _SAID else None,
        ),
        "Since": ago(state.since, frame.now),
        "Last synced": ago(str(status.get("lastSyncTime")), frame.now),
        "Sources": _sources(one),
        "Message": clip(state.message, MESSAGE),
    }
    return row(cells, class_=SLUGS[state.acts], data_object=str(key))


def _sources(one: Row) -> h.Node:
    names = [source.name for source in sources_of(unpacked(one.obj.get("status")) or {})]
    if not names:
        return h.span(".muted")["none"]
    more = h.li(".muted")[f"and {len(names) - SOURCES} more"] if len(names) > SOURCES else None
    return h.ul[(h.li[clip(name, WORD)] for name in names[:SOURCES]), more]


def _none(seen: Overview) -> h.Node:
    if seen.rows:
        return None
    if not seen.all.total():
        return h.p(".empty")["The operator sees no SyncedSecret in the namespaces that it watches."]
    return h.p(".empty")["No object has all of this. ", h.a(href="?")["Show all objects"]]


def _paging(seen: Overview) -> h.Node:
    if seen.pages == 1:
        return None
    page, last = seen.view.page, seen.first + len(seen.rows)
    text = f"{number(seen.first + 1)} to {number(last)} of {number(seen.found.total())}"
    return h.nav(".paging", aria_label="Pages of the list")[
        _turn(seen, "First", 1, page > 1),
        _turn(seen, "Previous", page - 1, page > 1),
        h.span[text],
        _turn(seen, "Next", page + 1, page < seen.pages),
        _turn(seen, "Last", seen.pages, page < seen.pages),
    ]


def _turn(seen: Overview, name: str, page: int, possible: bool) -> h.Element:  # noqa: FBT001 - a fact of the page
    return h.a(href=seen.view.link(page=page))[name] if possible else h.span(".muted")[name]
