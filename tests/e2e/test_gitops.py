"""SyncedSecrets under GitOps: what Argo CD shows for every reason, tracking labels, and server-side apply."""

from __future__ import annotations

import json
import uuid

import pytest
import yaml

from sandbox.kubernetes_client import MERGE_PATCH
from secretsyncer.errors import Reason
from tests.support.argocd import FILE, act, health
from tests.support.eventually import eventually
from tests.support.specs import all_keys, key, literal, template

pytestmark = pytest.mark.real

ANNOTATION = "iam.amazonaws.com/allowed-roles"
TRACKING = {
    "labels": {"app.kubernetes.io/instance": "app", "argocd.argoproj.io/instance": "app"},
    "annotations": {
        "argocd.argoproj.io/tracking-id": "app:secrets.contentful.com/SyncedSecret:demo/demo",
        "argocd.argoproj.io/sync-wave": "-1",
        "meta.helm.sh/release-name": "app",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    },
}


async def secret(space, **metadata):
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": space.name, **metadata}}
    return await space.cluster.create(body)


async def fill_quota(space):
    """From now on, there is no room for another Secret."""
    path = f"/api/v1/namespaces/{space.name}/resourcequotas"
    hard = {"hard": {"count/secrets": "0"}}
    await space.cluster.request("POST", path, {"metadata": {"name": "few"}, "spec": hard})
    status = {"status": {**hard, "used": {"count/secrets": "0"}}}  # by the controller, which does not run here
    await space.cluster.request("PATCH", f"{path}/few/status", status, MERGE_PATCH)


async def test_argo_cd_shows_the_health_of_real_objects_for_every_reason(operator, aws, new_space, name):
    space, limited, full = await new_space(), await new_space(annotations={ANNOTATION: "[]"}), await new_space()
    role = aws.world.role(f"throttled-{uuid.uuid4().hex[:8]}")
    untrusted = aws.world.role(f"untrusted-{uuid.uuid4().hex[:8]}", trusted=False)
    aws.fault("throttle", role=role)
    await fill_quota(full)
    await secret(space, name="conflict")
    await secret(space, name="kubernetes-error", finalizers=["example.com/last"])
    await space.cluster.delete("Secret", space.name, "kubernetes-error")
    good = {"dataFrom": all_keys(name)}
    cases = {
        Reason.SYNCED: (space, good, "Healthy"),
        Reason.SUSPENDED: (space, {**good, "suspend": True}, "Suspended"),
        Reason.INVALID_SPEC: (space, {"dataFrom": {"find": {"name": {"regexp": "("}}}}, "Degraded"),
        Reason.ROLE_NOT_ALLOWED: (limited, {**good, "IAMRole": "reader"}, "Degraded"),
        Reason.ACCESS_DENIED: (space, {**good, "IAMRole": untrusted}, "Degraded"),
        Reason.SECRET_NOT_FOUND: (space, {"dataFrom": all_keys(f"{name}-missing")}, "Degraded"),
        Reason.INVALID_SECRET_VALUE: (space, {"data": [key("a", name, "missing")]}, "Degraded"),
        Reason.TEMPLATE_ERROR: (space, {"data": [template("a", "{{ nothing }}")]}, "Degraded"),
        Reason.CONFLICT: (space, {**good, "adopt": False, "target": {"name": "conflict"}}, "Degraded"),
        Reason.SECRET_MISSING: (space, {**good, "target": {"policy": "Merge"}}, "Progressing"),
        Reason.AWS_UNAVAILABLE: (space, {**good, "IAMRole": role}, "Progressing"),
        Reason.KUBERNETES_ERROR: (space, {**good, "target": {"name": "kubernetes-error"}}, "Progressing"),
        Reason.ADMISSION_DENIED: (full, good, "Degraded"),
    }
    assert cases.keys() == set(Reason)
    for reason, (where, spec, _) in cases.items():
        await where.write(str(reason).lower(), **spec)
    for reason, (where, _, expected) in cases.items():
        if reason is Reason.SYNCED:
            await where.until_synced(str(reason).lower())
        else:
            await where.until_failed(str(reason).lower(), reason)
        found = health(await where.synced(str(reason).lower()))
        assert found["status"] == expected, reason
        assert found["message"].startswith(f"{reason}: ")
    finalizers = {"metadata": {"finalizers": None}}
    await space.cluster.merge("Secret", space.name, "kubernetes-error", finalizers)


async def test_the_actions_of_argo_cd_refresh_suspend_and_resume(operator, aws, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")

    async def do(action):
        async def replaced():
            await space.cluster.replace(act(action, await space.synced("demo")))

        await eventually(replaced)

    await do("suspend")
    await space.until_failed("demo", Reason.SUSPENDED)
    aws.world.put(name, '{"a": "2"}')
    await do("resume")
    await space.until_data("demo", {"a": b"2"})
    assert "suspend" not in (await space.synced("demo"))["spec"]
    calls = aws.count("GetSecretValue") + aws.count("BatchGetSecretValue")
    await do("refresh")

    async def read_again():
        assert aws.count("GetSecretValue") + aws.count("BatchGetSecretValue") > calls

    await eventually(read_again)


async def test_kubectl_adds_the_settings_to_those_of_argo_cd(cluster, kubectl, space):
    metadata = {"name": "argocd-cm", "namespace": space.name}
    await cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"url": "theirs"}})
    await kubectl("patch", "configmap", "-n", space.name, "argocd-cm", "--patch-file", str(FILE))
    stored = await cluster.get("ConfigMap", space.name, "argocd-cm")
    assert stored["data"] == {"url": "theirs", **yaml.safe_load(FILE.read_text())["data"]}


async def test_tracking_labels_and_annotations_are_not_copied_to_the_secret(operator, cluster, space):
    obj = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret"}
    metadata = {"namespace": space.name, "name": "demo", **TRACKING}
    await cluster.create({**obj, "metadata": metadata, "spec": {"data": [literal("a", "1")]}})
    await space.until_synced("demo")
    made = (await space.secret("demo"))["metadata"]
    assert made["labels"] == {"secrets.contentful.com/managed": "true"}
    assert made.get("annotations", {}) == {}


async def test_server_side_apply_never_conflicts_with_the_status_and_an_unchanged_manifest_changes_nothing(
    operator, kubectl, space, name
):
    obj = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret"}
    metadata = {"namespace": space.name, "name": "demo"}
    manifest = {**obj, "metadata": metadata, "spec": {"dataFrom": all_keys(name)}}
    command = ["apply", "--server-side", "--field-manager=gitops", "-f", "-"]
    await kubectl(*command, stdin=json.dumps(manifest))
    before = await space.until_synced("demo")
    assert before["spec"] == manifest["spec"]
    await kubectl(*command, stdin=json.dumps(manifest))
    after = await space.synced("demo")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    await kubectl("diff", "--server-side", "--field-manager=gitops", "-f", "-", stdin=json.dumps(manifest))
    manifest["spec"]["deletionPolicy"] = "Delete"
    await kubectl(*command, stdin=json.dumps(manifest))
    await space.until_synced("demo")
