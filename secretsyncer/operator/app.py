"""Starts the parts of the operator, runs them, and stops them.

Start: HTTP, informers synced, leadership, first listing of AWS, workers. Stop: workers drain, poller, informers,
last Events, Lease released, HTTP last. If a loop ends or the Lease is lost, the process ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack, suppress
from typing import Any

from prometheus_client import REGISTRY

from secretsyncer import __version__
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.listing.poller import Poller
from secretsyncer.aws.regions import Regions
from secretsyncer.aws.services import SECRETS_MANAGER
from secretsyncer.errors import SettingsError, SyncFailure
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.informer import Informer
from secretsyncer.loops import GuardedLoops, LoopEndedError, measure_lag
from secretsyncer.metrics import Metrics
from secretsyncer.operator.parts import Parts, build
from secretsyncer.operator.pauses import short_pauses
from secretsyncer.settings import Settings

log = logging.getLogger(__name__)

DRAIN_DEADLINE = 10.0
"""Seconds for running reconciles to end at a stop."""
FLUSH_DEADLINE = 2.0
PATIENCE = 10.0
"""Seconds for the first listings of other services than Secrets Manager. Only objects that need them wait for longer."""
RESTARTERS = ("restarts 0", "restarts 1", "restarts 2")
"""Loops that restart workloads. A slow answer holds up one of them."""
POLLER_LIMIT = 600.0
"""Maximum seconds between two beats of the poller: more than an AWS call with all its retries."""


async def run(settings: Settings) -> int:
    """Run the operator until a signal or a failure. Returns the exit code."""
    async with AsyncExitStack() as stack:
        metrics = Metrics(REGISTRY)
        sessions = await stack.enter_async_context(
            Sessions(
                metrics,
                regions=Regions(settings.extra_regions),
                external_id=settings.role_external_id,
                session_name=settings.role_session_name,
            )
        )
        client = await KubeClient.connect(metrics=metrics)
        stack.push_async_callback(client.close)
        app = App(settings, build(settings, client, sessions, metrics), metrics)
        stack.enter_context(short_pauses())
        return await app.run(_stop_on_signals())


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT. A second one ends the process at once."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            log.warning("second signal received")
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stopping


class App:
    """One operator process."""

    def __init__(self, settings: Settings, parts: Parts, metrics: Metrics) -> None:
        self._settings = settings
        self._parts = parts
        self._metrics = metrics
        self._loops = GuardedLoops()

    async def run(self, stopping: asyncio.Event) -> int:
        """Run until `stopping` is set (exit code 0) or a loop ends (1)."""
        server = self._parts.server
        try:
            await server.start()
        except OSError as exc:
            raise SettingsError(f"METRICS_LISTEN={self._settings.metrics_listen}: {exc.strerror or exc}") from None
        log.info("operator started", extra={"version": __version__, "port": server.port})
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
            log.error("operator failed", extra={"error": str(exc)})  # noqa: TRY400 - logged with its traceback
            code = 1
        finally:
            starting.cancel()
            stop.cancel()
            await asyncio.gather(starting, stop, return_exceptions=True)
            await self._stop(graceful=code == 0)
        return code

    async def _start(self) -> None:
        parts, loops = self._parts, self._loops
        loops.start("pulse", measure_lag(self._metrics.loop_lag_seconds.set))
        for informer in parts.informers:
            loops.start(_loop_name(informer), informer.run())
        loops.start("arrivals", parts.arrivals.run())
        loops.start("events", parts.events.run())
        for informer in parts.informers:
            await informer.synced.wait()
        log.info("informers synced", extra={i.name: len(i) for i in parts.informers})
        if parts.elector:
            await parts.elector.acquire()
            loops.start("lease", parts.elector.hold())
        self._metrics.leader.set(1)
        for poller in parts.pollers:
            name = _poller_name(poller)
            loops.start(name, poller.run(parts.heartbeats.register(name, limit=POLLER_LIMIT)))
        secrets, *others = parts.pollers
        await secrets.first_round.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for poller in others:
                    await poller.first_round.wait()
        with suppress(SyncFailure):
            # Role names need the account. With it, the secrets of such objects are prefetched in full batches, too.
            await parts.sessions.account()
        await parts.controller.lead()
        for number in range(self._settings.workers):
            loops.start(f"worker {number}", parts.controller.work())
        parts.restarter.lead()
        for name in RESTARTERS:
            loops.start(name, parts.restarter.work())
        if parts.event_queue:
            loops.start("event queue", parts.event_queue.run())
        log.info("workers started", extra={"workers": self._settings.workers})

    async def _stop(self, *, graceful: bool) -> None:
        parts, loops = self._parts, self._loops
        log.info("operator stopping", extra={"running": parts.queue.running()})
        if graceful and not await parts.queue.drain(DRAIN_DEADLINE):
            log.warning("reconciles cancelled", extra={"running": parts.queue.running()})
        workers = [f"worker {number}" for number in range(self._settings.workers)]
        await loops.stop(
            *RESTARTERS,
            *workers,
            "event queue",
            "arrivals",
            *map(_poller_name, parts.pollers),
            *map(_loop_name, parts.informers),
            "events",
        )
        if graceful:
            await parts.events.flush(FLUSH_DEADLINE)
        await loops.stop("lease", "pulse")
        if graceful and parts.elector:
            await parts.elector.release()
        await parts.values.aclose()
        await asyncio.to_thread(parts.engine.close)
        await parts.server.stop()
        log.info("operator stopped")


def _poller_name(poller: Poller) -> str:
    return "poller" if poller.service is SECRETS_MANAGER else f"poller {poller.service.name}"


def _loop_name(informer: Informer) -> str:
    return f"informer {informer.name}"
