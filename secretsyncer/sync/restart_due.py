"""Which restarts are due for an object, and for whom a restart counts. Pure.

Only `spec.restart` and the name of the Secret are read: the expressions of a whole spec can take seconds to compile. What
is kept of an object is short: its metadata, its status, and `spec.restart` as text, which is parsed when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pydantic import ValidationError

from secretsyncer.kube.objects import Key, Object, key_of, packed, unpacked
from secretsyncer.sync import restart_memory as memory
from secretsyncer.sync.observed import refresh_token
from secretsyncer.sync.restart_memory import Entry
from secretsyncer.sync.status import number
from secretsyncer.sync.workloads import Ref, Workload, seconds
from secretsyncer.synced_secret import target_of
from secretsyncer.synced_secret.restart import LONGEST, Restart


class Due(NamedTuple):
    """An object with restarts that are due."""

    obj: Object
    """Without its spec."""
    key: Key
    secret: Key
    asks: bytes
    """spec.restart, packed."""
    revision: int
    entries: Mapping[tuple[str, str], Entry]
    """The last restart of each workload for the object."""
    since: float
    """When its restarts became due, as Unix time."""

    @property
    def restart(self) -> Restart:
        found = _parsed(self.asks)
        assert found, "it was valid when the object was noted"  # noqa: S101
        return found

    @property
    def generation(self) -> int:
        return number(self.obj["metadata"].get("generation"))

    @property
    def about(self) -> tuple[object, ...]:
        """What makes its restarts due."""
        return _asked(self.obj)

    def covers(self, ref: Ref) -> bool:
        """Whether this workload was restarted for the present revision."""
        entry = self.entries.get(ref)
        return entry is not None and entry.covers(self.revision)

    def began(self, ref: Ref) -> bool:
        """Whether a restart of this workload for the present revision has begun, and may be over."""
        entry = self.entries.get(ref)
        return entry is not None and entry.revision >= self.revision

    def unconfirmed(self, workload: Workload) -> int | None:
        """The revision for which the workload was restarted without that the status says so; None if there is none.

        The process that restarted it has ended, or could not write the status.
        """
        entry = self.entries.get(workload.ref)
        restarted = entry and entry.pending and workload.restarted >= seconds(entry.time) > 0
        return entry.revision if entry and restarted else None


def due(obj: Object, before: Due | None, now: float) -> Due | None:
    """The object, if restarts are due and spec.restart is valid. Otherwise the condition Ready says what is wrong.

    `before` is what was known of the object. Its restarts are due since the first change after the last restarts, so that
    one change after the other cannot put a restart off.
    """
    if not memory.is_behind(obj):
        return None
    status, asks = unpacked(obj["status"]), packed(unpacked(obj["spec"])["restart"])
    if len(asks) > LONGEST or _parsed(asks) is None:
        return None
    since = min(seconds(status.get("revisionTime")) or now, now)
    if before and restarted_revision(before.obj) == restarted_revision(obj):
        since = min(since, before.since)
    kept = {field: value for field, value in obj.items() if field != "spec"}
    return Due(kept, key_of(obj), target_of(obj), asks, number(status["revision"]), memory.entries(status), since)


def asks_more(old: Object | None, new: Object) -> bool:
    """Whether the spec or the revision differ, and not only what is reported of restarts."""
    return old is None or _asked(old) != _asked(new)


def asks_again(old: Object | None, new: Object) -> bool:
    """Whether somebody asks for a refresh."""
    return old is not None and refresh_token(old) != refresh_token(new)


def restarted_revision(obj: Object) -> int:
    """The revision that all workloads were restarted for."""
    return number((unpacked(obj.get("status")) or {}).get("restartedRevision"))


@lru_cache(256)
def _parsed(asks: bytes) -> Restart | None:
    try:
        return Restart.model_validate(unpacked(asks))
    except ValidationError:
        return None


def _asked(obj: Object) -> tuple[object, ...]:
    metadata, status = obj["metadata"], unpacked(obj.get("status")) or {}
    return metadata.get("uid"), metadata.get("generation"), status.get("revision")
