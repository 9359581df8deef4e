"""The routes of the status page: what may be asked for, the headers, and whose turn it is.

Each kind of page has its own turns. So nobody who asks for thousands of filters or objects makes others wait for `/`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

from aiohttp import web

from secretsyncer.kube.objects import Key
from secretsyncer.operator.answers import rendered
from secretsyncer.operator.renderings import INTERVAL, Renderings
from secretsyncer.operator.status_page.style import POLICY
from secretsyncer.operator.status_page.view import View

SHARE, SHORT_SHARE = 0.2, 0.05
"""Maximum part of the time in which pages of one kind are rendered, long ones and short ones."""
OF_ONE = 2
"""Different pages of one kind that one client can wait for."""

Render = Callable[[], bytes]

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Site(Protocol):
    """The pages; each method takes a snapshot, and what it returns makes the HTML in a thread."""

    def front(self, view: View) -> Render: ...

    def has(self, key: Key) -> bool: ...

    def one(self, key: Key) -> Render: ...

    def missing(self) -> Render: ...

    def aws(self) -> Render: ...


def pause(took: float) -> float:
    """Between the beginnings of two renderings of pages of which there is one."""
    return max(INTERVAL, took / SHARE)


def short_pause(took: float) -> float:
    """The same for pages of which there are many: those that take little come soon after each other."""
    return max(min(INTERVAL, took / SHORT_SHARE), took / SHARE)


def add_pages(router: web.UrlDispatcher, site: Callable[[], Site], executor: Executor) -> tuple[Renderings, ...]:
    """Add the routes; whoever renders for them. `site` is called when someone asks for a page."""
    whole, about_aws = (Renderings(executor, pause) for _ in range(2))
    filtered, objects, absent = (Renderings(executor, short_pause, of_one=OF_ONE) for _ in range(3))

    async def front(request: web.Request) -> web.Response:
        try:
            view = View.of(request.query)
        except ValueError as exc:
            return web.Response(status=400, text=f"{exc}\n", headers={"X-Content-Type-Options": "nosniff"})
        turns = filtered if view != View() else whole
        return await rendered(request, turns, view, partial(site().front, view), HEADERS)

    async def one(request: web.Request) -> web.Response:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        pages = site()
        if not pages.has(key):
            return await rendered(request, absent, None, pages.missing, HEADERS, status=404)
        return await rendered(request, objects, key, partial(pages.one, key), HEADERS)

    async def aws(request: web.Request) -> web.Response:
        return await rendered(request, about_aws, None, site().aws, HEADERS)

    router.add_get("/", front)
    router.add_get("/objects/{namespace}/{name}", one)
    router.add_get("/aws", aws)
    return whole, about_aws, filtered, objects, absent
