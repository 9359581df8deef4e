"""The status of a SyncedSecret: conditions, versions, and the patch. Pure.

The merge patch has only differences, so an unchanged object costs no write, and transition times change only on
transitions (metav1.Condition). A status never contains a value or the hash of one: `generatedSecretHash` is computed
from generation, names and version ids.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from secretsyncer.aws.services import SECRETS_MANAGER, SERVICES
from secretsyncer.errors import Reason, SyncFailure, Unavailable, clip
from secretsyncer.kube.objects import Object, timestamp, unpacked_with

# Each attempt has a new one, which is not a change.
_REQUEST_ID = re.compile(r" \(request id [^)]*\)")

READY, STALLED, RECONCILING = "Ready", "Stalled", "Reconciling"
_OURS = {READY, STALLED, RECONCILING}
RESTARTED = "Restarted"
"""The condition about workloads. It changes without the others, and `restart_memory` creates it."""
RESTART_FIELDS = ("revision", "nextRevision", "revisionTime", "restartedRevision", "restarts")

SOURCES_LIMIT = 50
"""Maximum number of sources in a status. A template may read hundreds."""


class Source(NamedTuple):
    """An AWS secret or parameter that the Secret was rendered from."""

    name: str
    arn: str
    version_id: str
    service: str = SECRETS_MANAGER.name

    @property
    def version(self) -> str:
        """The version as users know it."""
        return SERVICES[self.service].shown_version(self.version_id)

    @property
    def pair(self) -> str:
        """Its name and version. A parameter can have the name of a secret."""
        prefix = "" if self.service == SECRETS_MANAGER.name else f"{self.service}:"
        return f"{prefix}{self.name}@{self.version}"


def current_version(sources: Iterable[Source]) -> str:
    """The version id where one secret feeds the object, else a digest of the `name@version` pairs."""
    pairs = _pairs(sources)
    if len(pairs) == 1:
        return pairs[0].rpartition("@")[2]
    return sha256("\n".join(pairs).encode()).hexdigest()[:16] if pairs else ""


def input_hash(generation: int, sources: Iterable[Source]) -> str:
    """Digest of the inputs of the Secret, never of its content, which could be guessed offline."""
    return sha256("\n".join([str(generation), *_pairs(sources)]).encode()).hexdigest()[:32]


def _pairs(sources: Iterable[Source]) -> list[str]:
    return sorted({source.pair for source in sources})


def sources_of(status: dict[str, Any], generation: int) -> frozenset[str]:
    """ARNs of the sources that the object was last synced from, if it was in this generation."""
    listed = [entry for entry in status.get("sources") or [] if isinstance(entry, dict)]
    if not listed:
        return frozenset()
    sources = [_source(entry) for entry in listed]
    same = status.get("generatedSecretHash") == input_hash(generation, sources)
    # Beyond the limit, some are missing, so only the generation decides.
    if same or (len(sources) >= SOURCES_LIMIT and status.get("observedGeneration") == generation):
        return frozenset(source.arn for source in sources)
    return frozenset()


def _source(entry: dict[str, Any]) -> Source:
    name, arn, version = (str(entry.get(field, "")) for field in ("name", "arn", "versionID"))
    service = str(entry.get("service"))
    return Source(name, arn, version, service if service in SERVICES else SECRETS_MANAGER.name)


def _origin(sources: Iterable[Source]) -> str:
    """How many of each service, in words."""
    counts = Counter(source.service for source in sources)
    parts = [
        f"{counts[name]} {service.noun}{'s' * (counts[name] != 1)}"
        for name, service in SERVICES.items()
        if counts[name]
    ]
    return f" from {' and '.join(parts)}" if parts else ""


def synced(
    old: dict[str, Any],
    *,
    generation: int,
    sources: tuple[Source, ...],
    keys: int,
    now: float,
    remarks: Sequence[str] = (),
    revision: int | None = None,
) -> dict[str, Any]:
    """The status of an object in sync with AWS. `revision`: None if no workloads are to be restarted."""
    listed = sorted(set(sources))
    message = "; ".join([f"{keys} key{'s' * (keys != 1)}{_origin(listed)}", *remarks])
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "currentVersionID": current_version(listed),
        "generatedSecretHash": input_hash(generation, listed),
        "sources": [
            {"service": s.service, "name": s.name, "arn": s.arn, "versionID": s.version}
            for s in listed[:SOURCES_LIMIT]
        ],
        "conditions": _conditions(old, Reason.SYNCED, message, generation=generation, now=now),
    }
    if revision is None:
        status["conditions"] = [c for c in status["conditions"] if c.get("type") != RESTARTED]
        status |= {field: None for field in RESTART_FIELDS if field in old}
    else:
        status |= _revision(old, revision, now)
    stale = any(status[field] != old.get(field) for field in status)
    status["lastSyncTime"] = timestamp(now) if stale or not old.get("lastSyncTime") else old["lastSyncTime"]
    return status


class Reported(NamedTuple):
    """Revisions in a status: the last one, and the one that was announced before its Secret was deleted."""

    revision: int = 0
    following: int = 0


NOTHING_REPORTED = Reported()


def reported_of(obj: Object) -> Reported:
    status = unpacked_with(obj.get("status"), b"revision", b"nextRevision") or {}
    return Reported(number(status.get("revision")), number(status.get("nextRevision")))


def number(value: Any) -> int:
    """A revision in a status, which may contain anything."""
    return value if type(value) is int and value >= 0 else 0


def _revision(old: dict[str, Any], revision: int, now: float) -> dict[str, Any]:
    """The revision of the data, and up to which one workloads were restarted.

    Nothing is due when spec.restart is new: the revision was 0 until now.
    """
    before = number(old.get("revision"))
    since = old.get("revisionTime")
    done: dict[str, Any] = {"nextRevision": None} if "nextRevision" in old else {}
    return done | {
        "revision": revision,
        "revisionTime": since if since and revision == before else timestamp(now),
        "restartedRevision": min(number(old.get("restartedRevision", before)), revision),
    }


def failed(old: dict[str, Any], failure: SyncFailure, *, generation: int, now: float) -> dict[str, Any]:
    """The status after a failure. What was last synced stays."""
    waits = isinstance(failure, Unavailable) or failure.reason is Reason.SECRET_MISSING
    cause = RECONCILING if waits else STALLED
    conditions = _conditions(old, failure.reason, failure.message, cause, generation=generation, now=now)
    return {**old, "observedGeneration": generation, "conditions": conditions}


def suspended(old: dict[str, Any], *, generation: int, now: float) -> dict[str, Any]:
    """The status of a suspended object."""
    message = "spec.suspend is true: the Secret stays as it is"
    conditions = _conditions(old, Reason.SUSPENDED, message, generation=generation, now=now)
    return {**old, "observedGeneration": generation, "conditions": conditions}


def patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    """The merge patch from one status to the other; None if they are equal."""
    changes = {field: value for field, value in new.items() if old.get(field) != value}
    return {"status": changes} if changes else None


def ready_reason(status: dict[str, Any]) -> str:
    """The current reason of the Ready condition, or the empty string."""
    return str((condition(status, READY) or {}).get("reason", ""))


def condition(status: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The condition of this type."""
    return next((c for c in status.get("conditions") or [] if c.get("type") == kind), None)


def _conditions(
    old: dict[str, Any], reason: Reason, message: str, cause: str = "", *, generation: int, now: float
) -> list[dict[str, Any]]:
    """Replace our conditions: Ready and, if there is one, the `cause` why it is False. Those of others stay."""
    before = condition(old, READY) or {}
    if before.get("reason") == reason and _REQUEST_ID.sub("", before.get("message", "")) == _REQUEST_ID.sub(
        "", message
    ):
        message = before["message"]
    states = {READY: "True" if reason is Reason.SYNCED else "False"}
    if cause:
        states[cause] = "True"
    ours = []
    for kind, state in states.items():
        earlier = condition(old, kind) or {}
        same = earlier.get("status") == state and earlier.get("lastTransitionTime")
        ours.append(
            {
                "type": kind,
                "status": state,
                "reason": str(reason),
                "message": clip(message),
                "observedGeneration": generation,
                "lastTransitionTime": earlier["lastTransitionTime"] if same else timestamp(now),
            }
        )
    return [*(c for c in old.get("conditions") or [] if c.get("type") not in _OURS), *ours]
