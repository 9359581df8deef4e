"""Reports a reconcile to users: the status of the object, and Events for what has changed.

An unchanged status is not written, and causes no Event. A status that somebody else has changed is written again. With an
older CRD, the API server drops fields of a status. To avoid sending them in every reconcile, a new status is compared with
the one that was sent last, as long as the object still has what was stored then. Reconciles and restarts change different
parts of a status, also at the same time: each change starts from the result of the one before.
"""

from __future__ import annotations

import time
from asyncio import Lock
from collections.abc import Callable
from hashlib import blake2b
from typing import Literal, NamedTuple
from weakref import WeakValueDictionary

from secretsyncer.errors import Awaited, Reason, SyncFailure, Unavailable
from secretsyncer.kube.objects import Key, Object, key_of, packed, unpacked
from secretsyncer.sync import status
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.content import Content
from secretsyncer.synced_secret import SyncedSecret, remarks

EventSink = Callable[[Object, Literal["Normal", "Warning"], str, str], None]


class Reporter:
    """Reports reconciles. `now` returns the Unix time in seconds."""

    def __init__(self, writer: Writer, events: EventSink, *, now: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._event = events
        self._now = now
        self._last: dict[Key, _Report] = {}
        self._locks: WeakValueDictionary[Key, Lock] = WeakValueDictionary()

    def is_current(self, obj: Object) -> bool:
        """Whether the status of the object is the one that was reported last."""
        last = self._last.get(key_of(obj))
        return (
            last is not None
            and last.uid == obj["metadata"].get("uid")
            and last.stored == _digest(obj.get("status"))
        )

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)

    async def change(
        self,
        obj: Object,
        make: Callable[[Object], Object],
        *,
        before_write: Callable[[], None] = lambda: None,
        exactly: bool = False,
    ) -> _Change:
        """Write the status that `make` returns for the present one, if it differs.

        `exactly`: only if nobody has changed the object meanwhile, this process included.
        """
        async with self._locks.setdefault(key_of(obj), Lock()):
            now = self._writer.present(obj) or obj
            sent = self._last[key_of(now)].sent if self.is_current(now) else None
            old = _status(now) if sent is None else dict(unpacked(sent))
            new = {**old, **make(old)}  # what it does not say stays
            patch = status.patch(old, new)
            stored: Object | None = now
            if patch:
                before_write()
                if exactly:
                    patch["metadata"] = {"resourceVersion": now["metadata"].get("resourceVersion", "")}
                stored = await self._writer.write_status(now, patch)
                sent = packed(new) if stored is not None and new != _status(stored) else None
            if stored is not None:
                uid = obj["metadata"].get("uid", "")
                self._last[key_of(obj)] = _Report(uid, sent, _digest(stored.get("status")))
            return _Change(old, wrote=patch is not None, exists=stored is not None)

    async def synced(
        self, obj: Object, synced: SyncedSecret, content: Content, action: str, *, revision: int | None = None
    ) -> bool:
        """The Secret is in sync; `action` is the write, if any. Returns whether the status has changed."""
        change = await self.change(
            obj,
            lambda old: status.synced(
                old,
                generation=synced.generation,
                sources=tuple(content.read.values()),
                keys=len(content.data),
                now=self._now(),
                remarks=[*remarks(synced.spec), *content.remarks],
                revision=revision,
            ),
        )
        if action:
            self._event(obj, "Normal", "Synced", f"Secret {action}")
        elif status.ready_reason(change.old) not in {"", str(Reason.SYNCED)}:
            self._event(obj, "Normal", "Synced", "in sync with AWS again")
        return change.wrote

    async def recreating(self, synced: SyncedSecret, revision: int) -> None:
        """The Secret is deleted now, and gets this revision. Raises SyncFailure, also if the object is gone."""
        namespace, name = synced.key
        obj: Object = {"metadata": {"namespace": namespace, "name": name, "uid": synced.uid}}
        change = await self.change(obj, lambda old: {**old, "nextRevision": revision})
        if not change.exists:
            raise Unavailable(Reason.KUBERNETES_ERROR, f"SyncedSecret {synced.key} is gone")

    async def suspended(self, obj: Object, synced: SyncedSecret) -> bool:
        """The object is suspended. Returns whether the status has changed."""
        generation = synced.generation
        change = await self.change(obj, lambda old: status.suspended(old, generation=generation, now=self._now()))
        if change.wrote:
            self._event(obj, "Normal", str(Reason.SUSPENDED), "no longer synced: spec.suspend is true")
        return change.wrote

    async def failed(self, obj: Object, failure: SyncFailure) -> None:
        """The reconcile has failed. The Event is first, because writing the status may fail as well."""
        if isinstance(failure, Awaited):
            return
        generation = obj["metadata"].get("generation", 0)
        await self.change(
            obj,
            lambda old: status.failed(old, failure, generation=generation, now=self._now()),
            before_write=lambda: self._event(obj, "Warning", str(failure.reason), failure.message),
        )


class _Change(NamedTuple):
    """The status before, and whether it was written. `exists`: False if the object is gone, or was changed or recreated."""

    old: Object
    wrote: bool
    exists: bool


class _Report(NamedTuple):
    """The status that was reported last: what was sent, if the API server stored something else, and a digest of that."""

    uid: str
    sent: bytes | None
    stored: bytes


def _status(obj: Object) -> Object:
    return unpacked(obj.get("status")) or {}


def _digest(status: Object | bytes | None) -> bytes:
    text = status if isinstance(status, bytes) else packed(status or {})
    return blake2b(text, digest_size=16).digest()
