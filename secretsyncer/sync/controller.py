"""Events to the queue, keys to the workers, outcomes to their consequences.

Handlers decide *whether* a key is queued, never what is done with it. What an outcome leads to is in one place,
`Controller._settle`. Fresh edits, changes in AWS and drift go first; start-up bulk and resyncs wait behind them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection
from typing import Any, Protocol

from prometheus_async.aio import time

from secretsyncer import logs
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Changes
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.kube.informer import EventKind, Informer
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.workqueue import Priority, QueueClosed, WorkQueue
from secretsyncer.metrics import RESULTS, Metrics
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.owners import Targets
from secretsyncer.sync.reconcile import Outcome, Reconciler

log = logging.getLogger(__name__)

_NOT_FAILING = {Reason.SYNCED, Reason.SUSPENDED}

PASS_DEADLINE = 120.0
"""Seconds that one pass may take: more than AWS with all its retries."""

STUCK = 2 * PASS_DEADLINE

SLICE = 200
"""Objects looked at in one go; other work runs in between."""

TICKS = 100
"""Moments of a sync interval at which objects are looked at: some together cost one wake-up of the process."""


class Prefetcher(Protocol):
    """What is wanted of the value cache."""

    def prefetch(self, refs: Collection[SecretRef], catalogue: Catalogue) -> None: ...


class Controller:
    """Feeds one reconciler. `sync_interval` is in seconds."""

    def __init__(
        self,
        reconciler: Reconciler,
        queue: WorkQueue[Key],
        index: DependencyIndex,
        targets: Targets,
        *,
        objects: Informer,
        namespaces: Informer,
        secrets: Informer,
        prefetcher: Prefetcher,
        catalogue: Callable[[], Catalogue],
        metrics: Metrics,
        sync_interval: float,
    ) -> None:
        self._reconciler = reconciler
        self._queue = queue
        self._index = index
        self._targets = targets
        self._objects = objects
        self._secrets = secrets
        self._prefetcher = prefetcher
        self._catalogue = catalogue
        self._metrics = metrics
        self._passes = {result: metrics.reconciles.labels(result) for result in RESULTS}
        self._sync_interval = sync_interval
        self._scheduled: set[Key] = set()
        self._touched: dict[Key, Key] = {}
        self._leading = False
        objects.add_handler(self._on_object)
        namespaces.add_handler(self._on_namespace)
        secrets.add_handler(self._on_secret)

    # What leads to a pass

    async def lead(self) -> None:
        """From now on passes are wanted; all objects at once, as bulk."""
        self._leading = True
        keys = self._objects.keys()
        for start in range(0, len(keys), SLICE):
            self._prefetch(keys[start : start + SLICE])
            for key in keys[start : start + SLICE]:
                self._queue.add(key, Priority.LOW)
            await asyncio.sleep(0)

    def on_catalogue(
        self, old: Catalogue, new: Catalogue, changes: Changes, changed_refs: Collection[SecretRef]
    ) -> None:
        """The poller has been around."""
        keys = self._index.affected(old, new, changes, changed_refs)
        if keys:
            log.info("secrets changed in AWS", extra={"secrets": len(changes.names), "objects": len(keys)})
        self._prefetch(keys)
        self._add(keys)

    def on_secrets(self, ids: Collection[str]) -> None:
        """These secrets may have changed, and their values must be read again."""
        self._add(self._index.by_ids(ids))

    def _on_object(self, kind: EventKind, key: Key, old: Object | None, new: Object | None) -> None:
        for other in self._targets.note(key, new):
            self._add([other])
        # Our own status patch comes back as an event too: only what the user says counts.
        if kind is not EventKind.MODIFIED or _intent(old) != _intent(new):
            self._add([key])

    def _on_namespace(self, kind: EventKind, key: Key, old: Object | None, new: Object | None) -> None:
        if kind is EventKind.DELETED or (old and new and _meaning(old) == _meaning(new)):
            return
        self._add(other for other, _ in self._objects.items() if other.namespace == key.name)

    def _on_secret(self, _kind: EventKind, key: Key, _old: Object | None, new: Object | None) -> None:
        for claimant in self._targets.claimants(key):
            if self._queue.is_running(claimant):
                # Its own write may be seen before that is answered: who wrote is known after the pass.
                self._touched[claimant] = key
            elif not self._reconciler.is_own_write(claimant, new):
                self._add([claimant])

    def _add(self, keys: Any) -> None:
        if self._leading:
            for key in keys:
                self._queue.add(key)

    def _prefetch(self, keys: Collection[Key]) -> None:
        if self._leading:
            self._prefetcher.prefetch(self._reconciler.wanted(keys), self._catalogue())

    # What a pass leads to

    async def work(self) -> None:
        """One worker. Once the queue is closed it waits to be stopped: a loop that returns ends the process."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                await asyncio.get_running_loop().create_future()
                return
            try:
                if not self._settled_at_a_glance(key):
                    with logs.bind(key=str(key), reconcile_id=f"{random.getrandbits(32):08x}"):
                        await self._pass(key)
            finally:
                self._queue.done(key)

    def _settled_at_a_glance(self, key: Key) -> bool:
        """What most resyncs are: no deadline, no timing and no log line for what has not changed."""
        try:
            outcome = self._reconciler.glance(key)
        except Exception:
            log.exception("bug", extra={"key": str(key)})  # the pass that follows may fare better
            return False
        if outcome is not None:
            self._settle(key, outcome)
        return outcome is not None

    async def _pass(self, key: Key) -> None:
        result: Outcome | Exception
        try:
            async with asyncio.timeout(PASS_DEADLINE):
                result = await time(self._metrics.reconcile_seconds, self._reconciler.reconcile(key))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is this key's failure
            result = exc
        self._settle(key, result)
        touched = self._touched.pop(key, None)
        if touched and not self._reconciler.is_own_write(key, self._secrets.get(touched)):
            self._add([key])

    def stuck(self) -> str | None:
        """Says so if a pass has outlived its deadline: nothing can end it but the end of the process."""
        seconds = self._queue.longest_running()
        return f"a pass runs for {seconds:.0f} s" if seconds > STUCK else None

    def _settle(self, key: Key, result: Outcome | Exception) -> None:
        """The one table: what each outcome leads to."""
        match result:
            case Outcome("gone"):
                self._count(key, "gone", None)
                self._scheduled.discard(key)
                self._queue.discard(key)
                self._metrics.forget_object(*key)
            case Outcome(done, reason, refresh_after):
                self._count(key, done, reason)
                self._queue.forget(key)
                self._resync(key, refresh_after)
            case Rejected(reason=reason, message=message):
                self._count(key, "rejected", reason)
                self._queue.forget(key)
                self._resync(key)
                log.info("rejected", extra={"reason": str(reason), "why": message})
            case Unavailable(reason=reason, message=message, retry_after=at_least):
                self._count(key, "unavailable", reason)
                seconds = self._queue.retry(key, at_least=at_least or 0.0)
                log.warning(
                    "unavailable", extra={"reason": str(reason), "why": message, "retry_in": round(seconds, 1)}
                )
            case TimeoutError():
                self._count(key, "timeout", Reason.KUBERNETES_ERROR)
                log.warning("pass took too long", extra={"seconds": PASS_DEADLINE})
                self._queue.retry(key)
            case _:
                assert isinstance(result, Exception)  # noqa: S101 - the union has no more members
                self._count(key, "bug", Reason.KUBERNETES_ERROR)
                log.error("bug", exc_info=result)
                self._queue.retry(key)

    def _resync(self, key: Key, refresh_after: float | None = None) -> None:
        """Again in one interval; the first time spread over it, which keeps objects apart from then on.

        Not within the first tick: nothing has changed yet.
        """
        interval = min(self._sync_interval, refresh_after or self._sync_interval)
        first = key not in self._scheduled
        self._scheduled.add(key)
        share = random.uniform(2 / TICKS, 1.0) if first else 1.0  # noqa: S311
        self._queue.add_after(key, interval * share, Priority.LOW, tick=interval / TICKS)

    def _count(self, key: Key, result: str, reason: str | None) -> None:
        self._passes[result].inc()
        if reason is not None:
            self._metrics.observe_object(
                *key, reason=reason, ready=reason == Reason.SYNCED, failing=reason not in _NOT_FAILING
            )


def _intent(obj: Object | None) -> Any:
    """What a user can say with an object: all but its status and bookkeeping."""
    metadata = obj["metadata"] if obj else {}
    return [metadata.get(f) for f in ("uid", "generation", "labels", "annotations", "deletionTimestamp")]


def _meaning(namespace: Object) -> Any:
    metadata = namespace["metadata"]
    return metadata.get("labels"), metadata.get("annotations"), metadata.get("uid")
