"""Restarts workloads after the data of their Secrets have changed.

Level-triggered: a restart is due while `status.restartedRevision` of a SyncedSecret is behind `status.revision`. A pass
looks at all due objects of one namespace. It runs when one becomes due, and when the wait of one is over. One restart of a
workload counts for all objects that name it. In this order:

1. The status says that the restart begins, with its time, unless somebody has changed the object since it was read.
2. The workload gets that time, unless somebody has changed it since it was read.
3. The status says that the workload was restarted.

Whenever the process ends, the time of the workload tells whether 2 was done: no restart is lost, and none is done twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from secretsyncer import logs
from secretsyncer.errors import SyncFailure
from secretsyncer.kube.objects import Key, Object, unpacked
from secretsyncer.kube.store import EventKind
from secretsyncer.kube.workqueue import QueueClosed, WorkQueue
from secretsyncer.metrics import RestartMetrics
from secretsyncer.sync import restart_memory as memory
from secretsyncer.sync.report import EventSink, Reporter
from secretsyncer.sync.restart_due import Due, Specs, asks_more, caught_up, due
from secretsyncer.sync.restart_memory import Entry, Reason
from secretsyncer.sync.restart_windows import opening
from secretsyncer.sync.status import timestamp
from secretsyncer.sync.stores import Stores
from secretsyncer.sync.workload_api import Changed, Look, Obstacle, Workloads
from secretsyncer.sync.workloads import Ref, Workload, concerns, seconds

log = logging.getLogger(__name__)

TRIES = 4
"""Attempts of one pass to restart a workload that others change meanwhile."""
SOON = 1.0
"""Seconds until the next look at an object or a workload that has just changed."""
SHOWN = 5
"""Workloads that a message names."""


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
        self._objects = stores.objects
        self._reporter = reporter
        self._event = event
        self._queue = queue
        self._count = metrics.total
        self._min_interval = min_interval
        self._may_write = may_write
        self._now = now
        self._leading = False
        self._specs = Specs()
        self._behind: defaultdict[str, dict[Key, float]] = defaultdict(dict)
        self._blocked: set[Key] = set()
        self._waits: dict[Key, tuple[tuple[object, ...], float]] = {}
        stores.objects.add_handler(self._on_object)
        metrics.pending.set_function(lambda: sum(map(len, self._behind.copy().values())) if self._leading else 0)
        metrics.blocked.set_function(lambda: len(self._blocked))

    # What leads to a pass

    def lead(self) -> None:
        """Restart from now on, and at once what is due already."""
        self._leading = True
        for namespace in self._behind:
            self._queue.add(namespace)

    def _on_object(self, _kind: EventKind, key: Key, old: Object | None, new: Object | None) -> None:
        if new is None or not memory.is_behind(new):
            self._forget(key)
            return
        since = seconds(unpacked(new["status"]).get("revisionTime")) or self._now()
        before = self._behind[key.namespace].get(key, since)
        # From the first change on, so that one change after the other cannot put a restart off.
        self._behind[key.namespace][key] = since if caught_up(old, new) else min(since, before)
        # Our own reports are changes, too.
        if self._leading and asks_more(old, new):
            self._queue.add(key.namespace)

    def _forget(self, key: Key) -> None:
        self._blocked.discard(key)
        self._waits.pop(key, None)
        self._specs.forget(key)
        behind = self._behind.get(key.namespace, {})
        behind.pop(key, None)
        if not behind:
            self._behind.pop(key.namespace, None)

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
                    again = await self._pass(namespace)
                self._queue.forget(namespace)
                if again is not None:
                    self._queue.add_after(namespace, max(again - self._now(), SOON))
            except Exception:
                log.exception("restarts failed", extra={"namespace": namespace})
                self._queue.retry(namespace)
            finally:
                self._queue.done(namespace)

    # A pass

    async def _pass(self, namespace: str) -> float | None:
        """Look at all due objects of the namespace. Returns when to look again; None: after a change."""
        look = Look(self._workloads, namespace)
        times = [await self._restart_all(each, look) for each in self._all_due(namespace)]
        return min((moment for moment in times if moment is not None), default=None)

    def _all_due(self, namespace: str) -> list[Due]:
        found = [due(self._objects.get(key), self._specs) for key in self._behind.get(namespace, ())]
        return [each for each in found if each]

    async def _restart_all(self, asked: Due, look: Look) -> float | None:
        """Restart the workloads of one object. Returns when to look again, None if all were restarted."""
        key, now = asked.synced.key, self._now()
        about, until = self._waits.get(key, ((), now))
        if about == asked.about and until > now:
            return until  # others of the namespace are looked at now
        ready = self._behind.get(key.namespace, {}).get(key, now) + asked.restart.seconds
        if ready > now:
            return ready
        opens = opening(asked.restart.windows, now)
        if opens > now:
            message = f"revision {asked.revision} waits for the next window, which begins at {timestamp(opens)}"
            return await self._explain(asked, [Obstacle(Reason.WAITING_FOR_WINDOW, message, opens)])
        refs, obstacles = await look.targets(asked.synced)
        if len(refs) > memory.MOST_WORKLOADS:
            message = f"spec.restart selects {len(refs)} workloads; at most {memory.MOST_WORKLOADS} are possible"
            return await self._explain(asked, [Obstacle(Reason.TOO_MANY, message, now + 300)])
        for ref in refs:
            try:
                await self._restart(key, ref)
            except Obstacle as obstacle:
                obstacles.append(obstacle)
            except SyncFailure as failure:  # the status could not be written
                obstacles.append(Obstacle(Reason.KUBERNETES_ERROR, failure.message, self._now() + 5, quiet=True))
        return await (self._explain(asked, obstacles) if obstacles else self._finish(asked, refs))

    async def _finish(self, asked: Due, refs: list[Ref]) -> float | None:
        shown = ", ".join(map(str, refs[:SHOWN])) or "spec.restart selects no workload"
        more = f" and {len(refs) - SHOWN} more" if len(refs) > SHOWN else ""
        message = f"revision {asked.revision}: {shown}{more}"
        generation, now = asked.synced.generation, self._now()
        try:
            await self._reporter.change(
                asked.obj,
                lambda old: memory.finished(old, asked.revision, message, generation=generation, now=now),
            )
        except SyncFailure:
            return now + SOON
        self._blocked.discard(asked.synced.key)
        return None

    async def _explain(self, asked: Due, obstacles: list[Obstacle]) -> float:
        """Say why restarts wait, unless it is over soon. Returns when to try again."""
        again = min(obstacle.until for obstacle in obstacles)
        self._waits[asked.key] = asked.about, again
        told = sorted((o for o in obstacles if not o.quiet), key=lambda o: o.reason in memory.WAITING)
        if not told:
            return again
        reason, generation, now = told[0].reason, asked.synced.generation, self._now()
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

    # One workload

    async def _restart(self, key: Key, ref: Ref) -> None:
        """Restart the workload for this object, and for all others that name it. Raises Obstacle or SyncFailure."""
        seen: float | None = None
        for _ in range(TRIES):
            asked = due(self._objects.get(key), self._specs)
            if asked is None or asked.covers(ref):
                return
            workload = await self._workloads.get(key.namespace, ref)
            concerned = [
                each
                for each in self._all_due(key.namespace)
                if concerns(each.synced, workload) and not each.covers(ref)
            ]
            if key not in {each.key for each in concerned}:
                return  # it does not match any more
            if await self._catch_up(concerned, workload, seen):
                continue
            seen = workload.restarted
            self._check(key.namespace, workload)
            at = max(float(int(self._now())), workload.restarted + 1)
            begun = [each for each in concerned if await self._begin(each, ref, at)]
            if key not in {each.key for each in begun} or not self._may_write():
                raise Obstacle(Reason.KUBERNETES_ERROR, f"{key} has changed", self._now() + SOON, quiet=True)
            try:
                await self._workloads.restart(key.namespace, workload, at)
            except Changed:
                continue
            self._tell(begun, workload)
            for each in begun:
                await self._confirm(each, ref, each.revision, at)
            return
        raise Obstacle(Reason.KUBERNETES_ERROR, f"{ref} keeps being modified", self._now() + 30)

    async def _catch_up(self, concerned: list[Due], workload: Workload, seen: float | None) -> bool:
        """Say in the status what was restarted without that it says so. Returns whether there was any.

        `seen`: the time that the workload had before. If it has another one now, another process has restarted it.
        """
        revisions = [
            each.revision if seen is not None and workload.restarted > seen else each.unconfirmed(workload)
            for each in concerned
        ]
        for each, revision in zip(concerned, revisions, strict=True):
            if revision is not None:
                await self._confirm(each, workload.ref, revision, workload.restarted)
        return any(revision is not None for revision in revisions)

    def _check(self, namespace: str, workload: Workload) -> None:
        """Raises Obstacle if the workload cannot be restarted now."""
        now = self._now()
        if workload.paused:
            raise Obstacle(Reason.PAUSED, f"{workload} is paused; resume it", now + 30)
        last = max([workload.restarted, *self._restarts(namespace, workload.ref)])
        if last + self._min_interval > now:
            until = last + self._min_interval
            message = f"{workload} was restarted at {timestamp(last)}, and may be again at {timestamp(until)}"
            raise Obstacle(Reason.WAITING_FOR_INTERVAL, message, until)

    def _restarts(self, namespace: str, ref: Ref) -> Iterator[float]:
        """When the workload was restarted, for whichever object: its own time may have been removed."""
        for key, obj in self._objects.items():
            if key.namespace == namespace and (status := unpacked(obj.get("status"))) and status.get("restarts"):
                entry = memory.entries(status).get(ref)
                if entry and not entry.pending:
                    yield seconds(entry.time)

    async def _begin(self, asked: Due, ref: Ref, at: float) -> bool:
        entry = Entry(*ref, asked.revision, timestamp(at), pending=True)
        change = await self._reporter.change(asked.obj, lambda old: memory.with_entry(old, entry), exactly=True)
        return change.stored is not None

    async def _confirm(self, asked: Due, ref: Ref, revision: int, at: float) -> None:
        entry = Entry(*ref, revision, timestamp(at))
        await self._reporter.change(asked.obj, lambda old: memory.with_entry(old, entry))

    def _tell(self, begun: list[Due], workload: Workload) -> None:
        self._count.labels("restarted").inc()
        names = ", ".join(sorted({each.synced.secret.name for each in begun})[:SHOWN])
        log.info("workload restarted", extra={"workload": str(workload), "secrets": names})
        self._event(workload.involved, "Normal", "Restarted", f"restarted because of new data in Secret {names}")
        for each in begun:
            self._event(each.obj, "Normal", "Restarted", f"{workload} restarted for revision {each.revision}")
