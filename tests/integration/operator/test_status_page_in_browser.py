"""The status page in a browser, without objects, with a few and with thousands: on a desktop and on phones, light and dark.

With SCREENSHOTS=folder the pictures that the docs use are written there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from secretsyncer.metrics import Metrics
from tests.support.browser import DARK, DESKTOP, HOW_TO_GET, LIGHT, PHONE, SMALL_PHONE, Browser, find_chromium
from tests.support.looks import FAINT, FOCUSABLE, FOCUSED, OUTSIDE, SMALLEST
from tests.support.pages import many, reported, served, site

pytestmark = [
    pytest.mark.skipif(find_chromium() is None, reason=HOW_TO_GET),
    pytest.mark.asyncio(loop_scope="module"),
]
COUNTS = (0, 8, 5000)
OBJECT = "objects/team-000/service-0003"
PATHS = ("", "?state=not-ready&q=service&page=2", OBJECT, "aws", "objects/team/missing")
LOOKS = [(size, scheme) for size in (DESKTOP, PHONE, SMALL_PHONE) for scheme in (LIGHT, DARK)]
LONG = "x" * 253


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with Browser(find_chromium()) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=COUNTS)
async def address(request):
    """The page of a process with so many objects."""
    metrics = Metrics(CollectorRegistry())
    for operation, calls in (("AssumeRole", 96), ("BatchGetSecretValue", 420), ("ListSecrets", 8900)):
        metrics.aws_calls.labels(operation, "success").inc(calls)
    objects = many(request.param, wrong=0.25 if request.param < 100 else 0.02)
    async with site(objects, metrics) as page, served(page, metrics) as port:
        page._began -= 86_400
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_it_is_readable_in_every_window_and_in_the_dark(browser, address, size, scheme):
    await browser.prefer(scheme)
    for path in PATHS:
        await browser.open(address + path, size)
        assert await browser.evaluate("window.innerWidth") == size[0], path
        assert await browser.evaluate("document.documentElement.scrollWidth") <= size[0], path
        assert await browser.evaluate(OUTSIDE) == [], path
        assert await browser.evaluate(SMALLEST) >= 14, path
        assert await browser.evaluate(FAINT) == [], path
        dark = await browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128")
        assert dark is (scheme == DARK), path


async def test_the_longest_names_do_not_make_it_wider(browser, metrics):
    objects = [
        reported(LONG, "n" * 63, {"conditions": [{"type": "Ready", "reason": "R" * 900, "message": "m" * 900}]})
    ]
    objects[0]["status"]["sources"] = [{"name": "s" * 500, "arn": "a" * 600, "versionID": "v" * 64}]
    async with site(objects, metrics) as page, served(page, metrics) as port:
        for size in (DESKTOP, PHONE, SMALL_PHONE):
            for path in ("", f"objects/{'n' * 63}/{LONG}", f"?q={LONG}"):
                await browser.open(f"http://127.0.0.1:{port}/{path}", size)
                assert await browser.evaluate("document.documentElement.scrollWidth") <= size[0], (size, path)
                assert await browser.evaluate(OUTSIDE) == [], (size, path)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_the_tab_key_reaches_everything_and_shows_where_it_is(browser, address, size):
    for path in ("", OBJECT, "aws"):
        await browser.open(address + path, size)
        reached = []
        for _ in range(min(await browser.evaluate(FOCUSABLE), 40)):
            await browser.tab()
            where = await browser.evaluate(FOCUSED)
            assert where["outline"], (path, where)
            assert where["visible"], (path, where)
            reached.append(where["what"])
        assert reached[0] == "A #main", path
        assert not any(what.startswith("BODY") for what in reached), path


async def test_the_first_link_skips_to_the_content(browser, address):
    await browser.open(address)
    await browser.tab()
    await browser.evaluate("document.activeElement.click()")
    assert await browser.evaluate("location.hash") == "#main"


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_screen_reader_is_told_names_and_tables(browser, address, size):
    for path in ("", OBJECT, "aws"):
        await browser.open(address + path, size)
        told = await browser.seen_by_screen_readers()
        assert [
            name for role, name in told if role in {"link", "button", "searchbox", "heading"} and not name
        ] == []
        roles = {role for role, _ in told}
        assert {"banner", "main", "contentinfo", "navigation", "heading"} <= roles
        if await browser.evaluate("document.querySelectorAll('table').length"):
            assert {"table", "row", "rowheader", "columnheader", "cell"} <= roles
        assert await browser.evaluate("document.querySelectorAll('h1').length") == 1
        assert await browser.evaluate("document.documentElement.lang") == "en"


async def test_each_state_has_a_shape_and_a_word(browser, metrics):
    async with site(many(5000), metrics) as page, served(page, metrics) as port:
        await browser.open(f"http://127.0.0.1:{port}/")
        tiles = await browser.evaluate(
            "[...document.querySelectorAll('.tile')].map(t => [t.querySelector('use').getAttribute('href'), t.innerText])"
        )
        shapes = {
            await browser.evaluate(f"document.querySelector('{shape} path').getAttribute('d')")
            for shape, _ in tiles
        }
        assert len(shapes) == len(tiles) == 5
        assert all(text.split("\n")[-1].strip().isascii() for _, text in tiles)


async def test_links_lead_from_the_answer_to_one_object_and_back(browser, metrics):
    async with site(many(5000), metrics) as page, served(page, metrics) as port:
        await browser.open(f"http://127.0.0.1:{port}/")
        await follow(browser, ".tile.change-needed")
        assert await browser.evaluate("document.querySelectorAll('tr.change-needed').length") == 50
        await follow(browser, ".paging a[href*=page]")
        assert await browser.evaluate("document.querySelectorAll('tr.change-needed').length") == 30
        await follow(browser, "tbody th a")
        assert (await browser.evaluate("location.pathname")).startswith("/objects/team-")
        await follow(browser, ".path a:last-of-type")
        assert await browser.evaluate("document.querySelectorAll('tbody tr').length") == 20
        await follow(browser, "header nav a:last-of-type")
        assert await browser.evaluate("document.querySelector('h1').innerText") == "Calls to AWS"


async def follow(browser, selector):
    await browser.evaluate(f"document.querySelector('{selector}').click()", until="Page.loadEventFired")


async def test_the_policy_blocks_what_is_not_the_pages_own(browser, address):
    await browser.open(address)
    style = "document.head.appendChild(Object.assign(document.createElement('style'), {textContent: 'body{color:red}'}))"
    await browser.evaluate(style)
    assert await browser.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert await browser.evaluate("document.styleSheets[0].cssRules.length") > 20
    assert await browser.evaluate("document.scripts.length") == 0


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="only to make the pictures of the docs")
async def test_pictures(browser, metrics):
    for operation, calls in (("AssumeRole", 2300), ("BatchGetSecretValue", 420), ("ListSecrets", 23_040)):
        metrics.aws_calls.labels(operation, "success").inc(calls)
    metrics.cache_requests.labels("hit").inc(96)
    metrics.cache_requests.labels("miss").inc(4)
    async with site(many(5000), metrics) as page, served(page, metrics) as port:
        page._began -= 86_400
        for path, name, height in (("", "status-page-many", 1000), ("aws", "status-page-aws", 0)):
            await browser.prefer(DARK if path == "" else LIGHT)
            await browser.open(f"http://127.0.0.1:{port}/{path}", DESKTOP)
            keep(name, await browser.screenshot(height))


def keep(name, picture):
    Path(os.environ["SCREENSHOTS"], f"{name}.png").write_bytes(picture)
