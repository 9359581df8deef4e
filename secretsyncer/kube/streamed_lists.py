"""Streaming lists: a watch that begins with what exists, and goes on with the changes.

With `sendInitialEvents`, the API server sends every object as ADDED, then a bookmark with the annotation `END_OF_LIST`
(Kubernetes API concepts, "Streaming lists"). Changes can come before the bookmark. Until then nothing is used, because
what does not exist any more is only known at the end. In memory, there is one object as text at a time.

A server without the feature refuses such a watch (422), and something in between can drop the parameter. Both are
remembered for all reflectors of the process. They read pages instead, until the server may be another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import BAD_ANSWER, CONNECTION
from secretsyncer.kube.feed import WatchEvent
from secretsyncer.kube.objects import Object, key_of
from secretsyncer.kube.recovery import ENDED
from secretsyncer.kube.store import ObjectStore
from secretsyncer.kube.stream import DISCONNECTED
from secretsyncer.loops import loop_time

log = logging.getLogger(__name__)

END_OF_LIST = "k8s.io/initial-events-end"
NOT_STREAMED = "NotStreamed"
"""Reason of a `KubeError`: the server accepted the watch, but does not mark the end of the list."""
STALLED = 30.0
"""Most seconds between two events of a list. The API server sends the bookmark within about a second."""
LONGEST = 180.0
"""Most seconds of a whole list. A server that ignores the parameter can send changes for ever."""
REMEMBERED = 3600.0
"""Seconds for which a refusal counts: a server behind a load balancer can be upgraded without a broken connection."""

_PASSING = {401, 403, 404, 429}
"""Statuses that say nothing about streaming lists: pages would fail too."""


class StreamedLists:
    """Whether the API server offers streaming lists: one for all reflectors of the process."""

    def __init__(self) -> None:
        self._refused_until = 0.0

    def offered(self) -> bool:
        """Whether it does, as far as is known."""
        return loop_time() >= self._refused_until

    def refuse(self, error: KubeError) -> None:
        """It does not."""
        if self.offered():
            log.info("lists in pages", extra={"error": f"{error.status} {error}"})
        self._refused_until = loop_time() + REMEMBERED

    def reconsider(self) -> None:
        """A connection broke: the server may have been replaced by one of another version."""
        self._refused_until = 0.0


class ListChoice:
    """How one reflector lists next: as a stream, or in pages. Without `streamed`, always in pages."""

    def __init__(self, streamed: StreamedLists | None) -> None:
        self._streamed = streamed
        self._failed = False

    def as_stream(self) -> bool:
        """Whether the next list is a stream."""
        return self._streamed is not None and not self._failed and self._streamed.offered()

    def stream_failed(self, error: KubeError) -> bool:
        """A stream failed before the end of the list. True if pages are read at once, False after a pause."""
        if self._streamed is None or error.status in _PASSING:
            return False
        refused = error.status in {400, 422} or error.reason == NOT_STREAMED
        if refused:
            self._streamed.refuse(error)
        # Something may end or reset all streams, and something else all pages. So the two take turns.
        self._failed = True
        return refused or error.status == 410

    def pages_begin(self) -> None:
        """Pages are read. The list after that is a stream again, also if these pages fail."""
        self._failed = False

    def broken(self, error: KubeError) -> None:
        """A request or a watch failed."""
        if self._streamed is not None and error.reason in {CONNECTION, DISCONNECTED}:
            self._streamed.reconsider()


async def read_streamed_list(
    events: AsyncIterator[WatchEvent], store: ObjectStore, *, known: Callable[[WatchEvent], bool]
) -> tuple[list[Object], str]:
    """The objects and the version of the list at the beginning of a watch. `known` returns whether an event counts."""
    objects = store.shelf()
    latest = loop_time() + LONGEST
    try:
        async with asyncio.timeout(STALLED) as limit:
            async for event in events:
                _extend(limit, min(latest, loop_time() + STALLED))
                if not known(event):
                    continue
                version = event.version
                if event.kind == "BOOKMARK":
                    _check_end(event)
                    return objects.objects(), version
                if (kept := store.prepare(event.obj)) is None:
                    continue
                if event.kind == "DELETED":
                    objects.pop(key_of(kept))
                else:
                    objects.put(key_of(kept), kept)
    except TimeoutError:
        raise KubeError(0, NOT_STREAMED, "the watch does not say where the list ends") from None
    raise KubeError(0, ENDED, "the server ended the watch before the end of the list")


def _extend(limit: asyncio.Timeout, until: float) -> None:
    """Not for each event, because a list has thousands of them, and each time costs a timer."""
    before = limit.when()
    if before is None or until > before + 1:
        limit.reschedule(until)


def _check_end(bookmark: WatchEvent) -> None:
    """Any other bookmark would come after that of the list."""
    annotations = bookmark.obj["metadata"].get("annotations")
    if not isinstance(annotations, dict) or annotations.get(END_OF_LIST) != "true":
        raise KubeError(0, NOT_STREAMED, "a bookmark came before the end of the list")
    if bookmark.version == "0":
        raise KubeError(0, BAD_ANSWER, "the list has no version")
