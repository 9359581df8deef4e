"""The generated CRD: the limits that the API server enforces, and the columns of `kubectl get`."""

import re

import pytest

from generate import crd
from tests.support import fast_yaml
from tests.support.broken_rules import BROKEN, condition_of
from tests.support.crd import nodes

LIMITS = {"minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems"}


def test_the_file_says_what_the_definition_is():
    assert fast_yaml.load(crd.text()) == crd.definition()


SIZES = {"string": "maxLength", "array": "maxItems"}


def test_limits_of_the_spec_but_for_sizes_are_left_to_the_operator():
    limits = LIMITS - set(SIZES.values())
    assert [path for path, node in nodes(crd.schema()["properties"]["spec"]) if limits & node.keys()] == []


@pytest.mark.parametrize("part", ["spec", "status"])
def test_everything_that_is_stored_has_a_largest_size(part):
    """Else one object could take any amount of memory in whatever watches it."""
    endless = []
    for path, node in nodes(crd.schema()["properties"][part]):
        size = "maxProperties" if "additionalProperties" in node else SIZES.get(node["type"])
        if size and size not in node and not {"enum", "format"} & node.keys():
            endless.append(path)
    assert endless == []


def test_limits_of_a_condition_are_those_of_kubernetes():
    condition = crd.schema()["properties"]["status"]["properties"]["conditions"]["items"]["properties"]
    limits = {
        name: {word: value for word, value in node.items() if word in LIMITS} for name, node in condition.items()
    }
    assert limits == {
        "type": {"maxLength": 316},
        "status": {},
        "observedGeneration": {"minimum": 0},
        "lastTransitionTime": {},
        "reason": {"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        "message": {"maxLength": 32768},
    }


def test_conditions_are_merged_by_their_type():
    conditions = crd.schema()["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_only_a_creation_timestamp_may_be_null():
    nullable = [path for path, node in nodes(crd.schema()) if node.get("nullable")]
    assert nullable == [".spec.secretMetadata.creationTimestamp"]


@pytest.mark.parametrize("column", crd.COLUMNS, ids=lambda column: column.name)
def test_a_column_shows_a_declared_field(column):
    path = re.sub(r"\[\?.*?\]", "[]", column.path)
    assert path in {path for path, _ in nodes(crd.schema())} | {".metadata.creationTimestamp"}


def rules():
    """All rules, as conditions about no item in particular."""
    for path, node in nodes(crd.schema()):
        for rule in node.get("x-kubernetes-validations", ()):
            message = rule["message"]
            yield message if message.startswith("spec") else f"{path.removeprefix('.')}: {message}"


def in_general(condition):
    """The condition without what is special in it."""
    of_any = re.sub(r"\[\d+\]|(?<=labels)\.\w+", "[]", condition)
    return re.sub(r"(?<=the keys ).*(?= are)|(?<=take )\d+(?= bytes)", "…", of_any)


def test_each_rule_has_an_object_that_breaks_it():
    """With these objects, `tests/integration/test_crd_rules.py` asks a real server."""
    broken = {in_general(condition_of(spec)) for spec in BROKEN}
    assert broken == set(rules()), "add an object to tests/support/broken_rules.py"


def test_each_rule_accepts_what_has_not_changed():
    """Kubernetes 1.32 would refuse the status of an object from before the rule."""
    found = [rule for _, node in nodes(crd.schema()) for rule in node.get("x-kubernetes-validations", ())]
    assert [rule for rule in found if "oldSelf.value()" not in rule["rule"] or not rule["optionalOldSelf"]] == []


def test_there_are_no_defaults():
    """They look like drift to tools that compare an object with its source."""
    assert [path for path, node in nodes(crd.schema()) if "default" in node] == []
