"""The engine compared with Go's own text/template, compiled for this machine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from functools import partial
from pathlib import Path

import pytest

import hatch_build
from secretsyncer.gotemplate.engine import Rendered, TemplateFailure
from tests.support.engines import CATALOGUE
from tests.unit.gotemplate.conftest import VALUES

PROGRAM = r"""
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
	"time"
)

type meta struct {
	Tags             map[string]string
	CurrentVersionID string
	UpdatedAt        time.Time
}

var input struct {
	Templates []string
	Values    map[string]string
	Catalogue map[string]meta
}

var functions = template.FuncMap{
	"getSecretValue": func(id string) (string, error) { return input.Values[id], nil },
	"getSecretValueMap": func(id string) (map[string]interface{}, error) {
		var m map[string]interface{}
		return m, json.Unmarshal([]byte(input.Values[id]), &m)
	},
	"filterByTagKey": func(secrets map[string]meta, key string) map[string]meta {
		out := map[string]meta{}
		for name, m := range secrets {
			if _, ok := m.Tags[key]; ok {
				out[name] = m
			}
		}
		return out
	},
	"base64": func(value interface{}) string { return base64.StdEncoding.EncodeToString([]byte(value.(string))) },
	"indent": func(n int, s string) string {
		pad := strings.Repeat(" ", n)
		return pad + strings.Replace(s, "\n", "\n"+pad, -1)
	},
}

func render(text string) (result [2]string) {
	defer func() {
		if problem := recover(); problem != nil {
			result = [2]string{"", fmt.Sprint(problem)}
		}
	}()
	t, err := template.New("template").Funcs(functions).Parse(text)
	if err != nil {
		return [2]string{"", err.Error()}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, struct{ Secrets map[string]meta }{input.Catalogue}); err != nil {
		return [2]string{"", err.Error()}
	}
	return [2]string{out.String(), ""}
}

func main() {
	if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
		panic(err)
	}
	for name, m := range input.Catalogue {
		m.UpdatedAt = m.UpdatedAt.UTC()
		input.Catalogue[name] = m
	}
	results := [][2]string{}
	for _, text := range input.Templates {
		results = append(results, render(text))
	}
	json.NewEncoder(os.Stdout).Encode(results)
}
"""

MARKERS = ("<no value>", "<nil>", "%!")
M = '{{ $m := getSecretValueMap "all" }}'

CORPUS = [
    "",
    "plain text, braces } and { alone",
    "{{/* a comment */}}x{{- /* and a trimming one */ -}} y",
    "  {{- 1 -}}  |  {{ 2 -}}  |  {{- 3 }}  ",
    "{{ 1 }} {{ 1.0 }} {{ 1e3 }} {{ 0x1F }} {{ 0b101 }} {{ 'a' }} {{ 1_000 }} {{ true }} {{ `raw` }} {{ \"q\\n\\u00e9\" }}",
    "{{ -1 }} {{ 1.5e300 }} {{ 3+2i }}",
    M + "{{ $m.user }} {{ $m.port }} {{ $m.ratio }} {{ $m.flag }} {{ $m.list }} {{ $m.object }} {{ $m.uni }}",
    M + "{{ $m.object.in }} {{ $m.object.deep.er }} {{ ($m.object).in }} {{ (index $m.list 0) }}",
    M + "{{ with $m.object }}{{ .in }} {{ $m.user }} {{ .deep.er }}{{ end }}",
    M + "{{ with $x := $m.empty }}no{{ else with $m.user }}{{ . }}{{ else }}never{{ end }}",
    M + "{{ if $m.none }}1{{ else if $m.gone }}2{{ else if $m.zero }}3{{ else if $m.no }}4{{ else }}5{{ end }}",
    M + "{{ if $m.gone.deeper }}1{{ else }}2{{ end }}",
    M + "{{ if $m.none.deeper }}1{{ else }}2{{ end }}",
    M + "{{ range $m.list }}[{{ . }}]{{ end }}{{ range $i, $e := $m.list }}{{ $i }}={{ $e }},{{ end }}",
    M + "{{ range $k, $v := $m.object }}{{ $k }};{{ end }}{{ range $m.none }}x{{ else }}none{{ end }}",
    M + "{{ range $m.user }}{{ end }}",
    M + "{{ range $m.port }}{{ end }}",
    "{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}<{{ $i }}>{{ end }}{{ range 0 }}x{{ else }}zero{{ end }}",
    "{{ range $i, $j := 3 }}{{ end }}",
    "{{ range $i := 5 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ if eq $i 3 }}{{ break }}{{ end }}{{ $i }}{{ end }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ end }}{{ $x }}",
    "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}",
    "{{ if true }}{{ $y := 3 }}{{ end }}{{ $y }}",
    '{{ define "a" }}<{{ . }}>{{ end }}{{ template "a" 1 }}{{ template "a" "x" }}{{ block "b" 5 }}({{ . }}){{ end }}',
    '{{ define "a" }}{{ template "b" . }}{{ end }}{{ define "b" }}{{ . }}!{{ end }}{{ template "a" 7 }}',
    '{{ template "gone" }}',
    '{{ block "t" . }}{{ len .Secrets }}{{ end }}',
    '{{ and 1 0 2 }} {{ or 0 "" "x" }} {{ not 0 }} {{ and true (len "abc") }} {{ or "" 0 | not }}',
    '{{ eq 1 1 }} {{ eq "a" "b" "a" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt "b" "a" }} {{ ge 1.5 1.5 }}',
    "{{ eq 1 1.0 }}",
    '{{ eq 1 "1" }}',
    "{{ lt true false }}",
    "{{ eq }}",
    M
    + '{{ eq $m.gone "x" }} {{ ne $m.none "x" }} {{ eq $m.none nil }} {{ eq $m.user "bob" }} {{ eq $m.flag true }}',
    M + "{{ eq $m.list $m.list }}",
    M + "{{ eq $m.port 5432.0 }} {{ lt $m.ratio 2.0 }} {{ gt $m.port $m.ratio }}",
    M
    + '{{ index $m "user" }} {{ index $m.list 1 }} {{ index $m "object" "deep" "er" }} {{ slice $m.user 1 2 }} {{ len $m.list }}',
    M + "{{ index $m.list 9 }}",
    M + '{{ index $m.list "x" }}',
    M + "{{ slice $m.list 2 1 }}",
    M + "{{ len $m.port }}",
    M + "{{ len $m.none }}",
    M + '{{ html $m.html }} {{ js $m.html }} {{ urlquery $m.uni " " }} {{ $m.html | html | len }}',
    '{{ print 1 2 "a" 3 4 }}|{{ println "a" 1 }}|{{ printf "%5d|%-5s|%05.1f|%q|%x|%t|%c|%U" 42 "ab" 1.25 "q" "hex" true 65 66 }}',
    M + '{{ printf "%s %v %q %x %5s|%-5s|" $m.user $m.user $m.user $m.user $m.user $m.user }}',
    M + '{{ printf "%v %.2f %g %8.3f|%-8v|%08.2f" $m.port $m.port $m.ratio $m.ratio $m.port $m.ratio }}',
    M
    + '{{ printf "%[2]s %[1]s" "a" "b" }} {{ printf "%*d" 5 42 }} {{ printf "100%%" }} {{ printf "%6.2f%%" 1.5 }}',
    M + '{{ $m.user | printf "%s-%s" "x" }} {{ "a" | print "b" | len }}',
    M + '{{ base64 $m.user }} {{ "a\nb" | indent 4 }} {{ indent 0 "x" }}',
    M + "{{ printf `%!` }}",
    "{{ range $name, $meta := .Secrets }}{{ $name }} {{ $meta.CurrentVersionID }} {{ $meta.Tags.team }};{{ end }}",
    '{{ range $n, $_ := filterByTagKey .Secrets "tag1" }}{{ $n }},{{ end }}{{ len (filterByTagKey $.Secrets "nope") }}',
    '{{ (index .Secrets "db/blue").UpdatedAt }} {{ (index .Secrets "db/blue").UpdatedAt.Year }} {{ .Secrets }}',
    '{{ (index .Secrets "web/red").UpdatedAt.Format "2006-01-02T15:04:05Z07:00" }} {{ (index .Secrets "db/green").UpdatedAt }}',
    '{{ with index .Secrets "db/blue" }}{{ .UpdatedAt.Unix }} {{ .Tags }}{{ end }}',
    "{{ .Secrets.gone }}",
    "{{ .Gone }}",
    "{{ .Secrets.CurrentVersionID.x }}",
    '{{ getSecretValue "text" | printf "%q" }}{{ getSecretValue "lines" }}',
    "{{ $x }}",
    "{{ if }}{{ end }}",
    "{{ end }}",
    "{{ if true }}",
    "{{ nofunction 1 }}",
    "{{ 1 | 2 }}",
    "{{ nil }}",
    '{{ "a" "b" }}',
    "{{ break }}",
    '{{ "unterminated }}',
    M + "{{ $m.user 1 }}",
    M + "{{ $m.user.x }}",
    M + "{{ call $m.user }}",
    "{{ 9999999999999999999 }}",
    "{{- range $i := 3 -}} {{ $i }} {{- end -}}",
    "a\r\nb{{ 1 }}\r\n",
    "\x00{{ 1 }}\x7f",
    "{{ range $k, $v := .Secrets }}{{ $k = 1 }}{{ end }}",
    "{{ with 1 }}{{ . }}{{ $ }}{{ end }}",
]


class Maker:
    """Makes templates at random, most of them valid, from a fixed seed."""

    fields = (
        "user",
        "port",
        "ratio",
        "flag",
        "no",
        "zero",
        "empty",
        "none",
        "list",
        "object",
        "html",
        "uni",
        "gone",
    )

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def template(self) -> str:
        return M + "".join(self.piece(2) for _ in range(self.random.randint(1, 3)))

    def value(self, depth: int) -> str:
        pick = self.random.choice
        if depth and self.random.random() < 0.5:
            return f"({self.pipeline(depth - 1)})"
        atoms = [
            "1",
            "2.5",
            '"a b"',
            '"%d"',
            "true",
            '"<&>"',
            "$m",
            ".Secrets",
            '(index .Secrets "db/blue").Tags.team',
        ]
        return pick([f"$m.{pick(self.fields)}"] * 3 + [pick(atoms), f"$m.object.{pick(('in', 'deep', 'gone'))}"])

    def pipeline(self, depth: int) -> str:
        text = self.call(depth)
        while self.random.random() < 0.25:
            text += " | " + self.random.choice(
                ("print", "printf `%v`", "len", "not", "html", "js", "eq 1", "or 0", "index")
            )
        return text

    def call(self, depth: int) -> str:
        pick, value = self.random.choice, partial(self.value, depth)
        shape = pick(
            [
                value,
                value,
                lambda: f"print {value()} {value()}",
                lambda: f"printf `{pick(('%v', '%q', '%5v|', '%.1f', '%t', '%v%v', '%', '%%'))}` {value()}",
                lambda: f"printf `{pick(('%s', '%x', '%8s|', '%-8q|'))}` {pick(('$m.user', '$m.html', '`a b`'))}",
                lambda: f"printf `{pick(('%d', '%x', '%04d|', '%c'))}` {pick(('7', '65', '(len $m.user)'))}",
                lambda: f"println {value()}",
                lambda: f"len {value()}",
                lambda: f"index {value()} {value()}",
                lambda: f"slice {value()} 1",
                lambda: f"{pick(('and', 'or', 'eq', 'ne', 'lt', 'le', 'gt', 'ge'))} {value()} {value()}",
                lambda: f"{pick(('not', 'html', 'js', 'urlquery'))} {value()}",
            ]
        )
        return shape()  # only now: to make the others too would take seconds

    def piece(self, depth: int) -> str:
        pick = self.random.choice
        kind = self.random.random()
        if kind < 0.5 or not depth:
            return pick(("{{ %s }}", " {{- %s -}} ", "<{{ %s }}>\n", "{{ $x := %s }}{{ $x }}")) % self.pipeline(
                depth
            )
        inside = self.piece(depth - 1)
        return pick(
            (
                "{{ if %s }}%s{{ end }}",
                "{{ if %s }}%s{{ else }}E{{ end }}",
                "{{ with %s }}%s{{ . }}{{ else }}E{{ end }}",
                "{{ range %s }}%s{{ . }}{{ else }}E{{ end }}",
                "{{ range $k, $v := %s }}%s{{ $k }}{{ end }}",
                '{{ define "d" }}{{ . }}{{ end }}{{ template "d" %s }}%s',
            )
        ) % (self.pipeline(depth), inside)


@pytest.fixture(scope="module")
def go(cache_dir):
    """A function that renders templates with Go natively: for each the output, or the error."""
    try:
        root = hatch_build.goroot()
    except RuntimeError as exc:
        pytest.skip(f"not compared with Go: {exc}")
    program = _program(root, cache_dir)

    def render(templates: list[str]) -> list[tuple[str, str]]:
        question = {"Templates": templates, "Values": VALUES, "Catalogue": CATALOGUE}
        done = subprocess.run([program], input=json.dumps(question), capture_output=True, text=True, check=True)
        return [tuple(result) for result in json.loads(done.stdout)]

    return render


def _program(root: Path, cache_dir: Path) -> Path:
    key = hashlib.sha256((PROGRAM + (root / "VERSION").read_text()).encode()).hexdigest()[:16]
    program = cache_dir / f"go-{key}"
    if not program.exists():
        source = cache_dir / f"go-{key}.dir"
        source.mkdir(parents=True, exist_ok=True)
        (source / "main.go").write_text(PROGRAM)
        environment = {
            **os.environ,
            "GOROOT": str(root),
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
            "GO111MODULE": "off",
        }
        command = [str(root / "bin" / "go"), "build", "-o", f"{program}.new", "main.go"]
        subprocess.run(command, cwd=source, env=environment, check=True)
        Path(f"{program}.new").replace(program)
    return program


STRICTER = (
    "missing or null",
    "the value contains null",
    "no text of its own",
    "has no key",
    "does not fit",
    "fewer verbs than arguments",
    "no argument for",
    "of a verb",
)
"""Failures by design where Go prints a marker, possibly one that a function then escapes, measures or compares."""


def _agrees(engine, catalogue, template: str, output: str, error: str) -> str:
    """Empty if ours is Go's output, or a failure for Go's failure or its marker; else what ours is."""
    try:
        result = engine.render_sync(template, catalogue, VALUES)
    except TemplateFailure as exc:
        marked = any(marker in output for marker in MARKERS)
        return "" if error or marked or any(reason in str(exc) for reason in STRICTER) else str(exc)
    assert isinstance(result, Rendered)
    ours = result.output
    if error:
        return "" if NUMBERS_COMPARE in error else ours
    if any(marker in output for marker in MARKERS):
        return ours if any(marker in ours for marker in MARKERS) else ""
    return "" if ours == output else ours


NUMBERS_COMPARE = "incompatible types for comparison"
"""A JSON number compares with an integer here, which Go refuses for its float64."""


def _differences(engine, catalogue, templates, results):
    for template, (output, error) in zip(templates, results, strict=True):
        if ours := _agrees(engine, catalogue, template, output, error):
            yield template, output or error, ours


def test_templates_render_as_with_go(engine, catalogue, go):
    assert list(_differences(engine, catalogue, CORPUS, go(CORPUS))) == []


def test_corpus_shows_outputs_failures_and_markers(go):
    """Guards the test above against a Go program that fails at everything."""
    results = go(CORPUS)
    assert sum(bool(output) for output, _ in results) > 40
    assert sum(bool(error) for _, error in results) > 20


def test_random_templates_render_as_with_go(engine, catalogue, go):
    maker = Maker(20240501)
    templates = [maker.template() for _ in range(1000)]
    results = go(templates)
    assert sum(not error for _, error in results) > 150
    assert list(_differences(engine, catalogue, templates, results)) == []
