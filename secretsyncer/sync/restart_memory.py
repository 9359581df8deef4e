"""What the status of a SyncedSecret says of restarts: which are due, which were done, and why one has to wait. Pure.

The memory is here, and not on the workload: a tool that removes an annotation of the workload causes no second restart.
Before a restart, the entry of the workload is `pending`, with the time that the workload gets. If the process ends in
between, that time shows whether the workload was restarted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from secretsyncer.errors import clip
from secretsyncer.kube.objects import Object, timestamp, unpacked, unpacked_with
from secretsyncer.sync.status import RESTARTED, condition, number

MOST_WORKLOADS = 200
"""Workloads that one object may restart: the limit of `restarts` in the status."""


class Reason(StrEnum):
    """Reasons of the condition `Restarted`. They are API: users write alerts for them."""

    RESTARTED = "Restarted"
    WAITING_FOR_WINDOW = "WaitingForWindow"
    WAITING_FOR_INTERVAL = "WaitingForInterval"
    PAUSED = "Paused"
    NOT_FOUND = "NotFound"
    FORBIDDEN = "Forbidden"
    REFUSED = "Refused"
    TOO_MANY = "TooManyWorkloads"
    KUBERNETES_ERROR = "KubernetesError"


WAITING = {Reason.WAITING_FOR_WINDOW, Reason.WAITING_FOR_INTERVAL}
"""Reasons that nobody has to do anything about."""


class Entry(NamedTuple):
    """A restart of a workload. `time` is in RFC 3339."""

    kind: str
    name: str
    revision: int
    time: str
    pending: bool = False

    def covers(self, revision: int) -> bool:
        """Whether the workload was restarted for this revision."""
        return not self.pending and self.revision >= revision


def is_behind(obj: Object) -> bool:
    """Whether restarts are due for this object."""
    status = unpacked_with(obj.get("status"), b"revision")
    if not isinstance(status, dict) or number(status.get("restartedRevision")) >= number(status.get("revision")):
        return False  # as almost always: a spec can be long
    spec = unpacked(obj.get("spec"))
    return (
        isinstance(spec, dict)
        and isinstance(spec.get("restart"), dict)
        and not spec.get("suspend")
        and not obj["metadata"].get("deletionTimestamp")
    )


def entries(status: Object) -> dict[tuple[str, str], Entry]:
    """The restarts in the status, by kind and name of the workload."""
    listed = [entry for entry in status.get("restarts") or [] if isinstance(entry, dict)]
    found = [
        Entry(
            str(entry.get("kind")),
            str(entry.get("name")),
            number(entry.get("revision")),
            str(entry.get("time")),
            entry.get("pending") is True,
        )
        for entry in listed
    ]
    return {(entry.kind, entry.name): entry for entry in found}


def with_entry(status: Object, entry: Entry) -> Object:
    """The status with this restart, in place of the last one of the same workload. The oldest ones are dropped."""
    others = [old for old in entries(status).values() if (old.kind, old.name) != (entry.kind, entry.name)]
    kept = sorted(others, key=lambda old: old.time)[1 - MOST_WORKLOADS :]
    listed = sorted([*kept, entry])
    return {**status, "restarts": [_json(each) for each in listed]}


def finished(status: Object, revision: int, message: str, *, generation: int, now: float) -> Object:
    """The status after all workloads were restarted for this revision."""
    done = {**status, "restartedRevision": max(number(status.get("restartedRevision")), revision)}
    return explained(done, Reason.RESTARTED, message, generation=generation, now=now)


def explained(status: Object, reason: Reason, message: str, *, generation: int, now: float) -> Object:
    """The status with the condition `Restarted`."""
    before = condition(status, RESTARTED) or {}
    state = "True" if reason is Reason.RESTARTED else "False"
    same = before.get("status") == state and before.get("lastTransitionTime")
    told = {
        "type": RESTARTED,
        "status": state,
        "reason": str(reason),
        "message": clip(message),
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if same else timestamp(now),
    }
    others = [other for other in status.get("conditions") or [] if other.get("type") != RESTARTED]
    return {**status, "conditions": [told, *others]}


def _json(entry: Entry) -> dict[str, Any]:
    made = entry._asdict()
    if not made["pending"]:
        del made["pending"]
    return made
