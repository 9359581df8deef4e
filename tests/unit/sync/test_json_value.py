"""A secret's value as text: numbers keep their source text, and invalid values get a clear message."""

import json
import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.sync import json_value
from secretsyncer.sync.budget import Budget, Exhausted, Limits
from secretsyncer.sync.json_value import Absent, Documents
from tests.support.builders import value

CANARY = "c4n4ry-v4lu3"

NUMBERS = [
    "0",
    "-0",
    "1",
    "1000000",
    "356136738",
    "9007199254740993",
    "1e5",
    "1E+5",
    "1e-7",
    "5432.10",
    "-12.50",
    "0.1",
    "3.0",
    "1e400",
    "123456789012345678901234567890",
    "9" * 5000,
]


def key_text(secret, name, key):
    return Documents(Budget()).key_text(secret, f"AWS secret {name}", key)


def path_text(secret, name, path):
    return Documents(Budget()).path_text(secret, f"AWS secret {name}", path)


def raw(secret):
    return json_value.raw(secret, Budget())


def text(content, key="k"):
    return key_text(value("app", content), "app", key).decode()


def at(source):
    """A JSON object with this at the key k."""
    return '{"k": ' + source + "}"


def failure(call, *arguments):
    with pytest.raises(Rejected) as raised:
        call(*arguments)
    assert raised.value.reason is Reason.INVALID_SECRET_VALUE
    assert CANARY not in raised.value.message
    return raised.value


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_its_source_text(number):
    assert text(at(number)) == number


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_its_source_text_inside_lists_and_objects(number):
    assert text(at('{"a": [N, {"b": N}]}'.replace("N", number))) == '{"a":[N,{"b":N}]}'.replace("N", number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_found_by_a_path_keeps_its_source_text(number):
    content = at('{"a": [N], "b": N}'.replace("N", number))
    assert path_text(value("app", content), "app", "k.b").decode() == number
    assert path_text(value("app", content), "app", "k").decode() == '{"a":[N],"b":N}'.replace("N", number)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"plain"', "plain"),
        ('""', ""),
        ('"5432"', "5432"),
        ('"null"', "null"),
        ('"a\\nb \\u00e9 \\ud83d\\ude00"', "a\nb \u00e9 \U0001f600"),
        ("true", "true"),
        ("false", "false"),
        ("{}", "{}"),
        ("[]", "[]"),
        ('{ "b" : 1 , "a" : [ true , null , "x" ] }', '{"b":1,"a":[true,null,"x"]}'),
        ('{"q": "say \\"hi\\"", "\\u00e9": "\\u0000"}', '{"q":"say \\"hi\\"","\u00e9":"\\u0000"}'),
        ('"\\u0000"', "\x00"),
    ],
)
def test_text_stays_and_everything_else_becomes_compact_json(source, expected):
    assert text(at(source)) == expected


def test_of_a_key_that_is_there_twice_the_last_one_counts_as_in_go():
    assert text('{"k": 1, "k": "two"}') == "two"


def test_space_around_the_object_does_not_matter():
    assert text(' \r\n\t{"k":1}\n ') == "1"


# What is not there


def test_a_missing_key_is_an_error_that_names_secret_and_key():
    absent = failure(key_text, value("app", {"other": CANARY}), "team/app", "pasword")
    assert isinstance(absent, Absent)
    assert absent.message == "AWS secret team/app has no key 'pasword'"


def test_null_is_an_error_and_counts_as_absent():
    absent = failure(key_text, value("app", '{"k": null}'), "app", "k")
    assert isinstance(absent, Absent)
    assert absent.message == "AWS secret app has null at key 'k'"


@pytest.mark.parametrize("path", ["x", "k.x", "list[5]", "list[?n > `9`] | [0]"])
def test_a_path_that_finds_nothing_is_absent(path):
    absent = failure(path_text, value("app", {"k": CANARY, "list": [{"n": 1}]}), "app", path)
    assert isinstance(absent, Absent)
    assert absent.message == f"AWS secret app has nothing at {path}"


# What is wrong


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is not JSON (line 1, column 1)"),
        (CANARY, "is not JSON (line 1, column 1)"),
        ('{"k": "' + CANARY, "is not JSON (line 1, column 7)"),
        ('{\n"k": ' + CANARY + "}", "is not JSON (line 2, column 6)"),
        ("{'k': 1}", "is not JSON (line 1, column 2)"),
        ('{"k": 1} ' + CANARY, "is not JSON (line 1, column 10)"),
        ('{"k": 01}', "is not JSON"),
        ('{"k": "tab\t"}', "is not JSON"),
        ("\ufeff{}", "is not JSON"),
        ("[1]", "is a JSON list"),
        (f'"{CANARY}"', "is a JSON string"),
        ("5", "is a JSON number"),
        ("5.5", "is a JSON number"),
        ("true", "is a JSON boolean"),
        ("null", "is a JSON null"),
        ('{"k": NaN}', "is JSON with NaN or Infinity"),
        ('{"k": [Infinity]}', "is JSON with NaN or Infinity"),
        ('{"k": -Infinity}', "is JSON with NaN or Infinity"),
        ('{"k": ' + "[" * 100_000, "is JSON nested too deeply"),
        ('{"k":' * 100_000, "is JSON nested too deeply"),
        (b"\x00\xff", "is binary and not text, but a JSON object is required; use secretRef for the whole value"),
        ("\ufeff{}", "is not JSON: it begins with a byte order mark (U+FEFF)"),
        (
            '{"k": 1}'.encode("utf-16"),
            "is binary and begins with the byte order mark of UTF-16; JSON has to be UTF-8",
        ),
        (
            '{"k": 1}'.encode("utf-32"),
            "is binary and begins with the byte order mark of UTF-32; JSON has to be UTF-8",
        ),
        (CANARY.encode(), "is not JSON (line 1, column 1)"),
        (b"[1]", "is a JSON list"),
        ('{"k":\n "' + CANARY + '\n"}', "is not JSON (line 2, column 15): there is a raw line break in a text"),
        ('{"k": "\r"}', "is not JSON (line 1, column 8): there is a raw line break in a text"),
        ('{"k": "\x01"}', "is not JSON (line 1, column 8): there is a raw control character in a text"),
    ],
)
def test_invalid_json_is_an_error_with_its_position_and_without_its_text(content, problem):
    for call, argument in ((key_text, "k"), (path_text, "k")):
        assert problem in failure(call, value("app", content), "app", argument).message
    with pytest.raises(Rejected) as raised:
        Documents(Budget()).parse(value("app", content), "AWS secret app")
    # A JSONDecodeError holds the whole document, so it must not hang on the failure as its cause.
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_what_is_nested_more_deeply_than_it_can_be_written_again_is_an_error():
    deep = '{"k": ' + "[" * 700 + "]" * 700 + "}"
    assert "nested too deeply" in failure(key_text, value("app", deep), "app", "k").message


@pytest.mark.parametrize("half", ['"\\ud83d"', '"a\\ude00b"', '["\\ud800"]', '{"\\udfff": 1}'])
def test_half_a_surrogate_pair_is_an_error_that_names_the_key(half):
    message = failure(key_text, value("app", at(half)), "app", "k").message
    assert message == "AWS secret app is not valid text at key 'k' (half of a surrogate pair)"
    assert message.encode()


def test_a_whole_text_with_half_a_surrogate_pair_is_an_error():
    assert "half of a surrogate pair" in failure(raw, value("app", CANARY + "\ud800")).message


@pytest.mark.parametrize("content", [b"", b"\x00\x01\xfe\xff", bytes(range(256)) * 4])
def test_bytes_are_taken_byte_for_byte(content):
    assert raw(value("app", content)) == content


def test_text_is_taken_as_utf_8():
    assert raw(value("app", " \u00e9\n")) == b" \xc3\xa9\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_json_that_aws_holds_as_bytes_is_read_in_every_form(mark):
    content = mark + '{"k": 1.50, "\u00e9": {"a": [1]}}'.encode()
    assert text(content) == "1.50"
    assert text(content, "\u00e9") == '{"a":[1]}'
    assert path_text(value("app", content), "app", "k") == b"1.50"
    texts, failure = Documents(Budget()).all_texts(value("app", content), "AWS secret app")
    assert (texts, failure) == ({"k": b"1.50", "\u00e9": b'{"a":[1]}'}, None)


# Limits


def test_each_value_is_parsed_once_however_many_items_refer_to_it():
    content = value("app", json.dumps({f"k{n}": "x" * 10 for n in range(2_000)}))
    documents = Documents(Budget(Limits(parsed=len(content.text))))
    for n in range(2_000):
        assert documents.key_text(content, "app", f"k{n}") == b"x" * 10
    assert documents.path_text(content, "app", "k1") == b"x" * 10
    with pytest.raises(Exhausted, match=f"{len(content.text) + 2} bytes of JSON; the limit is"):
        documents.parse(value("other", "{}"), "other")


@pytest.mark.parametrize(
    "path",
    [
        "join(s, l)",
        "join(join(join(s, l), l), l)",
        "l[*].not_null(`[0,0,0,0,0,0,0,0,0,0,0,0]`)[].not_null(`[0,0,0,0,0,0,0,0,0,0,0,0]`)[]",
        "to_string(to_array(" * 23 + "l" + "))" * 23,
        "l[*].not_null('" + "x" * 480 + "')",
        "l" + " | [?contains(@, '')]" * 20,
    ],
)
def test_a_path_that_produces_more_than_its_budget_is_stopped_early(path):
    content = value("app", {"l": [""] * 20_000, "s": "x" * 1_000})
    began = time.process_time()
    with pytest.raises(Exhausted, match="the limit is"):
        Documents(Budget(Limits(steps=100_000))).path_text(content, "app", path)
    assert time.process_time() - began < 10


# Paths


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", "1"),
        ("list[0].n", "1.50"),
        ("list[*].n", "[1.50,2]"),
        ("list[?n > `1.6`].n | [0]", "2"),
        ("max(list[*].n)", "2"),
        ("sort(list[*].n)", "[1.50,2]"),
        ("type(list[0].n)", "number"),
        ("avg(list[*].n)", "1.75"),
        ("max_by(list, &n).n", "2"),
        ("length(list)", "2"),
        ("keys(a)", '["b"]'),
        ("a.b == `1`", "true"),
        ("'literal'", "literal"),
    ],
)
def test_a_path_finds_what_jmespath_says(path, found):
    content = '{"a": {"b": 1}, "list": [{"n": 1.50}, {"n": 2}]}'
    assert path_text(value("app", content), "app", path).decode() == found


@pytest.mark.parametrize("path", ["length(`5`)", "sum(list)", "unknown(@)", "a[", "sort_by(list, &n)"])
def test_a_path_that_cannot_be_evaluated_is_an_error_without_the_secrets_text(path):
    failure(path_text, value("app", {"a": CANARY, "list": [CANARY, {"n": CANARY}, 1]}), "app", path)


# Whatever comes

ANY_TEXT = st.text(st.characters(), max_size=30)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(st.one_of(ANY_TEXT, JSON.map(json.dumps), st.binary(max_size=30)))
def test_any_secret_gives_bytes_or_a_failure_that_can_be_shown(content):
    for call, argument in ((key_text, "k"), (path_text, "*"), (path_text, "@")):
        try:
            assert isinstance(call(value("app", content), "app", argument), bytes)
        except SyncFailure as exc:
            assert exc.message.encode()  # noqa: PT017 - either is right
    try:
        assert isinstance(raw(value("app", content)), bytes)
    except SyncFailure as exc:
        assert exc.message.encode()  # noqa: PT017 - as above


@given(JSON)
def test_compact_json_means_what_the_secret_means(content):
    source = json.dumps(content)
    assume(not re.search(r"NaN|Infinity|\\ud[89a-f]|\bnull\b", source))
    written = text(at(source))
    assert content == (written if isinstance(content, str) else json.loads(written))


# Dotted paths


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", b""),
        ("a.c", b"nested"),
        ("ports.8080", b"http"),
        ("0", b"zero"),
        ("list.1.x", b"2"),
        (r"svc\.local.token", b"t"),
        ("users.o'brien", b"quoted"),
        ("gr\u00f6\u00dfe", b"L"),
        ("pa$$", b"1"),
        ("user@host", b"2"),
        ("hosts[0]", b"literal"),
        ("a b", b"space"),
        (r"back\\slash", b"3"),
        ("list", b'[{"x":1},{"x":2}]'),
    ],
)
def test_a_dotted_path_takes_names_and_numbers_as_they_are(path, found):
    content = {
        "a.b": "", "a": {"b": "nested", "c": "nested"}, "ports": {"8080": "http"}, "0": "zero",
        "list": [{"x": 1}, {"x": 2}], "svc.local": {"token": "t"}, "users": {"o'brien": "quoted"},
        "gr\u00f6\u00dfe": "L", "pa$$": "1", "user@host": "2", "hosts[0]": "literal", "a b": "space", "back\\slash": "3",
    }  # fmt: skip
    assert Documents(Budget()).member_text(value("app", content), "app", path) == found


def test_a_dotted_path_reads_a_list_as_well():
    assert Documents(Budget()).member_text(value("app", '[{"a": "one"}, {"a": "two"}]'), "app", "1.a") == b"two"


@pytest.mark.parametrize("path", ["a.x", "list.2", "list.x", "list.-1", "a.b.c", "none", "list.1.x.y"])
def test_a_dotted_path_that_finds_nothing_is_absent(path):
    content = value("app", {"a": {"b": "1"}, "list": [1, 2]})
    raised = failure(Documents(Budget()).member_text, content, "AWS secret app", path)
    assert isinstance(raised, Absent)
    assert raised.message == f"AWS secret app has nothing at path {path}"
