"""The page of one object: what `secretsyncer why` shows. Pure."""

from __future__ import annotations

import htpy as h

from secretsyncer.explain.explanation import Explanation, Restarts
from secretsyncer.operator.status_page.layout import Frame, ago, document, icon, row, table
from secretsyncer.operator.status_page.view import SLUGS, View

_VERDICTS = {True: "Allowed: ", False: "Denied: ", None: ""}


def one(frame: Frame, found: Explanation) -> bytes:
    """The HTML document."""
    key, state = found.key, found.state
    space = frame.root + View().link({"namespace": key.namespace})
    advice, *more = found.next_steps
    return document(
        frame,
        str(key),
        h.nav(".path", aria_label="Where this is")[
            h.a(href=frame.root)["Objects"], " / ", h.a(href=space)[key.namespace], " /"
        ],
        h.h1[key.name],
        h.div(f".verdict.{SLUGS[state.acts]}")[
            h.p(".state")[icon(state.acts), state.reason],
            h.p[f"It {found.headline}."],
            h.p(".message")[state.message],
        ],
        h.section[h.h2["What to do next"], h.p[advice], (h.p["More: ", h.code[line]] for line in more)],
        h.section[h.h2["State"], _facts(frame, found)],
        h.section[h.h2["Sources"], _sources(found)],
        found.restarts and h.section[h.h2["Restarts"], _restarts(frame, found.restarts)],
        h.section(".events")[h.h2["Events"], _events(frame, found)],
        h.section[
            h.h2["In a terminal"],
            h.p[h.code[f"kubectl secretsyncer why {key}"]],
            h.p[h.code[f"kubectl describe syncedsecret -n {key.namespace} {key.name}"]],
        ],
    )


def missing(frame: Frame) -> bytes:
    """The page of an object that the operator does not know."""
    return document(
        frame,
        "no such object",
        h.h1["There is no such SyncedSecret"],
        h.p["It was deleted, or the operator does not watch its namespace, or the link is wrong."],
        h.p[h.a(href=frame.root)["Show all objects"]],
    )


def _facts(frame: Frame, found: Explanation) -> h.Element:
    access = _VERDICTS[found.access.allowed] + found.access.rule
    facts: dict[str, h.Node] = {
        "Since": ago(found.state.since, frame.now, "not known"),
        "Last synced": ago(found.synced, frame.now, "not yet"),
        "Secret": f"{found.secret}",
    }
    return h.dl(".facts")[
        (h.div[h.dt[name], h.dd[text]] for name, text in facts.items()),
        h.div(".wide")[h.dt["Access"], h.dd[access]],
    ]


def _sources(found: Explanation) -> h.Node:
    if not found.sources:
        return h.p(".muted")["None"]
    rows = [
        row(
            {
                "Name": source.name,
                "Service": source.service,
                "Version ID": h.code[source.version_id],
                "ARN": h.code[source.arn],
            }
        )
        for source in found.sources
    ]
    return table("Sources", ("Name", "Service", "Version ID", "ARN"), rows)


def _restarts(frame: Frame, restarts: Restarts) -> list[h.Node]:
    told = f" ({restarts.reason}: {restarts.message})" if restarts.reason else ""
    rows = [
        row(
            {
                "Workload": line.workload,
                "Revision": str(line.revision),
                "Restarted": "begun" if line.pending else ago(line.time, frame.now),
            }
        )
        for line in restarts.workloads
    ]
    shown = table("Restarts", ("Workload", "Revision", "Restarted"), rows) if rows else None
    return [h.p[f"{restarts.progress[0].upper()}{restarts.progress[1:]}{told}."], shown]


def _events(frame: Frame, found: Explanation) -> h.Node:
    if not found.events:
        return h.p(".muted")["This process has sent none lately."]
    rows = [
        row(
            {
                "Last": ago(event.time, frame.now),
                "Type": event.type,
                "Reason": event.reason,
                "Count": str(event.times),
                "Message": event.message,
            }
        )
        for event in found.events
    ]
    return table("Events", ("Last", "Type", "Reason", "Count", "Message"), rows)
