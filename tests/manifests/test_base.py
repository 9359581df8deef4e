"""The manifests as files: comments, permissions, and agreement with the code and each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import secretsyncer
from sandbox.operator import MEMORY_LIMIT
from secretsyncer.aws.arn import Account
from secretsyncer.aws.services.secretsmanager import parse_secret_id
from secretsyncer.errors import Reason, Rejected
from secretsyncer.settings import Settings
from secretsyncer.sync.authorize import Rules, authorize
from secretsyncer.sync.budget import Budget
from secretsyncer.sync.data_from import select
from secretsyncer.sync.render import references
from secretsyncer.synced_secret import (
    ParameterReference,
    SecretKeyReference,
    SecretReference,
    SyncedSecretSpec,
    parse,
)
from tests.support import fast_yaml
from tests.support.builders import catalogue, entry
from tests.support.crd import nodes, schema, validator
from tests.support.specs import PGBOUNCER

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
BASE = MANIFESTS / "base"
SAMPLES = MANIFESTS / "samples"


@cache
def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in fast_yaml.load_all(path.read_text()) if document]


def the(kind: str) -> dict[str, Any]:
    found = [
        document for path in sorted(BASE.glob("*.yaml")) for document in documents(path) if document["kind"] == kind
    ]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def samples() -> list[dict[str, Any]]:
    found = [document for path in sorted(SAMPLES.glob("*.yaml")) for document in documents(path)]
    assert found, "there are samples"
    return found


def synced_secrets() -> list[Any]:
    return [
        pytest.param(sample, id=sample["metadata"]["name"])
        for sample in samples()
        if sample["kind"] == "SyncedSecret"
    ]


# The resource


def test_kubectl_explain_has_a_description_for_every_field() -> None:
    # Kubernetes allows none on metadata, which it describes itself.
    bare = [path for path, node in nodes(schema()) if not node.get("description") and path != ".metadata"]
    assert bare == []


def test_the_schema_is_structural_and_changes_no_object() -> None:
    for path, node in nodes(schema()):
        assert "type" in node, f"{path} has no type, so it is not structural"
        # A default written by the server shows as drift; these rules would apply to old objects, too.
        unwanted = {"default", "oneOf", "anyOf", "allOf", "not"} & node.keys()
        assert not unwanted, f"{path} has {unwanted}"


def test_the_names_are_those_of_the_go_operator() -> None:
    crd = the("CustomResourceDefinition")
    assert crd["metadata"]["name"] == "syncedsecrets.secrets.contentful.com"
    assert crd["spec"]["group"] == "secrets.contentful.com"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"]["kind"] == "SyncedSecret"
    assert crd["spec"]["names"]["shortNames"] == ["ss"]
    (version,) = crd["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1", True, True)
    assert version["subresources"] == {"status": {}}


def test_the_server_keeps_exactly_the_fields_that_the_operator_reads() -> None:
    definitions = SyncedSecretSpec.model_json_schema(by_alias=True)

    def of_model(node: dict[str, Any], path: str) -> Iterator[str]:
        if "$ref" in node:
            node = definitions["$defs"][node["$ref"].rsplit("/", 1)[1]]
        for choice in node.get("anyOf", []):
            yield from of_model(choice, path)
        for name, child in node.get("properties", {}).items():
            yield f"{path}.{name}"
            yield from of_model(child, f"{path}.{name}")
        if isinstance(node.get("items"), dict):
            yield from of_model(node["items"], f"{path}[]")

    in_crd = {path for path, _ in nodes(schema()["properties"]["spec"]) if path and not path.endswith("[]")}
    assert in_crd == set(of_model(definitions, ""))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"data": []},
        {"data": [{"name": "a"}]},
        {"data": [{"name": "a", "value": "1", "valueFrom": {"template": "x"}}]},
        {"data": [{"name": "a", "valueFrom": {"template": "x", "secretRef": {"name": "s"}}}]},
        {"data": [{"name": "a", "valueFrom": {}}]},
        {"data": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
        {"data": [{"name": "not/a key", "value": "1"}]},
        {"dataFrom": {}},
        {"IAMRole": "r", "AWSAccountID": "123456789012"},
        {"AWSAccountID": "12"},
        {"secretMetadata": {"name": "n", "namespace": "n", "creationTimestamp": None}},
    ],
)
def test_wrong_combinations_reach_the_operator(spec: dict[str, Any]) -> None:
    problems = validator().iter_errors({"apiVersion": "secrets.contentful.com/v1", "spec": spec})
    assert [problem.message for problem in problems] == []


@pytest.mark.parametrize(
    "spec",
    [
        {"IAMRole": 1},
        {"data": {"a": "b"}},
        {"data": [{"value": "no name"}]},
        {"dataFrom": {"secretRef": {}}},
        {"deletionPolicy": "Orphan"},
    ],
)
def test_wrong_types_are_refused_at_once(spec: dict[str, Any]) -> None:
    assert not validator().is_valid({"spec": spec})


def test_the_reasons_that_the_schema_explains_are_those_of_the_operator() -> None:
    conditions = schema()["properties"]["status"]["properties"]["conditions"]
    assert set(Reason) <= set(re.findall(r"\w+", conditions["description"]))
    pattern = conditions["items"]["properties"]["reason"]["pattern"]
    assert all(re.fullmatch(pattern, reason) for reason in Reason)


# The samples


@pytest.mark.parametrize("sample", synced_secrets())
def test_a_sample_is_valid_for_the_server_and_for_the_operator(sample: dict[str, Any]) -> None:
    assert [problem.message for problem in validator().iter_errors(sample)] == []
    assert parse(sample).key.namespace == "demo"


def test_each_sample_begins_by_explaining_itself() -> None:
    silent = [path.name for path in SAMPLES.rglob("*.yaml") if not path.read_text().startswith("# ")]
    assert silent == []


def test_the_namespace_of_the_samples_is_applied_before_them() -> None:
    assert [sample["kind"] for sample in samples()].index("Namespace") == 0


def test_the_aws_secrets_of_the_samples_are_all_there_and_all_used() -> None:
    (secrets,) = documents(SAMPLES / "aws" / "secrets.yaml")
    parameters = secrets.pop("parameters")
    specs = [parse(sample).spec for sample in samples() if sample["kind"] == "SyncedSecret"]
    everything = [reference for spec in specs for reference in references(spec)]
    named = [reference for reference in everything if isinstance(reference, SecretReference)]
    assert {reference.name for reference in everything if isinstance(reference, ParameterReference)} == {
        name for name in parameters if not name.startswith("/demo/web/")
    }
    listed = catalogue(*(entry(name, **secret.get("tags", {})) for name, secret in secrets.items()))
    finds = [spec.data_from.find for spec in specs if spec.data_from and spec.data_from.find]
    found = {secret.name for find in finds for secret in select(find, listed, Budget())}
    tagged = {name for name, secret in secrets.items() if "tag1" in secret.get("tags", {})}
    ids = {parse_secret_id(reference.name).name: reference for reference in named}
    assert {*ids, *found, *tagged} - {"app/license"} == set(secrets)
    assert ids["app/license"].optional
    missing = [
        (reference.name, reference.key)
        for reference in named
        if isinstance(reference, SecretKeyReference)
        and reference.key
        and reference.default is None
        and reference.key not in secrets[parse_secret_id(reference.name).name]["json"]
    ]
    assert missing == [("mysql", "pasword")], "only the broken sample is broken"


def test_only_the_denied_sample_uses_a_role_that_its_namespace_does_not_list() -> None:
    (namespace,) = (sample for sample in samples() if sample["kind"] == "Namespace")
    denied = []
    for sample in samples():
        if sample["kind"] == "SyncedSecret":
            try:
                authorize(
                    parse(sample).spec, namespace, Account("aws", "123456789012"),
                    Rules("iam.amazonaws.com/allowed-roles", require_annotation=True),
                )  # fmt: skip
            except Rejected:
                denied.append(sample["metadata"]["name"])
    assert denied == ["denied"]


def test_the_template_sample_is_the_one_that_users_of_the_go_operator_know() -> None:
    (sample,) = documents(SAMPLES / "template.yaml")
    assert sample["spec"]["data"][0]["valueFrom"]["template"] == PGBOUNCER


# What is granted


def granted(role: dict[str, Any]) -> dict[str, set[str]]:
    grants: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                grants.setdefault(f"{resource}.{group}".rstrip("."), set()).update(rule["verbs"])
    return grants


def test_the_operator_may_do_in_the_cluster_what_it_does_and_nothing_else() -> None:
    assert granted(the("ClusterRole")) == {
        "syncedsecrets.secrets.contentful.com": {"list", "watch"},
        "syncedsecrets/status.secrets.contentful.com": {"patch"},
        "namespaces": {"get", "list", "watch"},
        "secrets": {"get", "list", "watch", "create", "patch", "delete"},
        "events": {"create", "patch"},
    }


def test_the_operator_may_change_no_lease_but_its_own() -> None:
    role = the("Role")
    assert granted(role) == {"leases.coordination.k8s.io": {"get", "create", "update"}}
    unnamed = [rule["verbs"] for rule in role["rules"] if "resourceNames" not in rule]
    assert unnamed == [["create"]]


def test_roles_are_bound_to_the_account_that_the_deployment_runs_as() -> None:
    account = the("ServiceAccount")["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    for kind in ("ClusterRole", "Role"):
        binding = the(f"{kind}Binding")
        assert binding["subjects"] == [subject]
        assert binding["roleRef"]["kind"] == kind
        assert binding["roleRef"]["name"] == the(kind)["metadata"]["name"]
    deployment = the("Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
    namespaces = {the(kind)["metadata"]["namespace"] for kind in ("Deployment", "Role", "RoleBinding")}
    assert namespaces == {account["namespace"]} == {the("Namespace")["metadata"]["name"]}


# The deployment


def test_the_pod_meets_the_restricted_standard_with_a_read_only_file_system() -> None:
    pod = the("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pod_is_probed_where_the_operator_listens() -> None:
    pod = the("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == Settings().listen[1]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


def test_the_pod_sets_only_variables_that_the_operator_reads() -> None:
    (container,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    names = {variable["name"] for variable in container["env"]}
    assert {"LEADER_ELECTION", "POD_NAMESPACE"} <= names
    assert {name.lower() for name in names if not name.startswith("AWS_")} <= Settings.model_fields.keys()


def test_tests_run_the_operator_with_the_memory_of_the_pod() -> None:
    (container,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == f"{MEMORY_LIMIT // 1024**2}Mi"


def test_the_pod_is_given_longer_to_end_than_passes_may_take() -> None:
    assert the("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 20


def test_kustomize_takes_in_every_manifest_at_this_version() -> None:
    (kustomization,) = documents(BASE / "kustomization.yaml")
    others = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == others
    (container,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    assert kustomization["images"] == [{"name": container["image"], "newTag": secretsyncer.__version__}]


# The locks


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{name}.lock").read_text().splitlines()
    found = (re.match(r"([\w.-]+)(?:\[[\w, -]+\])?==(\S+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("name", ["build", "run"])
def test_what_is_tested_is_what_is_shipped(name: str) -> None:
    assert pins(name).items() <= pins("dev").items()


@pytest.mark.parametrize("name", ["build", "run", "dev"])
def test_every_locked_package_has_hashes_and_no_lock_names_a_place(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    entries = re.split(r"\n(?=\S)", text)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index|--find-links", text)
