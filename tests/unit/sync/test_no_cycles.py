"""Failures leave no frames behind: these hold values, and everything else that the failure was made from."""

from __future__ import annotations

import asyncio
import gc
from types import FrameType

import pytest

from tests.support.builders import synced_secret
from tests.support.core import Core, InlineEngine
from tests.support.specs import key, template, whole

pytestmark = pytest.mark.looptime

FAILURES = {
    "a missing key": {"data": [key("a", "app", "missing"), key("b", "app", "gone")]},
    "a missing secret": {"data": [whole("a", "missing")]},
    "an invalid secret": {"dataFrom": {"secretRef": {"name": "text"}}},
    "two keys with one name": {
        "dataFrom": {"secretRef": {"name": "app"}, "rewrite": [{"source": ".*", "target": "x"}]},
    },
    "keys that no Secret can have": {"dataFrom": {"secretRef": {"name": "odd"}}},
    "too many keys": {"dataFrom": {"secretRef": {"name": "many"}}},
    "a search without a result": {"dataFrom": {"find": {"tagKey": "none"}}},
    "a template that fails": {"data": [template("a", '{{ fail "x" }}')]},
    "an invalid expression": {
        "data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "app", "jmesPath": "["}}}]
    },
}


@pytest.fixture
async def core(engine):
    core = Core(InlineEngine(engine))
    core.world.create("app", '{"a": "1", "b": "2"}')
    core.world.create("text", "no JSON")
    core.world.create("odd", '{"a/b": "1"}')
    core.world.create("many", "{" + ",".join(f'"{n}": ""' for n in range(10_001)) + "}")
    await core.list_aws()
    return core


@pytest.fixture
def garbage():
    """What only a garbage collection frees, since the start of the test."""

    def found():
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            return list(gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

    gc.disable()
    gc.freeze()  # what is there already is not looked at
    yield found
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("spec", FAILURES.values(), ids=FAILURES)
async def test_a_failure_leaves_no_frame_behind(core, garbage, spec):
    core.cluster.put(synced_secret(**spec))
    async with core.running():
        await asyncio.sleep(1)
        assert core.ready()["status"] == "False"
        frames = [thing for thing in garbage() if isinstance(thing, FrameType)]
        assert [f.f_code.co_qualname for f in frames if "/secretsyncer/sync/" in f.f_code.co_filename] == []
