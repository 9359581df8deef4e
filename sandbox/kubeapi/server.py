"""The HTTP side: connections, tokens, faults and streams.

A request is read (`requests.py`), counted, subjected to faults, and answered by `operations.py`, or by a stream of
lines if it is a watch. Only this module turns an `ApiError` into a `Status` answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from sandbox.kubeapi import errors
from sandbox.kubeapi.errors import ApiError
from sandbox.kubeapi.faults import Faults, Kind, LiveWatch
from sandbox.kubeapi.lists import Options
from sandbox.kubeapi.operations import Operations, view
from sandbox.kubeapi.requests import Request, read
from sandbox.kubeapi.resources import Registry
from sandbox.kubeapi.store import Store, encode
from sandbox.kubeapi.watches import Watch

BODY_LIMIT = 3 * 1024 * 1024


class RequestKey(NamedTuple):
    """The key by which requests are counted: `("patch", "secrets")`, `("get", "/version")`."""

    verb: str
    resource: str


class Server:
    """Answers HTTP requests. `tokens`: bearer token -> user; `bookmark_interval` in seconds."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        operations: Operations,
        *,
        tokens: Mapping[str, str],
        bookmark_interval: float,
    ) -> None:
        self._store = store
        self._registry = registry
        self._operations = operations
        self._tokens = tokens
        self._bookmark_interval = bookmark_interval
        self.faults = Faults()
        self.requests: Counter[RequestKey] = Counter()

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """The handler of `aiohttp.web.Server`."""
        request = read(http.method, http.path, http.query, http.headers)
        self.requests[RequestKey(request.verb, request.resource)] += 1
        try:
            await self._apply_faults(http, request)
            self._authenticate(request)
            if request.verb == "watch":
                return await self._watch(http, request)
            answer = self._operations.answer(request, await _body_of(http))
        except ApiError as error:
            return _failure(error)
        if self.faults.hit(request, Kind.DROP_ANSWER):
            await _close(http)
        media = "application/json" if answer.body.startswith(b"{") else "text/plain"
        return web.Response(status=answer.status, body=answer.body, content_type=media)

    async def _apply_faults(self, http: web.BaseRequest, request: Request) -> None:
        """Apply the faults that come before the answer."""
        if fault := self.faults.hit(request, Kind.DELAY):
            await asyncio.sleep(fault.seconds)
        if fault := self.faults.hit(request, Kind.HANG):
            await fault.over.wait()
        if self.faults.hit(request, Kind.DROP):
            await _close(http)
        if (fault := self.faults.hit(request, Kind.FAIL)) and fault.error:
            raise fault.error

    def _authenticate(self, request: Request) -> None:
        """Refuse unknown tokens. A request without a token is accepted: kubectl sends none over plain HTTP."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme and token not in self._tokens:
            raise errors.unauthorized()

    async def _watch(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        resource = self._operations.target(request).resource
        watch = Watch(
            store=self._store,
            resource=resource,
            namespace=request.namespace,
            options=Options.read(request.query, resource, watch=True),
            view=view(request, resource),
            bookmark_interval=self._bookmark_interval,
            alive=lambda: self._registry.serves(resource),
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(http)
        with self.faults.watching(request) as live:
            pump = asyncio.create_task(_pump(watch, live))
            try:
                with contextlib.suppress(ConnectionResetError):  # the client has gone
                    await self._send(http, response, live)
            finally:
                pump.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pump
        return response

    async def _send(self, http: web.BaseRequest, response: web.StreamResponse, live: LiveWatch) -> None:
        """Send the lines of a watch, subject to its faults."""
        while True:
            line = await live.lines.get()
            if fault := self.faults.hit(live.request, Kind.SILENCE):
                await fault.over.wait()
            if line is None:
                return
            if self.faults.hit(live.request, Kind.CUT):
                await response.write(line[: len(line) // 2])
                await _close(http)
            await response.write(line)


async def _pump(watch: Watch, live: LiveWatch) -> None:
    """Move the lines of a watch into its queue, which injected lines share."""
    try:
        async for line in watch.lines():
            live.lines.put_nowait(line)
    except ApiError:
        pass  # the requested form is not for events: the real server ends the stream without an error
    finally:
        live.lines.put_nowait(None)


async def _close(http: web.BaseRequest) -> None:
    """Close the connection of a request. This cancels its handler, so it does not return."""
    if http.transport is not None:
        http.transport.close()
    await asyncio.Event().wait()


async def _body_of(http: web.BaseRequest) -> bytes:
    body = bytearray()
    async for chunk in http.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise errors.too_large(BODY_LIMIT)
    return bytes(body)


def _failure(error: ApiError) -> web.Response:
    if isinstance(error, errors.NoPageError):
        return web.Response(status=error.code, text=error.message)
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    body = encode(error.status())
    return web.Response(status=error.code, body=body, content_type="application/json", headers=headers)
