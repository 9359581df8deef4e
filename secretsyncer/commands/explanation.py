"""An explanation on one screen of a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secretsyncer.ages import age
from secretsyncer.commands.terminal import Screen, clean
from secretsyncer.explain.explanation import Explanation

_INDENT = "  "
_ACCESS = {True: "allowed: ", False: "denied: ", None: ""}


def lines(explanation: Explanation, screen: Screen, *, now: float) -> Iterator[str]:
    """The lines of the screen."""
    title = screen.bold(f"SyncedSecret {explanation.key}")
    yield f"{title} {screen.state(explanation.headline, explanation.state.acts)}"
    sections = {
        "Condition": _condition(explanation, now),
        "Access": [_ACCESS[explanation.access.allowed] + explanation.access.rule],
        "Secret": [f"{explanation.secret}{_part(explanation)}, {_synced(explanation, now)}"],
        **_restarts(explanation, screen, now),
        "Sources": _sources(explanation, screen),
        "Events": _events(explanation, screen, now),
        "What to do next": explanation.next_steps,
    }
    for section, inside in sections.items():
        yield ""
        yield screen.bold(section)
        for line in inside:
            yield _INDENT + clean(line)


def _condition(explanation: Explanation, now: float) -> Iterator[str]:
    state = explanation.state
    since = f", since {_moment(state.since, now)}" if state.since else ""
    yield f"{state.reason}{since}"
    yield state.message


def _part(explanation: Explanation) -> str:
    return " (policy Merge: only the keys of this object)" if explanation.merges else ""


def _synced(explanation: Explanation, now: float) -> str:
    return f"last synced {_moment(explanation.synced, now)}" if explanation.synced else "not synced yet"


def _restarts(explanation: Explanation, screen: Screen, now: float) -> dict[str, Iterable[str]]:
    """The section about restarts, if the object asks for any."""
    restarts = explanation.restarts
    if restarts is None:
        return {}
    since = f", {restarts.reason} since {_moment(restarts.since, now)}" if restarts.reason else ""
    first = [f"{restarts.progress}{since}", *([restarts.message] if restarts.message else [])]
    rows = [
        [line.workload, str(line.revision), "begun" if line.pending else _moment(line.time, now)]
        for line in restarts.workloads
    ]
    return {"Restarts": [*first, *(screen.table([["WORKLOAD", "REVISION", "RESTARTED"], *rows]) if rows else ())]}


def _sources(explanation: Explanation, screen: Screen) -> Iterable[str]:
    if not explanation.sources:
        return ["none synced yet"]
    return screen.table([["SERVICE", "NAME", "VERSION ID", "ARN"], *explanation.sources])


def _events(explanation: Explanation, screen: Screen, now: float) -> Iterable[str]:
    if explanation.events_problem:
        return [f"not known: {explanation.events_problem}"]
    if not explanation.events:
        return ["none; Kubernetes keeps Events for an hour"]
    return screen.table(
        [
            (f"{age(event.time, now)} ago", event.type, event.reason, f"x{event.times}", event.message)
            for event in explanation.events
        ]
    )


def _moment(time: str, now: float) -> str:
    return f"{time} ({age(time, now)} ago)"
