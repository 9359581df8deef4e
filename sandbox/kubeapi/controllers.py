"""What follows from a write: definitions are served, namespaces emptied, dependents collected.

A bare kube-apiserver serves custom resources itself, while namespaces and owner references are the
business of the controller manager. Here a deleted namespace is emptied at once, and owner references
are obeyed only where `collect` asks for it.
"""

from __future__ import annotations

from sandbox.kubeapi import crds
from sandbox.kubeapi.bodies import Target, Writer
from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.objects import Objects
from sandbox.kubeapi.resources import Registry, Resource
from sandbox.kubeapi.store import Store, Stored

_FOREGROUND = "foregroundDeletion"


class Controllers:
    """Follows every write of `objects`; synchronous, so that a write and what follows are one."""

    def __init__(self, store: Store, registry: Registry, objects: Objects, *, collect: bool) -> None:
        self._store = store
        self._registry = registry
        self._objects = objects
        self._collect = collect
        objects.written = self._follow

    def _follow(self, resource: Resource, stored: Stored, gone: bool) -> None:  # noqa: FBT001 - a callback
        meta = stored.obj["metadata"]
        if resource is crds.CRDS:
            self._define(stored, gone=gone)
        if resource.key == "namespaces" and meta.get("deletionTimestamp") and not gone:
            for content in self._contents(meta["name"]):
                self._delete(content)
            self._end_namespace(meta["name"])
        if self._collect and gone:
            self._collect_dependents(meta["uid"])
        if self._collect and not gone and meta.get("ownerReferences") and not self._owned(stored):
            self._delete(stored)
        if self._collect and not gone and _FOREGROUND in meta.get("finalizers", []):
            self._collect_dependents(meta["uid"])
            self._let_go(resource, stored)
        if gone and resource.namespaced:
            self._end_namespace(meta["namespace"])

    def _define(self, stored: Stored, *, gone: bool) -> None:
        definition = stored.obj
        spec = definition["spec"]
        if gone:
            resource = self._registry.by_key(definition["metadata"]["name"])
            for instance in self._store.select(definition["metadata"]["name"]) if resource else []:
                self._objects.finalize(instance)
            self._registry.remove(spec["group"], spec["names"]["plural"])
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

    def _collect_dependents(self, uid: str) -> None:
        for key in self._store.resources():
            for item in self._store.select(key):
                owners = item.obj["metadata"].get("ownerReferences", [])
                if any(owner.get("uid") == uid for owner in owners) and not self._owned(item, besides=uid):
                    self._delete(item)

    def _owned(self, item: Stored, *, besides: str = "") -> bool:
        """Whether an owner of an object, other than `besides`, is there; one of an unknown kind may be."""
        for owner in item.obj["metadata"].get("ownerReferences", []):
            resource = self._registry.by_kind(owner.get("apiVersion", ""), owner.get("kind", ""))
            if resource is None:
                return True
            if owner.get("uid") == besides:
                continue
            namespace = item.obj["metadata"].get("namespace", "") if resource.namespaced else ""
            found = self._store.get(resource.key, namespace, owner.get("name", ""))
            if found and found.obj["metadata"]["uid"] == owner.get("uid"):
                return True
        return False

    def _delete(self, stored: Stored) -> None:
        target = self._target(stored.obj)
        if target and self._store.get(target.resource.key, target.namespace, target.name):
            self._objects.delete(target, {"propagationPolicy": "Background"})

    def _let_go(self, resource: Resource, stored: Stored) -> None:
        def without(obj: Json) -> Json:
            kept = [item for item in obj["metadata"]["finalizers"] if item != _FOREGROUND]
            return {**obj, "metadata": {**obj["metadata"], "finalizers": kept}}

        meta = stored.obj["metadata"]
        target = Target(resource, meta.get("namespace", ""), meta["name"])
        self._objects.patch(target, without, Writer("kube-controller-manager"))

    def _target(self, obj: Json) -> Target | None:
        resource = self._registry.by_kind(obj["apiVersion"], obj["kind"])
        meta = obj["metadata"]
        return Target(resource, meta.get("namespace", ""), meta["name"]) if resource else None
