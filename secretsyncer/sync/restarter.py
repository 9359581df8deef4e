"""Restarts workloads after the data of their Secrets have changed: when, and for which objects.

Level-triggered: a restart is due while `status.restartedRevision` of a SyncedSecret is behind `status.revision`. A pass
looks at all due objects of one namespace. It runs when one becomes due, and when the wait of one is over. A pass that takes
long stops and goes on after the other namespaces have had their turn. One restart of a workload counts for all objects that
name it (see `workload_restart`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from secretsyncer import logs
from secretsyncer.errors import SyncFailure
from secretsyncer.kube.objects import Key, Object, timestamp
from secretsyncer.kube.store import EventKind
from secretsyncer.kube.workqueue import QueueClosed, WorkQueue
from secretsyncer.metrics import RestartMetrics
from secretsyncer.sync import restart_memory as memory
from secretsyncer.sync.report import EventSink, Reporter
from secretsyncer.sync.restart_due import Due, asks_again, asks_more
from secretsyncer.sync.restart_index import RestartIndex
from secretsyncer.sync.restart_memory import Reason
from secretsyncer.sync.restart_windows import opening
from secretsyncer.sync.stores import Stores
from secretsyncer.sync.workload_api import BACKOFF, Look, Obstacle, Workloads
from secretsyncer.sync.workload_restart import SHOWN, SOON, WorkloadRestart
from secretsyncer.sync.workloads import Ref
from secretsyncer.synced_secret.formats import MIN_REFRESH

log = logging.getLogger(__name__)

TURN = 2.0
"""Seconds after which a pass lets other namespaces have their turn."""
FRESH = 60.0
"""Seconds for which a pass uses the same lists of workloads."""


class _Wait(NamedTuple):
    """An object that is not looked at before `until`, or `soonest` if somebody asks for a refresh."""

    about: tuple[object, ...]
    until: float
    soonest: float


class _Pass:
    """A look at all due objects of one namespace. It may take several turns."""

    def __init__(self, look: Look, began: float) -> None:
        self.look = look
        self.began = began
        self.done: set[Key] = set()
        self.times: list[float] = []
        """When to look again."""
        self.rest: dict[Key, tuple[list[Ref], list[Ref], list[Obstacle]]] = {}
        """Of an object with workloads that are left to do: those, all of them, and what was in the way so far."""
        self.obstacles: dict[Ref, Obstacle] = {}
        """What was in the way of a workload, for whichever object."""


class Restarter:
    """Restarts the workloads of the objects of one process. `now` returns the Unix time in seconds."""

    def __init__(
        self,
        workloads: Workloads,
        stores: Stores,
        reporter: Reporter,
        queue: WorkQueue[str],
        *,
        event: EventSink,
        metrics: RestartMetrics,
        min_interval: float,
        may_write: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._workloads = workloads
        self._reporter = reporter
        self._event = event
        self._queue = queue
        self._count = metrics.total
        self._now = now
        self._leading = False
        self._index = RestartIndex(stores.objects.get, now=now)
        self._one = WorkloadRestart(
            workloads,
            self._index,
            reporter,
            event=event,
            metrics=metrics,
            min_interval=min_interval,
            may_write=may_write,
            now=now,
            counted=self._on_restart,
        )
        self._passes: dict[str, _Pass] = {}
        self._blocked: set[Key] = set()
        self._waits: dict[Key, _Wait] = {}
        self._crashes: dict[Key, int] = {}
        stores.objects.add_handler(self._on_object)
        metrics.pending.set_function(lambda: len(self._index) if self._leading else 0)
        metrics.blocked.set_function(lambda: len(self._blocked))

    # What leads to a pass

    def lead(self) -> None:
        """Restart from now on, and at once what is due already."""
        self._leading = True
        for namespace in self._index.namespaces():
            self._queue.add(namespace)

    def _on_object(self, _kind: EventKind, key: Key, old: Object | None, new: Object | None) -> None:
        if self._index.note(key, new) is None or new is None:
            self._blocked.discard(key)
            self._waits.pop(key, None)
            self._crashes.pop(key, None)
            return
        again = asks_again(old, new)
        if again:
            self._workloads.refresh(key.namespace)
            if wait := self._waits.get(key):
                self._waits[key] = wait._replace(until=wait.soonest)
        # Our own reports are changes, too.
        if again or asks_more(old, new):
            if going := self._passes.get(key.namespace):
                going.done.discard(key)
                going.rest.pop(key, None)
            if self._leading:
                self._queue.add(key.namespace)

    def _on_restart(self, key: Key) -> None:
        """A restart counts for this object, too, which may have been looked at already."""
        self._waits.pop(key, None)
        if going := self._passes.get(key.namespace):
            going.done.discard(key)

    async def work(self) -> None:
        """One worker, for ever. A namespace has one at a time, so no two restart the same workload."""
        while True:
            try:
                namespace = await self._queue.get()
            except QueueClosed:
                await asyncio.get_running_loop().create_future()
                return
            try:
                with logs.bind(namespace=namespace):
                    again = await self._turn(namespace)
                self._queue.forget(namespace)
                if namespace in self._passes:
                    self._queue.add(namespace)
                elif again is not None:
                    self._queue.add_after(namespace, max(again - self._now(), SOON))
            except Exception:
                log.exception("restarts failed", extra={"namespace": namespace})
                self._queue.retry(namespace)
            finally:
                self._queue.done(namespace)

    # A pass

    async def _turn(self, namespace: str) -> float | None:
        """Go on with the pass of the namespace. Returns when to look again after it; None: after a change."""
        going = self._passes.setdefault(namespace, _Pass(Look(self._workloads, namespace), self._now()))
        if going.began + FRESH < self._now():
            going.look, going.began = Look(self._workloads, namespace), self._now()
        end = asyncio.get_running_loop().time() + TURN
        for key in [key for key in self._index.due_in(namespace) if key not in going.done]:
            if asyncio.get_running_loop().time() >= end:
                return None
            await asyncio.sleep(0)  # there may be thousands, and each has to be parsed
            going.done.add(key)  # before it is looked at, as it may change meanwhile
            asked = self._index.due(key)
            again = await self._look_at(asked, going, end) if asked else None
            if key in going.rest:
                going.done.discard(key)
            elif again is not None:
                going.times.append(again)
        if not self._index.due_in(namespace) - going.done:
            del self._passes[namespace]
        return min(going.times, default=None)

    async def _look_at(self, asked: Due, going: _Pass, end: float) -> float | None:
        try:
            return await self._restart_all(asked, going, end)
        except Exception:
            # It must not hold up the other objects of the namespace.
            log.exception("restarts failed", extra={"key": str(asked.key)})
            going.rest.pop(asked.key, None)
            failures = self._crashes[asked.key] = self._crashes.get(asked.key, 0) + 1
            again = self._now() + BACKOFF.delay(failures)
            self._waits[asked.key] = _Wait(asked.about, again, min(again, self._now() + MIN_REFRESH))
            return again

    async def _restart_all(self, asked: Due, going: _Pass, end: float) -> float | None:
        """Restart the workloads of one object. Returns when to look again, None if all were restarted."""
        key, now = asked.key, self._now()
        left, wait = going.rest.pop(key, None), self._waits.get(key)
        if wait and wait.about == asked.about and wait.until > now:
            return wait.until  # others of the namespace are looked at now
        hold = _hold(asked, now)
        if hold and not any(entry.revision >= asked.revision for entry in asked.entries.values()):
            return await self._explain(asked, [hold])
        if left is None:
            refs, obstacles = await going.look.targets(asked.restart, asked.secret.name)
            left = refs, refs, obstacles
        todo, refs, obstacles = left
        if len(refs) > memory.MOST_WORKLOADS:
            message = f"spec.restart selects more than {memory.MOST_WORKLOADS} workloads; select fewer"
            obstacle = Obstacle(Reason.TOO_MANY, message, now + 300, soonest=now + MIN_REFRESH)
            return await self._explain(asked, [obstacle])
        for number, ref in enumerate(todo):
            if number and asyncio.get_running_loop().time() >= end:
                going.rest[key] = todo[number:], refs, obstacles
                return None
            if found := await self._restart_one(key, ref, going, hold):
                obstacles.append(found)
        return await (self._explain(asked, obstacles) if obstacles else self._finish(asked, refs))

    async def _restart_one(self, key: Key, ref: Ref, going: _Pass, hold: Obstacle | None) -> Obstacle | None:
        """Restart one workload, unless `hold` is in the way. Returns what is."""
        present, known = self._index.due(key), going.obstacles.get(ref)
        if hold and present and not present.began(ref):
            return hold
        if known and known.until > self._now() and present and not present.covers(ref):
            return known
        try:
            await self._one.restart(key, ref, hold)
        except Obstacle as obstacle:
            if not obstacle.quiet and obstacle is not hold:  # others may have no such window
                going.obstacles[ref] = obstacle
            return obstacle
        except SyncFailure as failure:  # the status could not be written
            return Obstacle(Reason.KUBERNETES_ERROR, failure.message, self._now() + 5, quiet=True)
        return None

    async def _finish(self, asked: Due, refs: list[Ref]) -> float | None:
        now, present = self._now(), self._index.due(asked.key)
        if present and present.generation != asked.generation:
            return now + SOON  # spec.restart may name other workloads now
        shown = ", ".join(map(str, refs[:SHOWN])) or "spec.restart selects no workload"
        more = f" and {len(refs) - SHOWN} more" if len(refs) > SHOWN else ""
        message = f"revision {asked.revision}: {shown}{more}"
        try:
            await self._reporter.change(
                asked.obj,
                lambda old: memory.finished(old, asked.revision, message, generation=asked.generation, now=now),
            )
        except SyncFailure:
            return now + SOON
        self._blocked.discard(asked.key)
        return None

    async def _explain(self, asked: Due, obstacles: list[Obstacle]) -> float:
        """Say why restarts wait, unless it is over soon. Returns when to try again."""
        again = min(obstacle.until for obstacle in obstacles)
        self._waits[asked.key] = _Wait(asked.about, again, min(obstacle.soonest for obstacle in obstacles))
        told = sorted((o for o in obstacles if not o.quiet), key=lambda o: o.reason in memory.WAITING)
        if not told:
            return again
        reason, generation, now = told[0].reason, asked.generation, self._now()
        message = "; ".join(dict.fromkeys(obstacle.message for obstacle in told))

        def warn() -> None:
            self._count.labels("blocked").inc()
            self._event(asked.obj, "Warning", str(reason), message)

        blocked = reason not in memory.WAITING
        (self._blocked.add if blocked else self._blocked.discard)(asked.key)
        try:
            await self._reporter.change(
                asked.obj,
                lambda old: memory.explained(old, reason, message, generation=generation, now=now),
                before_write=warn if blocked else lambda: None,
            )
        except SyncFailure as failure:
            log.info("condition not written", extra={"key": str(asked.key), "error": failure.message})
        return again


def _hold(asked: Due, now: float) -> Obstacle | None:
    """The delay or the window that no restart for this object begins before."""
    ready = asked.since + asked.restart.seconds
    if ready > now:
        return Obstacle(Reason.WAITING_FOR_WINDOW, "the delay is not over", ready, quiet=True)
    opens = opening(asked.restart.windows, now)
    if opens > now:
        message = f"revision {asked.revision} waits for the next window, which begins at {timestamp(opens)}"
        return Obstacle(Reason.WAITING_FOR_WINDOW, message, opens)
    return None
