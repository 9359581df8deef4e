"""Reports a reconcile to users: the status of the object, and Events for what has changed.

An unchanged status is not written, and causes no Event.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from secretsyncer.errors import Reason, SyncFailure
from secretsyncer.kube.objects import Object
from secretsyncer.sync import status
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.content import Content
from secretsyncer.synced_secret import SyncedSecret

EventSink = Callable[[Object, Literal["Normal", "Warning"], str, str], None]


class Reporter:
    """Reports reconciles. `now` returns the Unix time in seconds."""

    def __init__(self, writer: Writer, events: EventSink, *, now: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._event = events
        self._now = now

    async def synced(self, obj: Object, synced: SyncedSecret, content: Content, action: str) -> bool:
        """The Secret is in sync; `action` is the write, if any. Returns whether the status has changed."""
        old = obj.get("status") or {}
        new = status.synced(
            old,
            generation=synced.generation,
            sources=tuple(content.read.values()),
            keys=len(content.data),
            now=self._now(),
        )
        patch = status.patch(old, new)
        if patch:
            await self._writer.write_status(obj, patch)
        if action:
            self._event(obj, "Normal", "Synced", f"Secret {action}")
        elif status.ready_reason(old) not in {"", str(Reason.SYNCED)}:
            self._event(obj, "Normal", "Synced", "in sync with AWS again")
        return patch is not None

    async def suspended(self, obj: Object, synced: SyncedSecret) -> bool:
        """The object is suspended. Returns whether the status has changed."""
        old = obj.get("status") or {}
        patch = status.patch(old, status.suspended(old, generation=synced.generation, now=self._now()))
        if patch:
            await self._writer.write_status(obj, patch)
            self._event(obj, "Normal", str(Reason.SUSPENDED), "no longer synced: spec.suspend is true")
        return patch is not None

    async def failed(self, obj: Object, failure: SyncFailure) -> None:
        """The reconcile has failed. The Event is first, because writing the status may fail as well."""
        old = obj.get("status") or {}
        new = status.failed(old, failure, generation=obj["metadata"].get("generation", 0), now=self._now())
        patch = status.patch(old, new)
        if patch:
            self._event(obj, "Warning", str(failure.reason), failure.message)
            await self._writer.write_status(obj, patch)
