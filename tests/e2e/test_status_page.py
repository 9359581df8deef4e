"""The status page in a browser on a desktop and a phone, served by the operator on a real API server.

With SCREENSHOTS=folder the screenshots that the docs use are written there.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.browser import DESKTOP, HOW_TO_GET, PHONE, Browser, find_chromium
from tests.support.eventually import eventually
from tests.support.specs import all_keys, key, literal, template

pytestmark = [pytest.mark.real, pytest.mark.skipif(find_chromium() is None, reason=HOW_TO_GET)]

VALUE = f"value-{uuid.uuid4().hex}"
OBJECTS = {
    "payments-database": {"dataFrom": all_keys("payments/prod/database")},
    "payments-api": {"data": [key("token", "payments/prod/api", "token")]},
    "mailer": {"data": [literal("host", "smtp.example.com"), key("password", "mailer/smtp", "password")]},
    "orders": {"dataFrom": {"find": {"tagKey": "orders", "merge": True}}},
    "pgbouncer": {
        "data": [
            template("userlist.txt", '{{ with getSecretValueMap "payments/prod/database" }}{{ .user }}{{ end }}')
        ]
    },
    "web-session-keys": {"dataFrom": all_keys("web/session")},
    "reports": {"dataFrom": all_keys("reports/" + "quarterly_" * 12)},
    "search-index": {"data": [template("config", "{{ range }}")]},
}
SYNCED = ("payments-database", "payments-api", "mailer", "orders", "pgbouncer", "web-session-keys")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shown(operator, aws, cluster):
    """Objects of all kinds, those that work and those that do not."""
    for name in ("payments/prod/database", "payments/prod/api", "mailer/smtp", "web/session"):
        aws.world.create(name, json.dumps({"user": "me", "password": VALUE, "token": VALUE}))
    for name in ("orders/prod/database", "orders/prod/queue", "orders/prod/key"):
        aws.world.create(name, json.dumps({name.replace("/", "-"): VALUE}), tags={"orders": "yes"})
    space = await cluster.space()
    for name, spec in OBJECTS.items():
        await space.write(name, **spec)
    for name in SYNCED:
        await space.until_synced(name)
    await space.until_failed("reports", "SecretNotFound")
    await space.until_failed("search-index", "TemplateError")
    yield space
    await space.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser():
    async with Browser(find_chromium()) as made:
        yield made


def page_of(operator, query=""):
    return f"http://127.0.0.1:{operator.port}/{query}"


def keep(name, picture):
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder, name).write_bytes(picture)


async def rows(browser):
    """The rows of the page, by the objects' names: the text that a reader sees in each."""
    script = (
        "Object.fromEntries([...document.querySelectorAll('tbody tr')].map(r => [r.dataset.object, r.innerText]))"
    )
    return await browser.evaluate(script)


async def until_shown(browser, operator, size=DESKTOP):
    """The page, once the operator's informer has seen what the API server has."""

    async def complete():
        await browser.open(page_of(operator), size)
        assert len(await rows(browser)) == len(OBJECTS)
        text = await browser.evaluate("document.querySelector('tbody').innerText")
        assert "not seen yet" not in text

    await eventually(complete)


@pytest.mark.parametrize(("size", "picture"), [(DESKTOP, "status-page.png"), (PHONE, "status-page-phone.png")])
async def test_it_is_readable_without_scrolling_sideways(operator, shown, browser, size, picture):
    await until_shown(browser, operator, size)
    keep(picture, await browser.screenshot())
    assert await browser.evaluate("window.innerWidth") == size[0]
    assert await browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    outside = (
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    )
    assert await browser.evaluate(f"{outside}.map(e => e.tagName + ' ' + e.innerText)") == []
    smallest = (
        "Math.min(...[...document.querySelectorAll('td, dd')].map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert await browser.evaluate(smallest) >= 12


async def test_each_object_is_there_with_its_reason_its_age_and_its_sources(operator, aws, shown, browser):
    await until_shown(browser, operator)
    found = await rows(browser)
    assert set(found) == {f"{shown.name}/{name}" for name in OBJECTS}
    for name in SYNCED:
        assert "Synced" in found[f"{shown.name}/{name}"]
    version = aws.world.secret("payments/prod/api").staged("AWSCURRENT")
    assert "payments/prod/api" in found[f"{shown.name}/payments-api"]
    assert version in found[f"{shown.name}/payments-api"]
    assert all(f"orders/prod/{part}" in found[f"{shown.name}/orders"] for part in ("database", "queue", "key"))
    assert "SecretNotFound" in found[f"{shown.name}/reports"]
    assert "data.config" in found[f"{shown.name}/search-index"]
    ages = "[...document.querySelectorAll('tr.good td[data-name=\"Last sync\"]')].map(e => e.innerText)"
    assert all(age.strip().endswith(("s", "min")) for age in await browser.evaluate(ages))


async def test_what_is_wrong_comes_first(operator, shown, browser):
    await until_shown(browser, operator)
    order = await browser.evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.className)")
    assert order == ["bad"] * 2 + ["good"] * len(SYNCED)


async def test_the_operators_own_figures_are_on_top(operator, shown, browser):
    await until_shown(browser, operator)
    script = "Object.fromEntries([...document.querySelectorAll('dl div')].map(d => [...d.children].map(c => c.innerText)))"
    facts = await browser.evaluate(script)
    assert facts["Last listing of AWS"].endswith("s ago")
    assert facts["AWS secrets"] == "7"
    assert int(facts["AWS calls"]) > 0
    assert facts["Cache hits"].endswith("%")
    assert facts["Queue"].endswith("running")
    assert facts["Role"] == "leader"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("payments", {"payments-database", "payments-api", "pgbouncer"}),
        ("PAYMENTS api", {"payments-api"}),
        ("secretnotfound", {"reports"}),
        ("orders/prod/queue", {"orders"}),
        ("<b>nothing</b>", set()),
    ],
)
async def test_typing_into_the_search_and_enter_finds_objects(operator, shown, browser, words, expected):
    await browser.open(page_of(operator))
    await browser.evaluate("document.querySelector('input[name=q]').focus()")
    await browser.type(words)
    await browser.enter()
    found = {name.rpartition("/")[2] for name in await rows(browser) if name != "undefined"}
    assert found == expected
    assert await browser.evaluate("document.querySelector('input[name=q]').value") == words
    assert await browser.evaluate("document.querySelectorAll('form b').length") == 0


async def test_no_script_runs_and_nothing_else_is_loaded(operator, shown, browser):
    await browser.open(page_of(operator, "?q=%22%3E%3Cscript%3Edocument.title%3D%22taken%22%3C%2Fscript%3E"))
    assert await browser.evaluate("document.title") == "secretsyncer"
    assert await browser.evaluate("document.scripts.length") == 0
    loaded = "performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.endsWith('/favicon.ico'))"
    assert await browser.evaluate(loaded) == []


async def test_no_value_is_on_it(operator, shown, browser):
    await until_shown(browser, operator)
    assert VALUE not in await browser.evaluate("document.documentElement.outerHTML")
