"""Specs whose expressions take long to compile: the event loop stays free, and there is a limit."""

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from secretsyncer.errors import Rejected
from secretsyncer.expressions import jmespath
from secretsyncer.expressions.patience import OutOfPatience
from secretsyncer.sync.parsing import Parser, at_once
from secretsyncer.sync.records import Records
from secretsyncer.synced_secret import parse
from tests.support.builders import synced_secret
from tests.support.core import KEY
from tests.support.specs import literal
from tests.support.turns import longest_turn


def by_paths(count):
    """Each takes about two milliseconds."""
    paths = ("[]" * 240 + f".b{number}" for number in range(count))
    return [
        {"name": f"k{number}", "valueFrom": {"secretKeyRef": {"name": "app", "jmesPath": path}}}
        for number, path in enumerate(paths)
    ]


def by_patterns(count):
    source = r"(?:[^\pL]?){1000}"
    return {"find": {"name": {"prefix": "a"}}, "rewrite": [{"source": source, "target": ""}] * count}


async def test_a_long_spec_is_parsed_in_a_thread_and_the_event_loop_stays_free():
    obj = synced_secret(*by_paths(300))
    with pytest.raises(OutOfPatience):
        at_once(obj)
    work = asyncio.create_task(Parser().in_a_thread(obj))
    assert await longest_turn(work) < 0.2
    assert len((await work)(obj).spec.items) == 300


def test_a_thread_gives_way_to_the_event_loop_for_as_long_as_it_compiles():
    pauses, slept = [], time.sleep
    rules = [{"source": rf"(?:[^\pL]?){{20}}{number}", "target": ""} for number in range(40)]
    first, second = (
        synced_secret(dataFrom={"find": {"tagKey": "a"}, "rewrite": half}) for half in (rules[:20], rules[20:])
    )
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as threads:
        patch.setattr(time, "sleep", lambda seconds: pauses.append(seconds) or slept(0))
        began = time.process_time()
        threads.submit(parse, first).result()
        used = time.process_time() - began
        assert used / 4 < sum(pauses) <= used
        pauses.clear()
        parse(second)  # nothing runs beside the main thread
        assert pauses == []


async def test_what_a_thread_finds_invalid_is_said_like_anything_else():
    obj = synced_secret(*by_paths(100), *[literal("no key", "1")])
    said = await Parser().in_a_thread(obj)
    with pytest.raises(Rejected, match=r"spec\.data\[100\]\.name: must consist of"):
        said(obj)


def test_expressions_beyond_the_limit_of_processor_time_are_rejected(monkeypatch):
    monkeypatch.setattr(sys.modules["secretsyncer.synced_secret.parse"], "LONGEST", 0.02)
    for obj in (synced_secret(*by_paths(100)), synced_secret(dataFrom={"entries": [by_patterns(20)] * 10})):
        with pytest.raises(Rejected, match=r"more than 0\.02 s of processor time to compile"):
            parse(obj, seconds=0.02)


def test_an_invalid_spec_is_parsed_once_per_generation():
    records, parsed = Records(), []

    def refuse(obj):
        parsed.append(obj["metadata"]["generation"])
        return parse({**obj, "spec": 5})

    obj = synced_secret(literal("a", "1"))
    newer = {**obj, "metadata": {**obj["metadata"], "generation": 9}}
    for one in (obj, obj, newer, newer):
        with pytest.raises(Rejected, match="spec: must be an object"):
            records.parse(KEY, one, refuse)
    assert len(parsed) == 2
    assert records.parse(KEY, {**newer, "metadata": {**newer["metadata"], "generation": 10}})[0].generation == 10


def test_compiled_expressions_are_kept_up_to_a_size():
    jmespath.check("a.b")
    for number in range(100):
        jmespath.check("[]" * 240 + f".c{number}")
    assert jmespath._compile.cache.currsize <= 32 << 10
