"""Watches: the events since a resource version, as encoded lines, without HTTP.

Kubernetes, "API Concepts", section "Efficient detection of changes". With a selector, an object that starts to match
is ADDED, and one that no longer matches is DELETED (in its last matching state, with the revision of the change). If
the history is gone, the stream ends with an ERROR event of code 410, as the watch cache of the real server does. With
`sendInitialEvents` ("Streaming lists"), the watch begins with what exists and a bookmark at its end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sandbox.kubeapi.errors import ApiError, expired
from sandbox.kubeapi.lists import Options, version_number
from sandbox.kubeapi.resources import Resource
from sandbox.kubeapi.store import Change, Compacted, Store, at_revision, encode
from sandbox.kubeapi.views import View

_LONGEST = (1800.0, 3600.0)  # --min-request-timeout of the real server, and twice that
_LAST_BOOKMARK = 2.0  # seconds before the end at which one more bookmark is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One watch request. `bookmark_interval` in seconds; `alive` returns whether the resource is still served."""

    store: Store
    resource: Resource
    namespace: str | None
    options: Options
    view: View
    bookmark_interval: float
    alive: Callable[[], bool]

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines, until the timeout, or until the history or the resource is gone."""
        start = position = version_number(self.options.version)
        deadline = _now() + (self.options.timeout or random.uniform(*_LONGEST))  # noqa: S311 - spreads load
        bookmarks = _Bookmarks(self.bookmark_interval, deadline) if self.options.bookmarks else None
        with self.store.listening() as changed:
            if self.options.initial_events or not position:
                start = position = self.store.revision
            if self._begins_with_objects():
                for item in self.store.select(self.resource.key, self.namespace):
                    if self.options.matcher(item.obj):
                        yield self.view.event("ADDED", item)
            if self.options.initial_events and self.options.bookmarks:
                yield self.view.bookmark(position, ends_list=True)
            while self.alive():
                changed.clear()
                try:
                    changes = self.store.changes(self.resource.key, after=position)
                except Compacted:
                    yield error_event(expired(f"too old resource version: {position} ({self.store.compacted})"))
                    return
                position = max(position, self.store.revision)
                for change in changes:
                    if line := self._line(change):
                        yield line
                if bookmarks and bookmarks.due() and position > start:
                    yield self.view.bookmark(position)
                wake = min(deadline, bookmarks.next) if bookmarks else deadline
                if not await _set_before(changed, wake) and _now() >= deadline:
                    return

    def _begins_with_objects(self) -> bool:
        """As asked for; if nothing is asked for, a watch without a version does."""
        if self.options.initial_events is None:
            return not version_number(self.options.version)
        return self.options.initial_events

    def _line(self, change: Change) -> bytes:
        """The line for a change; empty if the change is outside of this watch."""
        if self.namespace is not None and change.namespace != self.namespace:
            return b""
        before = change.old if change.old and self.options.matcher(change.old.obj) else None
        after = change.new if change.new and self.options.matcher(change.new.obj) else None
        if after:
            return self.view.event("MODIFIED" if before else "ADDED", after)
        return self.view.event("DELETED", at_revision(before, change.revision)) if before else b""


class _Bookmarks:
    """When the next bookmark is due."""

    def __init__(self, interval: float, deadline: float) -> None:
        self._interval = interval
        self._last = deadline - _LAST_BOOKMARK
        self.next = self._after(_now())

    def due(self) -> bool:
        now = _now()
        if now < self.next:
            return False
        self.next = self._after(now)
        return True

    def _after(self, now: float) -> float:
        regular = now + self._interval
        return min(regular, self._last) if now < self._last else regular


def error_event(error: ApiError) -> bytes:
    """The line that ends a broken watch."""
    return encode({"type": "ERROR", "object": error.status()}) + b"\n"


async def _set_before(event: asyncio.Event, moment: float) -> bool:
    try:
        async with asyncio.timeout_at(moment):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _now() -> float:
    return asyncio.get_running_loop().time()
