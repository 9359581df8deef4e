"""One namespace with work that never ends, beside another whose Secrets must stay right and early."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from tests.e2e.conftest import new_secret
from tests.hostile.watch import Machine, Stopwatch
from tests.support.eventually import eventually
from tests.support.measures import total
from tests.support.specs import template, whole

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "5"}
LOOPS = 6
"""Templates per object: together they take more than the ten seconds that an object may have."""

OBJECTS = 16
"""As many as there are workers."""

LATE = 20.0
"""Seconds until a change must be in the Secret: one for the poll, and the rest for a busy machine. Two threads would
need 80 s for what is here before it."""


def loops(number: int) -> list[dict]:
    """Templates that run for ever, each with another text."""
    return [template(f"t{n}", f"{number}-{n}{{{{ range 9999999999 }}}}{{{{ end }}}}") for n in range(LOOPS)]


@asynccontextmanager
async def healthy(operator):
    """Meanwhile, /healthz answers within a second, whenever it is asked, without what other tests take from the machine."""
    slowest, machine = 0.0, Machine(operator, share=0.5)

    async def ask():
        nonlocal slowest
        while True:
            watch = Stopwatch(machine)
            status, text = await operator.get("/healthz")
            assert status == 200, text
            slowest = max(slowest, watch.own_seconds)
            await asyncio.sleep(0.1)

    asking, watching = asyncio.create_task(ask()), asyncio.create_task(machine.run())
    await asyncio.sleep(0)
    yield
    if asking.done():
        await asking
    for task in (asking, watching):
        task.cancel()
    assert slowest < 1


async def renders(operator):
    return total(await operator.metrics(), "secretsyncer_template_renders_total", outcome="failure")


async def rejected(operator):
    return total(await operator.metrics(), "secretsyncer_reconciles_total", result="rejected")


async def test_a_template_that_timed_out_runs_again_only_after_an_edit(operator, aws, space):
    before = await renders(operator)
    await space.write("loop", data=[template("a", "edited {{ range 9999999999 }}{{ end }}")])
    message = await space.until_failed("loop", "TemplateError")
    assert "takes too long" in message

    async def remembered():  # at once, unless the machine was so busy that the template had little of a processor
        tried, first = await renders(operator), await rejected(operator)

        async def resynced():
            assert await rejected(operator) >= first + 3

        await eventually(resynced)
        assert await renders(operator) == tried

    await eventually(remembered)
    tried = await renders(operator)
    assert tried > before
    await space.write("loop", data=[template("a", "works")])
    await space.until_data("loop", {"a": b"works"})
    assert await renders(operator) == tried


async def test_templates_that_never_end_delay_nobody_else_and_run_once(operator, aws, new_space):
    hostile, honest = await new_space(), await new_space()
    name = new_secret(aws, "first")
    await honest.write("plain", data=[whole("a", name)])
    await honest.write("templated", data=[template("a", f'{{{{ getSecretValue "{name}" }}}}')])
    for object_name in ("plain", "templated"):
        await honest.until_data(object_name, {"a": b"first"})
    before = await renders(operator)
    await asyncio.gather(*(hostile.write(f"loop-{n}", data=loops(n)) for n in range(OBJECTS)))
    async with healthy(operator):
        for number in range(5):
            text = f"value {number}"
            aws.world.put(name, text)
            changed = time.monotonic()
            await asyncio.gather(
                *(honest.until_data(object_name, {"a": text.encode()}) for object_name in ("plain", "templated"))
            )
            assert time.monotonic() - changed < LATE
            await honest.write(f"new-{number}", data=[whole("a", name), template("b", str(number))])
            created = time.monotonic()
            await honest.until_data(f"new-{number}", {"a": text.encode(), "b": str(number).encode()})
            assert time.monotonic() - created < LATE
            if number == 0:  # most of what never ends is still to be tried
                assert await renders(operator) - before < OBJECTS * LOOPS / 2
