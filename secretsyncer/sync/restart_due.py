"""Which restarts are due for an object, and for whom a restart counts. Pure."""

from __future__ import annotations

from typing import NamedTuple

from secretsyncer.errors import Rejected
from secretsyncer.kube.objects import Key, Object, key_of, unpacked
from secretsyncer.sync import restart_memory as memory
from secretsyncer.sync.restart_memory import Entry
from secretsyncer.sync.status import number
from secretsyncer.sync.workloads import Ref, Workload, seconds
from secretsyncer.synced_secret import SyncedSecret, parse
from secretsyncer.synced_secret.restart import Restart


class Due(NamedTuple):
    """An object with restarts that are due."""

    obj: Object
    synced: SyncedSecret
    restart: Restart
    revision: int

    @property
    def key(self) -> Key:
        return self.synced.key

    @property
    def about(self) -> tuple[object, ...]:
        """What makes its restarts due."""
        return _asked(self.obj)

    def entry(self, ref: Ref) -> Entry | None:
        """The last restart of this workload for the object."""
        return memory.entries(unpacked(self.obj["status"])).get(ref)

    def covers(self, ref: Ref) -> bool:
        """Whether this workload was restarted for the present revision."""
        entry = self.entry(ref)
        return entry is not None and entry.covers(self.revision)

    def unconfirmed(self, workload: Workload) -> int | None:
        """The revision for which the workload was restarted without that the status says so; None if there is none.

        The process that restarted it has ended, or could not write the status.
        """
        entry = self.entry(workload.ref)
        restarted = entry and entry.pending and workload.restarted >= seconds(entry.time) > 0
        return entry.revision if entry and restarted else None


class Specs:
    """The objects that have been looked at, each parsed once per generation: a pass looks at all for each workload."""

    def __init__(self) -> None:
        self._parsed: dict[Key, tuple[object, SyncedSecret]] = {}

    def of(self, obj: Object) -> SyncedSecret:
        """The object, checked. Raises Rejected."""
        key, metadata = key_of(obj), obj["metadata"]
        version = metadata.get("uid"), metadata.get("generation")
        known = self._parsed.get(key)
        if known is None or known[0] != version:
            known = self._parsed[key] = version, parse(obj)
        return known[1]

    def forget(self, key: Key) -> None:
        """The object is gone, or nothing is due for it."""
        self._parsed.pop(key, None)


def due(obj: Object | None, specs: Specs) -> Due | None:
    """The object, if restarts are due and its spec is valid. Otherwise the condition Ready says what is wrong."""
    if obj is None or not memory.is_behind(obj):
        return None
    try:
        synced = specs.of(obj)
    except Rejected:
        return None
    restart = synced.spec.restart
    return Due(obj, synced, restart, number(unpacked(obj["status"])["revision"])) if restart else None


def caught_up(old: Object | None, new: Object) -> bool:
    """Whether workloads were restarted in between."""
    return _restarted(old) != _restarted(new)


def asks_more(old: Object | None, new: Object) -> bool:
    """Whether the spec or the revision differ, and not only what is reported of restarts."""
    return _asked(old) != _asked(new)


def _restarted(obj: Object | None) -> int:
    return number((unpacked((obj or {}).get("status")) or {}).get("restartedRevision"))


def _asked(obj: Object | None) -> tuple[object, ...]:
    metadata, status = (obj or {}).get("metadata", {}), unpacked((obj or {}).get("status")) or {}
    return metadata.get("uid"), metadata.get("generation"), status.get("revision")
