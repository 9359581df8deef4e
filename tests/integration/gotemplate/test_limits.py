"""Hostile templates: each ends within the deadline with a clear failure, and the next render works."""

# ruff: noqa: E501 - a template stays on its line

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from secretsyncer.gotemplate.engine import (
    DeadlineExceeded,
    EngineCatalogue,
    MemoryExceeded,
    TemplateEngine,
    TemplateFailure,
)

DEADLINE = 0.1
"""Seconds that a test with an endless template takes: only what may end at the deadline is rendered with this one."""
PATIENCE = 60.0
"""Seconds: far more than a render may take on a busy machine, far less than any of the templates here would need."""


@pytest.fixture(scope="module")
def strict(cache_dir):
    engine = TemplateEngine(cache_dir=cache_dir, deadline=DEADLINE)
    engine.render_sync("", EngineCatalogue({}), {})
    yield engine
    engine.close()


@pytest.fixture
def ends(strict, catalogue):
    """Render what must fail in time, perhaps at the deadline; the failure."""

    def ended(template):
        before = time.monotonic()
        with pytest.raises(TemplateFailure) as raised:
            strict.render_sync(template, catalogue, {})
        assert time.monotonic() - before < PATIENCE
        return raised.value

    yield ended
    for _ in range(3):  # on a busy machine, even this may take longer than the deadline
        with contextlib.suppress(DeadlineExceeded):
            assert strict.render_sync("still {{ 1 }}", catalogue, {}).output == "still 1"
            return
    pytest.fail("the engine renders nothing any more")


@pytest.fixture
def fails(engine, catalogue):
    """Render what must fail by itself, long before the deadline; the failure."""

    def failed(template, values=None):
        with pytest.raises(TemplateFailure) as raised:
            engine.render_sync(template, catalogue, values or {})
        assert engine.render_sync("still {{ 1 }}", catalogue, {}).output == "still 1"
        return raised.value

    return failed


DOUBLING = "{{ $x := %s }}{{ range 60 }}{{ $x = %s }}{{ end }}{{ %s }}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ range 9999999999 }}{{ end }}",
        "{{ range $i := 9999999999 }}{{ end }}",
        "{{ range 100000 }}{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}{{ end }}",
        '{{ define "a" }}{{ if . }}{{ template "a" slice . 1 }}{{ template "a" slice . 1 }}{{ end }}{{ end }}{{ template "a" (printf "%99d" 1) }}',
        DOUBLING % ("list 1", "list $x $x", "$x"),
        DOUBLING % ("list 1", "list $x $x", "toJson $x | len"),
        DOUBLING % ("list 1", "list $x $x", 'printf "%d" $x'),
        DOUBLING % ('dict "a" 1', 'dict "a" $x "b" $x', "$x"),
    ],
)
def test_what_takes_too_long_is_stopped(ends, template):
    assert isinstance(ends(template), (DeadlineExceeded, MemoryExceeded))


@pytest.mark.parametrize("show", ["$x", "toJson $x", "toYaml $x", 'printf "%v" $x', "print $x | len"])
def test_a_value_that_is_nested_too_deeply_is_an_error(fails, show):
    failure = fails("{{ $x := list 1 }}{{ range 20000 }}{{ $x = list $x }}{{ end }}{{ " + show + " }}")
    assert "nested too deeply" in str(failure)


@pytest.mark.parametrize(
    "template",
    [
        '{{ $l := list (printf "%1000000d" 1) }}{{ range $i := 1000 }}{{ $l = list $l (printf "%1000000d" $i) }}{{ end }}',
        '{{ $l := list }}{{ range $i := 200 }}{{ $l = list $l (splitList "" (printf "%100000d" $i)) }}{{ end }}',
        '{{ len (printf "' + "%1000000d" * 100 + '"' + " 1" * 100 + ") }}",
        '{{ $l := list 1 }}{{ range 22 }}{{ $l = splitList "," (join ",," (list (join "," $l) (join "," $l))) }}{{ end }}',
    ],
)
def test_what_takes_too_much_memory_is_stopped(fails, template):
    assert isinstance(fails(template), MemoryExceeded)


def test_more_values_than_memory_are_refused(fails):
    values = {str(n): "x" * (1 << 20) for n in range(60)}
    failure = fails("x", values)
    assert isinstance(failure, MemoryExceeded)
    assert failure.reads == values.keys()


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = printf "%s%s" $s $s }}{{ end }}', "longer than"),
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = print $s $s }}{{ end }}', "longer than"),
        (DOUBLING % ("list 1", "list $x $x", "toYaml $x"), "longer than"),
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = b64enc $s }}{{ end }}', "longer than"),
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = replace "" $s $s }}{{ end }}', "longer than"),
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = join $s (list $s $s $s) }}{{ end }}', "longer than"),
        ('{{ $s := "a\\n" }}{{ range 60 }}{{ $s = nindent 100 (print $s $s) }}{{ end }}', "longer than"),
        ('{{ $s := "\\"" }}{{ range 60 }}{{ $s = quote $s }}{{ end }}', "longer than"),
        ('{{ $s := "\\"" }}{{ range 60 }}{{ $s = toJson $s }}{{ end }}', "longer than"),
        ('{{ nindent 999999999 "x" }}', "longer than"),
        ('{{ indent 9999999 "x" }}', "longer than"),
        ('{{ printf "%999999999d" 1 }}', "width that is too large"),
        ('{{ printf "%.999999999f" 1.5 }}', "width that is too large"),
        ('{{ printf "%*d" 999999999 1 }}', "too large"),
        ('{{ printf "%.*f" 999999999 1.5 }}', "too large"),
        ('{{ range 99999999 }}{{ printf "%1000000d" 1 }}{{ end }}', "output is larger"),
        ("x" * 1_600_000, "output is larger"),
        ('{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}', "exceeded maximum template depth"),
        (
            '{{ define "a" }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ template "a" . }}{{ end }}{{ template "a" 1 }}',
            "maximum template depth",
        ),
        ("{{" + "(" * 100_000 + "1" + ")" * 100_000 + "}}", "max expression depth"),
        ("{{ if 1 }}" * 50_000 + "{{ end }}" * 50_000, "nested too deeply"),
        ("{{ if 0 }}" + "{{ else if 0 }}" * 20_000 + "{{ end }}", "nested too deeply"),
        ("{{ range 1 }}" * 30_000 + "{{ end }}" * 30_000, "nested too deeply"),
        ('{{ filterByName .Secrets "((((a{1000}){1000}){1000}){1000})" }}', "invalid repeat count"),
        ('{{ filterByName .Secrets "' + "(" * 5000 + ")" * 5000 + '" }}', "regular expression is invalid"),
    ],
)
def test_what_is_too_large_is_refused(fails, template, reason):
    assert reason in str(fails(template))


@pytest.mark.parametrize("depth", [50, 300])
def test_reasonable_nesting_works(engine, catalogue, depth):
    parentheses = "{{ " + "(" * depth + "1" + ")" * depth + " }}"
    conditions = "{{ if 1 }}" * depth + "x" + "{{ end }}" * depth
    alternatives = "{{ if 0 }}" + "{{ else if 0 }}" * depth + "{{ else }}y{{ end }}"
    assert engine.render_sync(parentheses + conditions + alternatives, catalogue, {}).output == "1xy"


def test_a_megabyte_of_template_renders(engine, catalogue):
    template = "x" * 1_000_000 + "{{/*" + "y" * 1_000_000 + "*/}}"
    assert engine.render_sync(template, catalogue, {}).output == "x" * 1_000_000


def test_a_megabyte_of_actions_takes_too_long(ends):
    assert isinstance(ends("{{ 1 }}{{ printf `x` }}" * 200_000), (DeadlineExceeded, MemoryExceeded))


def test_deep_recursion_in_a_thread_with_a_small_stack_is_a_failure_and_no_crash(engine, catalogue):
    template = "{{ if 1 }}" * 50_000 + "{{ end }}" * 50_000
    before = threading.stack_size(2 << 20)
    try:
        with ThreadPoolExecutor(1) as thread:
            outcome = thread.submit(engine.render_sync, template, catalogue, {}).exception()
    finally:
        threading.stack_size(before)
    assert isinstance(outcome, TemplateFailure)


def test_one_slow_template_does_not_shorten_the_time_of_another(strict, catalogue):
    """The clock is shared: a second render that starts late still has its whole deadline."""
    template = "{{ range 9999999999 }}{{ end }}"
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(strict.render_sync, template, catalogue, {})
        time.sleep(DEADLINE * 0.8)
        before = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            strict.render_sync(template, catalogue, {})
        assert time.monotonic() - before > DEADLINE * 0.9
        assert isinstance(first.exception(), DeadlineExceeded)


@pytest.mark.parametrize("count", [200, 20], ids=["too much memory", "too much time"])
def test_memory_of_hostile_renders_is_given_back(cache_dir, catalogue, count):
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    hog = f'{{{{ $l := list }}}}{{{{ range $i := {count} }}}}{{{{ $l = list $l (printf "%1000000d" $i) }}}}{{{{ end }}}}'
    hog += "{{ range 9999999999 }}{{ end }}{{ len $l }}"
    with TemplateEngine(cache_dir=cache_dir, deadline=0.3) as engine:
        for _ in range(2):
            with pytest.raises(TemplateFailure):
                engine.render_sync(hog, catalogue, {})
        before = resident()
        for _ in range(3):
            with pytest.raises(TemplateFailure):
                engine.render_sync(hog, catalogue, {})
        assert resident() - before < 32 << 20
