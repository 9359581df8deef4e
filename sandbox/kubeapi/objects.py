"""The lifecycle of objects: create, update, patch and delete, with the rules that are the same for all kinds.

A small version of an API server's generic registry (`k8s.io/apiserver/pkg/registry/generic`). It checks names and
namespaces, keeps server-owned metadata, completes and validates specs, counts generations, refuses conflicts, and
skips a write that changes nothing. Synchronous: nothing happens between the read and the write of one operation.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

from sandbox.kubeapi import errors, metadata
from sandbox.kubeapi.bodies import (
    Target,
    Writer,
    check_name,
    check_patched,
    check_sent,
    check_version,
    complete,
)
from sandbox.kubeapi.errors import Cause, DecodeError, Json
from sandbox.kubeapi.resources import Registry, Resource
from sandbox.kubeapi.store import Store, Stored

_IMMORTAL = {"default", "kube-system", "kube-public"}


class Objects:
    """Objects of all kinds in one store. `written` is called after each write and each removal."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self.written: Callable[[Resource, Stored, bool], None] = lambda _resource, _stored, _gone: None

    def get(self, target: Target) -> Stored:
        """The object; ApiError 404 if there is none."""
        resource, namespace, name = target
        stored = self._store.get(resource.key, namespace, name)
        if stored is None:
            raise errors.not_found(resource.plural, resource.group, name)
        return stored

    def create(self, target: Target, body: Json, writer: Writer) -> Stored:
        """Create the object in the body of a POST."""
        check_sent(target, body, strict=writer.strict)
        return self._create(target, body, writer)

    def update(self, target: Target, body: Json, writer: Writer) -> Stored:
        """Replace the object by the body of a PUT."""
        check_sent(target, body, strict=writer.strict)
        check_name(target, body)
        return self._replace(target, self.get(target), body, writer)

    def patch(self, target: Target, change: Callable[[Json], Json], writer: Writer) -> Stored:
        """Replace the object by what `change` makes of it."""
        current = self.get(target)
        body = change(copy.deepcopy(current.obj))
        try:
            check_patched(target, body, current.obj)
            return self._replace(target, current, body, writer)
        except DecodeError as error:
            raise errors.undecodable_patch(body, error.why) from None

    def delete(self, target: Target, options: Json) -> tuple[Stored, bool]:
        """Delete, or mark for deletion if there are finalizers. The second value is whether it is gone."""
        resource, namespace, name = target
        current = self.get(target)
        _check_preconditions(target, current, options.get("preconditions") or {})
        if resource.key == "namespaces" and name in _IMMORTAL:
            raise errors.forbidden("namespaces", "", name, "this namespace may not be deleted")
        obj = copy.deepcopy(current.obj)
        finalizers = _finalizers(obj, options)
        holds = resource.key == "namespaces" and obj.get("spec", {}).get("finalizers")
        if not finalizers and not holds:
            return self._remove(resource, namespace, current), True
        obj["metadata"]["finalizers"] = finalizers
        if not finalizers:
            del obj["metadata"]["finalizers"]
        if not obj["metadata"].get("deletionTimestamp"):
            obj["metadata"] |= {"deletionTimestamp": metadata.timestamp(), "deletionGracePeriodSeconds": 0}
            if resource.generation:
                obj["metadata"]["generation"] = obj["metadata"].get("generation", 0) + 1
            if holds:
                del obj["metadata"]["deletionGracePeriodSeconds"]
                obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
        return self._save_changed(resource, namespace, current, obj), False

    def finalize(self, stored: Stored) -> None:
        """Remove an object regardless of its finalizers: an empty namespace, or an object of a removed definition."""
        resource = self._registry.by_kind(stored.obj["apiVersion"], stored.obj["kind"])
        if resource:
            self._remove(resource, stored.obj["metadata"].get("namespace", ""), stored)

    def set_status(self, target: Target, status: Json) -> None:
        """Set the status, as a controller of the server."""
        current = self.get(target)
        self._save_changed(target.resource, target.namespace, current, {**current.obj, "status": status})

    def _create(self, target: Target, body: Json, writer: Writer) -> Stored:
        """Create an object from a body that has been checked."""
        resource, namespace, _ = target
        self._check_namespace(target, body)
        if body["metadata"].get("resourceVersion"):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        metadata.begin(body)
        if resource.namespaced:
            body["metadata"]["namespace"] = namespace
        if resource.status:
            body.pop("status", None)
        if resource.generation:
            body["metadata"]["generation"] = 1
        complete(resource, body, None, strict=writer.strict)
        name = body["metadata"]["name"]
        if self._store.get(resource.key, namespace, name):
            raise errors.already_exists(resource.plural, resource.group, name)
        if writer.dry_run:
            return Stored(body, 0)
        return self._save(resource, namespace, body)

    def _replace(self, target: Target, current: Stored, body: Json, writer: Writer) -> Stored:
        """Replace the current object by a body that has been checked."""
        resource, namespace, _ = target
        old = copy.deepcopy(current.obj)
        check_version(target, old, body["metadata"])
        new = _with_its_part(old, body, resource, writer.subresource)
        metadata.carry_over(new, old)
        if resource.namespaced:
            new["metadata"]["namespace"] = namespace
        complete(resource, new, old, strict=writer.strict)
        if resource.generation and _spec(new, resource) != _spec(old, resource):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        finished = new["metadata"].get("deletionTimestamp") and old["metadata"].get("finalizers")
        if finished and not new["metadata"].get("finalizers") and resource.key != "namespaces":
            return self._remove(resource, namespace, current)
        return self._save_changed(resource, namespace, current, new)

    def _check_namespace(self, target: Target, body: Json) -> None:
        resource, namespace, _ = target
        if not resource.namespaced:
            return
        home = self._store.get("namespaces", "", namespace)
        if home is None:
            raise errors.not_found("namespaces", "", namespace)
        if home.obj["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause(
                "metadata.namespace", "NamespaceTerminating", f"namespace {namespace} is being terminated"
            )
            name = (body.get("metadata") or {}).get("name", "")
            raise errors.forbidden(resource.plural, resource.group, name, why, cause)

    def _save(self, resource: Resource, namespace: str, obj: Json) -> Stored:
        stored = self._store.write(resource.key, namespace, obj)
        self.written(resource, stored, False)
        return stored

    def _save_changed(self, resource: Resource, namespace: str, current: Stored, new: Json) -> Stored:
        """Save, unless nothing has changed: then there is no new version and no event."""
        version = current.obj["metadata"]["resourceVersion"]
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": version}}
        if _same(new, current.obj):
            return current
        return self._save(resource, namespace, new)

    def _remove(self, resource: Resource, namespace: str, current: Stored) -> Stored:
        gone = self._store.remove(resource.key, namespace, current.obj["metadata"]["name"])
        self.written(resource, gone, True)
        return gone


def _same(one: Json, other: Json) -> bool:
    """Whether two objects are the same JSON. In Python, 1 and true are equal."""
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _with_its_part(old: Json, body: Json, resource: Resource, subresource: str) -> Json:
    """The old object with the part that this endpoint may change: everything but the status, or the status."""
    if not resource.status:
        return body
    spec, status = (old, body) if subresource == "status" else (body, old)
    new = {key: value for key, value in spec.items() if key != "status"}
    # The status endpoint of a custom resource ignores metadata. That of a built-in kind does not.
    new["metadata"] = dict((old if subresource == "status" and resource.custom else body)["metadata"])
    if "status" in status:
        new["status"] = status["status"]
    return new


def _check_preconditions(target: Target, current: Stored, wanted: Json) -> None:
    own = current.obj["metadata"]
    for field, word, end in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        if (asked := wanted.get(field)) and asked != own[field]:
            why = (
                f"the {word} in the precondition ({asked}) does not match the {word} in record ({own[field]}). "
                f"The object might have been {end}"
            )
            raise errors.conflict(target.resource.plural, target.resource.group, target.name, why)


def _finalizers(obj: Json, options: Json) -> list[str]:
    """The object's finalizers, and the one that the propagation policy adds for the garbage collector."""
    present = list(obj["metadata"].get("finalizers", []))
    wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(options.get("propagationPolicy", ""))
    kept = [
        item
        for item in present
        if item not in {"foregroundDeletion", "orphan"} or not options.get("propagationPolicy")
    ]
    return [*kept, wanted] if wanted else kept


def _spec(obj: Json, resource: Resource) -> Json:
    """The part whose changes count as generations: without the metadata, and without a separate status."""
    apart = {"metadata", "status"} if resource.status else {"metadata"}
    return {key: value for key, value in obj.items() if key not in apart}
