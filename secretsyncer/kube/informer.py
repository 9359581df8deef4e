"""The objects of one kind, held in memory and kept true by watching; handlers hear of every difference.

The store holds raw dicts (what validates them is the reconcile: a malformed object is its own failure) and is
replaced or changed before handlers are told. A relist reports what it found different, objects that vanished
included. `get` also sees what this process wrote itself (`remember`) until the watch has come that far, so
that a pass never acts on the state before its own write. Reflectors feed it; reconciles and the
controller's handlers read it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from secretsyncer.backoff import Backoff
from secretsyncer.kube.feed import Source, later
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.reflector import BACKOFF, BEAT_LIMIT, Reflector
from secretsyncer.kube.resources import Resource
from secretsyncer.loops import Heartbeats
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

SLICE = 500
"""Changes of a relist that handlers hear in one go; other work runs in between."""

Transform = Callable[[Object], Object]


class EventKind(StrEnum):
    """What happened to an object, as far as the store knew it."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


Handler = Callable[[EventKind, Key, Object | None, Object | None], None]


class Change(NamedTuple):
    """One difference. `old` is what the store held, `new` what it holds."""

    kind: EventKind
    key: Key
    old: Object | None
    new: Object | None


class Informer:
    """A store of one kind of object, fed by one reflector per namespace ("" for all namespaces).

    `transform` drops what need not be kept, from each object as it arrives. An object recreated under its
    name (another uid) is reported as DELETED and ADDED, so that nobody takes it for the one before.
    """

    def __init__(
        self,
        client: Source,
        resource: Resource,
        *,
        namespaces: Sequence[str] = ("",),
        label_selector: str = "",
        metadata_only: bool = False,
        transform: Transform | None = None,
        page_size: int = 500,
        metrics: Metrics,
        heartbeats: Heartbeats,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._transform = transform
        self._handlers: list[Handler] = []
        self._store: dict[Key, Object] = {}
        self._written: dict[Key, Object] = {}
        self._seen: dict[str, str] = {}  # namespace (or "") -> version up to which all changes are in the store
        self._listed: set[str] = set()
        self._reflectors = [
            Reflector(
                client,
                resource,
                self,
                namespace=namespace,
                label_selector=label_selector,
                metadata_only=metadata_only,
                page_size=page_size,
                metrics=metrics,
                beat=heartbeats.register(_loop_name(resource, namespace), limit=BEAT_LIMIT),
                backoff=backoff,
                clock=asyncio.get_running_loop().time,
            )
            for namespace in namespaces
        ]
        metrics.informer_objects.labels(resource.plural).set_function(self.__len__)

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=reflector.name)

    def has_synced(self) -> bool:
        """Whether every first list has been applied, and the handlers have heard of it."""
        return self.synced.is_set()

    def health(self) -> str | None:
        """None while everything is watched; else one line that says what is not, and why."""
        return next((problem for reflector in self._reflectors if (problem := reflector.health())), None)

    def add_handler(self, handler: Handler) -> None:
        """Call it for each change from now on; its exceptions are logged and do no harm."""
        self._handlers.append(handler)

    # Reading

    def get(self, key: Key) -> Object | None:
        """The latest known state, our own writes included. Not to be changed by the caller."""
        written = self._written.get(key)
        if written is not None:
            # Its event may have overtaken the answer: then this would hide a deletion that followed.
            if later(_version(written), than=self._seen.get(self._scope(key), "")) is not False:
                return written
            del self._written[key]
        return self._store.get(key)

    def keys(self) -> list[Key]:
        return list(self._store)

    def items(self) -> list[tuple[Key, Object]]:
        return list(self._store.items())

    def __len__(self) -> int:
        return len(self._store)

    def remember(self, obj: Object) -> None:
        """An object as the server returned it for our own write: `get` gives it until the watch caught up."""
        kept = self.prepare(obj)
        if kept is None:
            return
        key = key_of(kept)
        before = self._written.get(key)
        if before is None or not later(_version(before), than=_version(kept)):
            self._written[key] = kept

    # What reflectors call

    def prepare(self, obj: Object) -> Object | None:
        """The object as it is kept; None for what is no object."""
        metadata = obj.get("metadata")
        if not isinstance(metadata, dict) or not metadata.get("name"):
            log.warning("an object without a name", extra={"resource": self.resource.plural})
            return None
        # Who owns which field is for the server alone, and takes more memory than the rest of an object.
        metadata.pop("managedFields", None)
        try:
            kept: Object = _sharing_keys(self._transform(obj) if self._transform else obj)
        except Exception as exc:  # noqa: BLE001 - one strange object must not end the watch of all others
            # Neither its text nor the object whole: a transform is there to drop values.
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
        """The store becomes this list at once; then handlers hear of the differences."""
        new = {key_of(obj): obj for obj in objects}
        old = {key: obj for key, obj in self._store.items() if namespace in {"", key.namespace}}
        changes = [Change(EventKind.DELETED, key, obj, None) for key, obj in old.items() if key not in new]
        for key, obj in new.items():
            changes += _difference(key, old.get(key), obj)
        for key in old.keys() - new.keys():
            del self._store[key]
        self._store.update(new)
        self._advance(namespace, version)
        for start in range(0, len(changes), SLICE):
            self._tell(changes[start : start + SLICE])
            await asyncio.sleep(0)
        self._listed.add(namespace)
        if len(self._listed) == len(self._reflectors):
            self.synced.set()

    def apply(self, namespace: str, kind: str, obj: Object, version: str) -> None:
        """One event. The deletion of what is not there is none: a relist has already told it."""
        key = key_of(obj)
        old = self._store.get(key)
        if kind == EventKind.DELETED:
            self._store.pop(key, None)
            changes = [Change(EventKind.DELETED, key, old, None)] if old is not None else []
        else:
            self._store[key] = obj
            changes = _difference(key, old, obj)
        self._seen[namespace] = version
        written = self._written.get(key)
        if written is not None and not later(_version(written), than=version):
            del self._written[key]
        self._tell(changes)

    def bookmark(self, namespace: str, version: str) -> None:
        self._advance(namespace, version)

    # The rest

    def _scope(self, key: Key) -> str:
        return "" if "" in self._seen else key.namespace

    def _advance(self, namespace: str, version: str) -> None:
        """All changes up to this version are in the store: what we wrote before it is known."""
        self._seen[namespace] = version
        for key, written in list(self._written.items()):
            if namespace in {"", key.namespace} and not later(_version(written), than=version):
                del self._written[key]

    def _tell(self, changes: Sequence[Change]) -> None:
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


def _sharing_keys(value: Any) -> Any:
    """The same, with one string for all keys of a name: the parser makes a new one for each object."""
    if isinstance(value, dict):
        return {sys.intern(key): _sharing_keys(inner) for key, inner in value.items()}
    return [_sharing_keys(inner) for inner in value] if isinstance(value, list) else value


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion") or "")


def _bare(obj: Object) -> Object:
    """Just enough to name it."""
    kept = ("name", "namespace", "uid", "resourceVersion", "generation")
    metadata = {field: obj["metadata"][field] for field in kept if field in obj["metadata"]}
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": metadata}


def _loop_name(resource: Resource, namespace: str) -> str:
    return f"informer {resource.plural} {namespace}".rstrip()
