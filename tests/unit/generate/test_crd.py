"""The generated CRD: the limits that the API server enforces, and the columns of `kubectl get`."""

import re

import pytest
import yaml

from generate import crd
from tests.support.crd import nodes

LIMITS = {"minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems"}


def test_the_file_says_what_the_definition_is():
    assert yaml.safe_load(crd.text()) == crd.definition()


def test_limits_of_the_spec_are_left_to_the_operator():
    assert [path for path, node in nodes(crd.schema()["properties"]["spec"]) if LIMITS & node.keys()] == []


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
