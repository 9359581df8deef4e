"""A cluster in memory, and processes that restart workloads in it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SYNCED_SECRETS, WORKLOADS
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.metrics import Metrics
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.report import Reporter
from secretsyncer.sync.restarter import Restarter
from secretsyncer.sync.status import condition
from secretsyncer.sync.workload_api import Workloads
from tests.support.builders import damping, synced_secret
from tests.support.memory_cluster import MemoryCluster
from tests.support.specs import literal
from tests.support.workers import working
from tests.support.workloads import RESTARTED_AT, workload

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z, a Thursday
WEB = {"targets": [{"kind": "Deployment", "name": "web"}], "delay": "0s"}
DEPLOYMENTS = WORKLOADS["Deployment"]


class Site:
    """A cluster, and processes that restart workloads in it. Its clock is the loop's, from noon on."""

    def __init__(self, *, min_interval=300.0, stubs=False):
        self.cluster = MemoryCluster(lag=0.01, stubs=stubs)
        self.events = []
        self.min_interval = min_interval
        self.start_process()

    def start_process(self):
        """A process that knows nothing but what the cluster has."""
        self.metrics = Metrics(CollectorRegistry())
        self.fresh = True
        stores = self.cluster.stores
        stores.objects._handlers.clear()
        stores.objects._written = stores.objects.shelf()
        writer = Writer(self.cluster, stores, damping(), adopt=True, may_write=lambda: self.fresh)
        self.restarter = Restarter(
            Workloads(self.cluster, now=self.now),
            stores,
            Reporter(writer, self.event, now=self.now),
            WorkQueue(metrics=self.metrics),
            event=self.event,
            metrics=self.metrics.restarts,
            min_interval=self.min_interval,
            may_write=lambda: self.fresh,
            now=self.now,
        )

    def event(self, obj, *said):
        self.events.append((obj["metadata"]["name"], *said))

    @staticmethod
    def now():
        return NOON + asyncio.get_running_loop().time()

    @contextlib.asynccontextmanager
    async def running(self):
        for key, obj in self.cluster.stores.objects.items():  # what an informer reports at its start
            self.restarter._on_object("ADDED", key, None, obj)
        self.restarter.lead()
        async with working(self.restarter.work, 2):
            yield self

    def put(self, name="demo", *, revision=0, restart=WEB, **more):
        """A SyncedSecret whose Secret has this revision, from now on."""
        obj = synced_secret(literal("a", "1"), name=name, uid=f"uid-{name}", restart=restart, **more)
        self.cluster.put({**obj, "status": self.revision(revision)})

    def changes(self, name, revision):
        """The data of its Secret have changed."""
        self.cluster.edit(SYNCED_SECRETS, Key("team", name), {"status": self.revision(revision)})

    def report(self, name, status):
        """Somebody changes the status."""
        self.cluster.edit(SYNCED_SECRETS, Key("team", name), {"status": status})

    def revision(self, number):
        time = datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"revision": number, "revisionTime": time}

    def deploy(self, name="web", kind="Deployment", **parts):
        self.cluster.put(workload("team", name, kind, **parts))

    def status(self, name="demo", namespace="team"):
        return self.cluster.synced_secret(Key(namespace, name)).get("status", {})

    def told(self, name="demo", namespace="team"):
        found = condition(self.status(name, namespace), "Restarted")
        return found and (found["status"], found["reason"], found["message"])

    def restarted_at(self, name="web"):
        (found,) = (o for o in self.cluster.all(DEPLOYMENTS) if o["metadata"]["name"] == name)
        return found["spec"]["template"]["metadata"].get("annotations", {}).get(RESTARTED_AT)

    def restarts(self, name="web"):
        return self.cluster.writes.count(("patch", "deployments", Key("team", name)))
