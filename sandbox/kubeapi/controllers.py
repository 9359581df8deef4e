"""What follows a write: definitions are served, namespaces emptied, dependents garbage-collected.

In a real cluster kube-apiserver serves custom resources, and kube-controller-manager handles namespaces and owner
references a moment later. Here everything happens at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.kubeapi import crds
from sandbox.kubeapi.bodies import Target, Writer
from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.objects import Objects
from sandbox.kubeapi.resources import Registry, Resource
from sandbox.kubeapi.store import Store, Stored

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
_WRITER = Writer()


class Controllers:
    """Acts after every write of `objects`. Synchronous: a write and what follows it are one step."""

    def __init__(self, store: Store, registry: Registry, objects: Objects) -> None:
        self._store = store
        self._registry = registry
        self._objects = objects
        objects.written = self._follow

    def _follow(self, resource: Resource, stored: Stored, gone: bool) -> None:  # noqa: FBT001 - a callback
        meta = stored.obj["metadata"]
        if resource is crds.CRDS:
            self._define(stored, gone=gone)
        if resource.key == "namespaces" and meta.get("deletionTimestamp") and not gone:
            for content in self._contents(meta["name"]):
                self._delete(content)
            self._end_namespace(meta["name"])
        if gone:
            self._collect_dependents(meta["uid"])
        elif meta.get("ownerReferences") and not self._owned(stored):
            self._delete(stored)
        elif meta.get("deletionTimestamp"):
            self._finish(stored)
        if gone:
            for owner in self._owners(stored):
                self._finish(owner)
        if gone and resource.namespaced:
            self._end_namespace(meta["namespace"])

    def _define(self, stored: Stored, *, gone: bool) -> None:
        definition = stored.obj
        if gone:
            for instance in self._store.select(definition["metadata"]["name"]):
                self._objects.finalize(instance)
            self._registry.remove(definition["metadata"]["name"])
            return
        crds.serve(self._registry, definition)
        if not (definition.get("status") or {}).get("conditions"):
            target = Target(crds.CRDS, "", definition["metadata"]["name"])
            self._objects.set_status(target, crds.established(definition))

    def _contents(self, namespace: str) -> list[Stored]:
        return [item for key in self._store.resources() for item in self._store.select(key, namespace)]

    def _end_namespace(self, name: str) -> None:
        home = self._store.get("namespaces", "", name)
        if home and home.obj["metadata"].get("deletionTimestamp") and not self._contents(name):
            self._objects.finalize(home)

    def _finish(self, stored: Stored) -> None:
        """Apply the propagation policy of a deletion, which is stored as a finalizer."""
        meta = stored.obj["metadata"]
        if _FOREGROUND in meta.get("finalizers", []):
            self._collect_dependents(meta["uid"])
            if not any(_blocks(item, meta["uid"]) for item in self._dependents(meta["uid"])):
                self._take(stored, "finalizers", lambda item: item == _FOREGROUND)
        elif _ORPHAN in meta.get("finalizers", []):
            for dependent in self._dependents(meta["uid"]):
                self._disown(dependent, meta["uid"])
            self._take(stored, "finalizers", lambda item: item == _ORPHAN)

    def _collect_dependents(self, uid: str) -> None:
        for item in self._dependents(uid):
            if self._owned(item, besides=uid):
                self._disown(item, uid)
            else:
                self._delete(item)

    def _dependents(self, uid: str) -> list[Stored]:
        return [
            item
            for key in self._store.resources()
            for item in self._store.select(key)
            if any(owner.get("uid") == uid for owner in item.obj["metadata"].get("ownerReferences", []))
        ]

    def _disown(self, item: Stored, uid: str) -> None:
        self._take(item, "ownerReferences", lambda owner: owner.get("uid") == uid)

    def _owned(self, item: Stored, *, besides: str = "") -> bool:
        """Whether an owner other than `besides` exists. An owner of an unknown kind may exist."""
        references = item.obj["metadata"].get("ownerReferences", [])
        kinds = [(owner.get("apiVersion", ""), owner.get("kind", "")) for owner in references]
        if any(self._registry.by_kind(*kind) is None for kind in kinds):
            return True
        return any(owner.obj["metadata"]["uid"] != besides for owner in self._owners(item))

    def _owners(self, item: Stored) -> list[Stored]:
        """The owners of an object that exist."""
        found = []
        for owner in item.obj["metadata"].get("ownerReferences", []):
            resource = self._registry.by_kind(owner.get("apiVersion", ""), owner.get("kind", ""))
            if resource is None:
                continue
            namespace = item.obj["metadata"].get("namespace", "") if resource.namespaced else ""
            present = self._store.get(resource.key, namespace, owner.get("name", ""))
            if present and present.obj["metadata"]["uid"] == owner.get("uid"):
                found.append(present)
        return found

    def _delete(self, stored: Stored) -> None:
        target = self._target(stored.obj)
        if target and self._store.get(target.resource.key, target.namespace, target.name):
            self._objects.delete(target, {"propagationPolicy": "Background"})

    def _take(self, stored: Stored, field: str, chosen: Callable[[Any], bool]) -> None:
        """Remove entries from a list in the metadata of an object."""

        def without(obj: Json) -> Json:
            kept = [item for item in obj["metadata"].get(field, []) if not chosen(item)]
            metadata = {key: value for key, value in obj["metadata"].items() if key != field}
            return {**obj, "metadata": {**metadata, **({field: kept} if kept else {})}}

        if target := self._target(stored.obj):
            self._objects.patch(target, without, _WRITER)

    def _target(self, obj: Json) -> Target | None:
        resource = self._registry.by_kind(obj["apiVersion"], obj["kind"])
        meta = obj["metadata"]
        return Target(resource, meta.get("namespace", ""), meta["name"]) if resource else None


def _blocks(item: Stored, uid: str) -> bool:
    """Whether the foreground deletion of this owner waits for the object."""
    owners = item.obj["metadata"].get("ownerReferences", [])
    return any(owner.get("uid") == uid and owner.get("blockOwnerDeletion") for owner in owners)
