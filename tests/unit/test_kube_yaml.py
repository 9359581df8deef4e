"""YAML means the same here as in kubectl, scalar by scalar."""

import json
import shutil
import subprocess

import pytest
import yaml

from secretsyncer.kube_yaml import dump_all, load_all
from tests.support.python import printed

SCALARS = """
~|null|Null|NULL|nULL|y|Y|yes|yEs|n|N|no|on|On|off|oFF|true|TRUE|tRue
2024-01-31|2024-1-1|2024-01-31T12:00:00Z|2001-12-14 21:59:43.10 -5|22:22|1:2:3|-1:30|190:20:30.15|=|<|<<
0|-0|+1|-1|1_000|1__0|_1|1_|0b11|0B11|-0b11|0b|0b2|0b1_0|0x1F|0X1f|-0x1f|0x|0xg|0x_1|0o17|0O17|0o8|0o1_7|0777|08|09|00|0_7
1e3|1E3|1e+3|1e-3|1.5|1.|-.5|.5|+.5|.|.5_0|1.5.2|1e|1e400|-1e400|1_0.5|1.5_0|1e5_0|012e3|0.0|-0.0|0e0|1f|0x1p4|1,000
9223372036854775807|9223372036854775808|18446744073709551615|18446744073709551616|-9223372036854775808
-9223372036854775809|123456789012345678901234567890|12345678.0|1e18|1e19|1e20|1e21|0.1|1.10|3.0|99999999999999999999
0x7fffffffffffffff|0xffffffffffffffff|0x1ffffffffffffffff|-0x8000000000000000|0777777777777777777777|१|inf|nan|Infinity
!!str 1|!!int "5"|!!int 0x10|!!float 1|!!float 1.5|!!bool yes|!!bool "true"|!!timestamp 2024-01-31|!!binary aGk=|!!str|!x 1
'1'|"1"|'yes'|''|&a 1|[1, 2024-01-31]|{a: 1:2}|{1: a}|{true: a}|{yes: a}|{0x10: a}|{2024-01-31: a}|{1e3: a}|{1.0: a}|{1.5: a}
""".strip().replace("\n", "|").split("|")  # fmt: skip
REFUSED = [".inf", "-.inf", ".NaN", "!!null x", "!!int 1.0", "{~: a}", "{[a]: b}", "- "]


def document(value):
    return f"apiVersion: example.com/v1\nkind: Sample\nmetadata: {{name: a}}\nspec:\n  value: {value}\n"


def by_kubectl(text):
    """What kubectl makes of it, without any cluster; None where it refuses."""
    command = ["kubectl", "annotate", "--local", "-f", "-", "-o", "json", "tried=yes"]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)
    return json.loads(ran.stdout) if ran.returncode == 0 else None


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")
def test_every_scalar_is_what_kubectl_makes_of_it():
    body = "".join(f"  v{number}: {text}\n" for number, text in enumerate(SCALARS))
    text = document("x") + body
    (ours,), theirs = load_all(text), by_kubectl(text)["spec"]
    for number, source in enumerate(SCALARS):
        value, wanted = ours["spec"][f"v{number}"], theirs[f"v{number}"]
        if isinstance(value, float):
            wanted = float(wanted)  # Go prints the shortest digits that give this number, without an exponent
        assert (type(value), value) == (type(wanted), wanted), source


@pytest.mark.parametrize("text", REFUSED)
def test_what_kubectl_refuses_is_refused(text):
    if shutil.which("kubectl"):
        assert by_kubectl(document(text)) is None
    with pytest.raises(yaml.YAMLError):
        load_all(document(text))


@pytest.mark.parametrize(
    "text",
    [
        "{a: &x {b: 1, c: 2}, d: {<<: *x, c: 3}}",
        "{a: 1, a: 2}",
        "&x {a: [*y], b: &y 1}",
        "|\n    2024-01-31\n    22:22",
        ">-\n    folded\n    text",
        "{? a : b, 2: [], x: {}}",
        "!!set {a, b}",
        "!tag {a: 1}",
    ],
)
def test_structures_are_what_kubectl_makes_of_them(text):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on the PATH")
    theirs = by_kubectl(document(text))
    if theirs is None:
        with pytest.raises(yaml.YAMLError):
            load_all(document(text))
    else:
        assert load_all(document(text))[0]["spec"] == theirs["spec"]


def test_what_is_written_is_read_back_by_kubectl_as_it_was():
    texts = [
        *SCALARS,
        "a\nb\n",
        "a\n\n",
        " a\nb",
        "a \nb",
        "\n",
        "a: b",
        "# a",
        "- a",
        "tab\there",
        "é\u2028",
        "\x07",
        "%a",
    ]
    wanted = {"apiVersion": "example.com/v1", "kind": "Sample", "metadata": {"name": "a"}}
    wanted["spec"] = {"texts": texts, **{text: text for text in texts}}
    written = dump_all([wanted])
    assert load_all(written) == [wanted]
    if shutil.which("kubectl"):
        assert by_kubectl(written)["spec"] == wanted["spec"]


def test_several_lines_are_written_as_they_are():
    assert (
        dump_all([{"template": "{{ if .a }}\n  b\n{{ end }}\n"}])
        == "template: |\n  {{ if .a }}\n    b\n  {{ end }}\n"
    )


def test_empty_documents_are_left_out():
    assert load_all("---\n---\na: 1\n---\n# nothing\n") == [{"a": 1}]


def test_the_values_y_and_n_can_be_read_as_text_while_keys_stay_those_of_kubectl():
    text = "[{a: y, N: n, b: 'Y', c: yes, d: N}]"
    assert load_all(text) == [[{"a": True, "false": False, "b": "Y", "c": True, "d": False}]]
    read = load_all(text, letters_are_text=True)
    assert read == [[{"a": "y", "false": "n", "b": "Y", "c": True, "d": "N"}]]
    assert load_all(dump_all(read[0])) == read[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000])
def test_a_document_that_is_too_deep_is_refused_before_the_stack_overflows(text):
    with pytest.raises(yaml.YAMLError, match="more than 200 levels deep"):
        load_all(text)


def test_a_document_may_be_deeper_than_any_manifest():
    (found,) = load_all("[" * 150 + "]" * 150)
    assert str(found) == "[" * 150 + "]" * 150


def test_without_the_c_library_the_same_is_read_and_written():
    code = (
        "import sys; sys.modules['yaml._yaml'] = None\n"
        "from secretsyncer.kube_yaml import dump_all, load_all\n"
        "print(load_all(dump_all([{'a': 'yes', 'b': 'x\\ny'}])))"
    )
    assert printed(code) == "[{'a': 'yes', 'b': 'x\\ny'}]\n"
