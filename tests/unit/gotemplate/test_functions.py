"""The functions in addition to Go's own, with the names, arguments and results of sprig."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml

M = '{{ $m := getSecretValueMap "all" }}'


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ('base64 "bob"', "Ym9i"),
        ("base64 $m.port", "NTQzMg=="),
        ("base64 $m.flag", "dHJ1ZQ=="),
        ('b64enc "é"', "w6k="),
        ('b64dec "w6k="', "é"),
        ('indent 2 "a\\nb"', "  a\n  b"),
        ('"a\\n\\nb" | indent 1', " a\n \n b"),
        ('nindent 2 "a\\nb"', "\n  a\n  b"),
        ('quote "a\\"b" 1 true', '"a\\"b" "1" "true"'),
        ('squote "a" 1', "'a' '1'"),
        ('trim " a b\\n"', "a b"),
        ('trimAll "$-" "$-a-$"', "a"),
        ('trimPrefix "-" "-a-"', "a-"),
        ('trimSuffix "-" "-a-"', "-a"),
        ('upper "é" | lower', "é"),
        ('upper "aé"', "AÉ"),
        ('replace "a" "bb" "banana"', "bbbnbbnbb"),
        ('(split "," "x,y")._1', "y"),
        ('index (splitList "," "x,y") 1', "y"),
        ('splitList "," "x,y" | join "-"', "x-y"),
        ('join "-" (list 1 "a" $m.port true)', "1-a-5432-true"),
        ('join "-" $m.list', "a-b-3"),
        ('contains "b" "abc"', "true"),
        ('hasPrefix "a" "abc"', "true"),
        ('hasSuffix "a" "abc"', "false"),
        ('default "d" $m.gone', "d"),
        ('$m.none | default "d"', "d"),
        ('$m.empty | default "d"', "d"),
        ("$m.zero | default 7", "7"),
        ('$m.user | default "d"', "bob"),
        ('default "d"', "d"),
        ('required "no user" $m.user', "bob"),
        ('$m.user | required "no user"', "bob"),
        ("required `no port` $m.zero", "0"),
        ("ternary 1 2 $m.flag", "1"),
        ("$m.no | ternary 1 2", "2"),
        ('coalesce $m.gone $m.none "" 0 "x" "y"', "x"),
        ("empty $m.gone | print (empty $m.list)", "false true"),
        ('(dict "a" 1 "b").a', "1"),
        ('dict "a" 1 "b" | toJson', '{"a":1,"b":""}'),
        ("keys $m.object", "[deep in]"),
        ('keys (dict "b" 1) (dict "a" 1)', "[a b]"),
        ('values (dict "b" 1 "a" 2)', "[2 1]"),
        ('hasKey $m "user"', "true"),
        ('hasKey $m "gone"', "false"),
        ('get $m "user"', "bob"),
        ('get $m "gone" | default "d"', "d"),
        ('int "42"', "42"),
        ("int $m.port | printf `%03d`", "5432"),
        ("int 1.9", "1"),
        ("int true", "1"),
        ("toString 1.5", "1.5"),
        ('toJson (dict "a" (list 1 nil "<"))', '{"a":[1,null,"\\u003c"]}'),
        ('(fromJson "{\\"a\\": [1, {\\"b\\": 2}]}").a | toJson', '[1,{"b":2}]'),
        ('sha256sum "abc"', hashlib.sha256(b"abc").hexdigest()),
        ("upper $m.port", "5432"),
    ],
)
def test_function(render, expression, output):
    assert render(f"{M}{{{{ {expression} }}}}") == output


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ('b64dec "%%%"', "not base64"),
        ('fromJson "{"', "not JSON"),
        ('fromJson "{} {}"', "not JSON"),
        ('fromJson ""', "not JSON"),
        ('int "abc"', "not an integer"),
        ('int "1.5"', "not an integer"),
        ("int 1e300", "too large"),
        ("int $m.list", "must be a number, but is a list"),
        ("upper $m.object", "must be a string, but is an object"),
        ("upper $m.none", "missing or null"),
        ("upper $m.gone", 'the secret "all" has no key "gone"'),
        ('join "," (list 1 nil)', "missing or null"),
        ("quote $m.none", "missing or null"),
        ("toString $m.none", "missing or null"),
        ("keys $m.user", "must be an object, but is a string"),
        ('get $m.list "a"', "must be an object, but is a list"),
        ("required `user is needed` $m.gone", "user is needed"),
        ("required `user is needed` $m.empty", "user is needed"),
        ("$m.none | required `user is needed`", "user is needed"),
        ("required $m.user $m.gone", "the message must be a string literal"),
        ("coalesce $m.gone $m.none", "missing or null"),
        ("ternary 1 2 $m.gone", "expected bool"),
        ("toYaml (dict `a` 1+2i)", "cannot be written as YAML"),
        ("toJson 1+2i", "cannot be written as JSON"),
        ('indent 1e9 "x"', "longer than"),
        ('indent -1 "x"', "longer than"),
        ('filterByName .Secrets "("', "regular expression is invalid: missing closing )"),
        ('getSecretValue ""', "not a valid name of a secret"),
        ("getSecretValue $m.list", "must be a string"),
        ('getSecretValueMap "text"', 'the secret "text" is not JSON (line 1, column 1)'),
    ],
)
def test_function_refuses(failure, expression, reason):
    assert reason in failure(f"{M}{{{{ {expression} }}}}")


@pytest.mark.parametrize(
    "name",
    [
        "env",
        "expandenv",
        "now",
        "date",
        "randAlphaNum",
        "genPrivateKey",
        "getHostByName",
        "htpasswd",
        "include",
        "tpl",
    ],
)
def test_pure_modules_import_no_client(failure, name):
    assert f'function "{name}" not defined' in failure(f"{{{{ {name} }}}}")


@pytest.mark.parametrize("name", ["_print", "_field", "_range"])
def test_internal_functions_cannot_be_called(failure, name):
    assert f'function "{name}" not defined' in failure(f'{{{{ {name} "x" }}}}')


TRICKY = [
    *(
        "",
        " ",
        "a",
        "a b",
        "null",
        "Null",
        "~",
        "true",
        "yes",
        "No",
        "on",
        "y",
        "1",
        "1.5",
        "0x1f",
        "1e3",
        "-",
        "- a",
        "a: b",
    ),
    *(
        "a #b",
        "#c",
        "'q'",
        '"d"',
        "@x",
        "`x`",
        "%x",
        "&x",
        "*x",
        "!x",
        "|",
        ">",
        "{",
        "[",
        "]",
        ",",
        "?",
        ":",
        "=",
        "<<",
        "a:",
    ),
    *(
        "multi\nline",
        "tab\t",
        "trailing ",
        "é",
        "\u2028",
        "\x00\x1f\x7f\x85",
        "\U0001f600",
        "2024-01-01",
        ".inf",
        "-.5",
        "0o17",
    ),
    *("path/to.file-x_1", "_a", "12:30", "\ufeff", "back\\slash", "---", "..."),
]


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": [1, [2, [], {}], {"c": [], "d": {"e": None}}], "f": {}}, "g": [[{"h": "i", "j": [1]}]]},
        {text or "empty": text for text in TRICKY},
        {"list": TRICKY},
        dict.fromkeys(TRICKY, 1),
        {"deep": [{"a": 1, "b": [{"c": 2}]}, {"d": [[3, 4], [5]]}]},
    ],
)
def test_yaml_reads_back_as_it_was(render, value):
    written = render('{{ getSecretValueMap "v" | toYaml }}', {"v": json.dumps(value)})
    assert yaml.safe_load(written) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", "a b"),
        ("a: b", "'a: b'"),
        ("it's", "it's"),
        ("'it' is", "'''it'' is'"),
        ("yes", '"yes"'),
        ("2026-01-01", '"2026-01-01"'),
        ("12:30", '"12:30"'),
        ("1_000", '"1_000"'),
        ("1.2.3", "1.2.3"),
        ("\t\u2028\U0001f600", r'"\t\L\U0001F600"'),
        (" \na", r'" \na"'),
        ({"pem": "--\nx\n", "b": 1}, "b: 1\npem: |\n  --\n  x"),
        ({"a": ["x\n\n", " y\nz"]}, "a:\n- |+\n  x\n\n- |2-\n   y\n  z"),
        ({"a10": 1, "a2": 2, "_": 3, "B": 4}, "_: 3\nB: 4\na2: 2\na10: 1"),
        ({"k": "w" * 81 + " x  y"}, "k: " + "w" * 81 + "\n  x  y"),
        ({"k": "w: " + "w" * 81 + " x"}, "k: 'w: " + "w" * 81 + "\n  x'"),
        ({"k": ["\t" + "w" * 81 + "  x"]}, 'k:\n- "\\t' + "w" * 81 + '\n  \\ x"'),
    ],
)
def test_yaml_is_written_as_helm_writes_it(render, value, written):
    made = render('{{ fromJson (getSecretValue "v") | toYaml }}', {"v": json.dumps(value)})
    assert made == written
    assert yaml.safe_load(f"{made}\n") == value


@pytest.mark.parametrize("source", ["1", '"a"', "[]", "{}", '["a",1]', "[[1,2],[3]]"])
def test_yaml_of_any_value_reads_back(render, source):
    written = render('{{ fromJson (getSecretValue "v") | toYaml }}', {"v": source})
    assert yaml.safe_load(written) == json.loads(source)


def test_yaml_goes_under_a_key_with_nindent(render):
    values = {"v": '{"a":{"b":[1,{"c":"d"}]}}'}
    written = render('x:{{ getSecretValueMap "v" | toYaml | nindent 2 }}', values)
    assert written == "x:\n  a:\n    b:\n    - 1\n    - c: d"


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ('title "a bc d\'e"', "A Bc D'E"),
        ('nospace " a b\\n"', "ab"),
        ('cat "a" 1 true', "a 1 true"),
        ('repeat 3 "ab"', "ababab"),
        ('substr 1 3 "abcd"', "bc"),
        ('substr -1 2 "abcd"', "ab"),
        ('substr 2 -1 "abcd"', "cd"),
        ('trunc 2 "abcd"', "ab"),
        ('trunc -2 "abcd"', "cd"),
        ('trunc 9 "abcd"', "abcd"),
        ('sha1sum "a"', hashlib.sha1(b"a").hexdigest()),
        ('sha512sum "a"', hashlib.sha512(b"a").hexdigest()),
        ('b32enc "a"', "ME======"),
        ('dict "a" "<" | toRawJson', '{"a":"<"}'),
        ('dict "a" "<" | mustToJson', '{"a":"\\u003c"}'),
        ('dict "a" (list 1) | toPrettyJson', '{\n  "a": [\n    1\n  ]\n}'),
        ("(mustFromJson `[1, 2]`) | last", "2"),
        ('regexMatch "^a+$" "aa"', "true"),
        ('regexFind "[0-9]+" "a12b3"', "12"),
        ('regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"', "-W-xxW-"),
        ('add 1 "2" 3', "6"),
        ("mul 2 3", "6"),
        ("sub 5 2", "3"),
        ("div 7 2", "3"),
        ("mod 7 2", "1"),
        ("max 1 3 2", "3"),
        ("min 3 1 2", "1"),
        ('atoi "12" | add 1', "13"),
        ('splitList "," "a,b,c" | first', "a"),
        ('splitList "," "a,b,c" | rest | join "+"', "b+c"),
        ('splitList "," "a,b,c" | initial | join "+"', "a+b"),
        ('append (list "a") "b" | join "+"', "a+b"),
        ('prepend (list "a") "b" | join "+"', "b+a"),
        ('list "a" "b" "a" | uniq | join "+"', "a+b"),
        ('has "b" (list "a" "b")', "true"),
        ('list "b" "a" | sortAlpha | join "+"', "a+b"),
        ('pick (dict "a" 1 "b" 2) "a" | toJson', '{"a":1}'),
        ('omit (dict "a" 1 "b" 2) "a" | toJson', '{"b":2}'),
        ("list | first | empty", "true"),
        ("list | rest | len", "0"),
    ],
)
def test_function_of_converted_templates(render, expression, output):
    assert render(M + "{{ " + expression + " }}") == output


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("div 1 0", "division by zero"),
        ("mod 1 0", "division by zero"),
        ('repeat 9999999 "aaa"', "the string would be longer"),
        ('regexReplaceAll "" (repeat 3000 "a") (repeat 3000 "b")', "the string would be longer"),
        ('regexMatch "(" "a"', "the regular expression is invalid"),
        ('substr 3 1 "abcd"', "the start is behind the end"),
        ('first "a"', "must be a list, but is a string"),
        ('add "x"', "the string is not an integer"),
        ('pick "a" "b"', "must be an object, but is a string"),
    ],
)
def test_function_of_converted_templates_refuses(failure, expression, reason):
    assert reason in str(failure("{{ " + expression + " }}"))
