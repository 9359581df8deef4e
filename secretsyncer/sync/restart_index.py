"""The objects with due restarts, by what they restart, and when each workload was restarted last. No I/O.

Each restart of a workload asks whom it counts for. The answer takes as long as it has lines, however many objects there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from secretsyncer.kube.objects import Key, KeysBy, Object, unpacked_with
from secretsyncer.sync import restart_memory as memory
from secretsyncer.sync.restart_due import Due, due
from secretsyncer.sync.workloads import Ref, Workload, consumed, seconds, selector


class _Named(NamedTuple):
    namespace: str
    ref: Ref


class _Selected(NamedTuple):
    namespace: str
    kind: str
    labels: frozenset[tuple[str, str]]

    @property
    def one(self) -> tuple[str, str, tuple[str, str]]:
        """By what it is found: one of the labels."""
        return self.namespace, self.kind, min(self.labels)


class _Consumer(NamedTuple):
    secret: Key


_Way = _Named | _Selected | _Consumer


class RestartIndex:
    """What is known of all objects of one process.

    `latest` gives the object with this process's own writes, before the watch shows them. `now`: Unix time in seconds.
    """

    def __init__(self, latest: Callable[[Key], Object | None], *, now: Callable[[], float]) -> None:
        self._latest = latest
        self._now = now
        self._due: defaultdict[str, dict[Key, Due]] = defaultdict(dict)
        self._ways = KeysBy[_Way]()
        self._ways_of: dict[Key, frozenset[_Way]] = {}
        self._selections: defaultdict[tuple[str, str, tuple[str, str]], set[_Selected]] = defaultdict(set)
        self._restarted: defaultdict[_Named, dict[Key, float]] = defaultdict(dict)
        self._workloads: dict[Key, list[_Named]] = {}

    def note(self, key: Key, obj: Object | None) -> Due | None:
        """Record the object; None if it is gone. Returns it if restarts are due."""
        self._note_restarts(key, obj)
        before = self._due.get(key.namespace, {}).get(key)
        found = due(obj, before, self._now()) if obj else None
        if found:
            self._due[key.namespace][key] = found
        elif before:
            del self._due[key.namespace][key]
            if not self._due[key.namespace]:
                del self._due[key.namespace]
        if found is None or before is None or (before.asks, before.secret) != (found.asks, found.secret):
            self._note_ways(key, found)
        return found

    def _note_ways(self, key: Key, found: Due | None) -> None:
        for way in self._ways_of.pop(key, ()):
            self._ways.discard(way, key)
            if isinstance(way, _Selected) and not self._ways.get(way):
                self._selections[way.one].discard(way)
                if not self._selections[way.one]:
                    del self._selections[way.one]
        if found:
            self._ways_of[key] = frozenset(_ways(found))
            for way in self._ways_of[key]:
                self._ways.add(way, key)
                if isinstance(way, _Selected):
                    self._selections[way.one].add(way)

    def _ways_to(self, namespace: str, workload: Workload) -> list[_Way]:
        """By what the workload leads to objects."""
        kind, labels = workload.ref.kind, workload.labels.items()
        found: list[_Way] = [_Named(namespace, workload.ref)]
        for label in labels:
            selections = self._selections.get((namespace, kind, label), ())
            found += [selected for selected in selections if selected.labels <= labels]
        return found + [_Consumer(Key(namespace, secret)) for secret in consumed(workload)]

    def due(self, key: Key) -> Due | None:
        """The object, if restarts are due."""
        found = self._due.get(key.namespace, {}).get(key)
        if found is None:
            return None
        latest = self._latest(key)
        return found if latest is not None and _version(latest) == _version(found.obj) else self.note(key, latest)

    def due_in(self, namespace: str) -> AbstractSet[Key]:
        """The objects with due restarts."""
        return self._due.get(namespace, {}).keys()

    def namespaces(self) -> list[str]:
        """Those that have objects with due restarts."""
        return list(self._due)

    def __len__(self) -> int:
        return sum(map(len, list(self._due.values())))

    def concerned(self, namespace: str, workload: Workload) -> list[Due]:
        """The objects with due restarts for which this workload has to be restarted."""
        found = {
            key: each
            for way in self._ways_to(namespace, workload)
            for key in tuple(self._ways.get(way))
            if (each := self.due(key)) and not each.covers(workload.ref)
        }
        return list(found.values())

    def last_restart(self, namespace: str, ref: Ref, until: float) -> float:
        """When the workload was restarted last, for whichever object; 0 if never. What is after `until` is no restart."""
        times = self._restarted.get(_Named(namespace, ref), {}).values()
        return max((moment for moment in times if moment <= until), default=0.0)

    def _note_restarts(self, key: Key, obj: Object | None) -> None:
        for way in self._workloads.pop(key, ()):
            self._restarted[way].pop(key, None)
            if not self._restarted[way]:
                del self._restarted[way]
        status = unpacked_with(obj.get("status"), b"restarts") if obj else None
        if not isinstance(status, dict) or not status.get("restarts"):
            return
        for entry in memory.entries(status).values():
            if not entry.pending:
                way = _Named(key.namespace, Ref(entry.kind, entry.name))
                self._restarted[way][key] = seconds(entry.time)
                self._workloads.setdefault(key, []).append(way)


def _version(obj: Object) -> object:
    return obj["metadata"].get("resourceVersion")


def _ways(found: Due) -> Iterator[_Way]:
    """By what a workload leads to the object."""
    namespace = found.key.namespace
    for target in found.restart.targets:
        if target.name is not None:
            yield _Named(namespace, Ref(target.kind, target.name))
        else:
            yield _Selected(namespace, target.kind, frozenset(selector(target).items()))
    if found.restart.consumers:
        yield _Consumer(found.secret)
