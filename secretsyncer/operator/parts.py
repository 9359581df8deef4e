"""The parts of one operator process, and the one function that builds them and connects them."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from dataclasses import dataclass, replace
from functools import cache, partial
from operator import attrgetter

from prometheus_client import CollectorRegistry

from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.event_queue import EventQueue
from secretsyncer.aws.listing.listings import AllListings
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.services import SECRETS_MANAGER, Service
from secretsyncer.aws.values.sources import Sources
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.kube.arrivals import Arrivals
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.event_recorder import EventRecorder
from secretsyncer.kube.feed import ListWatcher
from secretsyncer.kube.informer import Informer
from secretsyncer.kube.lease import LeaderElector
from secretsyncer.kube.objects import Key
from secretsyncer.kube.polled_namespaces import PolledNamespaces
from secretsyncer.kube.reflector import BEAT_LIMIT
from secretsyncer.kube.resources import NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.kube.streamed_lists import StreamedLists
from secretsyncer.kube.workqueue import BACKOFF, WorkQueue
from secretsyncer.loops import Heartbeats, loop_time
from secretsyncer.metrics import Metrics
from secretsyncer.operator.aws_sides import aws_sides
from secretsyncer.operator.checks import REFUSED_LIMIT, accepted, notes, readiness
from secretsyncer.operator.http_server import Server
from secretsyncer.operator.page_routes import Site
from secretsyncer.settings import Settings
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.awaited import Awaited
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.sync.controller import Controller
from secretsyncer.sync.damping import Damping
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.marks import OLD_SELECTOR, SELECTOR
from secretsyncer.sync.observed import namespace_view, summarise, synced_secret_view
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.reconcile import Reconciler
from secretsyncer.sync.releases import Releases
from secretsyncer.sync.report import Reporter
from secretsyncer.sync.restarter import Restarter
from secretsyncer.sync.rotation import rows
from secretsyncer.sync.stores import MarkedSecrets, Stores
from secretsyncer.sync.stubs import OBJECT_LIMIT, SECRET_LIMIT
from secretsyncer.sync.workload_api import Workloads


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What runs in one process, in the order in which it is started."""

    server: Server
    """Serves metrics, probes and the status page."""

    informers: tuple[Informer, Informer, Informer, Informer]
    """Watch SyncedSecrets, namespaces, and the Secrets with our mark and with our old one."""

    arrivals: Arrivals
    """Watches for Secrets that objects wait for."""

    events: EventRecorder
    """Sends Kubernetes Events."""

    elector: LeaderElector | None
    """Holds the Lease; None where there is no leader election."""

    sessions: Sessions
    """Make the calls to AWS, as any role. Their owner opens and closes them."""

    pollers: tuple[Poller, ...]
    """List AWS, one for each service. The first one is that of Secrets Manager."""

    values: Sources
    """Fetch values from AWS and keep them."""

    engine: TemplateEngine
    """Renders Go templates."""

    queue: WorkQueue[Key]
    """Holds the keys that are to be reconciled."""

    controller: Controller
    """Fills the queue and runs the workers."""

    restarter: Restarter
    """Restarts workloads after their Secrets have changed."""

    event_queue: EventQueue | None
    """Receives change events through SQS, where EVENTS_QUEUE_URL is set."""

    heartbeats: Heartbeats
    """Know whether every loop makes progress."""


def build(settings: Settings, client: KubeClient, sessions: Sessions, metrics: Metrics) -> Parts:
    """Build the parts. Needs a running loop; nothing is started."""
    heartbeats = Heartbeats(asyncio.get_running_loop().time)
    instance = f"{socket.gethostname()}_{uuid.uuid4()}"
    elector = _elector(settings, client, instance, metrics) if settings.leader_election else None
    events = EventRecorder(client, metrics, instance=instance)
    polled = PolledNamespaces(client, settings.watch_namespace) if settings.watch_namespace else None
    informers = _informers(settings, client, polled or client, metrics, heartbeats)
    objects, namespaces, marked, with_old_mark = informers
    stores = Stores(objects, namespaces, MarkedSecrets(marked, with_old_mark))
    index, owners, holders, awaited = DependencyIndex(), Owners(), Holders(), Awaited()
    aws = aws_sides(settings, sessions, metrics, index, stores)
    values = Sources({name: side.cache for name, side in aws.items()})
    secrets = aws[SECRETS_MANAGER.name].poller
    metrics.secrets.rows = lambda: rows(
        secrets.catalogue, index.refs(), expiry_tag=settings.expiry_tag, now=time.time()
    ).items()
    engine = TemplateEngine(cache_dir=settings.cache_folder)
    rules = Rules(settings.ns_annotation, settings.require_ns_annotation)
    may_write = elector.fresh if elector else lambda: True
    damping = Damping(metrics, bound=settings.sync_interval_sec, clock=asyncio.get_running_loop().time)
    writer = Writer(
        client,
        stores,
        damping,
        adopt=settings.adopt_existing,
        may_write=may_write,
        awaited=awaited,
    )
    reporter = Reporter(writer, events.event)
    reconciler = Reconciler(
        stores,
        index,
        owners,
        listings=lambda: AllListings(side.poller.catalogue for side in aws.values()),
        values=values,
        contents=ContentRenderer(values, engine, metrics, template_messages=settings.template_messages),
        writer=writer,
        reporter=reporter,
        releases=Releases(client, stores, owners, holders, damping, may_write=may_write),
        operator=sessions,
        rules=rules,
    )
    queue = _queue(settings, metrics)
    controller = Controller(
        reconciler,
        queue,
        index,
        owners,
        stores,
        metrics=metrics,
        sync_interval=settings.sync_interval_sec,
        is_waiting=damping.is_waiting,
        holders=holders,
    )
    beat = heartbeats.register("arrivals", limit=BEAT_LIMIT)
    spaces = settings.watch_namespace or ("",)
    arrivals = Arrivals(client, awaited, namespaces=spaces, on_arrival=controller.on_arrival, beat=beat)
    metrics.missing_secrets.set_function(awaited.__len__)
    for side in aws.values():
        side.poller.add_handler(controller.on_catalogue)
    restarter = Restarter(
        Workloads(client, now=time.time),
        stores,
        reporter,
        WorkQueue(metrics=Metrics(CollectorRegistry())),  # the metrics of a queue are those of reconciles
        event=events.event,
        metrics=metrics.restarts,
        min_interval=settings.restart_min_interval,
        may_write=may_write,
    )

    async def on_changed(service: Service, ids: set[str]) -> None:
        """The values of these secrets or parameters are stale, and the listing may be. Those in use go first."""
        side, name = aws[service.name], service.name
        if not side.poller.needed():
            return
        admitted = side.poller.admit(sorted(ids, key=lambda id_: (not index.by_ids([id_], name), id_)))
        side.cache.invalidate(admitted)
        await side.poller.refresh(admitted)
        controller.on_secrets(admitted, name)

    url = settings.events_queue_url
    event_queue = EventQueue(sessions, url, metrics, on_changed=on_changed) if url else None
    heartbeats.checks["workers"] = controller.stuck
    heartbeats.checks["kubernetes credentials"] = accepted(client, within=REFUSED_LIMIT)
    pollers = tuple(side.poller for side in aws.values())
    began = loop_time()

    @cache
    def page() -> Site:
        """The status page, made when someone first looks: what writes its HTML takes 1 MiB."""
        from secretsyncer.operator.status_page.site import StatusPage  # noqa: PLC0415 - see above

        return StatusPage(
            stores, pollers, queue, metrics, rules=rules, events=events.sent, began=began,
            leading=lambda: controller.leading, account=lambda: sessions.known_account,
        )  # fmt: skip

    server = Server(
        *settings.listen,
        registry=metrics.registry,
        health=heartbeats.checks,
        readiness=readiness(client, informers, pollers[0], elector),
        notes=notes(informers, polled),
        page=page if settings.status_page else None,
    )
    return Parts(
        server=server,
        informers=informers,
        arrivals=arrivals,
        events=events,
        elector=elector,
        sessions=sessions,
        pollers=pollers,
        values=values,
        engine=engine,
        queue=queue,
        controller=controller,
        restarter=restarter,
        event_queue=event_queue,
        heartbeats=heartbeats,
    )


def _informers(
    settings: Settings, client: KubeClient, namespaces: ListWatcher, metrics: Metrics, heartbeats: Heartbeats
) -> tuple[Informer, Informer, Informer, Informer]:
    streamed = StreamedLists()
    informer = partial(Informer, metrics=metrics, heartbeats=heartbeats, streamed=streamed)
    watched = settings.watch_namespace or ("",)
    return (
        informer(
            client,
            SYNCED_SECRETS,
            namespaces=watched,
            label_selector=settings.watch_selector,
            transform=synced_secret_view,
            limit=OBJECT_LIMIT,
        ),
        informer(
            namespaces,
            NAMESPACES,
            metadata_only=True,
            streamed=streamed if namespaces is client else None,
            transform=namespace_view(settings.ns_annotation),
        ),
        informer(
            client,
            SECRETS,
            namespaces=watched,
            label_selector=SELECTOR,
            transform=summarise,
            limit=SECRET_LIMIT,
        ),
        informer(
            client,
            SECRETS,
            name="secrets with old mark",
            namespaces=watched,
            label_selector=OLD_SELECTOR,
            transform=summarise,
            limit=SECRET_LIMIT,
        ),
    )


def _elector(settings: Settings, client: KubeClient, identity: str, metrics: Metrics) -> LeaderElector:
    return LeaderElector(
        client,
        namespace=settings.pod_namespace or client.namespace,
        name=settings.lease_name,
        identity=identity,
        metrics=metrics,
    )


def _queue(settings: Settings, metrics: Metrics) -> WorkQueue[Key]:
    # Every object is resynced once per sync interval: a retry does not wait for longer than that.
    backoff = replace(BACKOFF, cap=min(BACKOFF.cap, settings.sync_interval_sec))
    return WorkQueue(
        metrics=metrics,
        backoff=backoff,
        workers=settings.workers,
        bulk=max(1, settings.workers // 2),
        party=attrgetter("namespace"),
    )
