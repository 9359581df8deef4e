"""JSON numbers: float64 that print as their source text, and compare with integers and floats alike."""

from __future__ import annotations

import json

import pytest

N = '{{ $n := (getSecretValueMap "n").n }}'


def number(source: str) -> dict[str, str]:
    return {"n": f'{{"n":{source}}}'}


@pytest.mark.parametrize(
    "source",
    [
        "0",
        "-0",
        "5432",
        "-1",
        "1000000",
        "356136738",
        "9007199254740993",
        "12345678901234567890",
        "-98765432109876543210987",
        "1.5",
        "1.50",
        "0.1",
        "1234567.5",
        "0.00001",
        "1e3",
        "1E+2",
        "2.5e-7",
        "1e400",
        "123456789012345678901234567890.5",
    ],
)
def test_a_number_prints_as_its_source_text(render, source):
    for form in (
        "$n",
        'printf "%v" $n',
        'printf "%s" $n',
        "print $n",
        "toString $n",
        "toJson $n",
        "toYaml $n",
        "html $n",
    ):
        assert render(f"{N}{{{{ {form} }}}}", number(source)) == source, form
    assert render('{{ list (getSecretValueMap "n").n }}', number(source)) == f"[{source}]"


@pytest.mark.parametrize(
    ("source", "form", "output"),
    [
        ("5432", "%d", "5432"),
        ("12345678901234567890", "%d", "12345678901234567890"),
        ("18446744073709551616", "%d", "18446744073709551616"),
        ("1e3", "%d", "1000"),
        ("2.0", "%d", "2"),
        ("7", "%05d", "00007"),
        ("7", "%+d|", "+7|"),
        ("7", "%-4d|", "7   |"),
        ("7", "%4v|%4s|%-4v|", "   7|   7|7   |"),
        ("99999999999999999999", "%25d|%-25v|", "     99999999999999999999|99999999999999999999     |"),
        ("1.50", "%6v|", "  1.50|"),
        ("1.50", "%.2f", "1.50"),
        ("0.125", "%.2f", "0.12"),
        ("5432", "%.2f", "5432.00"),
        ("1000000", "%g", "1e+06"),
        ("1000000", "%e", "1.000000e+06"),
        ("1.5", "%08.3f", "0001.500"),
    ],
)
def test_verbs_for_numbers(render, source, form, output):
    args = " $n" * form.count("%")
    assert render(f'{N}{{{{ printf "{form}"{args} }}}}', number(source)) == output


@pytest.mark.parametrize("form", ["%q", "%t", "%c", "%U", "%z", "%p", "%w"])
def test_verbs_that_do_not_fit_a_number_are_errors(failure, form):
    assert "does not fit" in failure(f'{N}{{{{ printf "{form}" $n }}}}', number("41"))


def test_d_does_not_fit_a_fraction(failure):
    assert "%d does not fit a number" in failure(f'{N}{{{{ printf "%d" $n }}}}', number("1.5"))


@pytest.mark.parametrize(
    ("source", "test", "truth"),
    [
        ("5432", "eq $n 5432", True),
        ("5432", "eq $n 5432.0", True),
        ("5432", "eq 1 2 $n", False),
        ("5432", "lt $n 6000", True),
        ("5432", "ge 5432 $n", True),
        ("1.50", "eq $n 1.5", True),
        ("1.5", "gt $n 1", True),
        ("1e3", "eq $n 1000", True),
        ("9007199254740993", "eq $n 9007199254740992", False),
        ("9007199254740993", "eq $n 9007199254740993", True),
        ("12345678901234567891", "gt $n 12345678901234567", True),
        ("12345678901234567891", "eq $n $n", True),
        ("1e400", "gt $n 1", True),
        ("0", "empty $n", True),
        ("0.0", "empty $n", True),
        ("0.0", "not $n", True),
        ("0.50", "not $n", False),
        ("3", "and $n true", True),
    ],
)
def test_numbers_compare_and_are_tested(render, source, test, truth):
    assert (
        render(f"{N}{{{{ if {test} }}}}true{{{{ else }}}}false{{{{ end }}}}", number(source)) == str(truth).lower()
    )


@pytest.mark.parametrize("test", ['eq $n "1"', "eq $n true", 'lt $n "2"', "eq 1 1.0"])
def test_different_kinds_do_not_compare(failure, test):
    assert "cannot compare" in failure(f"{N}{{{{ {test} }}}}", number("1"))


def test_numbers_of_a_text_and_of_a_secret_are_alike(render):
    assert render('{{ (fromJson "{\\"n\\": 12345678901234567890}").n }}') == "12345678901234567890"


def test_json_goes_through_unchanged(render):
    source = {"a": [1, 2.5, True, None, {"b": "c"}], "d": {}, "e": "é"}
    values = {"j": json.dumps(source)}
    assert json.loads(render('{{ getSecretValueMap "j" | toJson }}', values)) == source
    assert json.loads(render('{{ getSecretValue "j" | fromJson | toJson }}', values)) == source
