"""Kubernetes Events, which `kubectl describe` shows below an object.

Events are best effort, so nothing waits for them: `event` adds to a bounded queue, and `run` sends. Equal Events within
ten minutes become one with a count. A token bucket limits the Events of each object. Events that exceed a limit are
dropped and counted. The numbers are those of client-go (`tools/record/events_cache.go`). Events are core/v1, because
`kubectl describe` of every version reads them.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol

from cachetools import LRUCache

from secretsyncer.backoff import Backoff
from secretsyncer.errors import KubeError, clip
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import EVENTS, Resource
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

AGGREGATION = 600.0
"""Seconds in which an equal Event only increases the count."""
BURST = 25
REFILL = 300.0
"""Seconds per Event of an object after its burst."""
QUEUE_LIMIT = 1000
REMEMBERED = 4096
"""Maximum number of remembered objects and sent Events; the oldest are forgotten."""
TRIES = 5
BACKOFF = Backoff(initial=1.0, factor=2.0, cap=10.0, jitter=0.5)
SHORT_NAME = 200
"""Maximum length of the object name in the name of an Event, which can have 253 characters."""

Type = Literal["Normal", "Warning"]


class EventsApi(Protocol):
    """The part of `KubeClient` that is needed here."""

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object: ...

    async def merge_patch(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...


class _Same(NamedTuple):
    """The identity of an Event: Events with the same identity are equal."""

    uid: str
    namespace: str
    object_name: str
    type: str
    reason: str
    message: str


@dataclass(slots=True)
class _Sent:
    """An Event in the cluster."""

    name: str
    count: int
    since: float
    last: str


@dataclass(slots=True)
class _Waiting:
    """An Event to send. Equal ones only increase `count`."""

    involved: Object
    name: str
    first: str
    last: str
    count: int = 1


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class EventRecorder:
    """Records Events as `component`, for the process `instance`."""

    def __init__(
        self,
        client: EventsApi,
        metrics: Metrics,
        *,
        component: str = "secretsyncer",
        instance: str = "",
        backoff: Backoff = BACKOFF,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._count = metrics.events
        self._component = component
        self._instance = instance
        self._backoff = backoff
        self._now = now
        self._clock = asyncio.get_running_loop().time
        self._queue: OrderedDict[_Same, _Waiting] = OrderedDict()
        self._filled = asyncio.Event()
        self._sent: LRUCache[_Same, _Sent] = LRUCache(REMEMBERED)
        self._buckets: LRUCache[str, _Bucket] = LRUCache(REMEMBERED)

    def event(self, obj: Object, type: Type, reason: str, message: str) -> None:  # noqa: A002 - the API's word
        """Record an Event in the background. `obj` is any object with kind and metadata."""
        metadata = obj["metadata"]
        involved = {
            "apiVersion": obj.get("apiVersion", ""),
            "kind": obj.get("kind", ""),
            **{f: metadata[f] for f in ("name", "namespace", "uid", "resourceVersion") if metadata.get(f)},
        }
        place = metadata.get("uid", ""), metadata.get("namespace", ""), metadata["name"]
        same = _Same(*place, type, reason, clip(message))
        time = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if waiting := self._queue.get(same):
            waiting.count += 1
            waiting.last = time
        elif len(self._queue) >= QUEUE_LIMIT or not self._may_speak("/".join(place)):
            self._count.labels("dropped").inc()
        else:
            name = f"{metadata['name'][:SHORT_NAME].rstrip('.-')}.{uuid.uuid4().hex[:16]}"
            self._queue[same] = _Waiting(involved, name, time, time)
            self._filled.set()

    def sent(self, uid: str) -> list[Object]:
        """What is remembered of the Events of one object."""
        found = [(same, self._sent[same]) for same in list(self._sent) if same.uid == uid]
        return [
            {
                "metadata": {"name": sent.name},
                "type": same.type,
                "reason": same.reason,
                "message": same.message,
                "count": sent.count,
                "lastTimestamp": sent.last,
            }
            for same, sent in found
        ]

    async def run(self) -> None:
        """Send recorded Events, for ever."""
        while True:
            await self._filled.wait()
            await self._send_next()

    async def flush(self, deadline: float) -> None:
        """Send the queued Events within this many seconds, after `run` was stopped."""
        try:
            async with asyncio.timeout(deadline):
                while self._queue:
                    await self._send_next()
        except TimeoutError:
            log.warning("events not sent", extra={"events": len(self._queue)})

    async def _send_next(self) -> None:
        if not self._queue:
            self._filled.clear()
            return
        same, waiting = self._queue.popitem(last=False)
        try:
            outcome = await self._try(same, waiting)
        except asyncio.CancelledError:
            self._queue[same] = waiting  # `flush` may still send it; the name is the same, so never twice
            self._queue.move_to_end(same, last=False)
            raise
        self._count.labels(outcome).inc()

    async def _try(self, same: _Same, waiting: _Waiting) -> str:
        for attempt in range(1, TRIES + 1):
            try:
                await self._send(same, waiting)
            except KubeError as error:
                if not error.transient or attempt == TRIES:
                    log.debug("event not sent", extra={"error": str(error), "reason": same.reason})
                    return "failed"
                await asyncio.sleep(max(self._backoff.delay(attempt), error.retry_after or 0.0))
            else:
                return "sent"
        raise AssertionError  # the last attempt returned

    async def _send(self, same: _Same, waiting: _Waiting) -> None:
        """Increase the count of the equal Event, or create one."""
        namespace = same.namespace or "default"
        sent = self._sent.get(same)
        if sent is not None and self._clock() - sent.since < AGGREGATION:
            patch = {"count": sent.count + waiting.count, "lastTimestamp": waiting.last}
            try:
                await self._client.merge_patch(EVENTS, namespace, sent.name, patch)
            except KubeError as error:
                if error.status != 404:  # otherwise it has expired: the server keeps Events for an hour or less
                    raise
            else:
                sent.count += waiting.count
                sent.last = waiting.last
                return
        try:
            await self._client.create(EVENTS, namespace, self._body(same, waiting, namespace))
        except KubeError as error:
            if error.reason != "AlreadyExists":  # an earlier attempt succeeded, but its response was lost
                raise
        self._sent[same] = _Sent(waiting.name, waiting.count, self._clock(), waiting.last)

    def _body(self, same: _Same, waiting: _Waiting, namespace: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": waiting.name, "namespace": namespace},
            "involvedObject": waiting.involved,
            "type": same.type,
            "reason": same.reason,
            "message": same.message,
            "count": waiting.count,
            "firstTimestamp": waiting.first,
            "lastTimestamp": waiting.last,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _may_speak(self, obj: str) -> bool:
        """Take one token from the bucket of the object."""
        now = self._clock()
        bucket = self._buckets.get(obj) or _Bucket(BURST, now)
        tokens = min(BURST, bucket.tokens + (now - bucket.filled) / REFILL)
        speaks = tokens >= 1
        self._buckets[obj] = _Bucket(tokens - 1 if speaks else tokens, now)
        return speaks
