"""The JMESPath expressions that are allowed, and their limits."""

from contextlib import suppress

import pytest

from secretsyncer.expressions import jmespath


def free(steps):
    """Charge nothing."""


@pytest.mark.parametrize("expression", ["a", "a.b[0]", "a[?b > `1`].c", "sort_by(a, &b)[0]", "keys(@)", "a || b"])
def test_an_expression_that_only_looks_is_accepted(expression):
    jmespath.check(expression)


@pytest.mark.parametrize(
    "expression", ["[a, b]", "{x: a}", "a.[b, c]", "a[*].{x: y}", "a[?[b]]", "not_null(a, [b])"]
)
def test_an_expression_that_copies_is_refused(expression):
    with pytest.raises(ValueError, match="multi-selects"):
        jmespath.check(expression)


def test_map_is_refused():
    with pytest.raises(ValueError, match=r"map\(\) is not supported"):
        jmespath.check("map(&a, b)")


@pytest.mark.parametrize("expression", ["&a", "a || &b", "not_null(&a)", "to_array(&a)", "a.b | &c"])
def test_an_expression_as_a_value_is_refused_because_it_is_no_json(expression):
    with pytest.raises(ValueError, match="& is only for sort_by"):
        jmespath.check(expression)


@pytest.mark.parametrize("expression", ["", "a[", "a..b", "'", "a b", "(" * 500, "a\nb", "\ud800"])
def test_an_invalid_expression_is_an_error_of_one_line(expression):
    with pytest.raises(ValueError, match="not a JMESPath expression: ") as raised:
        jmespath.check(expression)
    assert len(str(raised.value).splitlines()) == 1


def test_an_expression_has_at_most_512_characters():
    jmespath.check("a" * 512)
    with pytest.raises(ValueError, match="longer than 512"):
        jmespath.check("a" * 513)


def test_a_failing_function_is_an_error_with_the_expression_and_without_the_document():
    with pytest.raises(ValueError, match="cannot be evaluated") as raised:
        jmespath.search("sum(a)", {"a": ["s3cret"]}, free)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    "expression", ["@" + "[]" * 250, "a[*]" + "[*]" * 160, "a[?b > `1`]" + " | [?b > `1`]" * 30]
)
def test_no_expression_takes_long(expression):
    document, steps = {"a": [{"b": n} for n in range(2000)]}, []
    with suppress(ValueError):  # too deep is an answer, too
        jmespath.search(expression, document, steps.append)
    assert 0 < sum(steps) < 500_000, "a reconcile may use half a million"


@pytest.mark.parametrize("expression", ["api-key", "a.api-key[0]", "a['x-y'] || api-key", "api-key.b"])
def test_a_key_with_a_dash_is_explained(expression):
    with pytest.raises(ValueError, match=r'write a key with a dash in double quotes: "api-key"$'):
        jmespath.check(expression)


@pytest.mark.parametrize("expression", ['"api-key"', "a == 'x-y'", "a == `-1`", "a[-1]"])
def test_a_dash_that_is_quoted_or_a_minus_is_fine(expression):
    jmespath.check(expression)


@pytest.mark.parametrize(
    ("expression", "document", "found", "least"),
    [
        ("join('-', a)", {"a": ["xx", "yy"]}, "xx-yy", 6),
        ("to_string(a)", {"a": {"b": [1, 2]}}, '{"b":[1,2]}', 11),
        ("to_string(a)", {"a": "text"}, "text", 1),
        ("a[]", {"a": [[1, 2], 3]}, [1, 2, 3], 3),
        ("a[]", {"a": "text"}, None, 1),
        ("a[1:]", {"a": [1, 2, 3]}, [2, 3], 3),
        ("a[1:]", {"a": {"b": 1}}, None, 1),
        ("items(a)[?starts_with([0], 'pass')] | [0][1]", {"a": {"user": "u", "password": "p"}}, "p", 4),
        ("keys(a)", {"a": {"b": 1, "c": 2}}, ["b", "c"], 2),
    ],
)
def test_what_an_expression_makes_is_charged(expression, document, found, least):
    charged = []
    assert jmespath.search(expression, document, charged.append) == found
    assert sum(charged) >= least


def test_an_expression_ends_where_the_budget_ends():
    spent = 0

    def charge(steps):
        nonlocal spent
        spent += steps
        if spent > 1000:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        jmespath.search("join(join('x', a), a)", {"a": ["y" * 100] * 100}, charge)
    assert spent < 20_000
