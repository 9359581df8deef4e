"""Puts keys into the queue, runs the workers, and decides what follows from each outcome.

Handlers decide only *whether* to queue a key. `Controller._settle` decides what follows from an outcome. Edits, changes in
AWS and drift go first; the bulk work at start and resyncs come after them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter

from prometheus_async import aio

from secretsyncer import logs
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.changes import Changes
from secretsyncer.backoff import Backoff
from secretsyncer.errors import Awaited, Reason, Rejected, StillWaiting, TakesLong, Unavailable, without_frames
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.store import EventKind
from secretsyncer.kube.workqueue import Priority, QueueClosed, WorkQueue
from secretsyncer.metrics import RESULTS, Metrics
from secretsyncer.sync.budget import LongWork
from secretsyncer.sync.damping import part_of
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.observed import access, intent
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.reconcile import Outcome, Reconciler
from secretsyncer.sync.stores import Stores
from secretsyncer.turns import in_turns

log = logging.getLogger(__name__)

_NOT_FAILING = {Reason.SYNCED, Reason.SUSPENDED}

DEADLINE = 120.0
"""Deadline of one reconcile in seconds: more than an AWS call with all its retries."""
STUCK = 2 * DEADLINE

_ATTEMPT = 2.0
"""Seconds between two looks whether the first attempt to list has ended."""

_PATIENCE, _GLANCE = 1.0, 0.25
"""Seconds for which a worker waits for AWS, the first time and again: calls that hang must not keep all workers."""
_ANSWER = Backoff(initial=0.5, cap=5.0, jitter=0.2)
"""Delays of an object for which AWS has not answered yet. AWS's answer, or the failure after all retries, is kept for it."""

SLICE = 200
"""Objects that are queued per slice; other work runs in between."""

TICKS = 100
"""Ticks per sync interval. The resyncs of one tick share a timer."""


class Controller:
    """Feeds one reconciler. `sync_interval` is in seconds. `is_waiting`: the correction of a Secret is delayed."""

    def __init__(
        self,
        reconciler: Reconciler,
        queue: WorkQueue[Key],
        index: DependencyIndex,
        owners: Owners,
        stores: Stores,
        *,
        metrics: Metrics,
        sync_interval: float,
        is_waiting: Callable[[Key], bool] = lambda _: False,
        holders: Holders | None = None,
    ) -> None:
        self._reconciler = reconciler
        self._queue = queue
        self._index = index
        self._owners = owners
        self._objects, self._secrets = stores.objects, stores.secrets
        self._metrics = metrics
        self._reconciles = {result: metrics.reconciles.labels(result) for result in RESULTS}
        self._sync_interval = sync_interval
        self._is_waiting = is_waiting
        self._holders = holders if holders is not None else Holders()
        self._scheduled: set[Key] = set()
        self._kubernetes_failed: set[Key] = set()
        self._unanswered: dict[Key, int] = {}
        self._shown: dict[Key, Key] = {}  # running keys, and their Secrets of which there were events meanwhile
        self.leading = False
        stores.objects.add_handler(self._on_object)
        stores.namespaces.add_handler(self._on_namespace)
        stores.secrets.add_handler(self._on_secret)
        for store in stores:
            store.add_recovery_handler(self._on_recovery)

    # What leads to a reconcile

    async def lead(self) -> None:
        """Queue keys from now on; all objects at once, as bulk."""
        self.leading = True
        keys = in_turns([*self._objects.keys(), *self._holders.all_orphaned(self._exists)], attrgetter("namespace"))
        with self._reconciler.gathered():
            for start in range(0, len(keys), SLICE):
                self._reconciler.prefetch(keys[start : start + SLICE])
                for key in keys[start : start + SLICE]:
                    self._queue.add(key, Priority.LOW)
                await asyncio.sleep(0)

    def on_catalogue(
        self, old: Catalogue, new: Catalogue, changes: Changes, changed_refs: Collection[SecretRef]
    ) -> None:
        """A listing has found `changes`, or a recheck of unlisted secrets has found `changed_refs`."""
        keys = self._index.affected(old, new, changes, changed_refs)
        if keys:
            log.info(
                "secrets changed in AWS",
                extra={"service": new.service.name, "secrets": len(changes.names), "objects": len(keys)},
            )
        if self.leading:
            self._reconciler.prefetch(keys)
        self._add(keys)

    def on_secrets(self, ids: Collection[str], service: str) -> None:
        """These secrets or parameters may have changed: read their values again."""
        self._add(self._index.by_ids(ids, service))

    def _on_object(self, kind: EventKind, key: Key, old: Object | None, new: Object | None) -> None:
        # Our own status patches are events, too. Only changes by users count.
        if kind is not EventKind.MODIFIED or intent(old) != intent(new):
            self._add([*self._owners.note(key, new), key])

    def _on_namespace(self, kind: EventKind, key: Key, old: Object | None, new: Object | None) -> None:
        if kind is not EventKind.DELETED and not (old and new and access(old) == access(new)):
            self._add(self._objects.keys_in(key.name))

    def on_arrival(self, secret: Key) -> None:
        """A Secret that objects wait for may have appeared."""
        self._add(self._owners.claimants(secret))

    def _on_secret(self, _kind: EventKind, key: Key, _old: Object | None, new: Object | None) -> None:
        self._holders.note(key, self._secrets.get(key))  # with own writes, which the watch may show later
        waits = new is not None and self._is_waiting(key)
        self._add(
            other
            for other in self._owners.claimants(key)
            if new is None or not (waits or self._is_waiting(part_of(key, other)) or self._is_echo(other, key))
        )
        self._add(self._holders.orphaned(key, self._exists))

    def _is_echo(self, key: Key, secret: Key) -> bool:
        """Whether the event is of an own write. It may come before the answer, so a reconcile that runs is asked at its end."""
        if self._queue.is_running(key):
            self._shown[key] = secret
            return True
        return self._reconciler.knows(key, secret)

    def _exists(self, key: Key) -> bool:
        return self._objects.get(key) is not None

    def _on_recovery(self) -> None:
        """The API server answers again. What failed meanwhile does not wait for the end of its backoff."""
        if self.leading:
            for key in self._kubernetes_failed:
                self._queue.add(key, Priority.LOW)

    def _add(self, keys: Iterable[Key]) -> None:
        if self.leading:
            for key in keys:
                self._queue.add(key)

    # What a reconcile leads to

    async def work(self) -> None:
        """One worker. After the queue is closed, it waits to be stopped: a loop that returns ends the process."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                await asyncio.get_running_loop().create_future()
                return
            try:
                if not self._is_in_step(key):
                    with logs.bind(key=str(key), reconcile_id=f"{random.getrandbits(32):08x}"):
                        await self._reconcile(key)
            finally:
                self._queue.done(key)
                if (secret := self._shown.pop(key, None)) and not self._reconciler.knows(key, secret):
                    self._queue.add(key)

    def _is_in_step(self, key: Key) -> bool:
        """Most resyncs end here, without a deadline, a timing or a log line.

        The last reconcile did not fail, so there is nothing to forget. An earlier resync stays scheduled.
        """
        try:
            outcome = self._reconciler.in_step(key)
        except Exception:
            log.exception("comparison crashed", extra={"key": str(key)})
            return False
        if outcome is not None:
            self._count(key, outcome.result, outcome.reason)
            self._resync(key, outcome.refresh_after)
        return outcome is not None

    async def _reconcile(self, key: Key) -> None:
        result: Outcome | Exception
        tries = self._unanswered.get(key, 0)
        long_work = LongWork(
            allowed=self._queue.is_long(key),
            patience=_GLANCE if tries else _PATIENCE,
            is_needed=lambda: len(self._queue) > 0,
        )
        try:
            async with asyncio.timeout(DEADLINE):
                reconcile = self._reconciler.reconcile(key, long_work)
                result = await aio.time(self._metrics.reconcile_seconds, reconcile)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is this key's failure
            result = exc
        self._queue.set_long(key, takes_long=long_work.found)
        if not isinstance(result, StillWaiting | TakesLong):
            self._unanswered.pop(key, None)
        self._settle(key, result)
        if isinstance(result, Exception):
            without_frames(result)

    def stuck(self) -> str | None:
        """The problem if a reconcile has outlived its deadline: only the end of the process can end it."""
        seconds = self._queue.longest_running()
        return f"a reconcile runs for {seconds:.0f} s" if seconds > STUCK else None

    def _settle(self, key: Key, result: Outcome | Exception) -> None:
        """What follows from each outcome."""
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
            case TakesLong():
                self._queue.add(key)
            case StillWaiting():
                self._unanswered[key] = tries = self._unanswered.get(key, 0) + 1
                self._queue.add_after(key, _ANSWER.delay(tries), Priority.LOW)
            case Rejected(reason=reason, message=message, retry_after=seconds):
                self._count(key, "rejected", reason)
                self._queue.forget(key)
                if seconds is None:
                    self._resync(key)
                else:
                    self._queue.add_after(key, seconds, Priority.LOW)
                log.info("reconcile rejected", extra={"reason": str(reason), "error": message})
            case Awaited():  # the first listing reconciles it, unless that fails
                self._count(key, "unchanged", None)
                self._queue.add_after(key, _ATTEMPT, Priority.LOW)
            case Unavailable(reason=reason, message=message, retry_after=at_least):
                self._count(key, "unavailable", reason)
                seconds = self._queue.retry(key, at_least=at_least or 0.0)
                log.warning(
                    "reconcile failed",
                    extra={"reason": str(reason), "error": message, "retry_in": round(seconds, 1)},
                )
            case TimeoutError():
                self._count(key, "timeout", Reason.KUBERNETES_ERROR)
                log.warning("reconcile timed out", extra={"seconds": DEADLINE})
                self._queue.retry(key)
            case _:
                assert isinstance(result, Exception)  # noqa: S101 - the union has no more members
                self._count(key, "bug", Reason.KUBERNETES_ERROR)
                log.error("reconcile crashed", exc_info=result)
                self._queue.retry(key)

    def _resync(self, key: Key, refresh_after: float | None = None) -> None:
        """Schedule a resync in one interval; the first time at a random moment of it, to spread the objects.

        Not within the first tick, in which nothing can have changed.
        """
        interval = min(self._sync_interval, refresh_after or self._sync_interval)
        first = key not in self._scheduled
        self._scheduled.add(key)
        share = random.uniform(2 / TICKS, 1.0) if first else 1.0  # noqa: S311
        self._queue.add_after(key, interval * share, Priority.LOW, tick=interval / TICKS)

    def _count(self, key: Key, result: str, reason: str | None) -> None:
        self._reconciles[result].inc()
        if result in {"unavailable", "timeout"} and reason == Reason.KUBERNETES_ERROR:
            self._kubernetes_failed.add(key)
        else:
            self._kubernetes_failed.discard(key)
        if reason is not None:
            self._metrics.observe_object(
                *key, reason=reason, ready=reason == Reason.SYNCED, failing=reason not in _NOT_FAILING
            )
