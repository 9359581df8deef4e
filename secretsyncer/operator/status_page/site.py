"""Snapshots for the pages of one process: taken in the loop, made into HTML in a thread."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from secretsyncer.aws.arn import Account
from secretsyncer.aws.listing.outlook import Outlook
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.explain.explanation import Facts, explain
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics
from secretsyncer.operator.status_page.aws import Calls, Pace, aws
from secretsyncer.operator.status_page.front import front
from secretsyncer.operator.status_page.layout import Frame
from secretsyncer.operator.status_page.one import missing, one
from secretsyncer.operator.status_page.overview import overview
from secretsyncer.operator.status_page.view import View
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.stores import Stores

Render = Callable[[], bytes]


class StatusPage:
    """The pages of one process. `leading` returns whether it reconciles; `events`, what it sent about an object's uid.

    `began` is the loop's time at which the process started.
    """

    def __init__(
        self,
        stores: Stores,
        pollers: Sequence[Poller],
        queue: WorkQueue[Key],
        metrics: Metrics,
        *,
        rules: Rules,
        leading: Callable[[], bool],
        account: Callable[[], Account | None],
        events: Callable[[str], Sequence[Object]],
        began: float,
    ) -> None:
        self._stores = stores
        self._pollers = pollers
        self._queue = queue
        self._metrics = metrics
        self._rules = rules
        self._leading = leading
        self._account = account
        self._events = events
        self._began = began

    def front(self, view: View) -> Render:
        """The page at `/`. The store replaces objects and never changes them, so a list of them is a snapshot."""
        objects = [obj for _, obj in self._stores.objects.items()]
        frame, listings = self._frame("./"), self._listings()
        return lambda: front(frame, overview(objects, view), listings)

    def has(self, key: Key) -> bool:
        """Whether there is such an object."""
        return self._stores.objects.get(key) is not None

    def one(self, key: Key) -> Render:
        """The page of one object."""
        frame, obj = self._frame("../../"), self._stores.objects.get(key)
        if obj is None:
            return self.missing()
        namespace = self._stores.namespaces.get(Key("", key.namespace))
        problems = {} if namespace else {"namespace": "the operator has not seen the namespace"}
        facts = Facts(obj, namespace, self._events(obj["metadata"].get("uid", "")), problems)
        account = known.id if (known := self._account()) else ""
        explained = partial(
            explain, facts, self._rules, account=account, otherwise="the operator does not know its account yet"
        )
        return lambda: one(frame, explained())

    def missing(self) -> Render:
        """The page in place of one object that there is not."""
        frame = self._frame("../../")
        return lambda: missing(frame)

    def aws(self) -> Render:
        """The page about AWS."""
        metrics = self._metrics
        made: dict[str, dict[str, float]] = defaultdict(dict)
        for family in metrics.aws_calls.collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    made[sample.labels["operation"]][sample.labels["outcome"]] = sample.value
        calls = [
            Calls(operation, sum(outcomes.values()), sum(outcomes.values()) - outcomes.get("success", 0))
            for operation, outcomes in sorted(made.items())
        ]
        hits, reads = metrics.total(metrics.cache_requests, result="hit"), metrics.total(metrics.cache_requests)
        figures = {
            "Queue": f"{len(self._queue):,} waiting, {self._queue.running()} running",
            "Reads from the cache": share(hits, reads),
            "Objects": f"{len(self._stores.objects):,}",
        }
        clock = loop_time()
        frame, listings, pace = self._frame("./"), self._listings(), Pace(clock - self._began, clock, figures)
        return lambda: aws(frame, listings, calls, pace)

    def _listings(self) -> tuple[Outlook, ...]:
        return tuple(poller.outlook() for poller in self._pollers if poller.needed())

    def _frame(self, root: str) -> Frame:
        return Frame(root, "leader" if self._leading() else "standby", time.time())


def share(part: float, whole: float) -> str:
    """A ratio in per cent; a dash if the total is 0."""
    return f"{100 * part / whole:.0f} %" if whole else "-"
