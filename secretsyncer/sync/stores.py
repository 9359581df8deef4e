"""The stores of watched objects: what a reconcile sees of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from secretsyncer.kube.feed import later
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.store import Handler, ObjectStore
from secretsyncer.sync.marks import MARK


class MarkedSecrets:
    """The Secrets with the operator's mark, and those with its old one: two watches, because a selector has no "or".

    A Secret that gets the new mark leaves one watch and appears in the other, in any order. Until both have shown it, the
    later version counts.
    """

    def __init__(self, marked: ObjectStore, with_old_mark: ObjectStore) -> None:
        self._marked = marked
        self._old = with_old_mark

    def get(self, key: Key) -> Object | None:
        """The latest known state, including our own writes. The caller must not change it."""
        marked, old = self._marked.get(key), self._old.get(key)
        if marked is None or old is None:
            return marked or old
        return old if later(_version(old), than=_version(marked)) else marked

    def items(self) -> list[tuple[Key, Object]]:
        return [*self._old.items(), *self._marked.items()]

    def remember(self, obj: Object) -> None:
        """Keep the object that the server returned for our own write until the watch has caught up."""
        labels = obj["metadata"].get("labels") or {}
        (self._marked if MARK in labels else self._old).remember(obj)

    def add_handler(self, handler: Handler) -> None:
        """Call the handler for each change from now on."""
        self._marked.add_handler(handler)
        self._old.add_handler(handler)

    def add_recovery_handler(self, handler: Callable[[], None]) -> None:
        """Call it whenever the API server answers again."""
        self._marked.add_recovery_handler(handler)
        self._old.add_recovery_handler(handler)


class Stores(NamedTuple):
    """SyncedSecrets, their namespaces, and the Secrets with the operator's mark."""

    objects: ObjectStore
    namespaces: ObjectStore
    secrets: ObjectStore | MarkedSecrets


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion") or "")
