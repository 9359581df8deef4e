"""The status page in a browser on a desktop and a phone, served by the operator on a real API server.

With SCREENSHOTS=folder the screenshots that the docs use are written there.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.browser import DARK, DESKTOP, HOW_TO_GET, LIGHT, PHONE, SMALL_PHONE, Browser, find_chromium
from tests.support.eventually import eventually
from tests.support.looks import FAINT, OUTSIDE
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
    "reports": {"dataFrom": all_keys("reports/quarterly")},
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
    space = await cluster.space(name="shop")
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
    """The rows of the list, by the objects' names: the text that a reader sees in each."""
    script = (
        "Object.fromEntries([...document.querySelectorAll('tbody tr')].map(r => [r.dataset.object, r.innerText]))"
    )
    return await browser.evaluate(script)


async def until_shown(browser, operator, size=DESKTOP):
    """The page, once the operator's informer has seen what the API server has."""

    async def complete():
        await browser.open(page_of(operator), size)
        assert len(await rows(browser)) == len(OBJECTS)
        assert "NotReported" not in await browser.evaluate("document.querySelector('main').innerText")

    await eventually(complete)


@pytest.mark.parametrize(
    ("size", "scheme", "picture"),
    [
        (DESKTOP, LIGHT, "status-page.png"),
        (DESKTOP, DARK, ""),
        (PHONE, LIGHT, "status-page-phone.png"),
        (SMALL_PHONE, DARK, ""),
    ],
)
async def test_it_is_readable_without_scrolling_sideways(operator, shown, browser, size, scheme, picture):
    await browser.prefer(scheme)
    await until_shown(browser, operator, size)
    if picture:
        keep(picture, await browser.screenshot(1000))
    for path in ("", f"objects/{shown.name}/reports", f"objects/{shown.name}/orders", "aws"):
        await browser.open(page_of(operator, path), size)
        assert await browser.evaluate("document.documentElement.scrollWidth") <= size[0], path
        assert await browser.evaluate(OUTSIDE) == [], path
        assert await browser.evaluate(FAINT) == [], path
    await browser.prefer(LIGHT)


async def test_each_object_is_there_with_its_reason_its_age_and_its_sources(operator, shown, browser):
    await until_shown(browser, operator)
    found = await rows(browser)
    assert set(found) == {f"{shown.name}/{name}" for name in OBJECTS}
    for name in SYNCED:
        assert "Synced" in found[f"{shown.name}/{name}"]
    assert "payments/prod/api" in found[f"{shown.name}/payments-api"]
    assert all(f"orders/prod/{part}" in found[f"{shown.name}/orders"] for part in ("database", "queue", "key"))
    assert "SecretNotFound" in found[f"{shown.name}/reports"]
    assert "data.config" in found[f"{shown.name}/search-index"]
    ages = "[...document.querySelectorAll('tr.ready td[data-name=\"Last synced\"]')].map(e => e.innerText)"
    assert all(age.strip().endswith(("s ago", "min ago")) for age in await browser.evaluate(ages))


async def test_the_answer_comes_first_then_what_is_wrong(operator, shown, browser):
    await until_shown(browser, operator)
    assert await browser.evaluate("document.querySelector('h1').innerText") == "6 of 8 objects are ready"
    order = await browser.evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.className)")
    assert order == ["change-needed"] * 2 + ["ready"] * len(SYNCED)


async def test_the_page_of_an_object_shows_what_why_shows(operator, aws, shown, browser):
    await browser.open(page_of(operator, f"objects/{shown.name}/payments-api"))
    text = await browser.evaluate("document.querySelector('main').innerText")
    version = aws.world.secret("payments/prod/api").staged("AWSCURRENT")
    for expected in (version, "Allowed: namespace", "kubectl secretsyncer why", f"{shown.name}/payments-api"):
        assert expected in text
    await browser.open(page_of(operator, f"objects/{shown.name}/reports"))
    keep("status-page-object.png", await browser.screenshot(await browser.evaluate("document.body.scrollHeight")))
    text = await browser.evaluate("document.querySelector('main').innerText")
    assert "Create the AWS secret or parameter, or correct its name" in text
    assert "docs/runbook.md#secretnotfound" in text
    events = "[...document.querySelectorAll('td[data-name=\"Reason\"]')].map(e => e.innerText)"
    assert "SecretNotFound" in await browser.evaluate(events)


async def test_an_object_has_the_same_text_as_in_a_terminal(operator, real_server, shown, browser, tmp_path):
    await browser.open(page_of(operator, f"objects/{shown.name}/reports"))
    text = await browser.evaluate("document.querySelector('main').innerText")
    command = (sys.executable, "-m", "secretsyncer", "why", f"{shown.name}/reports")
    environment = {**os.environ, "KUBECONFIG": str(real_server.write_kubeconfig(tmp_path / "kubeconfig"))}
    why = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    printed = (await why.communicate())[0].decode().split("\n\n")
    sections = {title: lines for title, *lines in (part.splitlines() for part in printed)}
    message, advice = sections["Condition"][1].strip(), sections["What to do next"][0].strip()
    access = sections["Access"][0].strip().removeprefix("allowed: ")
    for expected in (message, advice, access):
        assert expected in text


async def test_the_operators_own_figures_are_on_the_page_about_aws(operator, shown, browser):
    await browser.open(page_of(operator, "aws"))
    script = (
        "[...document.querySelectorAll('tbody tr')].map(r => Object.fromEntries([...r.cells].map(c => "
        "[c.dataset.name || '', c.innerText])))"
    )
    listing, *calls = await browser.evaluate(script)
    assert listing[""].startswith("Secrets Manager in eu-west-1")
    assert listing["Listed"].endswith("s ago")
    assert listing["Entries"] == "7"
    assert listing["Next listing"] == "now" or listing["Next listing"].startswith("in ")
    assert float(listing["Dollars per day"].replace(",", "")) > 0
    made = {call[""]: int(call["Calls so far"].replace(",", "")) for call in calls}
    assert made["ListSecrets"] > 0
    assert "leader" in await browser.evaluate("document.querySelector('header').innerText")


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
    found = {name.rpartition("/")[2] for name in await rows(browser)}
    assert found == expected
    assert await browser.evaluate("document.querySelector('input[name=q]').value") == words
    assert await browser.evaluate("document.querySelectorAll('form b').length") == 0


async def test_no_script_runs_and_nothing_else_is_loaded(operator, shown, browser):
    await browser.open(page_of(operator, "?q=%22%3E%3Cscript%3Edocument.title%3D%22taken%22%3C%2Fscript%3E"))
    assert await browser.evaluate("document.title") == "2 not ready - secretsyncer"
    assert await browser.evaluate("document.scripts.length") == 0
    loaded = "performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.endsWith('/favicon.ico'))"
    assert await browser.evaluate(loaded) == []


async def test_no_value_is_on_it(operator, shown, browser):
    for path in ("", "aws", *(f"objects/{shown.name}/{name}" for name in OBJECTS)):
        await browser.open(page_of(operator, path))
        assert VALUE not in await browser.evaluate("document.documentElement.outerHTML")
