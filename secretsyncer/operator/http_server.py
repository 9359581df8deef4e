"""HTTP: / (the status page), /metrics, /healthz (would a restart help?), /readyz (may a rollout continue?).

Health and readiness are lists of named checks. Each returns None, or the problem in one line. The server starts first and
stops last, so that probes are always answered. `?verbose` lists every check.

The port has no authentication, so the resources of clients are limited: the size of a request, the number of connections,
and their duration. Each response closes its connection, so that idle clients do not block others. Scrapers and probes
come seconds apart, so they lose nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from secretsyncer.operator import status_page

Check = Callable[[], str | None]
"""None, or the problem in one line."""

Answer = Callable[[web.Request], Awaitable[web.Response]]

QUERY_LIMIT = 200
"""Maximum length of a search."""

REQUEST_LIMIT = 4096
"""Maximum bytes of the body of a request; nothing reads it."""

CONNECTIONS = 100
"""Maximum number of connections: some scrapers, probes and people. Further ones are closed at once."""

LIFETIME = 30.0
"""Maximum duration of a connection in seconds."""


class Server:
    """Serves the metrics of `registry` on `host` (None: all addresses) and `port` (0: any free one).

    `page` renders the HTML of `/` for a search. Without it, there is no page.
    """

    def __init__(
        self,
        host: str | None,
        port: int,
        *,
        registry: CollectorRegistry,
        health: Mapping[str, Check],
        readiness: Mapping[str, Check],
        page: Callable[[str], str] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        app = web.Application(client_max_size=REQUEST_LIMIT, middlewares=[_one_answer])
        app.router.add_get("/metrics", _metrics(registry))
        app.router.add_get("/healthz", _probe(health))
        app.router.add_get("/readyz", _probe(readiness))
        if page:
            app.router.add_get("/", _page(page))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to serve. Raises OSError if the port is not available."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connection, self._host, self._port)

    def _connection(self) -> asyncio.BaseProtocol:
        """The protocol of a new connection."""
        server, loop = self._runner.server, asyncio.get_running_loop()
        if server is None or len(server.connections) >= CONNECTIONS:
            return _Full()
        handler = server()
        loop.call_later(LIFETIME, _abort, handler)
        return handler

    @property
    def port(self) -> int:
        """The port, after the start."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()


class _Full(asyncio.Protocol):
    """Closes its connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _abort(handler: web.RequestHandler) -> None:
    """End a connection without waiting for a client that does not read."""
    if handler.transport is not None:
        handler.transport.abort()


@web.middleware
async def _one_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.force_close()
        raise
    response.force_close()
    return response


def _metrics(registry: CollectorRegistry) -> Answer:
    # prometheus_async's own handler serves only the global registry, without `name[]`.
    async def answer(request: web.Request) -> web.Response:
        """All metrics, or those in `name[]`, in the format that the scraper requests."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        names = request.query.getall("name[]", [])
        body = encode(registry.restricted_registry(names) if names else registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    return answer


def _page(render: Callable[[str], str]) -> Answer:
    headers = {
        "Content-Security-Policy": status_page.POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }

    async def answer(request: web.Request) -> web.Response:
        text = render(request.query.get("q", "")[:QUERY_LIMIT])
        return web.Response(text=text, content_type="text/html", headers=headers)

    return answer


def _probe(checks: Mapping[str, Check]) -> Answer:
    """Answers like the probes of the API server: `ok`, or the failed checks; with `?verbose`, all checks."""

    async def answer(request: web.Request) -> web.Response:
        results = {name: check() for name, check in checks.items()}
        failed = {name: problem for name, problem in results.items() if problem}
        if "verbose" in request.query or failed:
            shown = results if "verbose" in request.query else failed
            lines = [f"[-] {name}: {problem}" if problem else f"[+] {name}" for name, problem in shown.items()]
            text = "\n".join([*lines, "failed" if failed else "ok", ""])
        else:
            text = "ok\n"
        return web.Response(text=text, status=503 if failed else 200)

    return answer
