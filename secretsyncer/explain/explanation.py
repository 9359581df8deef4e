"""What there is to say about one object: state, access, Secret, sources, Events, and what to do next. Pure.

It is made of the object, its namespace and its Events, which contain no value. The Secret is not read. `why` and the
status page show the same explanation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from secretsyncer.errors import Reason, Rejected
from secretsyncer.explain.access import Decision, decision
from secretsyncer.explain.state import Acts, State, Told, blocked_restart, state_of
from secretsyncer.kube.objects import Key, Object, key_of, unpacked
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.restart_memory import Reason as RestartReason
from secretsyncer.sync.restart_memory import entries
from secretsyncer.sync.status import RESTARTED, condition, number
from secretsyncer.synced_secret import merges, parse, target_of
from secretsyncer.synced_secret.restart import DEFAULT_DELAY

EVENTS = 5
"""Maximum number of Events: the last ones."""

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
    Reason.SECRET_NOT_FOUND: "Create the AWS secret or parameter, or correct its name, its region or its account in the spec.",
    Reason.INVALID_SECRET_VALUE: "Correct the AWS secret or parameter, or what the spec reads of it.",
    Reason.TEMPLATE_ERROR: "Correct the template. To try it without the cluster: kubectl secretsyncer render --help",
    Reason.SECRET_MISSING: "Nothing, if somebody creates the Secret. Otherwise correct spec.target.name, or set target.create.",
    Reason.CONFLICT: "Do what the message says, or let only one owner write the Secret.",
    Reason.AWS_UNAVAILABLE: "Nothing, if it is short. Otherwise check the network and the credentials of the operator.",
    Reason.KUBERNETES_ERROR: "Nothing, if it is short. Otherwise check what the message says of the Kubernetes API.",
    Reason.ADMISSION_DENIED: "Change the SyncedSecret so that the policy accepts its Secret, or exempt the operator.",
}
"""What to do next, in one line; the runbook has the rest."""
NEXT_OF_RESTARTS = {
    RestartReason.PAUSED: "Resume the workload that the message names.",
    RestartReason.NOT_FOUND: "Create the workload that the message names, or correct spec.restart.",
    RestartReason.FORBIDDEN: "Grant the operator the permissions: the component restarts, or restarts.enabled of the chart.",
    RestartReason.REFUSED: "Exempt the operator from the policy or webhook that the message names.",
    RestartReason.TOO_MANY: "Let spec.restart select fewer workloads.",
    RestartReason.KUBERNETES_ERROR: "Nothing, if it is short. Otherwise check what the message says of the Kubernetes API.",
}
"""What to do next about restarts that are blocked."""
_UNKNOWN = "This version does not know the reason. Use the version of the operator."
CHECK_THE_OPERATOR = (
    "Check that the operator runs, and that it watches this namespace: its /readyz and its log say so."
)


class Facts(NamedTuple):
    """What is known of an object. `problems` says why the namespace or the Events are not."""

    obj: Object
    namespace: Object | None
    events: Sequence[Object]
    problems: Mapping[str, str]


class SourceLine(NamedTuple):
    """An AWS secret or a parameter that the object was made from."""

    service: str
    name: str
    version_id: str
    arn: str


class EventLine(NamedTuple):
    """`time` is an RFC 3339 time, or empty."""

    time: str
    type: str
    reason: str
    times: int
    message: str


class RestartLine(NamedTuple):
    """The last restart of a workload. `time` is an RFC 3339 time. `pending`: it has begun, and is not confirmed."""

    workload: str
    revision: int
    time: str
    pending: bool


class Restarts(NamedTuple):
    """What is known of restarts. The last three are those of the condition `Restarted`, and empty without it."""

    progress: str
    workloads: tuple[RestartLine, ...]
    reason: str
    since: str
    message: str


class Explanation(NamedTuple):
    """Everything about one object. `synced` is an RFC 3339 time, or empty."""

    key: Key
    state: State
    headline: str
    access: Decision
    secret: Key
    merges: bool
    """Whether it fills only some keys of the Secret."""

    synced: str
    restarts: Restarts | None
    sources: tuple[SourceLine, ...]
    events: tuple[EventLine, ...]
    events_problem: str
    next_steps: tuple[str, ...]


def explain(facts: Facts, rules: Rules, *, account: str = "", otherwise: str = "") -> Explanation:
    """The explanation. `account` is the id of the operator's AWS account; `otherwise`: what to do if it is needed."""
    obj, state = facts.obj, state_of(facts.obj)
    blocked = blocked_restart(obj) if state.acts is Acts.NOBODY else None
    status = unpacked(obj.get("status")) or {}
    return Explanation(
        key=key_of(obj),
        state=state,
        headline=_HEADLINES[state.acts] + (", but workloads could not be restarted" if blocked else ""),
        access=_access(facts, rules, account, otherwise),
        secret=target_of(obj),
        merges=merges(obj),
        synced=str(status.get("lastSyncTime") or ""),
        restarts=_restarts(obj),
        sources=tuple(sources_of(status)),
        events=tuple(_events(facts.events)),
        events_problem=facts.problems.get("events", ""),
        next_steps=tuple(_next_of_restarts(blocked) if blocked else _next(state, key_of(obj))),
    )


def _restarts(obj: Object) -> Restarts | None:
    """None if the object asks for no restarts."""
    spec, status = unpacked(obj.get("spec")) or {}, unpacked(obj.get("status")) or {}
    if not spec.get("restart"):
        return None
    told = condition(status, RESTARTED) or {}
    return Restarts(
        _progress(spec["restart"], status),
        tuple(
            RestartLine(f"{entry.kind} {entry.name}", entry.revision, entry.time, entry.pending)
            for entry in entries(status).values()
        ),
        *(str(told.get(field, "")) for field in ("reason", "lastTransitionTime", "message")),
    )


def _progress(asked: Any, status: Mapping[str, Any]) -> str:
    revision, done = number(status.get("revision")), number(status.get("restartedRevision"))
    if done >= revision:
        return f"nothing is due: revision {revision}" if revision else "nothing is due: the data have not changed"
    delay = asked.get("delay", f"{DEFAULT_DELAY:.0f}s") if isinstance(asked, dict) else ""
    return f"due for revision {revision} of {status.get('revisionTime', '')}, after a delay of {delay}"


def sources_of(status: Mapping[str, Any]) -> Iterator[SourceLine]:
    """The AWS secrets and parameters of a status, which may contain anything."""
    for source in status.get("sources") or ():
        if isinstance(source, dict):
            yield SourceLine(*(str(source.get(field, "")) for field in ("service", "name", "versionID", "arn")))


def _access(facts: Facts, rules: Rules, account: str, otherwise: str) -> Decision:
    if facts.namespace is None:
        return Decision(None, f"not known: {facts.problems['namespace']}")
    try:
        spec = parse(facts.obj).spec
    except Rejected as failure:
        return Decision(None, f"not checked, because the spec is not valid: {failure.message}")
    decided = decision(spec, facts.namespace, rules, account)
    if decided.allowed is None:
        return decided._replace(rule=f"{decided.rule}; {otherwise}")
    return decided


def _events(events: Iterable[Object]) -> Iterator[EventLine]:
    for event in sorted(events, key=_time)[-EVENTS:]:
        yield EventLine(
            _time(event),
            event.get("type", ""),
            event.get("reason", ""),
            event.get("count") or 1,
            event.get("message", ""),
        )


def _time(event: Mapping[str, Any]) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return str(next(filter(None, times), ""))


def _next(state: State, key: Key) -> Iterator[str]:
    if state.acts is Acts.PENDING:
        yield CHECK_THE_OPERATOR
        return
    try:
        advice = NEXT[Reason(state.reason)]
    except ValueError:
        yield _UNKNOWN
    else:
        yield advice.format(key=key, namespace=key.namespace, name=key.name)
        yield f"docs/runbook.md#{state.reason.lower()}"


def _next_of_restarts(blocked: Told) -> Iterator[str]:
    try:
        yield NEXT_OF_RESTARTS[RestartReason(blocked.reason)]
    except ValueError:
        yield _UNKNOWN
    else:
        yield "docs/restarts.md#the-condition-restarted"
