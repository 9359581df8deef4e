"""Reports a reconcile to users: the status of the object, and Events for what has changed.

An unchanged status is not written, and causes no Event. A status that somebody else has changed is written again. With an
older CRD, the API server drops fields of a status. To avoid sending them in every reconcile, a new status is compared with
the one that was sent last, as long as the object still has what was stored then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from secretsyncer.errors import Reason, SyncFailure
from secretsyncer.kube.objects import Key, Object, key_of
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

    def is_current(self, obj: Object) -> bool:
        """Whether the status of the object is the one that was reported last."""
        last = self._last.get(key_of(obj))
        return last is not None and last.uid == obj["metadata"].get("uid") and last.stored == _status(obj)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)

    def _known(self, obj: Object) -> Object:
        """The status of the object, with the fields that the API server did not store."""
        return self._last[key_of(obj)].sent if self.is_current(obj) else _status(obj)

    async def _write(self, obj: Object, new: Object, patch: Object | None) -> None:
        stored = _status(obj)
        if patch:
            written = await self._writer.write_status(obj, patch)
            if written is None:
                return  # the object is gone, or was recreated
            stored = _status(written)
        # Usually both are equal, and then one copy is enough.
        self._last[key_of(obj)] = _Report(obj["metadata"].get("uid", ""), stored if new == stored else new, stored)

    async def synced(self, obj: Object, synced: SyncedSecret, content: Content, action: str) -> bool:
        """The Secret is in sync; `action` is the write, if any. Returns whether the status has changed."""
        old = self._known(obj)
        new = status.synced(
            old,
            generation=synced.generation,
            sources=tuple(content.read.values()),
            keys=len(content.data),
            now=self._now(),
            remarks=[*remarks(synced.spec), *content.remarks],
        )
        patch = status.patch(old, new)
        await self._write(obj, new, patch)
        if action:
            self._event(obj, "Normal", "Synced", f"Secret {action}")
        elif status.ready_reason(old) not in {"", str(Reason.SYNCED)}:
            self._event(obj, "Normal", "Synced", "in sync with AWS again")
        return patch is not None

    async def suspended(self, obj: Object, synced: SyncedSecret) -> bool:
        """The object is suspended. Returns whether the status has changed."""
        old = self._known(obj)
        new = status.suspended(old, generation=synced.generation, now=self._now())
        patch = status.patch(old, new)
        await self._write(obj, new, patch)
        if patch:
            self._event(obj, "Normal", str(Reason.SUSPENDED), "no longer synced: spec.suspend is true")
        return patch is not None

    async def failed(self, obj: Object, failure: SyncFailure) -> None:
        """The reconcile has failed. The Event is first, because writing the status may fail as well."""
        old = self._known(obj)
        new = status.failed(old, failure, generation=obj["metadata"].get("generation", 0), now=self._now())
        patch = status.patch(old, new)
        if patch:
            self._event(obj, "Warning", str(failure.reason), failure.message)
        await self._write(obj, new, patch)


class _Report(NamedTuple):
    """The status that was reported last: what was sent, and what the API server stored of it."""

    uid: str
    sent: Object
    stored: Object


def _status(obj: Object) -> Object:
    return obj.get("status") or {}
