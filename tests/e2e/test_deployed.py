"""The manifests and the chart on a real API server, which accepts all objects; the permissions are exactly those needed.

What the operator asks for is read from the server's audit log; what it may do, from the roles that kubectl built. The
server is one of their own, so that nobody else's requests and rights are there.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import yaml

from sandbox.envtest import RealKubernetes
from sandbox.operator import OperatorProcess
from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS, Cluster, Kubectl, Space
from tests.support.eventually import eventually
from tests.support.restarts import AT_ONCE, until_restarted
from tests.support.specs import all_keys, key, literal, template
from tests.support.tools import needs_kubectl, run, tool
from tests.support.workloads import ROLLOUTS, workload

pytestmark = [pytest.mark.real, needs_kubectl]

HOME = "k8s-secret-syncer"
ANNOTATION = "iam.amazonaws.com/allowed-roles"
OVERLAYS = ["base", "overlays/irsa", "overlays/kind", "overlays/namespaced"]
FOREIGN = ("ServiceMonitor", "PrometheusRule")


def definition(kind: str) -> dict[str, Any]:
    """As much of the Prometheus operator's own as lets its objects be stored."""
    plural = kind.lower() + "s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def layered(folder: Path, overlay: str, *components: str, **more: Any) -> Path:
    """The folder, with a kustomization in it as somebody else writes one over ours."""
    ours = Path(os.path.relpath(MANIFESTS, folder))
    parts = {"resources": [str(ours / overlay)], "components": [str(ours / part) for part in components]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**parts, **more}))
    return folder


class Site:
    """One server, its administrator, and kubectl."""

    def __init__(self, server, cluster, kubeconfig):
        self.server = server
        self.cluster = cluster
        self.kubectl = Kubectl(kubeconfig)
        self._kubeconfig = kubeconfig

    def helm(self, *arguments: str) -> str:
        return run(tool("helm"), "--kubeconfig", self._kubeconfig, *arguments)

    async def build(self, folder: Path) -> list[dict[str, Any]]:
        return list(fast_yaml.load_all(await self.kubectl("kustomize", str(folder))))

    async def apply(self, objects: list[dict[str, Any]], *options: str) -> None:
        await self.kubectl("apply", *options, "-f", "-", stdin=yaml.safe_dump_all(objects))

    async def asked(self, namespace: str) -> list[dict[str, Any]]:
        """What the ServiceAccount there has asked the server for."""
        user = f"system:serviceaccount:{namespace}:secretsyncer"
        return [entry for entry in self.server.audit_log(user) if entry["user"]["username"] == user]

    async def kubeconfig(self, namespace: str, folder: Path) -> Path:
        """The rights of the ServiceAccount there."""
        token = await self.server.service_account_token(namespace, "secretsyncer")
        return self.server.write_kubeconfig(folder / f"{namespace}.kubeconfig", "secretsyncer", token=token)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(assets, tmp_path_factory):
    # As on OpenShift: who changes the owners of a Secret must be allowed to delete it.
    plugins = ["OwnerReferencesPermissionEnforcement"]
    async with RealKubernetes(assets, audit=True, admission=plugins) as server, Cluster(server) as cluster:
        made = Site(server, cluster, server.write_kubeconfig(tmp_path_factory.mktemp("site") / "kubeconfig"))
        await made.apply([definition(kind) for kind in FOREIGN])
        await made.apply(await made.build(MANIFESTS / "base"))
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})
        for plural in ("syncedsecrets.secrets.contentful.com", "servicemonitors.monitoring.coreos.com"):
            await made.kubectl("wait", "--for=condition=Established", f"crd/{plural}", "--timeout=60s")
        yield made
        made.kubectl.close()


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_the_server_takes_all_of_it_with_monitoring(site, overlay, tmp_path):
    objects = await site.build(layered(tmp_path, overlay, "components/prometheus"))
    assert {obj["kind"] for obj in objects} >= {"Deployment", *FOREIGN}
    await site.apply(objects, "--dry-run=server")
    await site.apply(objects)
    found = json.loads(await site.kubectl("get", "-f", "-", "--output", "json", stdin=yaml.safe_dump_all(objects)))
    for obj, stored in zip(objects, found["items"], strict=True):
        assert (obj["kind"], obj["metadata"]["name"]) == (stored["kind"], stored["metadata"]["name"])
        assert lacking(obj.get("spec", {}), stored.get("spec", {})) == [], obj["kind"]


def lacking(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Where the server has dropped or changed what was sent to it."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [line for name in wanted for line in lacking(wanted[name], found.get(name), f"{path}.{name}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            line
            for number, pair in enumerate(zip(wanted, found, strict=True))
            for line in lacking(*pair, f"{path}[{number}]")
        ]
    return [] if wanted == found or (not wanted and not found) else [f"{path}: {found!r} and not {wanted!r}"]


# Rights


class Right(NamedTuple):
    """One thing that may be done. `name` is that of the only object it may be done to, if it is one."""

    verb: str
    resource: str
    name: str = ""


def granted(objects: list[dict[str, Any]]) -> set[Right]:
    """All that the roles among these objects grant, one by one."""
    rights = set()
    for rule in (rule for obj in objects for rule in obj.get("rules", ())):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    rights |= {Right(verb, f"{resource}.{group}".rstrip("."), name) for verb in rule["verbs"]}
    return rights


IN_PAGES = {
    Right("list", "syncedsecrets.secrets.contentful.com"),
    Right("list", "namespaces"),
    Right("list", "secrets"),
}
"""What is used on servers that do not stream lists, such as Kubernetes 1.33, and when a stream fails."""


def used(entries: list[dict[str, Any]], named: set[Right]) -> set[Right]:
    """What was asked for, by the name of the object where the rights name it as well."""
    rights = set()
    for entry in entries:
        about = entry["objectRef"]
        parts = [about["resource"], about.get("subresource", "")]
        resource = "/".join(part for part in parts if part) + (
            f".{about['apiGroup']}" if about.get("apiGroup") else ""
        )
        right = Right(entry["verb"], resource, about.get("name", ""))
        rights.add(right if right in named else right._replace(name=""))
    return rights


async def fill(space: Space, spec: dict[str, Any]) -> None:
    """What it does with Secrets of others: one that is there, one that is awaited, one that it makes."""
    merge = {"policy": "Merge"}
    await space.put_foreign("theirs", {"b": "2"})
    await space.write("filling", **spec, target={"name": "theirs", **merge}, deletionPolicy="Delete")
    await space.write("waiting", **spec, target={"name": "later", **merge})
    await space.write("parted", **spec, target={"name": "parts", **merge, "create": True})
    await space.until_data("theirs", {"a": b"1", "b": b"2"})
    await space.until_data("parts", {"a": b"1"})
    await space.until_failed("waiting", "SecretMissing")
    await space.put_foreign("later", {"b": "2"})
    await space.until_data("later", {"a": b"1", "b": b"2"})
    await space.cluster.delete("SyncedSecret", space.name, "filling")
    await space.until_data("theirs", {"b": b"2"})


async def live(space: Space, aws, name: str) -> None:
    """Everything that an operator does for its objects, in one namespace."""
    for adopted in ("adopted", "owned"):
        metadata = {"name": adopted, "namespace": space.name}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "y"}}
        await space.cluster.create(secret)
    await space.annotate({ANNOTATION: '["reader"]'})
    aws.world.role("reader", read=[name])
    spec = {"IAMRole": "reader", "dataFrom": all_keys(name)}
    typed = {**spec, "recreateOnTypeChange": True}
    await space.write("adopted", **spec, secretMetadata={"labels": {"a": "b"}, "annotations": {"c": "d"}})
    await space.write("owned", **spec, deletionPolicy="Delete")
    await space.write("made", **spec, deletionPolicy="Delete")
    await space.write("moved", **spec, deletionPolicy="Delete", target={"name": "before"})
    await space.write("found", IAMRole="reader", dataFrom={"find": {"name": {"prefix": name}, "merge": True}})
    await space.write(
        "templated", IAMRole="reader", data=[template("a", f'{{{{ (getSecretValueMap "{name}").a }}}}')]
    )
    await space.write("frozen", **typed, immutable=True)
    await space.write("retyped", **typed, type="example.com/one")
    await space.write("refreshed", **spec, refreshInterval="10s")
    await space.write("suspended", **spec, suspend=True)
    await space.write("failing", IAMRole="reader", data=[key("a", name, "missing")])
    await space.write("denied", **{**spec, "IAMRole": "admin"})
    working = ["adopted", "owned", "made", "before", "found", "templated", "frozen", "retyped", "refreshed"]
    for made in working:
        await space.until_data(made, {"a": b"1"})
    await space.until_failed("failing", "InvalidSecretValue")
    await space.until_failed("denied", "RoleNotAllowed")
    await space.until_failed("suspended", "Suspended")
    await fill(space, spec)

    await space.write("retyped", **typed, type="example.com/two")
    await space.write("owned", **spec, deletionPolicy="Retain")
    await space.write("moved", **spec, deletionPolicy="Delete", target={"name": "after"})
    await space.write("suspended", **spec)
    await space.write("failing", IAMRole="reader", data=[key("b", name, "missing"), literal("c", "1")])
    await space.cluster.delete("Secret", space.name, "made")
    refresh = {"metadata": {"annotations": {"secrets.contentful.com/refresh": "1"}}}
    await space.cluster.merge("SyncedSecret", space.name, "adopted", refresh)
    aws.world.put(name, '{"a": "2"}')
    for made in [*working, "after", "suspended"]:
        if made != "before":
            await space.until_data(made, {"a": b"2"})

    async def changed() -> None:
        secrets = {made: await space.secret(made) or {} for made in ("retyped", "owned", "before")}
        assert secrets["retyped"]["type"] == "example.com/two"
        assert "ownerReferences" not in secrets["owned"]["metadata"]
        assert secrets["before"] == {}

    await eventually(changed)
    await space.annotate({ANNOTATION: None})


def settings(environment, home, **more):
    return {**environment, "LEADER_ELECTION": "true", "POD_NAMESPACE": home, "SYNC_INTERVAL_SEC": "1", **more}


async def until_told_twice(space: Space) -> None:
    """Until the Event of something that happened again counts it."""

    async def probe() -> None:
        assert any(event["count"] > 1 for event in await space.cluster.list("Event", space.name))

    await eventually(probe)


async def happen_again(space: Space, aws, name: str) -> None:
    """One and the same failure, until the Event about it has been sent more than once."""
    aws.world.put(name, '{"a": "3", "missing": "x"}')
    await space.until_synced("failing")
    aws.world.put(name, '{"a": "4"}')
    await space.until_failed("failing", "InvalidSecretValue")
    await until_told_twice(space)


async def test_the_cluster_wide_role_grants_what_the_operator_does_and_nothing_else(
    site, aws, name, environment, tmp_path
):
    kubeconfig = await site.kubeconfig(HOME, tmp_path)
    space = await site.cluster.space()
    async with OperatorProcess(kubeconfig=kubeconfig, environment=settings(environment, HOME)) as operator:
        await operator.until_ready()
        await live(space, aws, name)
        await happen_again(space, aws, name)
        assert await operator.stop() == 0
    limited = settings(environment, HOME, WATCH_NAMESPACE=space.name)
    async with OperatorProcess(kubeconfig=kubeconfig, environment=limited) as operator:
        await operator.until_ready()
        assert await operator.stop() == 0
    await space.clear()
    rights = granted(await site.build(MANIFESTS / "base"))
    asked = await site.asked(HOME)
    assert used(asked, rights) | (IN_PAGES & rights) == rights
    assert [entry for entry in asked if entry["responseStatus"]["code"] == 403] == []
    assert {entry["objectRef"]["namespace"] for entry in asked if "leases" in entry["requestURI"]} == {HOME}


async def test_the_component_for_restarts_grants_what_restarts_need_and_nothing_else(
    site, aws, name, environment, tmp_path
):
    objects = await site.build(layered(tmp_path, "base", "components/restarts"))
    await site.apply([ROLLOUTS, *objects])
    await site.kubectl("wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=60s")
    kubeconfig = await site.kubeconfig(HOME, tmp_path)
    space = await site.cluster.space()
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
    for kind in kinds:
        await site.cluster.create(workload(space.name, kind.lower(), kind))
        await site.cluster.create(workload(space.name, f"{kind.lower()}-too", kind, labels={"app": "selected"}))
    targets = [{"kind": kind, "name": kind.lower()} for kind in kinds]
    targets += [{"kind": kind, "selector": {"matchLabels": {"app": "selected"}}} for kind in kinds]
    again = settings(environment, HOME, RESTART_MIN_INTERVAL="0")
    async with OperatorProcess(kubeconfig=kubeconfig, environment=again) as operator:
        await operator.until_ready()
        await space.write("named", dataFrom=all_keys(name), restart={"targets": targets, **AT_ONCE})
        await space.write("used", dataFrom=all_keys(name), restart={"consumers": True, **AT_ONCE})
        for obj in ("named", "used"):
            await space.until_data(obj, {"a": b"1"})
        aws.world.put(name, '{"a": "2"}')
        for obj in ("named", "used"):
            await until_restarted(space, 1, obj)
        assert await operator.stop() == 0
    await space.clear()
    rights = granted(objects) - granted(await site.build(MANIFESTS / "base"))
    asked = [entry for entry in await site.asked(HOME) if entry["objectRef"].get("namespace") == space.name]
    workloads = [entry for entry in asked if entry["objectRef"].get("apiGroup") in {"apps", "argoproj.io"}]
    assert used(workloads, rights) == rights
    assert [entry for entry in asked if entry["responseStatus"]["code"] == 403] == []


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(site, tmp_path):
    """A namespace with the overlay for one namespace in it, and the overlay's objects."""
    space = await site.cluster.space()
    objects = await site.build(layered(tmp_path, "overlays/namespaced", namespace=space.name))
    await site.apply(objects)
    return space, objects


async def test_the_roles_in_one_namespace_grant_what_the_operator_does_there_and_nothing_else(
    site, aws, name, environment, tenant, tmp_path
):
    space, objects = tenant
    kubeconfig = await site.kubeconfig(space.name, tmp_path)
    alone = settings(environment, space.name, WATCH_NAMESPACE=space.name)
    async with OperatorProcess(kubeconfig=kubeconfig, environment=alone) as operator:
        await operator.until_ready()
        await live(space, aws, name)
        await happen_again(space, aws, name)
        assert await operator.stop() == 0
    rights = granted(objects)
    asked = await site.asked(space.name)
    assert used(asked, rights) | (IN_PAGES & rights) == rights
    assert [entry for entry in asked if entry["responseStatus"]["code"] == 403] == []
    assert {entry["objectRef"]["namespace"] for entry in asked} == {space.name}


async def test_with_roles_alone_the_annotation_of_its_namespace_is_obeyed_and_followed(
    site, aws, name, environment, tenant, tmp_path
):
    space, _ = tenant
    aws.world.role("reader", read=[name])
    kubeconfig = await site.kubeconfig(space.name, tmp_path)
    alone = settings(environment, space.name, WATCH_NAMESPACE=space.name, REQUIRE_NS_ANNOTATION="true")
    async with OperatorProcess(kubeconfig=kubeconfig, environment=alone) as operator:
        await operator.until_ready()
        await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
        await space.until_failed("demo", "RoleNotAllowed")
        await space.annotate({ANNOTATION: '["reader"]'})
        await space.until_data("demo", {"a": b"1"})
        await space.annotate({ANNOTATION: "[]"})
        await space.until_failed("demo", "RoleNotAllowed")
        assert await operator.stop() == 0


async def test_without_delete_an_existing_secret_gets_no_owner_and_the_condition_says_so(
    site, aws, name, environment, tenant, tmp_path
):
    space, objects = tenant
    (role,) = (obj for obj in objects if obj["kind"] == "Role" and len(obj["rules"]) > 2)
    less = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "delete"]} for rule in role["rules"]]
    await site.apply([{**role, "rules": less}])
    kubeconfig = await site.kubeconfig(space.name, tmp_path)
    alone = settings(environment, space.name, WATCH_NAMESPACE=space.name)
    async with OperatorProcess(kubeconfig=kubeconfig, environment=alone) as operator:
        await operator.until_ready()
        await space.write("made", dataFrom=all_keys(name), deletionPolicy="Delete")
        await space.until_data("made", {"a": b"1"})
        await space.write("kept", dataFrom=all_keys(name))
        await space.until_data("kept", {"a": b"1"})
        await space.write("kept", dataFrom=all_keys(name), deletionPolicy="Delete")
        assert "you can't delete" in await space.until_failed("kept", "KubernetesError")
        await site.apply([role])
        await space.until_synced("kept")
        assert (await space.secret("kept"))["metadata"]["ownerReferences"]
        assert await operator.stop() == 0


# The chart


async def test_helm_installs_upgrades_and_takes_away_and_every_object_stays(site, aws, name, environment, tmp_path):
    space = await site.cluster.space()
    home = f"{space.name}-home"
    chart = [str(MANIFESTS / "chart"), "--namespace", home]
    # The resource is there already, from kubectl.
    await asyncio.to_thread(site.helm, "install", "secretsyncer", *chart, "--create-namespace", "--take-ownership")
    kubeconfig = await site.kubeconfig(home, tmp_path)
    async with OperatorProcess(kubeconfig=kubeconfig, environment=settings(environment, home)) as operator:
        await operator.until_ready()
        await space.write("demo", dataFrom=all_keys(name))
        await space.until_data("demo", {"a": b"1"})
        assert await operator.stop() == 0

    faster = ["--set", "settings.POLL_INTERVAL_SEC=60", "--set", "serviceMonitor.enabled=true"]
    await asyncio.to_thread(site.helm, "upgrade", "secretsyncer", *chart, *faster)
    place = ["--namespace", home, "--output", "yaml"]
    deployment = fast_yaml.load(await site.kubectl("get", "deployment", "secretsyncer", *place))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "POLL_INTERVAL_SEC", "value": "60"} in container["env"]
    assert fast_yaml.load(await site.kubectl("get", "servicemonitor", *place))["items"]

    await asyncio.to_thread(site.helm, "uninstall", "secretsyncer", "--namespace", home)
    left = fast_yaml.load(await site.kubectl("get", "deployments,roles,serviceaccounts", *place))["items"]
    assert [obj["metadata"]["name"] for obj in left if obj["metadata"]["name"] != "default"] == []
    assert await space.synced("demo")
    assert await space.data("demo") == {"a": b"1"}
