"""Hostile templates: each ends within the deadline with a clear failure, and the next render works."""

from __future__ import annotations

import threading
import time

import pytest

from secretsyncer.gotemplate.engine import DeadlineExceeded, EngineCatalogue, MemoryExceeded, TemplateEngine, TemplateFailure

DEADLINE = 0.5
PATIENCE = 10 * DEADLINE
"""Far more than a render may take on a busy machine, far less than any of the templates here would need."""


@pytest.fixture(scope="module")
def strict(cache_dir):
    engine = TemplateEngine(cache_dir=cache_dir, deadline=DEADLINE)
    engine.render_sync("", EngineCatalogue({}), {})
    yield engine
    engine.close()


@pytest.fixture
def ends(strict, catalogue):
    """Render what must fail in time; the failure."""

    def ended(template, values=None):
        before = time.monotonic()
        with pytest.raises(TemplateFailure) as raised:
            strict.render_sync(template, catalogue, values or {})
        assert time.monotonic() - before < PATIENCE
        assert strict.render_sync("still {{ 1 }}", catalogue, {}).output == "still 1"
        return raised.value

    return ended


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
        DOUBLING % ("list 1", "list $x $x", "toYaml $x | len"),
        DOUBLING % ("list 1", "list $x $x", 'printf "%d" $x'),
        DOUBLING % ('dict "a" 1', 'dict "a" $x "b" $x', "$x"),
        "{{ $l := list 1 }}{{ range 100000 }}{{ $l = list $l }}{{ end }}{{ range 100000 }}{{ $x := toJson $l }}{{ end }}",
    ],
)
def test_what_takes_too_long_is_stopped(ends, template):
    assert isinstance(ends(template), (DeadlineExceeded, MemoryExceeded))


@pytest.mark.parametrize(
    "template",
    [
        '{{ $l := list (printf "%1000000d" 1) }}{{ range $i := 1000 }}{{ $l = list $l (printf "%1000000d" $i) }}{{ end }}',
        '{{ $l := list }}{{ range $i := 200 }}{{ $l = list $l (splitList "" (printf "%100000d" $i)) }}{{ end }}',
        '{{ len (printf "' + "%1000000d" * 100 + '"' + " 1" * 100 + ") }}",
        '{{ $l := list 1 }}{{ range 22 }}{{ $l = splitList "," (join ",," (list (join "," $l) (join "," $l))) }}{{ end }}',
    ],
)
def test_what_takes_too_much_memory_is_stopped(ends, template):
    assert isinstance(ends(template), (MemoryExceeded, DeadlineExceeded)) or "longer than" in str(ends(template))


def test_more_values_than_memory_are_refused(strict, catalogue):
    values = {str(n): "x" * (1 << 20) for n in range(40)}
    with pytest.raises(MemoryExceeded) as raised:
        strict.render_sync("x", catalogue, values)
    assert raised.value.reads == values.keys()
    assert strict.render_sync("x", catalogue, {}).output == "x"


def test_more_catalogue_than_memory_is_refused(strict, catalogue):
    huge = EngineCatalogue({f"{n}": {"Tags": {"t": "x" * 1000}, "CurrentVersionID": "", "UpdatedAt": None} for n in range(40_000)})
    with pytest.raises(TemplateFailure, match="list of AWS secrets"):
        strict.render_sync("{{ .Secrets | len }}", huge, {})
    assert strict.render_sync("{{ .Secrets | len }}", catalogue, {}).output == "3"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = printf "%s%s" $s $s }}{{ end }}', "longer than"),
        ('{{ $s := "0123456789abcdef" }}{{ range 60 }}{{ $s = print $s $s }}{{ end }}', "longer than"),
        ('{{ $s := "<<<<<<<<<<<<<<<<" }}{{ range 60 }}{{ $s = html $s }}{{ end }}', "longer than"),
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
        ('{{ define "a" }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ template "a" . }}{{ end }}{{ template "a" 1 }}', "maximum template depth"),
        ("{{" + "(" * 100_000 + "1" + ")" * 100_000 + "}}", "max expression depth"),
        ("{{ if 1 }}" * 50_000 + "{{ end }}" * 50_000, "nested too deeply"),
        ("{{ if 0 }}" + "{{ else if 0 }}" * 20_000 + "{{ end }}", "nested too deeply"),
        ("{{ range 1 }}" * 30_000 + "{{ end }}" * 30_000, "nested too deeply"),
        ('{{ filterByName .Secrets "((((a{1000}){1000}){1000}){1000})" }}', "invalid repeat count"),
        ('{{ filterByName .Secrets "' + "(" * 5000 + ")" * 5000 + '" }}', "regular expression is wrong"),
    ],
)
def test_what_is_too_large_is_refused(ends, template, reason):
    failure = ends(template)
    assert reason in str(failure) or isinstance(failure, DeadlineExceeded)


@pytest.mark.parametrize("depth", [50, 300])
def test_reasonable_nesting_works(strict, catalogue, depth):
    parentheses = "{{ " + "(" * depth + "1" + ")" * depth + " }}"
    conditions = "{{ if 1 }}" * depth + "x" + "{{ end }}" * depth
    alternatives = "{{ if 0 }}" + "{{ else if 0 }}" * depth + "{{ else }}y{{ end }}"
    assert strict.render_sync(parentheses + conditions + alternatives, catalogue, {}).output == "1xy"


def test_a_megabyte_of_template_renders(strict, catalogue):
    assert strict.render_sync("x" * 1_000_000 + "{{/*" + "y" * 1_000_000 + "*/}}", catalogue, {}).output == "x" * 1_000_000


def test_a_template_of_nothing_but_actions_ends(strict, catalogue):
    try:
        assert strict.render_sync("{{ 1 }}" * 140_000, catalogue, {}).output == "1" * 140_000
    except TemplateFailure as failure:
        assert isinstance(failure, (DeadlineExceeded, MemoryExceeded))
    assert strict.render_sync("{{ 1 }}", catalogue, {}).output == "1"


def test_deep_recursion_in_a_thread_with_a_small_stack_is_a_failure_and_no_crash(strict, catalogue):
    caught = []

    def deep():
        try:
            strict.render_sync("{{ if 1 }}" * 50_000 + "{{ end }}" * 50_000, catalogue, {})
        except TemplateFailure as failure:
            caught.append(failure)

    before = threading.stack_size(2 << 20)
    try:
        thread = threading.Thread(target=deep)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert len(caught) == 1


def test_one_slow_template_does_not_shorten_the_time_of_another(strict, catalogue):
    """The clock is shared: a second render that starts late still has its whole deadline."""
    first = threading.Thread(target=lambda: pytest.raises(DeadlineExceeded, strict.render_sync, "{{ range 9999999999 }}{{ end }}", catalogue, {}))
    first.start()
    time.sleep(DEADLINE * 0.8)
    before = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        strict.render_sync("{{ range 9999999999 }}{{ end }}", catalogue, {})
    assert time.monotonic() - before > DEADLINE * 0.9
    first.join()


def test_memory_of_hostile_renders_is_given_back(strict, catalogue):
    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    hog = '{{ $l := list }}{{ range $i := 200 }}{{ $l = list $l (printf "%1000000d" $i) }}{{ end }}'
    for _ in range(2):
        with pytest.raises(TemplateFailure):
            strict.render_sync(hog, catalogue, {})
    before = resident()
    for _ in range(6):
        with pytest.raises(TemplateFailure):
            strict.render_sync(hog, catalogue, {})
    assert resident() - before < 48 << 20
