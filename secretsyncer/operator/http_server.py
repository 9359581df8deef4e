"""HTTP: / and below (the status page), /metrics, /healthz (would a restart help?), /readyz (may a rollout continue?).

Health and readiness are lists of named checks. Each returns None, or the problem in one line. The server starts first and
stops last, so that probes are always answered. `?verbose` lists every check.

The port has no authentication, so the resources of clients are limited. `Connections` limits their number, their duration
and their memory. Each response closes its connection, so that idle clients do not block others. Scrapers and probes come
seconds apart, so they lose nothing. `Renderings` limits the time that the page and the metrics take.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from secretsyncer.operator.answers import SLICE, rendered
from secretsyncer.operator.connections import AT_ONCE, QUEUE, SOCKET_BUFFER, Connections
from secretsyncer.operator.page_routes import Site, add_pages
from secretsyncer.operator.renderings import INTERVAL, Renderings

Check = Callable[[], str | None]
"""None, or the problem in one line."""

Answer = Callable[[web.Request], Awaitable[web.Response]]

SELECTION_SHARE = 0.05
"""Maximum part of the time in which selections of metrics are rendered."""

_LIMITS: Any = {"max_headers": 64, "read_bufsize": SLICE, "auto_decompress": False}
"""Of aiohttp. Nothing reads the body of a request, so nothing decompresses it."""


class Server:
    """Serves the metrics of `registry` on `host` (None: all addresses) and `port` (0: any free one).

    `notes` are what `/readyz?verbose` adds to checks that pass.
    Without a `page`, there is no status page.
    """

    def __init__(
        self,
        host: str | None,
        port: int,
        *,
        registry: CollectorRegistry,
        health: Mapping[str, Check],
        readiness: Mapping[str, Check],
        notes: Mapping[str, Check] | None = None,
        page: Callable[[], Site] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._thread = ThreadPoolExecutor(1, "http")
        whole = Renderings(self._thread)
        selected = Renderings(self._thread, lambda took: min(INTERVAL, took / SELECTION_SHARE))
        app = web.Application(middlewares=[self._one_answer])
        app.router.add_get("/metrics", _metrics(registry, whole, selected))
        app.router.add_get("/healthz", _probe(health, {}))
        app.router.add_get("/readyz", _probe(readiness, notes or {}))
        pages = add_pages(app.router, page, self._thread) if page else ()
        self._renderings = (whole, selected, *pages)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, **_LIMITS)
        self._connections: Connections | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to serve. Raises OSError if the port is not available."""
        await self._runner.setup()
        self._connections = Connections(cast("web.Server", self._runner.server))
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._connections, self._host, self._port, backlog=AT_ONCE, start_serving=False
        )
        for sock in self._listener.sockets:  # connections inherit it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        await self._listener.start_serving()
        for sock in self._listener.sockets:
            with sock.dup() as same:
                same.listen(QUEUE)  # asyncio has one number for both queues

    @web.middleware
    async def _one_answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._connections is not None:
            self._connections.asked(request.protocol)
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            refusal.force_close()
            raise
        response.force_close()
        return response

    @property
    def port(self) -> int:
        """The port, after the start."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for renderings in self._renderings:
            await renderings.stop()
        await self._runner.cleanup()
        self._thread.shutdown(wait=False)


def _metrics(registry: CollectorRegistry, whole: Renderings, selected: Renderings) -> Answer:
    # prometheus_async's own handler serves only the global registry, without `name[]`.
    async def answer(request: web.Request) -> web.Response:
        """All metrics, or those in `name[]`, in the format that the scraper requests."""
        # Without versions and escapings, which make no difference here. They would make many different pages.
        is_open = "application/openmetrics-text" in request.headers.get("Accept", "")
        encode, content_type = choose_encoder("application/openmetrics-text" if is_open else "")
        headers = {"Content-Type": content_type}
        names = tuple(sorted(set(request.query.getall("name[]", []))))
        if names:
            return await rendered(
                request,
                selected,
                (is_open, names),
                lambda: partial(encode, registry.restricted_registry(names)),
                headers,
            )
        return await rendered(request, whole, is_open, lambda: partial(encode, registry), headers)

    return answer


def _probe(checks: Mapping[str, Check], notes: Mapping[str, Check]) -> Answer:
    """Answers like the probes of the API server: `ok`, or the failed checks; with `?verbose`, all checks and notes."""

    async def answer(request: web.Request) -> web.Response:
        results = {name: check() for name, check in checks.items()}
        failed = {name: problem for name, problem in results.items() if problem}
        if "verbose" in request.query or failed:
            shown = results if "verbose" in request.query else failed
            lines = [_line(name, problem, notes.get(name)) for name, problem in shown.items()]
            text = "\n".join([*lines, "failed" if failed else "ok", ""])
        else:
            text = "ok\n"
        return web.Response(text=text, status=503 if failed else 200)

    return answer


def _line(name: str, problem: str | None, note: Check | None) -> str:
    if problem:
        return f"[-] {name}: {problem}"
    text = note() if note else None
    return f"[+] {name}: {text}" if text else f"[+] {name}"
