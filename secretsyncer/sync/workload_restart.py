"""Restarts one workload, for all objects that name it. In this order:

1. The status says that the restart begins, with its time, unless somebody has changed the object since it was read.
2. The workload gets that time, unless somebody has changed it since it was read.
3. The status says that the workload was restarted.

Whenever the process ends, the time of the workload tells whether 2 was done: no restart is lost, and none is done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from secretsyncer.kube.objects import Key, timestamp
from secretsyncer.metrics import RestartMetrics
from secretsyncer.sync import restart_memory as memory
from secretsyncer.sync.report import EventSink, Reporter
from secretsyncer.sync.restart_due import Due
from secretsyncer.sync.restart_index import RestartIndex
from secretsyncer.sync.restart_memory import Entry, Reason
from secretsyncer.sync.workload_api import AHEAD, Changed, Obstacle, Workloads
from secretsyncer.sync.workloads import Ref, Workload
from secretsyncer.synced_secret.formats import MIN_REFRESH

log = logging.getLogger(__name__)

TRIES = 4
"""Attempts to restart a workload that others change meanwhile."""
SOON = 1.0
"""Seconds until the next look at an object or a workload that has just changed."""
SHOWN = 5
"""Names in a message."""


class WorkloadRestart:
    """See the module. `now` returns the Unix time in seconds. `counted` is told for which objects a restart counts."""

    def __init__(
        self,
        workloads: Workloads,
        index: RestartIndex,
        reporter: Reporter,
        *,
        event: EventSink,
        metrics: RestartMetrics,
        min_interval: float,
        may_write: Callable[[], bool],
        now: Callable[[], float],
        counted: Callable[[Key], None],
    ) -> None:
        self._workloads = workloads
        self._index = index
        self._reporter = reporter
        self._event = event
        self._count = metrics.total
        self._min_interval = min_interval
        self._may_write = may_write
        self._now = now
        self._counted = counted

    async def restart(self, key: Key, ref: Ref, hold: Obstacle | None = None) -> None:
        """Restart the workload for this object, and for all others that name it. Raises Obstacle or SyncFailure.

        With `hold`, only say what was restarted already.
        """
        seen: float | None = None
        for _ in range(TRIES):
            asked = self._index.due(key)
            if asked is None or asked.covers(ref):
                return
            workload = await self._workloads.get(key.namespace, ref)
            concerned = self._index.concerned(key.namespace, workload)
            if key not in {each.key for each in concerned}:
                return  # it does not match any more
            if await self._catch_up(concerned, workload, seen):
                continue
            if hold:
                raise hold.with_traceback(None)
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
            message = f"{workload} is paused; resume it"
            raise Obstacle(Reason.PAUSED, message, now + 30, soonest=now + MIN_REFRESH)
        # Its own time may have been removed.
        last = max(workload.restarted, self._index.last_restart(namespace, workload.ref, now + AHEAD))
        if last + self._min_interval > now:
            until = last + self._min_interval
            message = f"{workload} was restarted at {timestamp(last)}, and may be again at {timestamp(until)}"
            raise Obstacle(Reason.WAITING_FOR_INTERVAL, message, until)

    async def _begin(self, asked: Due, ref: Ref, at: float) -> bool:
        entry = Entry(*ref, asked.revision, timestamp(at), pending=True)
        change = await self._reporter.change(asked.obj, lambda old: memory.with_entry(old, entry), exactly=True)
        return change.exists

    async def _confirm(self, asked: Due, ref: Ref, revision: int, at: float) -> None:
        entry = Entry(*ref, revision, timestamp(at))
        await self._reporter.change(asked.obj, lambda old: memory.with_entry(old, entry))
        self._counted(asked.key)

    def _tell(self, begun: list[Due], workload: Workload) -> None:
        self._count.labels("restarted").inc()
        names = ", ".join(sorted({each.secret.name for each in begun})[:SHOWN])
        log.info("workload restarted", extra={"workload": str(workload), "secrets": names})
        self._event(workload.involved, "Normal", "Restarted", f"restarted because of new data in Secret {names}")
        for each in begun:
            self._event(each.obj, "Normal", "Restarted", f"{workload} restarted for revision {each.revision}")
