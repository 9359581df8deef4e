"""Log lines: one for each message, with fields, and none from libraries that would print secrets."""

import asyncio
import json
import logging

import pytest
from aiohttp.http_exceptions import BadStatusLine

from secretsyncer import logs

LOGGER = "secretsyncer.test"


@pytest.fixture
def written(capsys):
    """What was written to standard error since it was last asked; the loggers are as they were afterwards."""
    names = [None, *logs.TALKATIVE, "aiobotocore.credentials"]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield lambda: capsys.readouterr().err
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def lines(written):
    """The lines, from JSON."""
    return [json.loads(line) for line in written().splitlines()]


def one(written):
    (line,) = lines(written)
    return line


def test_a_line_has_time_level_logger_message_and_fields(written):
    logs.configure("debug", "json")
    logging.getLogger(LOGGER).warning("passes cut short", extra={"running": 3, "why": 'a "reason"'})
    line = one(written)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": LOGGER,
        "message": "passes cut short",
        "running": 3,
        "why": 'a "reason"',
    }


def test_an_error_brings_its_traceback_on_the_same_line(written):
    logs.configure("debug", "json")
    try:
        {}["x"]
    except KeyError:
        logging.getLogger(LOGGER).exception("bug")
    assert "KeyError: 'x'" in one(written)["traceback"]


def test_bound_fields_are_on_each_line_inside_and_on_none_after(written):
    logs.configure("debug", "json")
    log = logging.getLogger(LOGGER)
    with logs.bind(key="team/demo"), logs.bind(reconcile_id="1"):
        log.info("inside")
    log.info("after")
    inside, after = lines(written)
    assert (inside["key"], inside["reconcile_id"]) == ("team/demo", "1")
    assert not {"key", "reconcile_id"} & after.keys()


def test_what_a_line_says_itself_goes_before_what_is_bound(written):
    logs.configure("debug", "json")
    with logs.bind(key="bound"):
        logging.getLogger(LOGGER).info("x", extra={"key": "own"})
    assert one(written)["key"] == "own"


@pytest.mark.looptime
async def test_fields_are_bound_for_one_task_only(written):
    logs.configure("debug", "json")

    async def one_pass(key, seconds):
        with logs.bind(key=key):
            await asyncio.sleep(seconds)
            logging.getLogger(LOGGER).info("pass of %s", key)

    await asyncio.gather(one_pass("a", 2), one_pass("b", 1))
    assert {line["message"]: line["key"] for line in lines(written)} == {"pass of a": "a", "pass of b": "b"}


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(
    "hostile", ["two\nlines", "return\rhere", "\x1b[2J", "half \ud800", "\u2028", object(), b"\xff"]
)
def test_a_field_can_be_anything_and_stays_on_its_line(written, style, hostile):
    logs.configure("info", style)
    logging.getLogger(LOGGER).info("rejected", extra={"why": hostile})
    text = written()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


def test_text_for_people_has_time_level_message_and_fields(written):
    logs.configure("info", "text")
    with logs.bind(key="team/demo"):
        logging.getLogger(LOGGER).info("synced", extra={"keys": 2, "why": "two words"})
    clock, _, rest = written().strip().partition(" ")
    assert len(clock) == len("12:00:00.000")
    assert rest == "info    synced key=team/demo keys=2 why=two words"


def test_text_for_people_shows_a_traceback_below(written):
    logs.configure("info", "text")
    try:
        {}["x"]
    except KeyError:
        logging.getLogger(LOGGER).exception("bug")
    first, second, *_, last = written().splitlines()
    assert first.endswith("error   bug")
    assert second.startswith("Traceback")
    assert last == "KeyError: 'x'"


@pytest.mark.parametrize("name", ["kubernetes_asyncio.client.rest", "botocore.parsers", "aiobotocore", "urllib3.x"])
def test_libraries_that_print_bodies_are_never_at_debug(written, name):
    logs.configure("debug", "json")
    logging.getLogger(name).debug("response body: s3cret")
    assert lines(written) == []
    logging.getLogger(LOGGER).debug("ours is")
    assert one(written)["message"] == "ours is"


@pytest.mark.parametrize("name", ["kubernetes_asyncio.client.rest", LOGGER])
def test_nothing_under_the_level_is_written(written, name):
    logs.configure("error", "json")
    logging.getLogger(name).warning("not this")
    assert written() == ""


def test_a_failed_assume_role_is_not_reported_by_the_library_too(written):
    logs.configure("debug", "json")
    logging.getLogger("aiobotocore.credentials").warning("refresh failed")
    assert lines(written) == []


@pytest.mark.parametrize(("error", "written_lines"), [(BadStatusLine("x" * 1000), 0), (KeyError("x"), 1)])
def test_a_client_that_sends_no_http_is_not_logged_and_a_bug_of_a_handler_is(written, error, written_lines):
    logs.configure("info", "json")
    logging.getLogger("aiohttp.server").error("Error handling request", exc_info=error)
    assert len(lines(written)) == written_lines


def test_configuring_again_does_not_double_the_lines(written):
    logs.configure("debug", "json")
    logs.configure("info", "json")
    logging.getLogger(LOGGER).info("once")
    assert one(written)["message"] == "once"
