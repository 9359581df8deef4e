"""Everything about one object on one screen: state, access, Secret, sources, Events, and what to do next. Pure.

It is made of the object, its namespace and its Events, which contain no value. The Secret is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from secretsyncer.ages import age
from secretsyncer.commands.access import decision
from secretsyncer.commands.state import Acts, State, state_of
from secretsyncer.commands.terminal import Screen, clean
from secretsyncer.errors import Reason, Rejected
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.sync.authorize import Rules
from secretsyncer.synced_secret import parse, target_of

EVENTS = 5
"""Maximum number of Events: the last ones."""
_INDENT = "  "

_HEADLINES = {
    Acts.SOMEBODY: "is not ready: somebody has to change something",
    Acts.OPERATOR: "is not ready: the operator tries again by itself",
    Acts.PENDING: "is not ready: the operator has to report about it",
    Acts.SUSPENDED: "is suspended",
    Acts.NOBODY: "is ready",
}
NEXT = {
    Reason.SYNCED: "Nothing. To read AWS at once: kubectl secretsyncer refresh {key}",
    Reason.SUSPENDED: "Find out who suspended it, and why. To sync it again: kubectl secretsyncer resume {key}",
    Reason.INVALID_SPEC: "Correct the fields that the message names: kubectl edit syncedsecret -n {namespace} {name}",
    Reason.ROLE_NOT_ALLOWED: "Add the role to the annotation of the namespace, or set spec.IAMRole to one that it has.",
    Reason.ACCESS_DENIED: "Give the role the permission that the message names: secretsyncer iam-policy prints the policy.",
    Reason.SECRET_NOT_FOUND: "Create the AWS secret, or correct its name, its region or its account in the spec.",
    Reason.INVALID_SECRET_VALUE: "Correct the AWS secret, or what the spec reads of it.",
    Reason.TEMPLATE_ERROR: "Correct the template. To try it without the cluster: kubectl secretsyncer render --help",
    Reason.CONFLICT: "Let one owner write the Secret: the message says who else claims it.",
    Reason.AWS_UNAVAILABLE: "Nothing, if it is short. Otherwise check the network and the credentials of the operator.",
    Reason.KUBERNETES_ERROR: "Nothing, if it is short. Otherwise check what the message says of the Kubernetes API.",
    Reason.ADMISSION_DENIED: "Change the SyncedSecret so that the policy accepts its Secret, or exempt the operator.",
}
"""What to do next, in one line; the runbook has the rest."""
_OPERATOR = "Check that the operator runs, and that it watches this namespace: its /readyz and its log say so."


class Facts(NamedTuple):
    """What is known of an object. `problems` says why the namespace or the Events are not."""

    obj: Object
    namespace: Object | None
    events: Sequence[Object]
    problems: Mapping[str, str]


def explain(facts: Facts, rules: Rules, screen: Screen, *, now: float, account: str = "") -> Iterator[str]:
    """The lines. `account` is the id of the operator's AWS account, if it is known."""
    key, state = key_of(facts.obj), state_of(facts.obj)
    yield f"{screen.bold(f'SyncedSecret {key}')} {screen.state(_HEADLINES[state.acts], state.acts)}"
    sections = {
        "Condition": _condition(state, now),
        "Access": _access(facts, rules, account),
        "Secret": _secret(facts.obj, now),
        "Sources": _sources(facts.obj, screen),
        "Events": _events(facts, screen, now),
        "What to do next": _next(state, key),
    }
    for title, lines in sections.items():
        yield ""
        yield screen.bold(title)
        for line in lines:
            yield _INDENT + line


def _condition(state: State, now: float) -> Iterator[str]:
    since = f", since {_moment(state.since, now)}" if state.since else ""
    yield clean(f"{state.reason}{since}")
    yield clean(state.message)


def _access(facts: Facts, rules: Rules, account: str) -> Iterator[str]:
    if facts.namespace is None:
        yield f"not known: {facts.problems['namespace']}"
        return
    try:
        spec = parse(facts.obj).spec
    except Rejected as failure:
        yield clean(f"not checked, because the spec is not valid: {failure.message}")
        return
    allowed, rule = decision(spec, facts.namespace, rules, account)
    yield clean({True: "allowed: ", False: "denied: ", None: ""}[allowed] + rule)


def _secret(obj: Object, now: float) -> Iterator[str]:
    synced = (obj.get("status") or {}).get("lastSyncTime")
    yield clean(f"{target_of(obj)}, " + (f"last synced {_moment(synced, now)}" if synced else "not synced yet"))


def _sources(obj: Object, screen: Screen) -> Iterable[str]:
    listed = (obj.get("status") or {}).get("sources") or []
    if not listed:
        return ["none"]
    rows = [[str(source.get(field, "")) for field in ("name", "versionID", "arn")] for source in listed]
    return screen.table([["AWS SECRET", "VERSION ID", "ARN"], *rows])


def _events(facts: Facts, screen: Screen, now: float) -> Iterable[str]:
    if problem := facts.problems.get("events"):
        return [f"not known: {problem}"]
    last = sorted(facts.events, key=_time)[-EVENTS:]
    if not last:
        return ["none; Kubernetes keeps Events for an hour"]
    rows = [
        (
            f"{age(_time(e), now)} ago",
            e.get("type", ""),
            e.get("reason", ""),
            f"x{e.get('count') or 1}",
            e.get("message", ""),
        )
        for e in last
    ]
    return screen.table(rows)


def _time(event: Mapping[str, Any]) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return str(next(filter(None, times), ""))


def _next(state: State, key: Key) -> Iterator[str]:
    if state.acts is Acts.PENDING:
        yield _OPERATOR
        return
    try:
        advice = NEXT[Reason(state.reason)]
    except ValueError:
        yield "This version does not know the reason. Use the version of the operator."
    else:
        yield advice.format(key=key, namespace=key.namespace, name=key.name)
        yield f"docs/runbook.md#{state.reason.lower()}"


def _moment(time: str, now: float) -> str:
    return f"{time} ({age(time, now)} ago)"
