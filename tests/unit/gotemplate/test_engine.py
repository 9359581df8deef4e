"""The engine as its callers use it: loaded on first use, in threads, closed at the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from secretsyncer.gotemplate import compiled
from secretsyncer.gotemplate.engine import (
    DeadlineExceeded,
    EngineCatalogue,
    EngineUnavailable,
    Rendered,
    TemplateEngine,
    TemplateFailure,
)
from tests.support.python import printed


def run(main):
    """A loop of its own: looptime's virtual clock does not wait for threads."""
    with asyncio.Runner() as runner:
        return runner.run(main)


def test_nothing_is_loaded_before_the_first_render(cache_dir):
    code = (
        "import sys, threading; from pathlib import Path; from secretsyncer.gotemplate.engine import *\n"
        f"engine = TemplateEngine(cache_dir=Path({str(cache_dir)!r}))\n"
        "EngineCatalogue({}); print('wasmtime' in sys.modules, threading.active_count())\n"
        "engine.render_sync('x', EngineCatalogue({}), {}); print('wasmtime' in sys.modules); engine.close()"
    )
    assert printed(code, cwd=compiled.WASM.parents[2]).split() == ["False", "1", "True"]


def test_renders_from_many_threads_do_not_mix(engine, catalogue):
    wrong = []

    def worker(number: int) -> None:
        for turn in range(50):
            text = f"{number}-{turn}"
            result = engine.render_sync('{{ getSecretValue "a" }} {{ len .Secrets }}', catalogue, {"a": text})
            if not isinstance(result, Rendered) or result.output != f"{text} 3":
                wrong.append(result)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


ENDLESS = "{{ range 9999999999 }}{{ end }}"


@pytest.fixture
def patient(cache_dir, catalogue):
    """An engine whose deadline no test waits for: see `expired`."""
    with TemplateEngine(cache_dir=cache_dir, deadline=60) as engine:
        engine.render_sync("", catalogue, {})
        yield engine


async def expired(engine, slow):
    """Let the deadline of what is rendered pass now; wait for its end."""
    clock = engine._instances._clock
    while not slow.done():
        for _ in range(clock._ticks + 1):
            clock._engine.increment_epoch()
        await asyncio.sleep(0.01)  # its thread may not have begun
    with pytest.raises(DeadlineExceeded):
        await slow


def test_two_renders_run_at_the_same_time(patient, catalogue):
    async def both():
        slow = asyncio.ensure_future(patient.render(ENDLESS, catalogue, {}))
        quick = await patient.render("{{ 1 }}", catalogue, {})
        assert not slow.done()
        await expired(patient, slow)
        return quick.output

    assert run(both()) == "1"


def test_the_loop_goes_on_while_a_template_renders(patient, catalogue):
    async def beats():
        slow, turns = asyncio.ensure_future(patient.render(ENDLESS, catalogue, {})), 0
        while turns < 100 and not slow.done():
            await asyncio.sleep(0.001)
            turns += 1
        await expired(patient, slow)
        return turns

    assert run(beats()) == 100  # a template that held the interpreter would let it have few


def test_failures_reach_the_one_who_awaits(engine, catalogue):
    async def failing():
        with pytest.raises(TemplateFailure, match=r"1:4: \.Gone"):
            await engine.render("{{ .Gone }}", catalogue, {})

    run(failing())


def test_a_large_catalogue_is_loaded_into_two_instances_between_renders(cache_dir):
    engine = TemplateEngine(cache_dir=cache_dir, deadline=30)

    def listing(version: int) -> EngineCatalogue:
        entries = {
            f"s/{n:05}": {"Tags": {"t": "x"}, "CurrentVersionID": f"v{version}", "UpdatedAt": None}
            for n in range(2000)
        }
        return EngineCatalogue(entries)

    async def renders():
        for version in range(4):
            catalogue = listing(version)
            template = '{{ (index .Secrets "s/01999").CurrentVersionID }}'
            results = await asyncio.gather(*(engine.render(template, catalogue, {}) for _ in range(8)))
            assert {result.output for result in results} == {f"v{version}"}

    run(renders())
    engine.close()


def test_a_template_is_rendered_again_with_other_values(engine, catalogue):
    outputs = [
        engine.render_sync('{{ (getSecretValueMap "a").b }}', catalogue, {"a": f'{{"b":{n}}}'}).output
        for n in range(3)
    ]
    assert outputs == ["0", "1", "2"]


def test_more_templates_than_are_kept_parsed(engine, catalogue):
    for _ in range(2):
        for number in range(300):
            template = f"{'x' * 2000}{{{{ {number} }}}}"
            assert engine.render_sync(template, catalogue, {}).output == f"{'x' * 2000}{number}"


def test_an_engine_that_was_not_built_says_how_to_build_it(monkeypatch, tmp_path, catalogue):
    monkeypatch.setattr(compiled, "WASM", tmp_path / "engine.wasm")
    engine = TemplateEngine(cache_dir=None)
    with pytest.raises(EngineUnavailable, match=r"was not built; python hatch_build\.py builds it"):
        engine.render_sync("x", catalogue, {})
    engine.close()


def test_close_ends_all_threads(cache_dir, catalogue):
    before = set(threading.enumerate())
    engine = TemplateEngine(cache_dir=cache_dir)
    run(engine.render("x", catalogue, {}))
    mine = set(threading.enumerate()) - before
    assert len(mine) == 2
    engine.close()
    for thread in mine:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_close_without_a_render_does_nothing():
    TemplateEngine(cache_dir=None).close()


def test_the_time_for_a_new_catalogue_is_not_that_of_the_template(cache_dir):
    tags = {f"{number:02}{'k' * 100}": "v" * 200 for number in range(50)}
    entry = {"Tags": tags, "CurrentVersionID": "1", "UpdatedAt": None}
    catalogue = EngineCatalogue({f"s-{number}": entry for number in range(1000)})
    with TemplateEngine(cache_dir=cache_dir, deadline=30, instances=1) as engine:
        engine.render_sync("", catalogue, {})
        new, again = (engine.render_sync("{{ len .Secrets }}", catalogue, {}) for _ in range(2))
    assert new.seconds > new.loading > 0
    assert again.loading == 0
