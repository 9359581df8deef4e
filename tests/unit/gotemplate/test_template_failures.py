"""Failures have position, field or function, and reason, and never a value."""

# ruff: noqa: E501 - a template stays on its line

from __future__ import annotations

import json

import pytest

from secretsyncer.gotemplate.engine import TemplateFailure

M = '{{ $m := getSecretValueMap "all" }}'
C = len(M) + 4
"""The column of what follows M and an opening brace."""


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("$m.gone", '$m.gone: the secret "all" has no key "gone"'),
        ("$m.object.gone", '$m.object.gone: the secret "all" has no key "gone"'),
        ('(getSecretValueMap "all").gone', '(getSecretValueMap "all").gone: the secret "all" has no key "gone"'),
        ("$m.none", "$m.none: no value (missing or null)"),
        ("$m.none.deeper", "$m.none.deeper: the value before .deeper is missing or null"),
        ("$m.user.first", '$m.user.first: a string has no field "first"'),
        ('index $m "gone"', 'index $m "gone": no value (missing or null)'),
        ("$m", "$m: the value contains null"),
        ("(fromJson `{}`).a", '(fromJson `{}`).a: the object has no key "a"'),
        (".Secrets.gone", '.Secrets.gone: the catalogue has no key "gone"'),
        (".Gone", '.Gone: the template\'s data has no field "Gone"'),
        (
            "printf `%d` $m.user",
            "<printf `%d` $m.user>: printf: %d does not fit a string (argument 1); %v fits everything",
        ),
        (
            "printf `%s` $m.flag",
            "<printf `%s` $m.flag>: printf: %s does not fit a boolean (argument 1); %v fits everything",
        ),
        ("printf `%d %d` 1", "<printf `%d %d` 1>: printf: there is no argument for %d"),
        ("printf `%d` 1 2", "<printf `%d` 1 2>: printf: the format has fewer verbs than arguments"),
        ("printf `%s` $m.none", "<printf `%s` $m.none>: printf: argument 1 has no value (missing or null)"),
        ("print $m.none | len", "<print $m.none>: print: argument 1 has no value (missing or null)"),
        ("index $m.list 12345", "<index $m.list 12345>: index: index out of range"),
        ("len $m.port", "<len $m.port>: len: len of type number"),
        ("upper 1 2", "<upper 1 2>: wrong number of args for upper: want 1 got 2"),
        ("$m.port.Format", "$m.port.Format: Format cannot be used without arguments"),
        ("$m.port.MarshalJSON", "$m.port.MarshalJSON: MarshalJSON cannot be used without arguments"),
        ("call $m.user", "<call $m.user>: call: call is not supported"),
    ],
)
def test_failure_has_position_expression_and_reason(failure, expression, message):
    assert failure(f"{M}{{{{ {expression} }}}}") == f"1:{C}: {message}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("é {{ .Gone }}", '1:6: .Gone: the template\'s data has no field "Gone"'),
        ("a\n\té{{ 1 }}{{ .Gone }}", '2:13: .Gone: the template\'s data has no field "Gone"'),
        ("{{ range $x := `é` }}{{ end }}", "1:16: $x := `é`: cannot range over a string"),
        (
            '{{ define "t" }}{{ .x }}{{ end }}\n{{ template "t" dict }}',
            '1:20: in template "t": .x: the object has no key "x"',
        ),
        ('{{ template "gone" }}', '1:13: <"gone">: template "gone" not defined'),
        ("{{ if }}", "line 1: missing value for if"),
        ("\n{{ nope }}", 'line 2: function "nope" not defined'),
        ("\n\n{{ if true }}", "line 3: unexpected EOF"),
        ('{{ "a }}', "line 1: unterminated quoted string"),
        ("{{ range $i, $j := 3 }}{{ end }}", "1:20: <3>: range over a number allows only one variable"),
        (M + "{{ slice $m.uni 0 2 }}", "the output is not valid UTF-8"),
        ("\ud800", "the template is not valid Unicode"),
    ],
)
def test_position_counts_characters_from_one(failure, template, message):
    assert failure(template) == message


def test_long_templates_are_quoted_in_part(failure):
    assert len(failure("{{ printf `%d` `" + "x" * 5000 + "` }}")) < 200
    assert len(failure("{{ " + "x" * 5000 + " }}")) < 700


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("hunter2", "is not JSON (line 1, column 1)"),
        ('{"a": hunter2}', "is not JSON (line 1, column 7)"),
        ('{"a": "hunter2"', "is not JSON (unexpected end)"),
        ("", "is not JSON (unexpected end)"),
        ('{"a": 1} hunter2', "is not JSON (unexpected data at line 1, column 10"),
        ('"hunter2"', "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"a": NaN}', "is not JSON (line 1, column 7)"),
        ('{"a": "\\ud800"}', "is JSON with an invalid"),
        ('{"\\udc00": 1}', "is JSON with an invalid"),
        ('{"a": ' * 600 + "1" + "}" * 600, "is JSON nested too deeply"),
        ("[" * 100_000, "is JSON nested too deeply"),
        ('{\n"a": "hunter\n2"}', "is not JSON (line 2, column 13): there is a raw line break in a text"),
        ('{"\u00e9": "hunter\r2"}', "is not JSON (line 1, column 14): there is a raw line break in a text"),
        ('{"a": "hunter\t2"}', "is not JSON (line 1, column 14)"),
    ],
)
def test_a_secret_that_is_no_json_object_is_named(failure, source, reason):
    message = failure('{{ getSecretValueMap "s" }}', {"s": source})
    assert f'the secret "s" {reason}' in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "source", ['{"a": "\\ufffd"}', '{"a": "\ufffd"}', '{"a": "\\uD83D\\uDE00 [{[{"}', '{"a": "b", "a": "c"}']
)
def test_unusual_json_is_read(render, source):
    assert render('{{ (getSecretValueMap "s").a }}', {"s": source}) == json.loads(source)["a"]


CANARY = "CANARY-4711-%d-x"
DIGITS = "471147114711"

LEAKS = [
    "{{ %s 1 2 3 | nope }}", "{{ printf `%%d` %s }}", "{{ printf `%%z` %s }}", "{{ printf %s 1 }}", "{{ printf `%%*d` %s 1 }}",
    "{{ printf `%%s` 1 %s }}", "{{ printf `%%[3]s` %s }}", "{{ printf %s }}", "{{ print %s nil }}", "{{ println %s nil }}",
    "{{ range %s }}{{ end }}", "{{ range $i, $j := %s }}{{ end }}", "{{ range $i, $j := int %s }}{{ end }}", "{{ with %s }}{{ .x }}{{ end }}",
    "{{ template %s }}", "{{ call %s }}", "{{ %s | call }}", "{{ %s | call 1 }}", "{{ index %s 99 }}", "{{ index (list 1) %s }}",
    "{{ index (list 1) (int %s) }}", "{{ slice `abc` (int %s) }}", "{{ slice %s 99 }}", "{{ slice %s 9 1 }}", "{{ len (int %s) }}",
    "{{ index (dict %s 1) %s 2 }}", "{{ (dict).x %s }}", "{{ (%s).x }}", "{{ (%s).x.y }}", "{{ eq %s 1 }}", "{{ eq %s (list %s) }}", "{{ lt %s true }}",
    "{{ eq (list %s) (list %s) }}", "{{ lt (list %s) 1 }}", "{{ and }}{{ %s }}", "{{ int %s | int | printf `%%s` }}", "{{ b64dec %s }}", "{{ fromJson %s }}",
    "{{ filterByName .Secrets (print `(` %s) }}", "{{ filterByTagKey %s `x` }}", "{{ filterByTag .Secrets %s nil }}", "{{ required %s `` }}",
    "{{ required (print %s) nil }}", "{{ %s | required `` nil }}", "{{ ternary 1 2 %s }}", "{{ indent %s `x` }}", "{{ nindent (print %s) `x` }}", "{{ keys %s }}",
    "{{ get %s `a` }}", "{{ get (dict) (list %s) }}", "{{ hasKey %s %s }}", "{{ dict (list %s) }}", "{{ join (list %s) (list) }}", "{{ upper (list %s) }}", "{{ toJson 1i %s }}",
    "{{ toYaml (dict %s 1i) }}", "{{ trimPrefix %s nil }}", "{{ replace %s nil `` }}", "{{ splitList %s nil }}", "{{ getSecretValueMap %s }}",
    "{{ getSecretValueMap (b64enc %s) }}", "{{ getSecretValue (list %s) }}", "{{ ((index .Secrets `db/blue`).UpdatedAt.Format %s).x }}",
    "{{ (index .Secrets `db/blue`).UpdatedAt.Add %s }}", "{{ (index .Secrets `db/blue`).UpdatedAt.In %s }}", "{{ html nil %s }}", "{{ urlquery %s nil }}",
    "{{ $x := %s }}{{ $x.y }}", "{{ define `t` }}{{ .x }}{{ end }}{{ template `t` %s }}", "{{ define `t` }}{{ template `t` . }}{{ end }}{{ template `t` %s }}",
    "{{ (dict %s nil) }}", "{{ (list %s nil) }}", "{{ b64dec (b64enc %s | replace `Q` `!`) }}", "{{ slice (print %s `é`) 0 (len (print %s 1)) }}",
]  # fmt: skip


@pytest.mark.parametrize("shape", LEAKS)
def test_no_value_in_a_failure(engine, catalogue, shape):
    """Each shape with a text, a number and an id that is a secret: whatever fails must not quote it."""
    values = {"c": CANARY, "n": f'{{"n":{DIGITS},"t":"{CANARY}"}}', CANARY: "hunter2", DIGITS: "hunter2"}
    for argument in (
        '(getSecretValue "c")',
        '(getSecretValueMap "n").n',
        '(getSecretValueMap "n").t',
        '(getSecretValueMap "n")',
    ):
        template = shape.replace("%s", argument).replace("%%", "%")
        try:
            engine.render_sync(template, catalogue, values)
        except TemplateFailure as exc:
            message = str(exc)
            assert "CANARY" not in message, message
            assert DIGITS not in message, message
            assert "hunter2" not in message, message


def test_shapes_above_do_fail(engine, catalogue):
    """Guards the test above: most shapes have to reach an error."""
    failed = 0
    for shape in LEAKS:
        try:
            engine.render_sync(
                shape.replace("%s", '(getSecretValue "c")').replace("%%", "%"), catalogue, {"c": CANARY}
            )
        except TemplateFailure:
            failed += 1
    assert failed > len(LEAKS) * 0.7


def test_a_missing_key_may_be_tested_but_not_used(render, failure):
    tests = "{{ if $m.gone }}1{{ end }}{{ with $m.gone }}2{{ end }}{{ range $m.gone }}3{{ end }}{{ if or $m.gone $m.none }}4{{ end }}"
    assert render(f'{M}{tests}{{{{ if eq $m.gone "x" }}}}5{{{{ end }}}}{{{{ not $m.gone }}}}') == "true"
    for use in (
        "print $m.gone",
        "$m.gone | print",
        "or $m.gone $m.none",
        "$x := $m.gone }}{{ $x",
        "len $m.gone",
        "list $m.gone",
        "toJson $m.gone",
    ):
        assert "missing or null" in (message := failure(f"{M}{{{{ {use} }}}}")) or 'has no key "gone"' in message


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("$m.object", "an object"),
        ("$m.object | toString", "an object"),
        ("print $m.object", "an object"),
        ("println 1 $m.object", "an object"),
        ("printf `%v` $m.object", "an object"),
        ("printf `%s` $m.object", "an object"),
        ("printf `%5v` (list 1 $m.object)", "an object in the list"),
        ("quote $m.object", "an object"),
        ("html $m.object", "an object"),
        ("urlquery $m.object", "an object"),
        ("list 1 (list $m.object)", "an object in the list in the list"),
        ("join `,` (list $m.object)", "an object"),
        ('split "," "a,b"', "an object"),
        ("dict", "an object"),
        (".Secrets", "a map of secrets"),
        ('(index .Secrets "db/blue").Tags', "an object"),
        ('index .Secrets "db/blue"', "an entry of .Secrets"),
        (".", "the template's data"),
    ],
)
def test_what_go_would_print_in_its_own_notation_is_refused_with_advice(failure, expression, kind):
    message = failure(f"{M}{{{{ {expression} }}}}")
    assert f"{kind} has no text of its own" in message
    assert message.endswith("use toJson")


def test_lists_of_texts_and_numbers_print_as_before(render):
    assert render(f"{M}{{{{ $m.list }}}} {{{{ printf `%v %d` $m.list (list 1 2) }}}}") == "[a b 3] [a b 3] [1 2]"


@pytest.mark.parametrize(
    ("format_", "problem"),
    [
        ("%q", "there is no argument for a verb of the format"),
        ("x%", "the format ends in the middle of a verb"),
        ("%!", "there is no argument for a verb of the format"),
        ("%[9]q", "there is no argument for a verb of the format"),
    ],
)
def test_a_value_that_is_used_as_a_format_shows_none_of_its_characters(failure, format_, problem):
    for call in ('printf (getSecretValue "s")', '(getSecretValue "s") | printf'):
        message = failure(f"{{{{ {call} }}}}", {"s": format_})
        assert problem in message
        assert "q" not in message.rpartition(">: ")[2].replace("Secret", "")
    message = failure('{{ printf (getSecretValue "s") "x" }}', {"s": "%Z"})
    assert "a verb of the format does not fit a string" in message
    assert "Z" not in message


@pytest.mark.parametrize(
    "template", ['{{ (getSecretValueMap "a").api-key }}', "{{ .api-key }}", "{{ $m := .x }}{{ $m.api-key }}"]
)
def test_a_key_with_a_dash_is_explained(failure, template):
    assert failure(template).endswith('; a key with a dash is read with index: {{ index $object "api-key" }}')


def test_a_byte_order_mark_is_named(failure):
    message = failure('{{ fromJson (getSecretValue "s") }}', {"s": '\ufeff{"a": 1}'})
    assert "it begins with a byte order mark (U+FEFF)" in message


def test_an_error_of_the_template_alone_is_told_apart(engine, catalogue):
    for template, static in (
        ("{{ if }}", True),
        ('{{ required (print 1) "" }}', True),
        ('{{ required "x" "" }}', False),
    ):
        with pytest.raises(TemplateFailure) as raised:
            engine.render_sync(template, catalogue, {})
        assert raised.value.static is static
