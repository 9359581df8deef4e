"""The routes of the status page: input, headers, turns, and what many requests cost the process."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from secretsyncer.operator import connections
from secretsyncer.operator.page_routes import HEADERS
from secretsyncer.operator.renderings import WAITING
from secretsyncer.operator.status_page import layout
from tests.support.pages import Pages, many, reported, served, site

PATHS = ("/", "/?q=service&state=ready&page=2", "/objects/team-000/service-0001", "/aws")
PROBE = 4.0
"""Seconds: more than a probe takes on a busy machine, and less than the kubelet waits."""


@pytest.mark.parametrize("path", [*PATHS, "/objects/team/missing"])
async def test_every_page_may_load_nothing_is_kept_by_nobody_and_framed_by_nobody(serve, path):
    _, _, headers = await (await serve(page=Pages()))(path)
    assert HEADERS.items() <= dict(headers).items()
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


async def test_a_page_is_made_of_what_is_asked_for(serve):
    ask = await serve(page=Pages())
    assert "words='demo'" in (await ask("/?q=demo&unknown=1&q=second"))[1]
    assert (await ask("/objects/team/de%20mo%3F"))[:2] == (200, "team/de mo?")
    assert (await ask("/aws?x=y"))[:2] == (200, "aws")


@pytest.mark.parametrize(
    "query", ["state=nonsense", "page=0", "page=x", f"reason={'x' * 2000}", "state=%3Cscript%3E"]
)
async def test_what_is_not_valid_is_a_client_error_in_plain_text(serve, query):
    status, text, headers = await (await serve(page=Pages()))(f"/?{query}")
    assert (status, headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert query.partition("=")[0] in text
    assert "script" not in text


async def test_an_object_that_there_is_not_is_404(serve):
    assert (await (await serve(page=Pages()))("/objects/team/missing"))[:2] == (404, "missing")


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_answered_without_a_body(metrics, serve, path):
    async with site(many(20), metrics) as page:
        ask = await serve(page=page)
        status, text, headers = await ask(path, "HEAD")
        assert (status, text) == (200, "")
        assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_page_there_is_none(serve, path):
    assert (await (await serve())(path))[0] == 404


async def test_no_page_is_rendered_in_the_loop(metrics, serve, monkeypatch):
    threads = []
    real = layout.document

    def document(*args, **options):
        threads.append(threading.current_thread())
        return real(*args, **options)

    for module in ("front", "one", "aws"):
        monkeypatch.setattr(f"secretsyncer.operator.status_page.{module}.document", document)
    async with site(many(20), metrics) as page:
        ask = await serve(page=page)
        for path in (*PATHS, "/objects/no/such"):
            await ask(path)
    assert len(threads) == len(PATHS) + 1
    assert threading.current_thread() not in threads
    assert len(set(threads)) == 1


@pytest.mark.no_cover  # the trace would slow down what is under load here
async def test_probes_and_the_front_page_do_not_wait_for_a_client_that_asks_for_thousands_of_filters(
    metrics, monkeypatch
):
    monkeypatch.setattr(connections, "LIFETIME", 60)
    async with site(many(5000), metrics) as page, served(page, metrics) as port:
        took, statuses = {"/healthz": [], "/": []}, []
        asking = [asyncio.create_task(keep_asking(port, number, statuses)) for number in range(20)]
        try:
            for path, times in took.items():
                for _ in range(5):
                    began = time.monotonic()
                    status, _ = await get(port, path)
                    times.append(time.monotonic() - began)
                    assert status == 200
                    await asyncio.sleep(0.05)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
    assert statuses.count(503) > WAITING  # nobody can make this process render all of it
    assert sorted(took["/healthz"])[2] < PROBE
    assert sorted(took["/"])[2] < 20  # one a second, beside those of the filters, on a busy machine


async def keep_asking(port, number, statuses):
    for page in range(number, 10_000, 20):
        status, _ = await get(port, f"/?q={page}" if page % 2 else f"/objects/team-000/service-{page % 20:04}")
        statuses.append(status)
        await asyncio.sleep(0.01)


async def get(port, path):
    """Ask on a new connection; the status, and the size of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split()[1]), len(answer)


async def test_hostile_names_are_escaped_in_every_page_and_its_links(metrics, serve):
    evil = "<img src=x onerror=alert(1)>\"'"
    async with site([reported(evil, evil, {})], metrics) as page:
        ask = await serve(page=page)
        _, listed, _ = await ask("/")
        assert evil not in listed
        assert "<img" not in listed
        link = listed.split('href="objects/')[1].split('"')[0]
        status, shown, _ = await ask(f"/objects/{link}")
        assert status == 200
        assert "<img" not in shown
