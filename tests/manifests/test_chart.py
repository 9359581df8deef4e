"""The Helm chart: by default it renders manifests/base, and each value has its effect."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

import secretsyncer
from secretsyncer.settings import Settings, load
from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS
from tests.support.tools import needs_kubectl, run, tool

CHART = MANIFESTS / "chart"
NAMESPACE = "k8s-secret-syncer"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = fast_yaml.load((CHART / "values.yaml").read_text())
HELMS_OWN = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "helm.sh/resource-policy",
}
"""Labels and annotations that a chart has and kustomize has not."""

Object = dict[str, Any]


def render(release: str = "secretsyncer", namespace: str = NAMESPACE, **values: Any) -> list[Object]:
    text = template(release, namespace, yaml.safe_dump(values))
    return [document for document in fast_yaml.load_all(text) if document]


@cache
def template(release: str, namespace: str, values: str) -> str:
    return run(tool("helm"), "template", release, CHART, "--namespace", namespace, "--values", "-", stdin=values)


def refused(**values: Any) -> str:
    """What helm says against these values."""
    command = [tool("helm"), "template", CHART, "--values", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)
    assert done.returncode != 0, "helm takes these values"
    return done.stderr


def bare(part: Any) -> Any:
    """Without what only Helm adds."""
    if isinstance(part, list):
        return [bare(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {name: bare(value) for name, value in part.items() if name not in HELMS_OWN}
    return {name: value for name, value in kept.items() if (name, value) != ("annotations", {})}


def by_name(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
    named = {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): bare(obj) for obj in objects
    }
    assert len(named) == len(objects), "no two objects have one name"
    return named


def kustomized(folder: str) -> dict[tuple[str, str, str], Object]:
    return by_name(list(fast_yaml.load_all(run("kubectl", "kustomize", MANIFESTS / folder))))


def the(kind: str, objects: list[Object]) -> Object:
    (found,) = (obj for obj in objects if obj["kind"] == kind)
    return found


def pod(**values: Any) -> Object:
    return the("Deployment", render(**values))["spec"]["template"]


def container(**values: Any) -> Object:
    (found,) = pod(**values)["spec"]["containers"]
    return found


def environment(**values: Any) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container(**values)["env"]}


# The same as with kustomize


def test_helm_finds_nothing_wrong_with_the_chart():
    assert "0 chart(s) failed" in run(tool("helm"), "lint", "--strict", CHART)


@needs_kubectl
def test_by_default_it_gives_what_the_base_gives():
    base = kustomized("base")
    del base["Namespace", "", NAMESPACE]  # helm install --create-namespace makes it
    assert by_name(render()) == base


def test_with_monitoring_it_gives_what_the_component_gives():
    enabled = {"enabled": True}
    objects = by_name(render(serviceMonitor=enabled, prometheusRule=enabled, dashboard=enabled))
    component = MANIFESTS / "components/prometheus"
    for name in ("servicemonitor", "prometheusrule"):
        wanted = fast_yaml.load((component / f"{name}.yaml").read_text())
        assert objects[wanted["kind"], NAMESPACE, "secretsyncer"] == wanted
    config = objects["ConfigMap", NAMESPACE, "secretsyncer-dashboard"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["data"] == {"secretsyncer.json": (component / "dashboard.json").read_text()}


@needs_kubectl
def test_with_restarts_it_gives_what_the_component_gives():
    component = MANIFESTS / "components/restarts"
    files = [(component / name).read_text() for name in ("policy.yaml", "rbac.yaml")]
    wanted = by_name([obj for text in files for obj in fast_yaml.load_all(text)])
    without, with_it = by_name(render()), by_name(render(restarts={"enabled": True}))
    assert {key: obj for key, obj in with_it.items() if key not in without} == wanted


def test_the_policy_of_restarts_names_the_account_that_gets_the_permissions():
    objects = render("one", "here", restarts={"enabled": True}, serviceAccount={"name": "mine"})
    (condition,) = the("ValidatingAdmissionPolicy", objects)["spec"]["matchConditions"]
    assert condition["expression"] == "request.userInfo.username == 'system:serviceaccount:here:mine'"
    (binding,) = (o for o in objects if o["kind"] == "ClusterRoleBinding" and "restarts" in o["metadata"]["name"])
    assert [(s["namespace"], s["name"]) for s in binding["subjects"]] == [("here", "mine")]
    roles = [o for o in render(restarts={"enabled": True}, watchNamespaces=["a", "b"]) if o["kind"] == "Role"]
    assert {r["metadata"]["namespace"] for r in roles if "restarts" in r["metadata"]["name"]} == {"a", "b"}


@needs_kubectl
def test_for_one_namespace_it_gives_what_that_overlay_gives():
    overlay = kustomized("overlays/namespaced")
    objects = by_name(render(namespace="demo", watchNamespaces=["demo"], crds={"install": False}))
    assert objects.keys() == overlay.keys()
    different = {key for key in objects if objects[key] != overlay[key]}
    assert different == {("Deployment", "demo", "secretsyncer")}
    assert environment(watchNamespaces=["demo"])["WATCH_NAMESPACE"] == "demo"


def test_its_version_is_that_of_the_program():
    chart = fast_yaml.load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (secretsyncer.__version__, secretsyncer.__version__)


def test_a_package_of_it_holds_what_its_links_lead_to(tmp_path):
    run(tool("helm"), "package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    text = run(tool("helm"), "template", "secretsyncer", package, "--namespace", NAMESPACE)
    assert by_name([document for document in fast_yaml.load_all(text) if document]) == by_name(render())


# Values


def test_several_namespaces_get_a_role_each_and_nothing_reaches_beyond():
    objects = render(watchNamespaces=["a", "b"])
    roles = {
        obj["metadata"]["namespace"]: obj
        for obj in objects
        if obj["kind"] == "Role" and "leader" not in str(obj["metadata"])
    }
    assert roles.keys() == {"a", "b"}
    bindings = [obj for obj in objects if obj["kind"] == "RoleBinding"]
    assert {subject["namespace"] for binding in bindings for subject in binding["subjects"]} == {NAMESPACE}
    assert not [obj for obj in objects if obj["kind"].startswith("ClusterRole")]
    assert environment(watchNamespaces=["a", "b"])["WATCH_NAMESPACE"] == "a,b"


def test_two_releases_share_no_name_and_no_pod():
    one, two = render("one", "ns-one"), render("two", "ns-one")
    shared = by_name(one).keys() & by_name(two).keys()
    assert {kind for kind, _, _ in shared} == {"CustomResourceDefinition"}
    selector = the("Deployment", one)["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= the("Deployment", two)["spec"]["template"]["metadata"]["labels"].items()


def test_releases_of_one_name_in_two_namespaces_share_no_rights():
    here, there = render(namespace="here"), render(namespace="there")
    assert the("ClusterRole", here)["metadata"]["name"] != the("ClusterRole", there)["metadata"]["name"]
    assert the("ClusterRoleBinding", here)["roleRef"]["name"] == the("ClusterRole", here)["metadata"]["name"]


def test_settings_become_environment_variables_as_the_operator_reads_them():
    given = {
        "POLL_INTERVAL_SEC": 86400,
        "SYNC_INTERVAL_SEC": 0.5,
        "REQUIRE_NS_ANNOTATION": True,
        "LOG_FORMAT": "text",
    }
    variables = environment(settings=given)
    assert {name: variables[name] for name in given} == {
        "POLL_INTERVAL_SEC": "86400",
        "SYNC_INTERVAL_SEC": "0.5",
        "REQUIRE_NS_ANNOTATION": "true",
        "LOG_FORMAT": "text",
    }
    read = load({name: variables[name] for name in given})
    assert (read.poll_interval_sec, read.require_ns_annotation) == (86400, True)


def test_the_settings_that_it_knows_are_all_that_it_does_not_set_itself():
    own = {"METRICS_LISTEN", "WATCH_NAMESPACE", "LEADER_ELECTION", "POD_NAMESPACE"}
    known = set(SCHEMA["properties"]["settings"]["properties"])
    assert known | own == {name.upper() for name in Settings.model_fields}
    assert not known & own


def test_what_it_knows_of_a_setting_is_what_the_program_says():
    rules = {"type", "minimum", "maximum", "exclusiveMinimum", "enum"}
    fields = Settings.model_json_schema()["properties"]
    for name, known in SCHEMA["properties"]["settings"]["properties"].items():
        field = fields[name.lower()]
        if field["type"] == "array":
            field = {**field, "type": "string"}  # comma-separated, as in the environment
        assert {rule: known.get(rule) for rule in rules} == {rule: field.get(rule) for rule in rules}, name
        assert known["description"] == field["description"]


def test_the_rights_on_leases_follow_the_name_of_the_lease():
    objects = render(settings={"LEASE_NAME": "shard-a", "WATCH_SELECTOR": "shard=a"})
    (role,) = (obj for obj in objects if obj["kind"] == "Role")
    assert role["rules"][0]["resourceNames"] == ["shard-a"]


def test_the_identity_and_the_region_of_aws():
    arn = "arn:aws:iam::123456789012:role/secretsyncer"
    objects = render(aws={"roleArn": arn, "region": "eu-west-1"}, serviceAccount={"annotations": {"a": "b"}})
    account = the("ServiceAccount", objects)["metadata"]
    assert account["annotations"] == {"eks.amazonaws.com/role-arn": arn, "a": "b"}
    assert environment(aws={"region": "eu-west-1"})["AWS_REGION"] == "eu-west-1"


def test_a_custom_service_account_gets_the_permissions():
    objects = render(serviceAccount={"create": False, "name": "mine"})
    assert not [obj for obj in objects if obj["kind"] == "ServiceAccount"]
    assert the("Deployment", objects)["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    subjects = [subject["name"] for obj in objects for subject in obj.get("subjects", [])]
    assert set(subjects) == {"mine"}


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({"repository": "registry.example/s"}, f"registry.example/s:{secretsyncer.__version__}"),
        ({"repository": "s", "tag": "main"}, "s:main"),
        ({"repository": "s", "tag": "main", "digest": f"sha256:{'a' * 64}"}, f"s@sha256:{'a' * 64}"),
    ],
)
def test_the_image(image, reference):
    assert container(image=image)["image"] == reference


ON_THE_POD = {
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "system-cluster-critical",
    "topologySpreadConstraints": [{"topologyKey": "rack", "maxSkew": 1}],
}


@pytest.mark.parametrize("name", ON_THE_POD)
def test_a_value_that_the_pod_takes_as_it_is(name):
    assert pod(**{name: ON_THE_POD[name]})["spec"][name] == ON_THE_POD[name]


def test_values_that_the_container_and_its_pod_take_in_addition():
    volume, mount = {"name": "ca", "configMap": {"name": "ca"}}, {"name": "ca", "mountPath": "/ca"}
    given = {
        "resources": {"limits": {"memory": "1Gi"}},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "envFrom": [{"secretRef": {"name": "aws"}}],
        "extraVolumes": [volume],
        "extraVolumeMounts": [mount],
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "platform"},
    }
    made = pod(**given)
    (found,) = made["spec"]["containers"]
    assert found["resources"]["limits"]["memory"] == "1Gi"
    assert found["env"][-1] == given["extraEnv"][0]
    assert found["envFrom"] == given["envFrom"]
    assert volume in made["spec"]["volumes"]
    assert mount in found["volumeMounts"]
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["metadata"]["labels"]["team"] == "platform"


def test_openshift_can_give_the_ids_itself():
    nothing = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    context = pod(podSecurityContext=nothing)["spec"]["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_another_port_is_listened_on_probed_served_and_let_in():
    objects = render(service={"port": 9090})
    assert environment(service={"port": 9090})["METRICS_LISTEN"] == ":9090"
    assert container(service={"port": 9090})["ports"] == [
        {"name": "http", "containerPort": 9090, "protocol": "TCP"}
    ]
    assert the("Service", objects)["spec"]["ports"][0]["port"] == 9090
    assert the("NetworkPolicy", objects)["spec"]["ingress"][0]["ports"] == [{"port": 9090}]


def test_a_network_policy_without_peers_admits_no_one():
    assert the("NetworkPolicy", render(networkPolicy={"from": []}))["spec"]["ingress"] == []


def test_the_network_policy_can_shut_out_the_node_and_let_out_to_a_proxy():
    rule = {"ports": [{"port": 3128}]}
    policy = the("NetworkPolicy", render(networkPolicy={"nodeCredentials": False, "extraEgress": [rule]}))
    assert rule in policy["spec"]["egress"]
    assert "ipBlock" not in str(policy)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"networkPolicy": {"enabled": False}}, "NetworkPolicy"),
        ({"pdb": {"enabled": False}}, "PodDisruptionBudget"),
        ({"replicas": 1}, "PodDisruptionBudget"),
        ({"crds": {"install": False}}, "CustomResourceDefinition"),
    ],
)
def test_what_is_turned_off_is_not_there(values, kind):
    assert kind in {obj["kind"] for obj in render()}
    assert kind not in {obj["kind"] for obj in render(**values)}


def test_the_resource_and_with_it_every_object_stays_when_the_chart_goes():
    crd = the("CustomResourceDefinition", render())
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 2}, "replica"),
        ({"settings": {"POLL_INTERVAL": 5}}, "POLL_INTERVAL"),
        ({"settings": {"POLL_INTERVAL_SEC": 0}}, "POLL_INTERVAL_SEC"),
        ({"settings": {"LOG_LEVEL": "loud"}}, "LOG_LEVEL"),
        ({"settings": {"WATCH_NAMESPACE": "a"}}, "WATCH_NAMESPACE"),
        ({"watchNamespaces": ["Not A Name"]}, "watchNamespaces"),
        ({"watchNamespaces": "demo"}, "watchNamespaces"),
        ({"aws": {"roleArn": "secretsyncer"}}, "roleArn"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"service": {"port": 80}}, "port"),
        ({"serviceMonitor": {"enabled": "yes"}}, "enabled"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values, named):
    assert named in refused(**values)


def test_the_schema_knows_every_value_and_every_value_has_its_default():
    def keys(schema: Object, values: Object, path: str = "") -> list[str]:
        wrong = [f"{path}.{name} has no default" for name in schema.keys() - values.keys() if name != "global"]
        for name, value in values.items():
            inner = schema.get(name)
            if inner is None:
                wrong.append(f"{path}.{name} is not in the schema")
            elif "properties" in inner and name != "settings":
                wrong += keys(inner["properties"], value, f"{path}.{name}")
        return wrong

    assert keys(SCHEMA["properties"], VALUES) == []
