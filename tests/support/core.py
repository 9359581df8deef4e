"""The operator between its stores and its cache: queue, workers and reconciler, on a cluster and an AWS in memory."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64decode
from operator import attrgetter

from secretsyncer.aws.listing.changes import diff
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.kube.objects import Key
from secretsyncer.kube.workqueue import WorkQueue
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.sync.controller import Controller
from secretsyncer.sync.damping import Damping
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.reconcile import Reconciler
from secretsyncer.sync.releases import Releases
from secretsyncer.sync.report import Reporter
from tests.support.builders import ANNOTATION, namespace
from tests.support.cache_rig import Rig
from tests.support.memory_cluster import MemoryCluster
from tests.support.workers import working

KEY = Key("team", "demo")


class InlineEngine:
    """A template engine without its threads, which know nothing of virtual time."""

    def __init__(self, engine: TemplateEngine) -> None:
        self._engine = engine

    async def render(self, *request):
        return self._engine.render_sync(*request)


class Core:
    """Wired as `operator/parts.py` does it. `events` are the Kubernetes Events: type, reason and message.

    The operator's own identity reads everything; the namespace `team` is there, and AWS has not been listed. With
    `stubs`, the stores have room for nothing but stubs. `workers`: how many the queue reckons with. `cache`: the limits of
    the values.
    """

    def __init__(
        self,
        engine: TemplateEngine | InlineEngine | None = None,
        *,
        sync_interval: float = 120.0,
        require_annotation: bool = False,
        stubs: bool = False,
        workers: int | None = None,
        **cache: int,
    ) -> None:
        self.aws = Rig(**cache)
        self.world = self.aws.world
        self.calls = self.aws.api.calls
        self.cluster = MemoryCluster(stubs=stubs)
        self.stores = self.cluster.stores
        self.registry = self.aws.registry
        self.metrics = metrics = self.aws.cache._metrics
        self.events = []
        self.leading = True
        self.engine = engine
        index, owners, holders = DependencyIndex(), Owners(), Holders()
        self.index, self.owners = index, owners
        damping = Damping(metrics, bound=sync_interval, clock=asyncio.get_running_loop().time)
        writer = Writer(self.cluster, self.stores, damping, adopt=True, may_write=lambda: self.leading)
        self.new_reconciler = lambda: Reconciler(
            self.stores,
            index,
            owners,
            listings=lambda: self.aws.listings,
            values=self.aws.sources,
            contents=ContentRenderer(self.aws.sources, engine or TemplateEngine(cache_dir=None), metrics),
            writer=writer,
            reporter=Reporter(writer, lambda obj, *event: self.events.append(event)),
            operator=self.aws.api,
            rules=Rules(ANNOTATION, require_annotation),
            releases=Releases(self.cluster, self.stores, owners, holders, damping, may_write=lambda: self.leading),
            clock=asyncio.get_running_loop().time,
        )
        self.reconciler = self.new_reconciler()
        self.queue = WorkQueue(metrics=metrics, workers=workers, party=attrgetter("namespace"))
        self.controller = Controller(
            self.reconciler,
            self.queue,
            index,
            owners,
            self.stores,
            metrics=metrics,
            sync_interval=sync_interval,
            is_waiting=damping.is_waiting,
            holders=holders,
        )
        lag, self.cluster.lag = self.cluster.lag, 0.0
        self.cluster.put(namespace())
        self.cluster.lag = lag

    def restart(self) -> None:
        """Forget what the process remembers of objects."""
        self.reconciler = self.new_reconciler()

    @contextlib.asynccontextmanager
    async def running(self, workers: int = 2):
        """Two workers, which lead."""
        await asyncio.sleep(self.cluster.lag)
        await self.controller.lead()
        async with working(self.controller.work, workers):
            yield self

    async def list_aws(self, *, fails=False):
        """A round of the poller."""
        old = self.aws.catalogue
        new = await self.aws.poll(fails)
        if changes := diff(old, new):
            self.controller.on_catalogue(old, new, changes, set())
        changed = await self.aws.cache.recheck(self.index.refs(), new)
        if changed:
            self.controller.on_catalogue(new, new, diff(new, new), changed)

    async def list_parameters(self):
        """A round of the poller of Parameter Store."""
        old = self.aws.parameter_catalogue
        new = await self.aws.poll_parameters()
        changes = diff(old, new)
        if changes or old.listed_at is None:
            self.controller.on_catalogue(old, new, changes, set())
        changed = await self.aws.parameters.recheck(self.index.refs("ParameterStore"), new)
        if changed:
            self.controller.on_catalogue(new, new, diff(new, new), changed)

    def data(self, key: Key = KEY) -> dict[str, bytes]:
        """What the Secret holds."""
        secret = self.cluster.secret(key)
        return {name: b64decode(value) for name, value in secret["data"].items()} if secret else {}

    def ready(self, key: Key = KEY) -> dict:
        """The condition Ready."""
        conditions = self.cluster.synced_secret(key).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == "Ready"), {})

    def count(self, result: str) -> float:
        """Reconciles that have ended so."""
        return self.registry.get_sample_value("secretsyncer_reconciles_total", {"result": result}) or 0.0
