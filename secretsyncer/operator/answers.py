"""Responses of pages that are rendered, by whoever's turn it is, and passed on in slices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping

from aiohttp import web

from secretsyncer.operator.renderings import Busy, Renderings, Snapshot

SLICE = 16 * 1024
"""Bytes of a page that are passed on at a time. A client that does not read holds no more, besides the page itself."""


async def rendered(
    request: web.Request,
    renderings: Renderings,
    key: Hashable,
    snapshot: Snapshot,
    headers: Mapping[str, str],
    *,
    status: int = 200,
) -> web.Response:
    """The page of this key, or 503 if too many are waited for."""
    try:
        body = await renderings.get(key, snapshot, request.remote or "")
    except Busy:
        return web.Response(status=503, text="busy: try again in some seconds\n", headers={"Retry-After": "5"})
    return web.Response(status=status, body=_slices(body), headers={**headers, "Content-Length": str(len(body))})


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), SLICE):
        yield body[start : start + SLICE]
