"""Templates of External Secrets as templates over `.Data`: what changes, and what stays as it is."""

import pytest

from secretsyncer.commands.convert.go_templates import calls, convert, fields


@pytest.mark.parametrize(
    ("text", "converted"),
    [
        ("  {{ .a }}\n", "  {{ .Data.a }}\n"),
        ("{{.a|upper}}{{- .b -}} x", "{{.Data.a|upper}}{{- .Data.b -}} x"),
        ("{{ $a := .a }}{{ $a }} {{ .a }}", "{{ $a := .Data.a }}{{ $a }} {{ .Data.a }}"),
        ("{{ (.a | fromJson).b.c }}", "{{ (.Data.a | fromJson).b.c }}"),
        ('{{ printf "{{%s}} .x" .a }}', '{{ printf "{{%s}} .x" .Data.a }}'),
        ("{{ `}} .x` }}{{ .a }}", "{{ `}} .x` }}{{ .Data.a }}"),
        ("{{- /* it's .x }} */ -}}{{ .a }}", "{{- /* it's .x }} */ -}}{{ .Data.a }}"),
        ("{{ if eq .a 1.5 }}{{ else if .b }}{{ end }}", "{{ if eq .Data.a 1.5 }}{{ else if .Data.b }}{{ end }}"),
        ("{{ \n  .a\n}}", "{{ \n  .Data.a\n}}"),
        ("{{ .\u00e9 }}", "{{ .Data.\u00e9 }}"),
    ],
)
def test_keys_at_the_top_are_read_from_the_data(text, converted):
    assert convert("out", text) == converted


@pytest.mark.parametrize(
    "body",
    [
        "{{ range $k, $v := . }}{{ $k }}{{ end }}",
        " {{ with .a }}{{ . }}{{ end }}",
        '{{ index . "a-b" }}',
        "{{ $.a }}\n",
    ],
)
def test_other_uses_of_the_data_stay_as_they_are_in_a_template_of_their_own(body):
    assert convert("out", body) == f'{{{{ define "out" }}}}{body}{{{{ end }}}}{{{{ template "out" .Data }}}}'


def test_named_templates_are_put_in_front_with_the_white_space_that_they_trim():
    text = 'a {{- define "x" }} u{{ if true }}{{ end }} {{- end -}} b{{ template "x" . }}'
    assert convert("x", text) == (
        '{{ define "x" }} u{{ if true }}{{ end }} {{- end }}'
        '{{ define "x itself" }}a {{- /* */ -}} b{{ template "x" . }}{{ end }}{{ template "x itself" .Data }}'
    )


def test_what_is_no_action_is_no_template():
    assert convert("out", "{{ .a") is None


def test_the_keys_that_are_read_are_known_where_they_can_be():
    assert fields('{{ .a }}{{ if .b }}{{ ".c" }}{{ end }}{{ /* .d */ }}') == {"a", "b"}
    assert fields("{{ range . }}{{ .a }}{{ end }}") == set()


def test_a_call_is_found_outside_of_texts_and_comments():
    assert calls("{{ .a | toYaml }}", "toYaml")
    assert not calls('{{ "toYaml" }}{{ .toYaml }}{{ $toYaml }}{{/* toYaml */}}', "toYaml")
