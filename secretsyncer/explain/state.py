"""What a status says of an object to people: whether it is ready, since when, and who acts next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from secretsyncer.errors import Reason
from secretsyncer.sync.restart_memory import WAITING
from secretsyncer.sync.status import READY, RECONCILING, RESTARTED, STALLED, condition


class Acts(StrEnum):
    """Who acts next, in the order of urgency."""

    SOMEBODY = "change needed"
    OPERATOR = "retrying"
    PENDING = "pending"
    SUSPENDED = "suspended"
    NOBODY = "ready"


class State(NamedTuple):
    """`since` is an RFC 3339 time, or empty if nobody knows."""

    acts: Acts
    reason: str
    since: str
    message: str


def state_of(obj: Mapping[str, Any]) -> State:
    """The state of a raw SyncedSecret. Its status may contain anything."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    ready = condition(status, READY)
    if metadata.get("deletionTimestamp"):
        held = ", ".join(metadata.get("finalizers") or ()) or "none"
        return State(Acts.PENDING, "Deleting", str(metadata["deletionTimestamp"]), f"finalizers: {held}")
    if ready is None:
        message = "the operator has not reported about it: is it running, and does it watch this namespace?"
        return State(Acts.PENDING, "NotReported", str(metadata.get("creationTimestamp", "")), message)
    generation = metadata.get("generation", 0)
    if ready.get("observedGeneration", generation) != generation:
        message = f"the operator has not reported about generation {generation} of the spec"
        return State(Acts.PENDING, "Edited", "", message)
    reason = str(ready.get("reason", ""))
    return State(
        _acts(status, ready, reason),
        reason,
        str(ready.get("lastTransitionTime", "")),
        str(ready.get("message", "")),
    )


class Told(NamedTuple):
    """A condition. `since` is an RFC 3339 time, or empty."""

    reason: str
    since: str
    message: str


def blocked_restart(obj: Mapping[str, Any]) -> Told | None:
    """Why workloads of the object cannot be restarted until somebody changes something; None if they can."""
    told = condition(obj.get("status") or {}, RESTARTED) or {}
    if told.get("status") != "False" or str(told.get("reason")) in WAITING:
        return None
    return Told(*(str(told.get(field, "")) for field in ("reason", "lastTransitionTime", "message")))


def _acts(status: dict[str, Any], ready: Mapping[str, Any], reason: str) -> Acts:
    if ready.get("status") == "True":
        return Acts.NOBODY
    if reason == Reason.SUSPENDED:
        return Acts.SUSPENDED
    for kind, acts in ((RECONCILING, Acts.OPERATOR), (STALLED, Acts.SOMEBODY)):
        if (condition(status, kind) or {}).get("status") == "True":
            return acts
    # An operator of an older version writes neither.
    return Acts.OPERATOR if reason in {Reason.AWS_UNAVAILABLE, Reason.KUBERNETES_ERROR} else Acts.SOMEBODY
