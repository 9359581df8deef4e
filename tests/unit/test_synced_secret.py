"""The SyncedSecret as users write it: what is accepted, and the messages for the rest."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.errors import MESSAGE_LIMIT, Reason, Rejected
from secretsyncer.kube.objects import Key, key_of
from secretsyncer.synced_secret import SyncedSecretSpec, is_data_key, parse, remarks, target_of
from secretsyncer.synced_secret.formats import duration
from tests.support.builders import parsed, synced_secret
from tests.support.invalid_specs import CANARY, INVALID
from tests.support.specs import PGBOUNCER, all_keys, literal, template, whole

GO_OPERATORS = """
apiVersion: secrets.contentful.com/v1
kind: SyncedSecret
metadata: {name: demo-service-secret, namespace: kube-secret-syncer}
spec:
  secretMetadata:
    name: demo-service-secret
    namespace: kube-secret-syncer
    creationTimestamp: null
    labels: {team: web}
    annotations: {randomkey: random/string}
  IAMRole: iam_role
  dataFrom: {secretRef: {name: cf/secret/test}}
  data:
    - {name: foo, value: bar}
    - {name: DB_PASS, valueFrom: {secretKeyRef: {name: random/aws/secret003, key: database_pass}}}
    - {name: key1, valueFrom: {secretRef: {name: cf/secret/test}}}
    - {name: conf, valueFrom: {template: '{{- getSecretValue "cachedSecret1" -}}'}}
status: {currentVersionID: ""}
"""


def rejection(**spec):
    with pytest.raises(Rejected) as raised:
        parse(synced_secret(**spec))
    assert raised.value.reason is Reason.INVALID_SPEC
    return raised.value.message


# What is accepted


def test_a_manifest_of_the_go_operator_with_all_its_fields_is_read():
    synced = parse(yaml.safe_load(GO_OPERATORS))
    assert synced.key == synced.secret == Key("kube-secret-syncer", "demo-service-secret")
    spec = synced.spec
    assert spec.iam_role == "iam_role"
    assert (spec.labels, spec.annotations) == ({"team": "web"}, {"randomkey": "random/string"})
    assert [reference.name for reference in spec.data_from.references] == ["cf/secret/test"]
    assert [item.name for item in spec.items] == ["foo", "DB_PASS", "key1", "conf"]
    literal_item, key_item, whole_item, template_item = spec.items
    assert literal_item.value == "bar"
    assert key_item.value_from.secret_key_ref.key == "database_pass"
    assert whole_item.value_from.secret_ref.name == "cf/secret/test"
    assert template_item.value_from.template == '{{- getSecretValue "cachedSecret1" -}}'


def test_an_account_instead_of_a_role_is_read():
    assert parsed(literal("a", "1"), AWSAccountID="123456789012").spec.aws_account_id == "123456789012"


@pytest.mark.parametrize(
    "field", ["IAMRole", "AWSAccountID", "secretMetadata", "dataFrom", "deletionPolicy", "target", "type", "adopt"]
)
def test_null_means_absent_as_it_does_in_go(field):
    assert parsed(literal("a", "1"), **{field: None}).spec == parsed(literal("a", "1")).spec


def test_null_data_beside_a_whole_secret_means_no_data():
    assert parsed(data=None, dataFrom=all_keys("app")).spec.items == ()


@pytest.mark.parametrize("field", ["IAMRole", "AWSAccountID"])
def test_an_empty_role_or_account_is_none(field):
    spec = parsed(literal("a", "1"), **{field: ""}).spec
    assert not spec.iam_role
    assert not spec.aws_account_id


def test_an_empty_literal_is_a_value():
    assert parsed(literal("a", "")).spec.items[0].value == ""


def test_a_name_may_come_twice_in_data_and_the_order_is_kept():
    items = parsed(literal("a", "1"), literal("b", "2"), literal("a", "3")).spec.items
    assert [(item.name, item.value) for item in items] == [("a", "1"), ("b", "2"), ("a", "3")]


def test_metadata_that_the_go_operator_ignored_is_ignored_in_any_form():
    metadata = {"name": "other", "namespace": "elsewhere", "creationTimestamp": "2020-01-01T00:00:00Z"}
    synced = parsed(literal("a", "1"), secretMetadata=metadata)
    assert synced.secret == Key("team", "demo")
    assert (synced.spec.labels, synced.spec.annotations) == ({}, {})


def test_what_matters_of_the_metadata_is_kept():
    synced = parsed(literal("a", "1"), name="n", namespace="ns", uid="u", generation=5)
    assert (synced.key, synced.uid, synced.generation) == (Key("ns", "n"), "u", 5)


@pytest.mark.parametrize(
    "text", ["a", "tls.crt", "UPPER_lower-9", ".dockerconfigjson", "x" * 253, "a..b", "-", "_"]
)
def test_a_key_that_kubernetes_takes_is_taken(text):
    assert is_data_key(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "..a", "a/b", "a b", "a\n", "\u00e4", "x" * 254, "a:b", "\u0661", "a\x00"]
)
def test_a_key_that_kubernetes_refuses_is_refused(text):
    assert not is_data_key(text)
    assert re.match(
        r"spec\.data\[0\]\.name: (must consist of letters|length must be at most 253)",
        rejection(data=[literal(text, "1")]),
    )


# What is refused, and what is said


@pytest.mark.parametrize(("spec", "message"), INVALID)
def test_problems_are_reported_with_their_path_and_without_a_value(spec, message):
    said = rejection(**spec)
    assert message in said
    assert CANARY not in said


@pytest.mark.parametrize("spec", [[], "text", 5, True, [{}]])
def test_a_spec_that_is_no_object_is_refused(spec):
    with pytest.raises(Rejected, match="spec: must be an object"):
        parse({**synced_secret(), "spec": spec})


@pytest.mark.parametrize("obj", [{}, {"spec": None}, {"spec": {}}, {"spec": {"data": []}}])
def test_an_object_without_data_is_read_as_the_go_operator_does(obj):
    spec = parse({"metadata": {"name": "demo"}, **obj}).spec
    assert not spec.has_values
    assert remarks(spec) == ["the spec has neither data nor dataFrom, so the Secret has no keys"]


def test_what_is_said_twice_or_not_at_all_is_read_as_the_go_operator_does_and_remarked():
    ref, key = {"secretRef": {"name": "s"}}, {"secretKeyRef": {"name": "s", "key": "k"}}
    spec = parsed(
        {"name": "a"},
        {"name": "b", "value": CANARY, "valueFrom": ref},
        {"name": "c", "valueFrom": {**ref, **key}},
        {"name": "d", "value": "1"},
        {"name": "e", "valueFrom": {}},
        {"name": "f", "value": "1", "valueFrom": {}},
    ).spec
    assert spec.items[1].reference.name == "s"
    assert spec.items[2].reference.key == "k"
    assert remarks(spec) == [
        "data[0] (a) has no value and is skipped",
        "data[1] (b) has value and valueFrom, and valueFrom is used",
        "data[2] (c) has secretRef and secretKeyRef, and secretKeyRef is used",
        "data[4] (e) has no value and is skipped",
    ]
    assert remarks(parsed(*[{"name": "a"}] * 100).spec)[-1] == "95 more items like these"


def test_all_problems_are_reported_at_once():
    said = rejection(
        IAMRole=5, data=[{"name": "a b", "value": "1"}, {"name": "c", "value": 1}], deletionPolicy="x", typ="x"
    )
    for path in ("spec.IAMRole", "spec.data[0].name", "spec.data[1]", "spec.deletionPolicy", "spec.typ"):
        assert path in said


def test_the_message_for_a_thousand_errors_is_within_its_limit():
    assert len(rejection(data=[{"name": "a/b"}] * 1000)) == MESSAGE_LIMIT


def test_what_is_refused_keeps_nothing_of_the_spec_in_its_chain_of_causes():
    with pytest.raises(Rejected) as raised:
        parse(synced_secret(data=[{"name": "a", "value": CANARY, "x": CANARY}]))
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_literals_and_templates_never_show_in_a_representation():
    synced = parsed(
        literal("a", CANARY),
        template("b", CANARY),
        {"name": "c", "valueFrom": {"secretRef": {"name": "s", "default": CANARY}}},
    )
    for shown in (repr(synced), str(synced), f"{synced.spec.items}", repr(synced.spec.items[0])):
        assert CANARY not in shown


def test_a_spec_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        parsed(literal("a", "1")).spec.iam_role = "other"


def test_hostile_texts_are_checked_quickly():
    hostile = "a" * 200_000 + "!"
    assert "roleSessionName" in rejection(data=[literal("a", "1")], roleSessionName=hostile)
    assert "refreshInterval" in rejection(data=[literal("a", "1")], refreshInterval="1" * 200_000 + "!")
    assert "target" in rejection(data=[literal("a", "1")], target={"name": "a-" * 100_000 + "!"})


# Keys, targets, durations


def test_a_key_reads_as_namespace_and_name():
    assert str(key_of({"metadata": {"name": "n", "namespace": "ns"}})) == "ns/n"
    assert key_of({"metadata": {"name": "n"}}) == Key("", "n")


@pytest.mark.parametrize(
    "spec", [None, [], {}, {"target": None}, {"target": {}}, {"target": {"name": 5}}, {"target": "x"}]
)
def test_without_a_target_the_secret_is_the_namesake_however_wrong_the_object(spec):
    assert target_of({"metadata": {"name": "n", "namespace": "ns"}, "spec": spec}) == Key("ns", "n")


def test_the_target_names_the_secret():
    obj = synced_secret(literal("a", "1"), target={"name": "other"})
    assert target_of(obj) == parse(obj).secret == Key("team", "other")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10s", 10), ("5m", 300), ("1h30m", 5400), ("1.5m", 90), (60, 60), (10.5, 10.5), ("720h", 2_592_000)],
)
def test_a_duration_is_read(value, seconds):
    assert duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "10", "s", "1d", "-5m", "9s", "721h", 5, True, [], {}, float("nan"), 10**400, -(10**400), "9" * 400 + "h"],
)
def test_an_invalid_or_excessive_duration_is_an_error(value):
    with pytest.raises(ValueError, match="must be"):
        duration(value)


# Whatever comes

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _field_names(schema):
    for part in [schema, *schema.get("$defs", {}).values()]:
        yield from part.get("properties", {})


NAMES = sorted(set(_field_names(SyncedSecretSpec.model_json_schema(by_alias=True))))
AROUND = st.recursive(
    st.one_of(SCALARS, st.sampled_from(["10s", "Retain", "app/config", "a", "base64", "", "[a", "$1"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


def _parses_or_is_refused(spec):
    failure = None
    try:
        synced = parse({**synced_secret(), "spec": spec})
    except Rejected as exc:
        failure = exc
    if failure:
        assert failure.reason is Reason.INVALID_SPEC
        assert re.match(r"spec[.:\[]", failure.message)
    else:
        assert synced.spec.has_values or remarks(synced.spec)


@given(JSON)
def test_any_json_as_a_spec_is_read_or_refused(spec):
    _parses_or_is_refused(spec)


@given(st.dictionaries(st.sampled_from([*SyncedSecretSpec.model_json_schema(by_alias=True)["properties"]]), AROUND))
def test_anything_made_of_the_fields_of_the_schema_is_read_or_refused(spec):
    _parses_or_is_refused(spec)


def test_the_template_of_the_go_operators_readme_is_kept_letter_by_letter():
    assert parsed(template("conf", PGBOUNCER)).spec.items[0].value_from.template == PGBOUNCER


def test_a_whole_secret_is_read():
    assert parsed(whole("a", "s")).spec.items[0].value_from.secret_ref.name == "s"


def test_labels_and_annotations_are_checked_as_kubernetes_does():
    labels = {"a": "", "A.b_c-1": "X.y_z-9", f"{'x' * 253}/{'y' * 63}": "x" * 63, "app.example.com/name": "web"}
    annotations = {**labels, "Example.com/A": "any \n text", "b": "x" * 250_000}
    synced = parsed(literal("a", "1"), secretMetadata={"labels": labels, "annotations": annotations})
    assert (synced.spec.labels, synced.spec.annotations) == (labels, annotations)
