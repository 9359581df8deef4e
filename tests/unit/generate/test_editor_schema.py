"""The JSON Schema for editors accepts and rejects the same manifests as the operator."""

from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from generate import editor_schema
from secretsyncer.errors import Reason, Rejected
from secretsyncer.sync import status
from tests.support import fast_yaml
from tests.support.builders import synced_secret
from tests.support.invalid_specs import INVALID
from tests.support.specs import literal

ROOT = Path(__file__).parents[3]
MANIFESTS = [
    *sorted((ROOT / "manifests" / "samples").glob("*.yaml")),
    *sorted(ROOT.glob("docs/cookbook/*/manifest.yaml")),
]
JUDGED_BY_READING = (
    "not a regular expression",
    "not a JMESPath",
    "target names group",
    "must be at least 10s",
    "keys and values take",
)
MARKED = [spec for spec, message in INVALID if not any(words in message for words in JUDGED_BY_READING)]


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(editor_schema.schema())


def problems(obj):
    return [f"{problem.json_path}: {problem.message}" for problem in validator().iter_errors(obj)]


def test_it_is_a_json_schema():
    Draft7Validator.check_schema(editor_schema.schema())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_accepts_every_sample_and_recipe(path):
    objects = [obj for obj in fast_yaml.load_all(path.read_text()) if obj and obj["kind"] == "SyncedSecret"]
    assert [problems(obj) for obj in objects] == [[]] * len(objects)
    assert objects or path.name == "00-namespace.yaml"


@pytest.mark.parametrize("spec", MARKED)
def test_it_marks_what_the_operator_refuses(spec):
    assert problems(synced_secret(**spec))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "SyncedSecrets"},
        {"apiVersion": "secrets.contentful.com/v2"},
        {"metadata": None},
        {"Spec": {}},
        {"metadata": {"name": "a", "annotations": {"a": 1}}},
        {"status": {"conditions": [{"type": "Ready"}]}},
        {"spec": None},
    ],
    ids=str,
)
def test_it_marks_what_is_wrong_around_the_spec(change):
    assert problems({**synced_secret(literal("a", "1")), **change})


@pytest.mark.parametrize("part", ["apiVersion", "kind", "metadata", "spec"])
def test_it_marks_what_is_missing(part):
    obj = synced_secret(literal("a", "1"))
    del obj[part]
    assert problems(obj) == [f"$: '{part}' is a required property"]


def test_it_accepts_an_object_as_kubectl_prints_it():
    obj = synced_secret(literal("a", "1"), secretMetadata={"creationTimestamp": None})
    synced = status.synced({}, generation=1, sources=(), keys=1, now=0.0)
    failed = status.failed(synced, Rejected(Reason.CONFLICT, "why"), generation=2, now=1.0)
    assert problems({**obj, "status": synced}) == problems({**obj, "status": failed}) == []


def test_it_explains_every_field_in_the_words_of_the_definition():
    def described(node, path=""):
        for name, child in node.get("properties", {}).items():
            yield f"{path}.{name}", child["description"]
            yield from described(child, f"{path}.{name}")
        if "items" in node:
            yield from described(node["items"], f"{path}[]")

    definition = fast_yaml.load((ROOT / "manifests" / "crd.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for part in ("spec", "status"):
        assert dict(described(editor_schema.schema()["properties"][part])) == dict(described(schema[part]))
