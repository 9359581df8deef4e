"""The objects of one kind, held in memory; handlers are called for every difference.

The store holds raw dicts, which the reconcile validates. The store changes before its handlers are called. A relist
reports the differences, including deletions. `get` also returns this process's own writes (`remember`) until the watch
has caught up, so that a reconcile never acts on the state before its own write. Reflectors fill the store; reconciles and
the controller's handlers read it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from secretsyncer.kube.feed import later
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import Resource
from secretsyncer.kube.shelf import Limit, Shelf

log = logging.getLogger(__name__)

SLICE = 500
"""Changes of a relist per slice; other work runs in between."""
MOST_OF_OWN_WRITES = 8 << 20
"""Bytes of what this process has written and the watch has not shown yet, if there is a limit."""

Transform = Callable[[Object], Object]


class EventKind(StrEnum):
    """The kind of change of an object in the store."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


Handler = Callable[[EventKind, Key, Object | None, Object | None], None]
"""Called with the kind of change, the key, the old and the new object."""


class Change(NamedTuple):
    """One difference: the old and the new object in the store."""

    kind: EventKind
    key: Key
    old: Object | None
    new: Object | None


class ObjectStore:
    """Objects by key, filled from one list and watch per namespace ("" for all namespaces).

    `transform` removes what is not needed from each object as it arrives. What is left keeps to the `limit`, so that
    some objects may be stubs. A recreated object (same name, another uid) is reported as DELETED and ADDED.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        namespaces: Sequence[str] = ("",),
        transform: Transform | None = None,
        limit: Limit | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._namespaces = frozenset(namespaces)
        self._transform = transform
        self._handlers: list[Handler] = []
        self._recovery_handlers: list[Callable[[], None]] = []
        self._limit = limit
        self._store = self.shelf()
        self._written = Shelf(limit and limit._replace(most=min(limit.most, MOST_OF_OWN_WRITES)))
        self._seen: dict[str, str] = {}  # namespace (or "") -> version up to which all changes are in the store
        self._listed: set[str] = set()
        self._refused: set[str] = set()

    def has_synced(self) -> bool:
        """Whether every first list has been applied or refused, and the handlers were called for it."""
        return self.synced.is_set()

    def is_outdated(self, namespace: str) -> bool:  # noqa: ARG002 - an Informer knows
        """Whether the picture of this namespace is too old to decide by it."""
        return False

    def add_handler(self, handler: Handler) -> None:
        """Call the handler for each change from now on. Its exceptions are logged."""
        self._handlers.append(handler)

    def add_recovery_handler(self, handler: Callable[[], None]) -> None:
        """Call it whenever the API server answers again."""
        self._recovery_handlers.append(handler)

    # Reading

    def get(self, key: Key) -> Object | None:
        """The latest known state, including our own writes. The caller must not change it."""
        written = self._written.get(key)
        if written is not None:
            # The watch event may have arrived before the response. Then this would hide a later deletion.
            if later(_version(written), than=self._seen.get(self._scope(key), "")) is not False:
                return written
            self._written.pop(key)
        return self._store.get(key)

    def keys(self) -> list[Key]:
        return self._store.keys()

    def keys_in(self, namespace: str) -> list[Key]:
        """The keys in this namespace, without a look at those in others."""
        return self._store.keys(namespace)

    def items(self) -> list[tuple[Key, Object]]:
        return self._store.items()

    def __len__(self) -> int:
        return len(self._store)

    def remember(self, obj: Object) -> None:
        """Keep the object that the server returned for our own write until the watch has caught up."""
        kept = self.prepare(obj)
        if kept is None:
            return
        key = key_of(kept)
        before = self._written.get(key)
        if before is None or not later(_version(before), than=_version(kept)):
            self._written.put(key, kept)

    # What reflectors call

    def shelf(self) -> Shelf:
        """An empty one for the objects of a list, with the limit of the store."""
        return Shelf(self._limit)

    def prepare(self, obj: Object) -> Object | None:
        """The object in the form that is kept; None if it has no name."""
        metadata = obj.get("metadata")
        if not isinstance(metadata, dict) or not metadata.get("name"):
            log.warning("object without a name skipped", extra={"resource": self.resource.plural})
            return None
        if (written := self._written.get(key_of(obj))) is not None and _is_same(written, obj):
            return written  # the watch shows our own write: it is prepared already
        # Not needed, and larger than the rest of an object.
        metadata.pop("managedFields", None)
        try:
            kept: Object = self._transform(obj) if self._transform else obj
        except Exception as exc:  # noqa: BLE001 - one strange object must not end the watch of all others
            # Log neither the text of the error nor the object, because they may contain values.
            log.error(  # noqa: TRY400 - as above
                "object kept without its content",
                extra={
                    "resource": self.resource.plural,
                    "key": str(key_of(obj)),
                    "error": type(exc).__name__,
                },
            )
            return _bare(obj)
        return kept

    async def replace(self, namespace: str, objects: list[Object], version: str) -> None:
        """Replace the content of the store, then call the handlers for the differences."""
        new = {key_of(obj): obj for obj in objects}
        old = dict(self._store.items(namespace))
        gone = old | self._unseen(namespace, version)
        changes = [Change(EventKind.DELETED, key, obj, None) for key, obj in gone.items() if key not in new]
        for key, obj in new.items():
            changes += _difference(key, old.get(key), obj)
        for key in old.keys() - new.keys():
            self._store.pop(key)
        for key, obj in new.items():
            self._store.put(key, obj)
        self._advance(namespace, version)
        for start in range(0, len(changes), SLICE):
            self._report(changes[start : start + SLICE])
            await asyncio.sleep(0)
        self._listed.add(namespace)
        self._check_synced()

    def refused(self, namespace: str) -> None:
        """The namespace may not be listed, perhaps because it was deleted: the others must not wait for it."""
        self._refused.add(namespace)
        self._check_synced()

    def apply(self, namespace: str, kind: str, obj: Object, version: str) -> None:
        """Apply one event. The deletion of an unknown key is ignored: a relist has already reported it."""
        key = key_of(obj)
        old = self._store.get(key)
        if kind == EventKind.DELETED:
            self._store.pop(key)
            changes = [Change(EventKind.DELETED, key, old, None)] if old is not None else []
        else:
            self._store.put(key, obj)
            changes = _difference(key, old, obj)
        self._seen[namespace] = version
        written = self._written.get(key)
        if written is not None and not later(_version(written), than=version):
            self._written.pop(key)
        self._report(changes)

    def bookmark(self, namespace: str, version: str) -> None:
        self._advance(namespace, version)

    def recovered(self) -> None:
        """Lists or watches work again."""
        for handler in self._recovery_handlers:
            handler()

    # The rest

    def _check_synced(self) -> None:
        if self._listed and self._listed | self._refused >= self._namespaces:
            self.synced.set()

    def _scope(self, key: Key) -> str:
        return "" if "" in self._seen else key.namespace

    def _unseen(self, namespace: str, version: str) -> dict[Key, Object]:
        """Our own writes up to this version that no event has shown: a list without one of them says that it is gone.

        A restored etcd has lower versions, and none of them.
        """
        seen = self._seen.get(namespace, "")
        return {
            key: written
            for key, written in self._written.items(namespace)
            if later(seen, than=version)
            or (later(_version(written), than=seen) is not False and not later(_version(written), than=version))
        }

    def _advance(self, namespace: str, version: str) -> None:
        """All changes up to this version are in the store, including our own writes before it."""
        restored = later(self._seen.get(namespace, ""), than=version)
        self._seen[namespace] = version
        for key, written in self._written.items(namespace):
            if restored or not later(_version(written), than=version):
                self._written.pop(key)

    def _report(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for handler in self._handlers:
                try:
                    handler(*change)
                except Exception:
                    log.exception(
                        "handler failed", extra={"resource": self.resource.plural, "key": str(change.key)}
                    )


def _difference(key: Key, old: Object | None, new: Object) -> list[Change]:
    if old is None:
        return [Change(EventKind.ADDED, key, None, new)]
    if old["metadata"].get("uid") != new["metadata"].get("uid"):
        return [Change(EventKind.DELETED, key, old, None), Change(EventKind.ADDED, key, None, new)]
    if _version(old) == _version(new):
        return []
    return [Change(EventKind.MODIFIED, key, old, new)]


def _is_same(one: Object, other: Object) -> bool:
    """Whether both are the same version of the same object."""
    return bool(_version(one)) and all(
        one["metadata"].get(field) == other["metadata"].get(field) for field in ("uid", "resourceVersion")
    )


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion") or "")


def _bare(obj: Object) -> Object:
    """The object without its content."""
    kept = ("name", "namespace", "uid", "resourceVersion", "generation")
    metadata = {field: obj["metadata"][field] for field in kept if field in obj["metadata"]}
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": metadata}
