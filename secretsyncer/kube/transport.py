"""HTTP requests: connection pool, credentials, timeouts, metrics.

Every request has a timeout. A request without a response is a `KubeError` with status 0. After a 401 or a failed TLS
handshake, the credentials are reloaded, and the request is sent again if they have changed. Nothing else is retried
here. If certificates, server or proxy have changed, a new connection pool replaces the old one. Bodies are never logged,
because they contain Secrets.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing, suppress
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from secretsyncer import __version__
from secretsyncer.errors import KubeError
from secretsyncer.kube.credentials import Access, Credentials
from secretsyncer.kube.errors import TOO_LARGE, failure, no_answer
from secretsyncer.kube.resources import Resource
from secretsyncer.kube.stream import READ_BUFFER
from secretsyncer.metrics import Metrics

CONNECT_TIMEOUT = 10.0
KEEP_ALIVE = 30.0
"""Seconds that an idle connection is kept: less than in the API server, so that it never closes first."""

JSON = "application/json"
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_METHODS = {"create": "POST", "patch": "PATCH", "update": "PUT", "delete": "DELETE"}
_LARGE = 2**20
_ERRORS = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, TimeoutError, OSError)


class Request(NamedTuple):
    """One request. `verb` is that of Kubernetes (get, list, watch, create, update, patch, delete)."""

    verb: str
    resource: Resource
    path: str
    query: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    body: dict[str, Any] | None = None
    content_type: str = JSON
    accept: str = JSON


class Transport:
    """One cluster, one identity, one pool of connections."""

    def __init__(self, credentials: Credentials, metrics: Metrics) -> None:
        self._credentials = credentials
        self._requests = metrics.kube_requests
        self._connection = credentials.access.connection
        self._session = _session(credentials.access)

    async def close(self) -> None:
        await _close(self._session)

    async def read(self, request: Request, *, limit: float, most: int) -> tuple[aiohttp.ClientResponse, bytes]:
        """The response and its whole body, within this many seconds. KubeError if it has more than `most` bytes."""
        try:
            with closing(await self._send(request, limit)) as response:
                return response, await _at_most(response, most)
        except _ERRORS as exc:
            raise no_answer(exc) from None

    async def open(self, request: Request, *, limit: float) -> aiohttp.ClientResponse:
        """The headers of a success, within this many seconds. The caller reads the body and closes the response.

        The limit is not aiohttp's own, which would include the body.
        """
        try:
            async with asyncio.timeout(limit):
                response = await self._send(request, None)
                if response.status == 200:
                    return response
                with closing(response):
                    content = await _at_most(response, _LARGE)
        except _ERRORS as exc:
            raise no_answer(exc) from None
        raise failure(response.status, response.headers, content)

    async def _send(self, request: Request, limit: float | None) -> aiohttp.ClientResponse:
        access = await self._credentials.current()
        try:
            response = await self._send_as(access, request, limit)
        except aiohttp.ClientSSLError:
            self._credentials.note(accepted=False)
            if not await self._credentials.refused(access):
                raise
            return await self._send_again(request, limit)
        if response.status != 401:
            self._credentials.note(accepted=True)
            return response
        self._credentials.note(accepted=False)
        try:
            again = await self._credentials.refused(access)
        except BaseException:
            response.close()
            raise
        if not again:
            return response
        response.release()
        return await self._send_again(request, limit)

    async def _send_again(self, request: Request, limit: float | None) -> aiohttp.ClientResponse:
        response = await self._send_as(self._credentials.access, request, limit)
        self._credentials.note(accepted=response.status != 401)
        return response

    async def _connect_as(self, access: Access) -> None:
        old, self._session = self._session, _session(access)
        self._connection = access.connection
        # Watches on the old pool end, and reopen on the new one.
        await _close(old)

    async def _send_as(self, access: Access, request: Request, limit: float | None) -> aiohttp.ClientResponse:
        if access.connection != self._connection:
            await self._connect_as(access)
        headers = {"Accept": request.accept}
        if access.token:
            headers["Authorization"] = access.token
        data: bytes | BytesIO | None = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            data = _encoded(request.body).encode()
            if len(data) > _LARGE:
                data = BytesIO(data)  # sent in chunks: aiohttp warns about large bodies, which block the loop
        status = 0
        try:
            response = await self._session.request(
                _METHODS.get(request.verb, "GET"),
                _url(access.server, request),
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=limit, sock_connect=CONNECT_TIMEOUT),
                proxy=access.proxy,
                server_hostname=access.tls.server_name,
                allow_redirects=False,
                read_bufsize=READ_BUFFER,
            )
            status = response.status
        finally:
            self._requests.labels(request.verb, request.resource.plural, str(status)).inc()
        return response


class _Response(aiohttp.ClientResponse):
    """A response whose `close` ends the connection at once, unless the whole body has arrived.

    aiohttp's own `close` begins the end of TLS. The socket then stays open until the server takes part in it, which it does
    late or never, and closing the session does not wait for that.
    """

    def close(self) -> None:
        if self.connection is not None and (socket := self.connection.transport) is not None:
            socket.abort()
        super().close()


async def _at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    content = bytearray()
    while chunk := await response.content.readany():
        content += chunk
        if len(content) > most:
            raise KubeError(0, TOO_LARGE, f"the answer has more than {most} bytes")
    return bytes(content)


def _session(access: Access) -> aiohttp.ClientSession:
    # No limit, because each watch holds a connection, and the callers bound the rest.
    connector = aiohttp.TCPConnector(
        limit=0,
        ssl=access.ssl_context() or True,
        keepalive_timeout=KEEP_ALIVE,
        enable_cleanup_closed=sys.version_info < (3, 12, 8),  # asyncio loses TLS connections: gh-118950
    )
    return aiohttp.ClientSession(
        connector=connector,
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Without compression of lists: it costs CPU on both sides, and saves only cluster traffic.
        headers={"User-Agent": f"secretsyncer/{__version__}", "Accept-Encoding": "identity"},
    )


async def _close(session: aiohttp.ClientSession) -> None:
    # Python 3.11.2 (Debian 12) raises it for a lost TLS connection; 3.11.7 does not.
    with suppress(AttributeError):
        await session.close()


def _url(server: str, request: Request) -> URL:
    base = _base(server, tuple(request.query.items()))
    return base.with_path(base.raw_path.rstrip("/") + request.path, encoded=True, keep_query=True)


@lru_cache(64)
def _base(server: str, query: tuple[tuple[str, Any], ...]) -> URL:
    """Parsed once, and not quoted by yarl: a URL would cost more than the JSON of the request."""
    text = urlencode([(key, value) for key, value in query if value != ""])
    return URL(f"{server}?{text}" if text else server, encoded=True)
