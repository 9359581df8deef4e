"""A Kubernetes API in memory, and the stores of a watch on it: for tests in virtual time, without sockets."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sandbox.kubeapi.patches import merge_patch
from secretsyncer.errors import KubeError
from secretsyncer.kube.feed import WatchEvent
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import EVENTS, LEASES, NAMESPACES, SECRETS, SYNCED_SECRETS, WORKLOADS, Resource
from secretsyncer.kube.shelf import Limit, is_stub
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.streamed_lists import END_OF_LIST
from secretsyncer.sync.marks import MARK, OLD_SELECTOR, SELECTOR, has_old_mark
from secretsyncer.sync.observed import namespace_view, summarise, synced_secret_view
from secretsyncer.sync.stores import Stores
from secretsyncer.sync.stubs import OBJECT_LIMIT, SECRET_LIMIT
from tests.support.builders import ANNOTATION

KINDS = (SYNCED_SECRETS, NAMESPACES, SECRETS, LEASES, EVENTS, *WORKLOADS.values())


class MemoryCluster:
    """Answers the operator's writes after `latency` seconds; its watches show a change `lag` seconds after it (0: at once).

    Users write with `put`, `edit` and `remove`. `writes`, and `reads` of workloads, are the operator's: verb, plural and
    key. `refuse` gives the error with which one is answered, None for one that works. `stores` show every change; informers,
    for which it lists and watches as a `KubeClient` does, have stores of their own. `lists` says which kinds' lists are
    answered. With `stubs`, the stores have room for nothing but stubs.
    """

    namespace = "operator"
    refused_for = 0.0

    def __init__(self, *, latency: float = 0.01, lag: float = 0.02, stubs: bool = False) -> None:
        self.latency = latency
        self.lag = lag
        self.stores = Stores(
            ObjectStore(SYNCED_SECRETS, transform=synced_secret_view, limit=_limit(OBJECT_LIMIT, stubs=stubs)),
            ObjectStore(NAMESPACES, transform=namespace_view(ANNOTATION)),
            ObjectStore(SECRETS, transform=summarise, limit=_limit(SECRET_LIMIT, stubs=stubs)),
        )
        self.writes: list[tuple[str, str, Key]] = []
        self.reads: list[tuple[str, str, Key]] = []
        self.refuse: Callable[[str, str, Key], KubeError | None] = lambda verb, plural, key: None
        self.silent: set[Resource] = set()
        self.lists = {kind: asyncio.Event() for kind in KINDS}
        for answers in self.lists.values():
            answers.set()
        self._objects: dict[str, dict[Key, Object]] = {kind.plural: {} for kind in KINDS}
        self._watches: list[tuple[Resource, str, asyncio.Queue[WatchEvent]]] = []
        self._changes: deque[tuple[Resource, str, Object]] = deque()
        self._version = 100

    # What users do

    def put(self, obj: Object) -> Object:
        """Create the object, or replace it: with a new generation if its spec differs."""
        resource = _resource_of(obj)
        old = self._objects[resource.plural].get(key_of(obj))
        new = _copied(obj)
        metadata = new["metadata"]
        metadata.setdefault("uid", f"uid-{self._version}")
        if resource is SYNCED_SECRETS:
            metadata.setdefault("creationTimestamp", f"2026-01-01T00:00:00.{self._version:06}Z")
            metadata["generation"] = 1
        if old is not None:
            metadata["uid"] = old["metadata"]["uid"]
            changed = old.get("spec") != new.get("spec")
            metadata["generation"] = old["metadata"].get("generation", 0) + changed
            new.setdefault("status", old.get("status", {}))
        return self._keep(resource, new)

    def edit(self, resource: Resource, key: Key, patch: Object) -> Object:
        """A JSON merge patch by somebody else than the operator."""
        return self._keep(resource, merge_patch(self._objects[resource.plural][key], patch))

    def remove(self, resource: Resource, key: Key) -> None:
        gone = self._objects[resource.plural].pop(key)
        self._show(resource, "DELETED", self._next_version(gone))

    def secret(self, key: Key) -> Object | None:
        return self._objects["secrets"].get(key)

    def synced_secret(self, key: Key) -> Object:
        return self._objects["syncedsecrets"][key]

    def all(self, resource: Resource) -> list[Object]:
        return list(self._objects[resource.plural].values())

    # What the operator asks of the API, in the methods of a `KubeClient`

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        **_: Any,
    ) -> Object:
        """Everything in one page; of Secrets, those with one of the operator's marks."""
        await asyncio.sleep(self.latency)
        self._ask("list", resource, Key(namespace or "", ""))
        await self.lists[resource].wait()
        found = self._objects[resource.plural].items()
        name = field_selector.removeprefix("metadata.name=")
        items = [
            obj
            for key, obj in found
            if namespace in {None, key.namespace} and name in {"", key.name} and _is_selected(label_selector, obj)
        ]
        metadata = {"resourceVersion": str(self._version)}
        return {"kind": f"{resource.kind}List", "metadata": metadata, "items": _copied(items)}

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        **_: Any,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """With a bookmark after each quiet minute. A watch of a kind in `silent` shows nothing until later, and `stores` never.

        Without a version, it begins with a list.
        """
        listed = [] if resource_version else await self._streamed(resource, namespace, label_selector)
        watch = resource, label_selector, asyncio.Queue[WatchEvent]()
        self._watches.append(watch)

        async def events() -> AsyncIterator[WatchEvent]:
            version = resource_version
            for event in listed:
                version = event.version
                yield event
            while True:
                try:
                    async with asyncio.timeout(60):
                        event = await watch[2].get()
                except TimeoutError:
                    event = WatchEvent(
                        "BOOKMARK", {"kind": resource.kind, "metadata": {"resourceVersion": version}}
                    )
                while resource in self.silent:  # noqa: ASYNC110 - a test changes it
                    await asyncio.sleep(1)
                version = event.version
                yield event

        try:
            yield events()
        finally:
            self._watches.remove(watch)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await asyncio.sleep(self.latency)
        self._ask("get", resource, Key(namespace, name))
        return _copied(self._found(resource, Key(namespace, name)))

    async def create(self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        key = Key(namespace, body["metadata"]["name"])
        if dry_run:
            if error := self.refuse("dry run", resource.plural, key):
                raise error
        else:
            self._write("create", resource, key)
        if key in self._objects[resource.plural]:
            raise KubeError(409, "AlreadyExists", f"{resource.plural} {key.name} already exists")
        if dry_run:
            return await self._answer(body)
        made = _copied(body)
        made["metadata"].update(namespace=namespace, uid=f"uid-{self._version}")
        return await self._answer(self._keep(resource, made))

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, *, subresource: str | None = None
    ) -> Object:
        key = Key(namespace, name)
        self._write(f"patch {subresource}" if subresource else "patch", resource, key)
        old = self._found(resource, key)
        version = body.get("metadata", {}).get("resourceVersion", old["metadata"]["resourceVersion"])
        if version != old["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", f"{resource.plural} {name} has been modified")
        return await self._answer(self._keep(resource, merge_patch(old, body)))

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        key = Key(namespace, name)
        self._write("replace", resource, key)
        if body["metadata"]["resourceVersion"] != self._found(resource, key)["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", f"{resource.plural} {name} has been modified")
        return await self._answer(self._keep(resource, _copied(body)))

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> Object:
        key = Key(namespace, name)
        self._write("delete", resource, key)
        own = self._found(resource, key)["metadata"]
        if uid not in {"", own["uid"]} or resource_version not in {"", own["resourceVersion"]}:
            raise KubeError(409, "Conflict", "another uid or version")
        self.remove(resource, key)
        return await self._answer({"kind": "Status"})

    # The rest

    async def _streamed(self, resource: Resource, namespace: str | None, label_selector: str) -> list[WatchEvent]:
        """The list as the first events of a watch."""
        page = await self.list(resource, namespace, label_selector=label_selector)
        metadata = {**page["metadata"], "annotations": {END_OF_LIST: "true"}}
        end = WatchEvent("BOOKMARK", {"kind": resource.kind, "metadata": metadata})
        return [*(WatchEvent("ADDED", item) for item in page["items"]), end]

    def _ask(self, verb: str, resource: Resource, key: Key) -> None:
        """A read of workloads, which nobody watches."""
        if resource not in WORKLOADS.values():
            return
        self.reads.append((verb, resource.plural, key))
        if error := self.refuse(verb, resource.plural, key):
            raise error

    def _write(self, verb: str, resource: Resource, key: Key) -> None:
        if error := self.refuse(verb, resource.plural, key):
            raise error
        self.writes.append((verb, resource.plural, key))

    async def _answer(self, obj: Object) -> Object:
        await asyncio.sleep(self.latency)
        return _copied(obj)

    def _found(self, resource: Resource, key: Key) -> Object:
        if key not in self._objects[resource.plural]:
            raise KubeError(404, "NotFound", f"{resource.plural} {key.name} not found")
        return self._objects[resource.plural][key]

    def _keep(self, resource: Resource, obj: Object) -> Object:
        kept = self._next_version(obj)
        known = self._objects[resource.plural]
        kind = "MODIFIED" if key_of(kept) in known else "ADDED"
        known[key_of(kept)] = kept
        self._show(resource, kind, kept)
        return kept

    def _next_version(self, obj: Object) -> Object:
        self._version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}

    def _show(self, resource: Resource, kind: str, obj: Object) -> None:
        """Let the watches show the change."""
        if self.lag:
            self._changes.append((resource, kind, _copied(obj)))
            asyncio.get_running_loop().call_later(self.lag, self._report_next)
        else:
            self._report(resource, kind, _copied(obj))

    def _report_next(self) -> None:
        """The oldest change. Timers of one moment have no order, and a watch has."""
        self._report(*self._changes.popleft())

    def _report(self, resource: Resource, kind: str, obj: Object) -> None:
        for watched, selector, events in self._watches:
            if watched is resource:
                shown = kind if _is_selected(selector, obj) else "DELETED"
                events.put_nowait(WatchEvent(shown, _copied(obj)))
        for store in self.stores if resource not in self.silent else ():
            if store.resource is resource and (kept := store.prepare(obj)):
                labels = obj["metadata"].get("labels") or {}
                watched = resource is not SECRETS or MARK in labels or has_old_mark(labels)
                store.apply("", kind if watched else "DELETED", kept, obj["metadata"]["resourceVersion"])


def _limit(limit: Limit, *, stubs: bool) -> Limit:
    """The limit, or one that leaves room for nothing but stubs."""
    return limit._replace(most=0, weigh=lambda obj: int(not is_stub(obj))) if stubs else limit


def _is_selected(selector: str, obj: Object) -> bool:
    """By the selectors with which the operator watches Secrets, or by the values of labels."""
    labels = obj["metadata"].get("labels") or {}
    if selector in {"", SELECTOR, OLD_SELECTOR}:
        return not selector or (has_old_mark(labels) if selector == OLD_SELECTOR else MARK in labels)
    return dict(term.split("=") for term in selector.split(",")).items() <= labels.items()


def _resource_of(obj: Object) -> Resource:
    kinds = {resource.kind: resource for resource in KINDS}
    return kinds[obj.get("kind", "Namespace")]


def _copied(value: Any) -> Any:
    """A copy, as the API server sends it: a fifth of the time of `deepcopy`."""
    return json.loads(json.dumps(value))
