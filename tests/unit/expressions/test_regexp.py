"""Users' regular expressions: RE2's syntax, its speed, and replacements."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.expressions import regexp


@pytest.mark.parametrize("pattern", ["", "^db/", r"\w+-\d{2}", "(a|b)*c", "(?i)x", r"\pL"])
def test_what_re2_takes_is_compiled(pattern):
    assert regexp.compile(pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "a**", r"(a)\1", "(?=a)", "x{100000}", "(?P<n", "\\"])
def test_an_expression_that_re2_rejects_is_an_error_of_one_line(pattern):
    with pytest.raises(ValueError, match="not a regular expression") as raised:
        regexp.compile(pattern)
    assert len(str(raised.value).splitlines()) == 1


def test_no_pattern_is_slow():
    started = time.process_time()
    for pattern in ("(a+)+$", "(a|a)*b", "(.*)(.*)(.*)(.*)x", "^(([a-z])+.)+[A-Z]([a-z])+$"):
        assert regexp.compile(pattern).search("a" * 10_000 + "!") is None
    assert time.process_time() - started < 10  # where repeats are tried one by one, it never ends


@pytest.mark.parametrize(
    ("rules", "key", "result"),
    [
        ([], "a/b", "a/b"),
        ([("/", "_")], "a/b/c", "a_b_c"),
        ([("^app/(.*)$", "$1")], "app/db", "db"),
        ([("(a)(b)", "$2$1")], "ab", "ba"),
        ([("(a)", "${1}1")], "a", "a1"),
        ([("a", "$$1")], "a", "$1"),
        ([("a", r"\1\n")], "a", r"\1\n"),
        ([("x", "y")], "a", "a"),
        ([("a", "b"), ("b", "c")], "a", "c"),
        ([("(.*)", "x-$1")], "ab", "x-ab"),
        ([("b*", "-")], "abc", "-a-c-"),
        ([("", "-")], "ab", "-a-b-"),
        ([("(.*)", "x-$1")], "", "x-"),
        ([("(a)|(b)", "[$1$2]")], "ab", "[a][b]"),
        ([("\u00e4", "ae")], "\u00e4\u00e4", "aeae"),
        ([("_", "-"), regexp.upper], "db_\u00e9\u00df", "DB-\u00c9\u00df"),
        ([regexp.lower, ("^", "x")], "DbA", "xdba"),
    ],
)
def test_keys_are_rewritten_by_all_rules_in_order(rules, key, result):
    assert regexp.rewrite(rules, key) == result


@pytest.mark.parametrize("target", ["$1", "${1}", "$12"])
def test_a_missing_group_is_an_error(target):
    with pytest.raises(ValueError, match="target names group"):
        regexp.replacement(regexp.compile("a"), target)


@given(source=st.text(max_size=10), target=st.text("$1{}\\ab", max_size=8), key=st.text(max_size=10))
def test_any_rule_rewrites_or_is_refused(source, target, key):
    try:
        regexp.replacement(regexp.compile(source), target)
    except ValueError:
        return
    assert isinstance(regexp.rewrite([(source, target)], key), str)


@pytest.mark.parametrize(
    "rules",
    [[("(.*)", "$1" * 450)], [("(.)", "$1" * 450)], [("", "x" * 1000)], [("(.+)", "$1$1")] * 20],
)
def test_rewriting_stops_when_the_key_becomes_too_long(rules):
    with pytest.raises(ValueError, match="becomes longer than 4096 characters") as raised:
        regexp.rewrite(rules, "s3cret" * 100)
    assert "s3cret" not in str(raised.value)


def test_a_key_that_is_too_long_is_not_rewritten():
    with pytest.raises(ValueError, match="longer than 4096 characters"):
        regexp.rewrite([("a", "b")], "x" * 4097)
    assert regexp.rewrite([("x", "y")], "x" * 4096) == "y" * 4096


def test_a_key_that_is_not_valid_text_is_not_rewritten():
    assert regexp.rewrite([("a", "b")], "half \ud800 a") == "half \ud800 a"
