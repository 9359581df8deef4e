"""The page `/aws`: what is listed, how old that is, and what the calls cost; figures of the process. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import htpy as h

from secretsyncer.ages import seconds
from secretsyncer.aws.listing.outlook import DAY, PRICES, Outlook
from secretsyncer.explain.state import Acts
from secretsyncer.operator.status_page.layout import Frame, document, icon, number, plural, row, table

ENOUGH = 600.0
"""Seconds of a process after which its calls say something about a day."""
_LISTINGS = ("Source", "Listed", "Next listing", "Entries", "Calls so far", "Calls per day", "Dollars per day")
_CALLS = ("Operation", "Calls so far", "Failed", "Calls per day", "Dollars per day")


class Calls(NamedTuple):
    """Calls of one operation since the start of the process."""

    operation: str
    made: float
    failed: float


class Pace(NamedTuple):
    """The process: since when it runs, in seconds, the time on the loop's clock, and figures of it."""

    uptime: float
    clock: float
    figures: Mapping[str, str]


def aws(frame: Frame, listings: Sequence[Outlook], calls: Sequence[Calls], pace: Pace) -> bytes:
    """The HTML document."""
    made = {one.operation: one.made for one in calls}
    return document(
        frame,
        "AWS",
        h.h1["Calls to AWS"],
        [_problem(one) for one in listings if one.problem],
        h.section(".figures")[
            h.h2["Listing"],
            table(
                "Listing", _LISTINGS, [_listing(frame, one, made.get(one.operation, 0), pace) for one in listings]
            ),
            h.p(".muted")[
                "Calls per day are those of the settings: everything at each listing, and the first page of what "
                "changed last in between."
            ],
        ],
        h.section(".figures")[h.h2["All calls"], _calls(calls, pace)],
        h.section[
            h.h2["This process"],
            h.dl(".facts")[(h.div[h.dt[name], h.dd[text]] for name, text in pace.figures.items())],
        ],
        current="AWS",
    )


def _problem(one: Outlook) -> h.Element:
    return h.p(".note.alert")[icon(Acts.OPERATOR), f"{one.service}: {one.problem}"]


def _listing(frame: Frame, one: Outlook, made: float, pace: Pace) -> h.Element:
    left = None if one.due is None else one.due - pace.clock
    cells: dict[str, h.Node] = {
        "Source": (f"{one.service} in {one.region}", h.small["as ", one.identity]),
        "Listed": "not yet" if one.listed_at is None else f"{seconds(frame.now - one.listed_at)} ago",
        "Next listing": "not planned" if left is None else f"in {seconds(left)}" if left > 0 else "now",
        "Entries": number(one.secrets),
        "Calls so far": number(made),
        "Calls per day": number(one.calls_per_day),
        "Dollars per day": dollars(one.dollars_per_day),
    }
    return row(cells)


def _calls(calls: Sequence[Calls], pace: Pace) -> h.Node:
    if not calls:
        return h.p(".muted")["None yet"]
    enough = pace.uptime >= ENOUGH
    rows, total = [], 0.0
    for one in calls:
        daily = one.made * DAY / pace.uptime if enough else None
        cost = None if daily is None or one.operation not in PRICES else daily * PRICES[one.operation]
        total += cost or 0
        rows.append(
            row(
                {
                    "Operation": one.operation,
                    "Calls so far": number(one.made),
                    "Failed": number(one.failed),
                    "Calls per day": "-" if daily is None else number(daily),
                    "Dollars per day": "-" if cost is None else dollars(cost),
                }
            )
        )
    text = (
        f"At the pace since the start, {seconds(pace.uptime)} ago: {dollars(total)} dollars per day."
        if enough
        else f"The pace of a day is shown {plural(int(ENOUGH) // 60, 'minute')} after the start."
    )
    return (table("All calls", _CALLS, rows), h.p(".muted")[text, " AWS does not charge calls to STS."])


def dollars(amount: float) -> str:
    """With enough digits for small amounts."""
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.4f}"
