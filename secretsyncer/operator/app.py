"""Builds everything and runs it: the only place that knows all parts.

Start: HTTP, informers synced, leadership, first listing of AWS, workers. Stop: workers drain, poller, informers,
last events, lease released, HTTP last. A loop that ends ends the process; so does losing the lease.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
import uuid
from collections import ChainMap
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from prometheus_client import REGISTRY

from secretsyncer import __version__
from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.event_queue import EventQueue
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.errors import SettingsError, SyncFailure
from secretsyncer.gotemplate.engine import TemplateEngine
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.event_recorder import EventRecorder
from secretsyncer.kube.informer import Informer
from secretsyncer.kube.lease import LeaderElector
from secretsyncer.kube.objects import Key
from secretsyncer.kube.polled_namespaces import Named
from secretsyncer.kube.resources import NAMESPACES, SECRETS, SYNCED_SECRETS
from secretsyncer.kube.workqueue import BACKOFF, WorkQueue
from secretsyncer.loops import Guarded, Heartbeats, LoopEndedError
from secretsyncer.metrics import Metrics
from secretsyncer.operator import status_page
from secretsyncer.operator.gc_pauses import short_pauses
from secretsyncer.operator.http_server import Server
from secretsyncer.settings import Settings
from secretsyncer.sync import secret_plan
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.authorize import Rules
from secretsyncer.sync.controller import Controller
from secretsyncer.sync.dependencies import DependencyIndex
from secretsyncer.sync.fetch import Reader
from secretsyncer.sync.observed import namespace_view, summarise, without_last_applied
from secretsyncer.sync.owners import Targets
from secretsyncer.sync.reconcile import Reconciler
from secretsyncer.sync.report import Reporter

log = logging.getLogger(__name__)

DRAIN_DEADLINE = 10.0
"""Seconds that passes under way get to end at a stop."""
FLUSH_DEADLINE = 2.0
POLLER_LIMIT = 600.0
"""Seconds between two signs of life of the poller: more than one call to AWS takes with all its retries."""
PULSE = 1.0
"""Seconds between two looks at the event loop's lag."""


async def run(settings: Settings) -> int:
    """Run the operator until a signal or a failure; the process's exit code."""
    async with AsyncExitStack() as stack:
        metrics = Metrics(REGISTRY)
        sessions = await stack.enter_async_context(_sessions(settings, metrics))
        client = await KubeClient.connect(metrics=metrics)
        stack.push_async_callback(client.close)
        app = App(settings, client, sessions, metrics)
        stack.enter_context(short_pauses())
        return await app.run(_stop_on_signals())


def _sessions(settings: Settings, metrics: Metrics) -> Sessions:
    return Sessions(metrics, external_id=settings.role_external_id, session_name=settings.role_session_name)


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; a second one ends the process on the spot."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            log.warning("second signal, stopping at once")
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stopping


class App:
    """One operator process, built but not started."""

    def __init__(self, settings: Settings, client: KubeClient, sessions: Sessions, metrics: Metrics) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._metrics = metrics
        self._sessions = sessions
        self._heartbeats = Heartbeats(loop.time)
        self._loops = Guarded()
        namespaces = settings.watch_namespace or ("",)
        informer = partial(Informer, client, metrics=metrics, heartbeats=self._heartbeats)
        self._objects = informer(
            SYNCED_SECRETS,
            namespaces=namespaces,
            label_selector=settings.watch_selector,
            transform=without_last_applied,
        )
        self._namespaces = Informer(
            Named(client, settings.watch_namespace) if settings.watch_namespace else client,
            NAMESPACES,
            metadata_only=True,
            transform=namespace_view(settings.ns_annotation),
            metrics=metrics,
            heartbeats=self._heartbeats,
        )
        self._secrets = informer(
            SECRETS, namespaces=namespaces, label_selector=secret_plan.SELECTOR, transform=summarise
        )
        self._informers = {"syncedsecrets": self._objects, "namespaces": self._namespaces, "secrets": self._secrets}
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._events = EventRecorder(client, metrics, instance=identity)
        self._elector = LeaderElector(
            client,
            namespace=settings.pod_namespace or client.namespace,
            name=settings.lease_name,
            identity=identity,
            metrics=metrics,
        )
        self._engine = TemplateEngine(cache_dir=settings.cache_folder)
        self._index = DependencyIndex()
        targets = Targets()
        # Every object has a pass per sync interval: a retry does not wait for longer than that.
        backoff = replace(BACKOFF, cap=min(BACKOFF.cap, settings.sync_interval_sec))
        self._queue: WorkQueue[Key] = WorkQueue(
            metrics=metrics, backoff=backoff, bulk=max(1, settings.workers // 2)
        )
        api = SecretsManager(sessions)
        self._cache = SecretCache(api, metrics, region=sessions.region)
        self._poller = Poller(
            api,
            sessions,
            self._cache,
            metrics,
            interval=settings.poll_interval_sec,
            search_role=settings.poll_default_search_role,
            referenced=self._index.refs,
            on_change=self._on_catalogue,
        )
        writer = Writer(
            client,
            objects=self._objects,
            secrets=self._secrets,
            adopt=settings.adopt_existing,
            may_write=self._may_write,
        )
        reconciler = Reconciler(
            objects=self._objects,
            namespaces=self._namespaces,
            secrets=self._secrets,
            catalogue=lambda: self._poller.catalogue,
            values=self._cache,
            reader=Reader(self._cache, self._engine, metrics),
            writer=writer,
            index=self._index,
            claims=targets,
            reporter=Reporter(writer, self._events.event),
            operator=sessions,
            rules=Rules(settings.ns_annotation, settings.require_ns_annotation),
        )
        metrics.poll_interval.set(settings.poll_interval_sec)
        self._controller = Controller(
            reconciler,
            self._queue,
            self._index,
            targets,
            objects=self._objects,
            namespaces=self._namespaces,
            secrets=self._secrets,
            prefetcher=self._cache,
            catalogue=lambda: self._poller.catalogue,
            metrics=metrics,
            sync_interval=settings.sync_interval_sec,
        )
        self._server = Server(
            *settings.listen,
            health=ChainMap(self._heartbeats.checks, {"workers": self._controller.stuck}),
            readiness=self._readiness_checks(),
            page=self._page if settings.status_page else None,
        )
        self._working = False
        self._push = (
            EventQueue(sessions, settings.events_queue_url, metrics, on_secrets=self._on_secrets)
            if settings.events_queue_url
            else None
        )

    async def run(self, stopping: asyncio.Event) -> int:
        """Until `stopping` is set (0) or a loop dies (1)."""
        try:
            await self._server.start()
        except OSError as exc:
            raise SettingsError(f"METRICS_LISTEN={self._settings.metrics_listen}: {exc.strerror or exc}") from None
        log.info("started", extra={"version": __version__, "port": self._server.port})
        code = 0
        starting = asyncio.create_task(self._start())
        stop: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
        failed = self._loops.failed
        try:
            await asyncio.wait([starting, stop, failed], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await asyncio.wait([stop, failed], return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
        except LoopEndedError as exc:
            log.error("stopping after a failure", extra={"why": str(exc)})  # noqa: TRY400 - logged with its traceback
            code = 1
        finally:
            starting.cancel()
            stop.cancel()
            await asyncio.gather(starting, stop, return_exceptions=True)
            await self._stop(graceful=code == 0)
        return code

    async def _start(self) -> None:
        loops = self._loops
        loops.start("pulse", self._pulse())
        for name, informer in self._informers.items():
            loops.start(f"informer {name}", informer.run())
        loops.start("events", self._events.run())
        for informer in self._informers.values():
            await informer.synced.wait()
        log.info("informers synced", extra={"objects": len(self._objects), "secrets": len(self._secrets)})
        if self._settings.leader_election:
            await self._elector.acquire()
            loops.start("lease", self._elector.hold())
        self._metrics.leader.set(1)
        self._poller.beat = self._heartbeats.register("poller", limit=POLLER_LIMIT)
        loops.start("poller", self._poller.run())
        await self._poller.first_round.wait()
        with suppress(SyncFailure):
            # Bare role names need it; known now, what such objects read can be fetched in full batches, too.
            await self._sessions.account()
        await self._controller.lead()
        for number in range(self._settings.workers):
            loops.start(f"worker {number}", self._controller.work())
        if self._push:
            loops.start("push", self._push.run())
        self._working = True
        log.info("syncing", extra={"workers": self._settings.workers})

    async def _stop(self, *, graceful: bool) -> None:
        log.info("stopping", extra={"running": self._queue.running()})
        self._queue.close()
        if graceful and not await self._queue.drain(DRAIN_DEADLINE):
            log.warning("passes cut short", extra={"running": self._queue.running()})
        workers = [f"worker {number}" for number in range(self._settings.workers)]
        await self._loops.stop(
            *workers, "push", "poller", *(f"informer {name}" for name in self._informers), "events"
        )
        if graceful:
            await self._events.flush(FLUSH_DEADLINE)
        await self._loops.stop("lease", "pulse")
        if graceful:
            await self._elector.release()
        await self._cache.aclose()
        await asyncio.to_thread(self._engine.close)
        await self._server.stop()
        log.info("stopped")

    def _may_write(self) -> bool:
        return not self._settings.leader_election or self._elector.fresh()

    def _on_catalogue(self, *change: Any) -> None:
        self._controller.on_catalogue(*change)

    async def _on_secrets(self, ids: set[str]) -> None:
        """The queue named secrets: their values are stale, and the catalogue may be."""
        self._cache.invalidate(ids)
        await self._poller.refresh(ids)
        self._controller.on_secrets(ids)

    async def _pulse(self) -> None:
        """Measures how late the event loop is: what blocks it makes everything late."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(PULSE)
            self._metrics.loop_lag_seconds.set(max(0.0, loop.time() - before - PULSE))

    def _page(self, query: str) -> str:
        now = time.time()
        listed_at = self._poller.catalogue.listed_at
        read = self._metrics.total
        facts = {
            "Last listing of AWS": f"{status_page.seconds(now - listed_at)} ago" if listed_at else "none yet",
            "AWS secrets": str(len(self._poller.catalogue.entries)),
            "AWS calls": f"{read(self._metrics.aws_calls):.0f}",
            "Cache hits": status_page.share(
                read(self._metrics.cache_requests, result="hit"), read(self._metrics.cache_requests)
            ),
            "Queue": f"{len(self._queue)} + {self._queue.running()} running",
            "Role": "leading" if self._working else "standing by",
            "Version": __version__,
        }
        return status_page.page((obj for _, obj in self._objects.items()), facts, query=query, now=now)

    # Health and readiness

    def _readiness_checks(self) -> dict[str, Callable[[], str | None]]:
        checks = {name: _informer_check(informer) for name, informer in self._informers.items()}
        return {**checks, "aws": self._aws_check}

    def _aws_check(self) -> str | None:
        """The first listing. A standby does not list, and is ready to take over without."""
        if self._settings.leader_election and not self._elector.is_leader:
            return None
        return self._poller.health() if self._poller.catalogue.listed_at is None else None


def _informer_check(informer: Informer) -> Callable[[], str | None]:
    return lambda: None if informer.has_synced() else informer.health() or "not listed yet"
