"""The role of etcd: objects under one revision counter, with a window of history.

Every write increases the revision, which becomes the object's `metadata.resourceVersion`, and adds one `Change`. The
last `window` changes are kept. Older ones raise `Compacted`, which the layers above report as 410. A stored object is
never changed in place: readers may keep it and must not modify it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sandbox.kubeapi.errors import Json


class Compacted(Exception):  # noqa: N818 - the term of etcd
    """The requested history is no longer kept."""


class Stored:
    """One object at one revision. Its JSON is encoded at most once."""

    __slots__ = ("_encoded", "obj", "revision")

    def __init__(self, obj: Json, revision: int) -> None:
        self.obj = obj
        self.revision = revision
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            self._encoded = encode(self.obj)
        return self._encoded


class Change(NamedTuple):
    """One write. `new` is None for a removal, `old` for a creation; `revision` is the write's own."""

    revision: int
    resource: str
    namespace: str
    old: Stored | None
    new: Stored | None


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _path(namespace: str, name: str) -> str:
    """Lists are sorted by this key, as in etcd."""
    return f"{namespace}/{name}"


class Store:
    """Objects by resource, namespace and name. `window` is the number of writes that are kept."""

    def __init__(self, window: int) -> None:
        self.revision = 1
        self.compacted = 1  # changes after this revision are known
        self._window = window
        self._objects: dict[str, dict[str, Stored]] = {}
        self._history: list[Change] = []
        self._listeners: set[asyncio.Event] = set()

    def get(self, resource: str, namespace: str, name: str) -> Stored | None:
        return self._objects.get(resource, {}).get(_path(namespace, name))

    def select(self, resource: str, namespace: str | None = None) -> list[Stored]:
        """The current objects, of one namespace or of all (None), in the order of a list."""
        return _in_order(self._objects.get(resource, {}), namespace)

    def select_at(self, revision: int, resource: str, namespace: str | None = None) -> list[Stored]:
        """The objects as they were at a past revision."""
        objects = dict(self._objects.get(resource, {}))
        for change in reversed(self.changes(resource, after=revision)):
            subject = change.old or change.new
            assert subject is not None  # noqa: S101 - a change is never from nothing to nothing
            path = _path(change.namespace, subject.obj["metadata"]["name"])
            if change.old is None:
                objects.pop(path, None)
            else:
                objects[path] = change.old
        return _in_order(objects, namespace)

    def resources(self) -> list[str]:
        """The names of the resources that have objects."""
        return [resource for resource, objects in self._objects.items() if objects]

    def write(self, resource: str, namespace: str, obj: Json) -> Stored:
        """Create or replace. Sets the resource version of the object, which the caller must not use any more."""
        bucket = self._objects.setdefault(resource, {})
        path = _path(namespace, obj["metadata"]["name"])
        old = bucket.get(path)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        new = bucket[path] = Stored(obj, self.revision)
        self._record(Change(self.revision, resource, namespace, old, new))
        return new

    def remove(self, resource: str, namespace: str, name: str) -> Stored:
        """Remove; returns the last state under the revision of the removal."""
        old = self._objects[resource].pop(_path(namespace, name))
        self.revision += 1
        self._record(Change(self.revision, resource, namespace, old, None))
        return at_revision(old, self.revision)

    def changes(self, resource: str, *, after: int) -> list[Change]:
        """The changes of one resource since a revision, oldest first."""
        if after < self.compacted:
            raise Compacted
        if after >= self.revision:
            return []
        start = len(self._history) - (self.revision - after)
        return [change for change in self._history[start:] if change.resource == resource]

    def compact(self) -> None:
        """Forget all history, as etcd does every five minutes."""
        self.compacted = self.revision
        self._history.clear()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An `asyncio.Event` that every write sets."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)

    def _record(self, change: Change) -> None:
        self._history.append(change)
        self.compacted = max(self.compacted, self.revision - self._window)
        if len(self._history) > 2 * self._window:
            del self._history[: -self._window]
        for event in self._listeners:
            event.set()


def at_revision(stored: Stored, revision: int) -> Stored:
    """The same object with another revision, as watches report removed objects."""
    metadata = {**stored.obj["metadata"], "resourceVersion": str(revision)}
    return Stored({**stored.obj, "metadata": metadata}, revision)


def _in_order(objects: dict[str, Stored], namespace: str | None) -> list[Stored]:
    prefix = "" if namespace is None else f"{namespace}/"
    return [objects[path] for path in sorted(objects) if path.startswith(prefix)]
