"""Kubernetes Events, which `kubectl describe` shows below an object.

Events are best effort, so nothing waits for them: `event` adds to a bounded queue, and `run` sends. Equal Events within
ten minutes become one with a count. Normal Events and Warnings have a queue, a budget and a sender each, so that many of
the ones never delay the others. What exceeds a budget is told in one Event about the namespace, once a minute. Events are
core/v1, because `kubectl describe` of every version reads them.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from cachetools import LRUCache
from prometheus_client import Counter

from secretsyncer.backoff import Backoff
from secretsyncer.errors import KubeError, clip
from secretsyncer.kube.event_budget import NORMAL, WARNING, Budget, LeftOut, Limits, Summaries
from secretsyncer.kube.objects import Object, timestamp
from secretsyncer.kube.resources import EVENTS, Resource
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

AGGREGATION = 600.0
"""Seconds in which an equal Event only increases the count."""
SUMMARY_INTERVAL = 60.0
"""Seconds from the first Event that is left out to the one that tells so."""
QUEUE_LIMIT = 1000
REMEMBERED = 4096
"""Maximum number of sent Events that are remembered; the oldest are forgotten."""
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


class _Source(NamedTuple):
    """Who records: the component, and the process."""

    component: str
    instance: str


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
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        source = _Source(component, instance)
        self._lanes: dict[Type, _Lane] = {
            "Warning": _Lane(client, metrics.events, source, kind="Warning", limits=WARNING, backoff=backoff),
            "Normal": _Lane(client, metrics.events, source, kind="Normal", limits=NORMAL, backoff=backoff),
        }

    def event(self, obj: Object, type: Type, reason: str, message: str) -> None:  # noqa: A002 - the API's word
        """Record an Event in the background. `obj` is any object with kind and metadata."""
        self._lanes[type].add(obj, reason, clip(message), timestamp(self._now()))

    def sent(self, uid: str) -> list[Object]:
        """What is remembered of the Events of one object."""
        return [event for lane in self._lanes.values() for event in lane.sent(uid)]

    async def run(self) -> None:
        """Send recorded Events, for ever."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run())
                group.create_task(lane.summarise())

    async def flush(self, deadline: float) -> None:
        """Send the queued Events within this many seconds, after `run` was stopped. Warnings are first."""
        try:
            async with asyncio.timeout(deadline):
                for lane in self._lanes.values():
                    await lane.flush()
        except TimeoutError:
            log.warning("events not sent", extra={"events": sum(map(len, self._lanes.values()))})


class _Lane:
    """The Events of one type."""

    def __init__(
        self, client: EventsApi, count: Counter, source: _Source, *, kind: Type, limits: Limits, backoff: Backoff
    ) -> None:
        self._client = client
        self._count = count
        self._source = source
        self._type = kind
        self._backoff = backoff
        self._clock = asyncio.get_running_loop().time
        self._queue: OrderedDict[_Same, _Waiting] = OrderedDict()
        self._filled = asyncio.Event()
        self._sent: LRUCache[_Same, _Sent] = LRUCache(REMEMBERED)
        self._budget = Budget(limits, self._clock)
        self._left_out = Summaries()
        self._leaving_out = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue) + len(self._left_out)

    def add(self, obj: Object, reason: str, message: str, now: str) -> None:
        metadata = obj["metadata"]
        uid, namespace, name = metadata.get("uid", ""), metadata.get("namespace", ""), metadata["name"]
        same = _Same(uid, namespace, name, self._type, reason, message)
        if waiting := self._queue.get(same):
            waiting.count += 1
            waiting.last = now
        elif len(self._queue) < QUEUE_LIMIT and self._budget.allows(namespace, uid or name):
            fields = ("name", "namespace", "uid", "resourceVersion")
            involved = {"apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", "")}
            involved |= {field: metadata[field] for field in fields if metadata.get(field)}
            self._put(same, _Waiting(involved, _name_for(name), now, now))
        elif self._left_out.add(namespace, reason, kind=obj.get("kind", ""), name=name, time=now):
            self._count.labels("summarised").inc()
            self._leaving_out.set()
        else:
            self._count.labels("dropped").inc()

    def sent(self, uid: str) -> list[Object]:
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
        """Send what waits, for ever."""
        while True:
            await self._filled.wait()
            await self._send_next()

    async def summarise(self) -> None:
        """Tell what was left out, for ever."""
        while True:
            await self._leaving_out.wait()
            await asyncio.sleep(SUMMARY_INTERVAL)
            self._queue_summaries()

    async def flush(self) -> None:
        self._queue_summaries()
        while self._queue:
            await self._send_next()

    def _queue_summaries(self) -> None:
        if len(self._queue) + len(self._left_out) > QUEUE_LIMIT:
            return  # nothing is sent at the moment; they are counted on until there is room
        self._leaving_out.clear()
        for left_out in self._left_out.take():
            self._put(*_summary(left_out, self._type))

    def _put(self, same: _Same, waiting: _Waiting) -> None:
        self._queue[same] = waiting
        self._filled.set()

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
            "source": {"component": self._source.component},
            "reportingComponent": self._source.component,
            "reportingInstance": self._source.instance,
        }


def _summary(left_out: LeftOut, kind: Type) -> tuple[_Same, _Waiting]:
    """An Event about the namespace, in the namespace: where those that were left out would be."""
    namespace = left_out.namespace
    involved = {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "namespace": namespace}
    same = _Same("", namespace, namespace, kind, left_out.reason, left_out.message)
    return same, _Waiting(involved, _name_for(namespace), left_out.first, left_out.last)


def _name_for(name: str) -> str:
    return f"{name[:SHORT_NAME].rstrip('.-')}.{uuid.uuid4().hex[:16]}"
