"""What all pages have in common: the frame, the style, icons and times. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import htpy as h
from markupsafe import Markup

from secretsyncer import __version__
from secretsyncer.ages import age
from secretsyncer.explain.state import Acts
from secretsyncer.operator.status_page.style import STYLE, embedded
from secretsyncer.operator.status_page.view import SLUGS

_STYLE, _SHAPES = Markup(STYLE), Markup(embedded("icons.svg"))  # noqa: S704 - our own
"""The icons have a shape for each state, so that colour is not all that distinguishes them."""


class Frame(NamedTuple):
    """What a page says of the process. `root` is the relative path to `/`."""

    root: str
    role: str
    now: float


def document(frame: Frame, title: str, *main: h.Node, current: str = "") -> bytes:
    """The page with its header and footer. `current`: the link of the header that leads here."""
    moment = datetime.fromtimestamp(frame.now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    page = h.html(lang="en")[
        h.head[
            h.meta(charset="utf-8"),
            h.title[f"{title} - secretsyncer"],
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="color-scheme", content="light dark"),
            h.style[_STYLE],
        ],
        h.body[
            h.a(".skip", href="#main")["Skip to the content"],
            _SHAPES,
            h.header[
                h.a(".brand", href=frame.root)["secretsyncer"],
                h.nav(aria_label="Pages of the operator")[
                    _tab(frame.root, "Objects", current), _tab(f"{frame.root}aws", "AWS", current)
                ],
                h.span(".role")[frame.role, " · ", __version__],
            ],
            h.main("#main")[main],
            h.footer["As of ", moment, ". No page shows a value."],
        ],
    ]
    return str(page).encode()


def _tab(link: str, name: str, current: str) -> h.Element:
    return h.a(href=link, aria_current="page" if name == current else None)[name]


def icon(acts: Acts) -> h.Element:
    """The shape of a state, in its colour; only for those who see."""
    slug = SLUGS[acts]
    return h.svg(f".icon.{slug}", aria_hidden="true", width="16", height="16")[h.use(href=f"#i-{slug}")]


def ago(timestamp: str, now: float, otherwise: str = "-") -> h.Node:
    """How long ago that was, for people and for programs."""
    text = age(timestamp, now)
    return h.time(datetime=timestamp, title=timestamp)[text, " ago"] if text != "-" else otherwise


def number(count: float) -> str:
    """With a separator of thousands."""
    return f"{count:,.0f}"


def plural(count: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number(count)} {noun}{'s' * (count != 1)}"


def table(caption: str, columns: tuple[str, ...], rows: list[h.Element]) -> h.Element:
    """A table that stays one for screen readers where the style shows its rows as blocks."""
    return h.table(role="table", aria_label=caption)[
        h.thead(role="rowgroup")[
            h.tr(role="row")[(h.th(role="columnheader", scope="col")[name] for name in columns)]
        ],
        h.tbody(role="rowgroup")[rows],
    ]


def row(cells: dict[str, h.Node], **attributes: str) -> h.Element:
    """A row of a table. The first cell is its header; where rows are blocks, the others show the names of their columns."""
    (_, first), *others = cells.items()
    return h.tr(role="row", **attributes)[
        h.th(role="rowheader", scope="row")[first],
        (h.td(role="cell", data_name=name)[cell] for name, cell in others),
    ]
