"""List and watch: mirrors the objects of one kind in one namespace (or all) into a store.

The contract is that of client-go's reflector. It lists once, as the beginning of its watch where the server offers that
(`streamed_lists.py`), else in pages. It watches from the version of the list, and resumes at the last version in the
store when the stream ends. It relists only if that version is lost; the store then gets the difference, including
deletions. It never gives up: failures are retried with backoff. It detects dead streams: a silent one is reopened, and
after a stream without any event, the version of the server is checked first.

The store calls its handlers. `/healthz` gets a beat for every event, page and failure.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from secretsyncer.backoff import Backoff, Retries
from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import from_status
from secretsyncer.kube.feed import ListWatcher, WatchEvent, later, read_page, read_pages
from secretsyncer.kube.objects import Object, key_of
from secretsyncer.kube.recovery import ENDED, Stage, recovery
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.stream import SILENT
from secretsyncer.kube.streamed_lists import ListChoice, StreamedLists, read_streamed_list
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

BACKOFF = Backoff(initial=0.8, factor=2.0, cap=15.0, jitter=1.0)
"""The numbers of client-go (`reflector.go`), except for the cap: with jitter, the longest wait is 30 s instead of 60 s.
The backoff is reset after as many quiet seconds as in client-go:"""
QUIET = 120.0
WATCH_TIMEOUT = 300.0
"""A watch lasts one to two times this many seconds, so that watches do not end together."""
INACTIVITY = 70.0
"""Seconds without a line after which a stream is dead. Bookmarks come about every 60 s."""
PROOF = 1.0
"""Seconds that a stream without events must last to count as a success."""
LONGEST_RETRY_AFTER = 300.0
"""Maximum of Retry-After in seconds. A server may ask for hours, in which changes would be missed."""
BEAT_LIMIT = 240.0
"""Maximum seconds between beats: longer than a silent stream, a page and new credentials together."""
OUTDATED = 90.0
"""Seconds since the server last confirmed a picture after which nothing is decided by it. A silent stream is noticed after
INACTIVITY, so this leaves 20 s to reopen it."""
_NAP = 30.0


class _Stream:
    """One watch: when the server accepted it, and its events."""

    def __init__(self, opened: float) -> None:
        self.opened = opened
        self.events = 0
        self.changes = 0


class Reflector:
    """Mirrors the objects in one namespace ("" for all) into the store. `run` never returns."""

    def __init__(
        self,
        client: ListWatcher,
        store: ObjectStore,
        *,
        namespace: str = "",
        label_selector: str = "",
        metadata_only: bool = False,
        page_size: int = 500,
        streamed: StreamedLists | None = None,
        metrics: Metrics,
        beat: Callable[[], None],
        backoff: Backoff = BACKOFF,
        clock: Callable[[], float],
        rand: Callable[[], float] = random.random,
    ) -> None:
        resource = store.resource
        self.name = f"{resource.plural} in {namespace}" if namespace else resource.plural
        self._client = client
        self._resource = resource
        self._store = store
        self.namespace = namespace
        self._label_selector = label_selector
        self._metadata_only = metadata_only
        self._page_size = page_size
        self._choice = ListChoice(streamed)
        self._metrics = metrics
        self._beat = beat
        self._retries = Retries(backoff, clock=clock, reset_after=QUIET)
        self._clock = clock
        self._rand = rand
        self._version = ""  # where the watch resumes; empty: list first
        self._stream: _Stream | None = None
        self._confirmed = clock()
        self._silent = 0  # streams without any event in a row: see _verify
        self._settled = False
        self._stuck = 0
        self._trouble: str | None = f"{self.name}: the first list is not done"

    def health(self) -> str | None:
        """None while it mirrors, else one line with the cause."""
        return None if self._proven() else self._trouble

    def age(self) -> float:
        """Seconds since the server last confirmed that the store shows its state.

        It does so with a list, an event or a bookmark. One that accepts a watch and keeps it open sends what is missing.
        """
        stream, confirmed = self._stream, self._confirmed
        if stream is not None and stream.opened > confirmed and self._proven():
            confirmed = stream.opened
        return self._clock() - confirmed

    async def run(self) -> None:
        """List and watch, for ever."""
        while True:
            try:
                await self._round()
            except KubeError as error:
                await self._recover(error)

    async def _round(self) -> None:
        if self._silent and self._version:
            await self._verify()
        if not self._version and self._choice.as_stream():
            try:
                await self._watch()  # the list is its beginning
            except KubeError as error:
                if self._version or not self._choice.stream_failed(error):
                    raise
        if not self._version:
            await self._relist()
        await self._watch()

    async def _relist(self) -> None:
        self._choice.pages_begin()
        try:
            objects, version = await self._list(self._page_size)
        except KubeError as error:
            if error.status != 410:
                raise
            objects, version = await self._list(0)  # the pages took too long: list in one request
        await self._replace(objects, version)

    async def _replace(self, objects: list[Object], version: str) -> None:
        await self._store.replace(self.namespace, objects, version)
        self._version = version
        self._settled = False
        self._stuck = self._silent = 0
        self._confirmed = self._clock()
        self._metrics.relists.labels(self._resource.plural).inc()
        self._well()

    async def _list(self, limit: int) -> tuple[list[Object], str]:
        objects = self._store.shelf()
        version = ""
        async for page in read_pages(
            self._client,
            self._resource,
            self.namespace,
            limit=limit,
            label_selector=self._label_selector,
            metadata_only=self._metadata_only,
        ):
            self._beat()
            version = version or page.version
            for item in page.items:
                # Lists of built-in kinds omit apiVersion and kind, which watch events have.
                item.setdefault("apiVersion", self._resource.api_version)
                item.setdefault("kind", self._resource.kind)
                if kept := self._store.prepare(item):
                    objects.put(key_of(kept), kept)
        return objects.objects(), version

    async def _verify(self) -> None:
        """Whether the server has reached our version. A server that was restored from a backup has not.

        Such a server keeps a watch open and silent until it has caught up, and the changes until then would be missed.
        """
        page = await self._client.list(self._resource, self.namespace or None, limit=1, metadata_only=True)
        self._beat()
        if later(self._version, than=read_page(page).version):
            log.warning("server version decreased", extra=self._fields())
            self._count("went_back")
            self._version = ""

    async def _watch(self) -> None:
        async with self._client.watch(
            self._resource,
            self.namespace or None,
            resource_version=self._version,
            label_selector=self._label_selector,
            timeout_seconds=int(WATCH_TIMEOUT * (1 + self._rand())),
            inactivity=INACTIVITY,
            metadata_only=self._metadata_only,
        ) as events:
            self._beat()
            if not self._version:
                await self._replace(*await read_streamed_list(events, self._store, known=self._known))
            self._stream = stream = _Stream(self._clock())
            async for event in events:
                stream.events += 1
                stream.changes += self._known(event) and self._take(event)
        raise KubeError(0, ENDED, "the server ended the watch")

    def _known(self, event: WatchEvent) -> bool:
        """Whether it is an event of our kind of object. Raises KubeError for an ERROR."""
        self._beat()
        kind, obj = event
        if kind == "ERROR":
            raise from_status(obj)
        foreign = obj.get("kind", self._resource.kind) not in {self._resource.kind, "PartialObjectMetadata"}
        if kind not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"} or foreign:
            log.warning("event skipped", extra=self._fields(event=kind, kind=str(obj.get("kind"))))
            return False
        return True

    def _take(self, event: WatchEvent) -> bool:
        """Apply it to the store, then advance to its version; whether it was a change."""
        kind, obj = event
        version = event.version
        change = kind != "BOOKMARK"
        if not change:  # it has nothing but its version
            self._store.bookmark(self.namespace, version)
        elif kept := self._store.prepare(obj):
            self._store.apply(self.namespace, kind, kept, version)
        self._version = version
        self._stuck = self._silent = 0
        self._confirmed = self._clock()
        self._well()
        return change

    def _proven(self) -> bool:
        """An open stream alone is no success: a broken proxy accepts every connection."""
        stream = self._stream
        return stream is not None and (stream.changes > 0 or self._clock() - stream.opened >= PROOF)

    async def _recover(self, error: KubeError) -> None:
        proven, stream = self._proven(), self._stream
        self._stream = None
        self._choice.broken(error)
        if not self._version:  # it was a list that failed
            if error.status in {403, 404}:
                self._store.refused(self.namespace)
            await self._pause(error)
            return
        if proven and stream is not None:
            self._confirmed = max(self._confirmed, stream.opened)
            self._settled = True
            self._well()
        step = recovery(error, Stage(stream is not None, proven, self._settled, self._stuck))
        self._count(step.cause)
        log.debug("watch ended", extra=self._fields(cause=step.cause, relist=step.relist))
        # Before the version is dropped, so that health reports the failure of the watch, not of the list.
        if step.pause:
            self._stuck += 1
            await self._pause(error)
        if step.relist:
            self._version = ""
        if error.reason == SILENT and stream is not None and not stream.events:
            self._silent += 1
            if self._silent > 1:  # bookmarks come every minute: something may answer lists and hold back watches
                self._version = ""

    async def _pause(self, error: KubeError) -> None:
        floor = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
        seconds = self._retries.failed(at_least=floor)
        level = logging.DEBUG if self._trouble and self._retries.failures > 1 else logging.WARNING
        self._trouble = f"{self.name}: {'watch' if self._version else 'list'} failed: {error.status} {error}"
        log.log(level, "watch failed", extra=self._fields(error=self._trouble, seconds=round(seconds, 1)))
        while seconds > 0:  # in slices, because a reflector that waits is alive
            self._beat()
            await asyncio.sleep(min(seconds, _NAP))
            seconds -= _NAP
        self._beat()

    def _well(self) -> None:
        if self._trouble:
            log.info("watch started", extra=self._fields())
            self._trouble = None
            self._store.recovered()

    def _count(self, cause: str) -> None:
        self._metrics.watch_restarts.labels(self._resource.plural, cause).inc()

    def _fields(self, **fields: Any) -> dict[str, Any]:
        return {"resource": self.name, "version": self._version, **fields}
