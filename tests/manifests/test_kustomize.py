"""kubectl builds everything under manifests/, and the results are consistent."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from secretsyncer.settings import Settings
from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS
from tests.support.tools import needs_kubectl, run

pytestmark = needs_kubectl

Object = dict[str, Any]
OVERLAYS = [
    ".",
    "base",
    *sorted(str(folder.relative_to(MANIFESTS)) for folder in (MANIFESTS / "overlays").iterdir()),
]
LABEL = {"app.kubernetes.io/name": "secretsyncer"}
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@cache
def build(folder: Path) -> list[Object]:
    return list(fast_yaml.load_all(run("kubectl", "kustomize", folder)))


def kinds(objects: list[Object]) -> list[str]:
    return sorted(obj["kind"] for obj in objects)


def the(kind: str, overlay: str) -> Object:
    (found,) = (obj for obj in build(MANIFESTS / overlay) if obj["kind"] == kind)
    return found


def environment(overlay: str) -> dict[str, Any]:
    (container,) = the("Deployment", overlay)["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


@pytest.fixture
def layered(tmp_path):
    """Build a kustomization that somebody else writes over ours."""

    def build_it(
        overlay: str, components: tuple[str, ...] = ("components/prometheus",), **more: Any
    ) -> list[Object]:
        folder = Path(os.path.relpath(MANIFESTS, tmp_path))
        parts = {"components": [str(folder / component) for component in components], **more}
        (tmp_path / "kustomization.yaml").write_text(
            yaml.safe_dump({"resources": [str(folder / overlay)], **parts})
        )
        return build(tmp_path)

    yield build_it
    build.cache_clear()


@every_overlay
def test_it_builds_and_everything_carries_the_label_that_selects_it(overlay):
    for obj in build(MANIFESTS / overlay):
        if obj["kind"] != "CustomResourceDefinition":
            assert LABEL.items() <= obj["metadata"]["labels"].items(), obj["kind"]


@every_overlay
def test_what_is_referred_to_is_there(overlay):
    objects = build(MANIFESTS / overlay)
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in objects}
    for obj in objects:
        if obj["kind"].endswith("Binding"):
            assert (obj["roleRef"]["kind"], obj["roleRef"]["name"]) in names
            assert all((subject["kind"], subject["name"]) in names for subject in obj["subjects"])
    pod = the("Deployment", overlay)["spec"]["template"]
    assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in names
    selectors = [obj["spec"]["selector"] for obj in objects if obj["kind"] == "Service"]
    selectors += [obj["spec"]["podSelector"]["matchLabels"] for obj in objects if obj["kind"] == "NetworkPolicy"]
    selectors += [obj["spec"]["selector"]["matchLabels"] for obj in objects if obj["kind"] == "PodDisruptionBudget"]
    assert selectors
    assert all(selector.items() <= pod["metadata"]["labels"].items() for selector in selectors)


@every_overlay
def test_all_of_it_is_in_one_namespace(overlay):
    objects = build(MANIFESTS / overlay)
    assert len({obj["metadata"]["namespace"] for obj in objects if "namespace" in obj["metadata"]}) == 1


def test_the_namespaced_overlay_has_nothing_that_reaches_beyond_its_namespace():
    objects = build(MANIFESTS / "overlays/namespaced")
    assert all(obj["metadata"]["namespace"] == "demo" for obj in objects)
    assert {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}.isdisjoint(kinds(objects))
    subjects = [subject for obj in objects for subject in obj.get("subjects", [])]
    assert {subject["namespace"] for subject in subjects} == {"demo"}
    assert environment("overlays/namespaced")["WATCH_NAMESPACE"] == {
        "fieldRef": {"fieldPath": "metadata.namespace"}
    }


def test_the_irsa_overlay_gives_the_identity_and_shuts_out_the_nodes():
    account = the("ServiceAccount", "overlays/irsa")
    assert "eks.amazonaws.com/role-arn" in account["metadata"]["annotations"]
    assert environment("overlays/irsa")["AWS_REGION"] == "eu-west-1"
    assert "ipBlock" not in str(the("NetworkPolicy", "overlays/irsa"))
    rules = the("NetworkPolicy", "base")["spec"]["egress"]
    blocks = {peer["ipBlock"]["cidr"] for rule in rules for peer in rule.get("to", [])}
    # IMDS and EKS Pod Identity, each by IPv4 and IPv6.
    assert blocks == {"169.254.169.254/32", "169.254.170.23/32", "fd00:ec2::254/128", "fd00:ec2::23/128"}


def test_the_kind_overlay_runs_one_replica_of_the_image_that_was_loaded():
    deployment = the("Deployment", "overlays/kind")["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert (deployment["replicas"], container["imagePullPolicy"]) == (1, "Never")
    assert container["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert {"PodDisruptionBudget", "NetworkPolicy"}.isdisjoint(kinds(build(MANIFESTS / "overlays/kind")))


# The policies


@every_overlay
def test_the_policies_are_added_to_any_overlay(layered, overlay):
    without = build(MANIFESTS / overlay)
    added = [obj for obj in layered(overlay, components=("policies",)) if obj not in without]
    policies = [obj for obj in added if obj["apiVersion"] == "admissionregistration.k8s.io/v1"]
    assert kinds(policies) == ["ValidatingAdmissionPolicy"] * 6 + ["ValidatingAdmissionPolicyBinding"] * 6
    assert all(LABEL.items() <= obj["metadata"]["labels"].items() for obj in policies)


def test_each_policy_has_a_binding_that_denies_and_the_annotation_of_the_settings():
    for file in (MANIFESTS / "policies").glob("*.yaml"):
        if file.name == "kustomization.yaml":
            continue
        policy, binding, *_ = fast_yaml.load_all(file.read_text())
        assert {policy["metadata"]["name"], binding["spec"]["policyName"]} == {f"secretsyncer-{file.stem}"}
        assert binding["spec"]["validationActions"] == ["Deny"]
        variables = {variable["name"]: variable["expression"] for variable in policy["spec"].get("variables", ())}
        default = f"'{Settings.model_fields['ns_annotation'].default}'"
        assert variables.get("annotation", default) == default


# The components


def test_the_component_for_restarts_adds_permissions_and_their_limit(layered):
    added = [obj for obj in layered("base", ("components/restarts",)) if obj not in build(MANIFESTS / "base")]
    assert kinds(added) == [
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]
    assert all(LABEL.items() <= obj["metadata"]["labels"].items() for obj in added)
    found = {obj["kind"]: obj for obj in added}
    (subject,) = found["ClusterRoleBinding"]["subjects"]
    (condition,) = found["ValidatingAdmissionPolicy"]["spec"]["matchConditions"]
    assert f"'system:serviceaccount:{subject['namespace']}:{subject['name']}'" in condition["expression"]


@every_overlay
def test_the_component_adds_monitoring_to_any_overlay(layered, overlay):
    with_it, without = layered(overlay), build(MANIFESTS / overlay)
    added = [obj for obj in with_it if obj not in without]
    assert kinds(added) == ["ConfigMap", "PrometheusRule", "ServiceMonitor"]
    assert len(with_it) == len(without) + 3


def test_the_monitor_finds_the_service_and_its_port(layered):
    objects = {obj["kind"]: obj for obj in layered("base")}
    monitor, service = objects["ServiceMonitor"], objects["Service"]
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_component_follows_into_another_namespace(layered):
    objects = layered("overlays/namespaced", namespace="team-a")
    assert {obj["metadata"]["namespace"] for obj in objects} == {"team-a"}


def test_grafana_gets_the_dashboard_as_it_is(layered):
    (config,) = (obj for obj in layered("base") if obj["kind"] == "ConfigMap")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["data"] == {"secretsyncer.json": (MANIFESTS / "components/prometheus/dashboard.json").read_text()}
