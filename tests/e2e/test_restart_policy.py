"""manifests/components/restarts on a real API server of its own: what the operator's ServiceAccount may do to workloads."""

from __future__ import annotations

import copy

import pytest
import pytest_asyncio

from sandbox.envtest import RealKubernetes
from sandbox.kubernetes_client import MERGE_PATCH, KubernetesClient, path_of
from tests.support.cluster import MANIFESTS, Cluster
from tests.support.eventually import eventually
from tests.support.workloads import RESTARTED_AT, workload

pytestmark = pytest.mark.real

COMPONENT = MANIFESTS / "components/restarts"
TIME = "2026-01-01T12:00:00Z"
TYPED = ("Deployment", "StatefulSet", "DaemonSet")
KINDS = (*TYPED, "Rollout")


def in_template(**metadata):
    return {"spec": {"template": {"metadata": metadata}}}


STAMP = in_template(annotations={RESTARTED_AT: TIME})
FORBIDDEN = {
    "the image": {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "evil:1"}]}}}},
    "another annotation": in_template(annotations={RESTARTED_AT: TIME, "a": "b"}),
    "an annotation of somebody else": in_template(annotations={RESTARTED_AT: TIME, "theirs": "mine"}),
    "the removal of an annotation": in_template(annotations={RESTARTED_AT: TIME, "theirs": None}),
    "the removal of all annotations": in_template(annotations=None),
    "a label of the pods": in_template(labels={"b": "c"}),
    "a finalizer of the pods": in_template(finalizers=["example.com/x"]),
    "the ServiceAccount": {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
    "a volume": {"spec": {"template": {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}}},
    "another field": {"spec": {"minReadySeconds": 7}},
    "a label": {"metadata": {"labels": {"a": "b"}}},
    "an annotation": {"metadata": {"annotations": {"a": "b"}}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/x"]}},
    "text in place of a time": in_template(annotations={RESTARTED_AT: "rm -rf"}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(assets):
    """The administrator of a server with the component, once the policy is in force."""
    async with RealKubernetes(assets) as server, Cluster(server) as made:
        await made.install("crd.yaml", "namespace.yaml", "rbac.yaml")
        await made.install_restarts()
        server.start_controllers()
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def space(site):
    """A namespace with one workload of each kind."""
    made = await site.space()
    for kind in KINDS:
        obj = workload(made.name, "web", kind)
        obj["spec"]["template"]["metadata"]["annotations"] = {"theirs": "a"}
        await site.create(obj)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def as_operator(site, space):
    """A client with the operator's rights, once the policy is in force."""
    token = await site.server.service_account_token("k8s-secret-syncer", "secretsyncer")
    async with KubernetesClient(site.server, token=token) as client:

        async def in_force():
            for kind in KINDS:
                reply = await patch(client, space, kind, {"metadata": {"labels": {"a": "b"}}})
                assert reply.status == 403
                assert "ValidatingAdmissionPolicy" in reply.body["message"]

        await eventually(in_force)
        yield client


async def patch(client, space, kind, body):
    return await client.request("PATCH", path_of(kind, space.name, "web") + "?dryRun=All", body, MERGE_PATCH)


@pytest.mark.parametrize("kind", TYPED)
async def test_it_may_set_its_annotation(as_operator, space, kind):
    reply = await patch(as_operator, space, kind, STAMP)
    assert reply.status == 200, reply.body
    later = in_template(annotations={RESTARTED_AT: "2026-01-02T12:00:00Z"})
    await as_operator.merge(kind, space.name, "web", STAMP)
    await as_operator.merge(kind, space.name, "web", later)


async def test_it_may_set_restart_at_of_a_rollout(as_operator, space):
    await as_operator.merge("Rollout", space.name, "web", {"spec": {"restartAt": TIME}})
    await as_operator.merge("Rollout", space.name, "web", {"spec": {"restartAt": "2026-01-02T12:00:00Z"}})


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("kind", KINDS)
async def test_it_may_not_change(as_operator, space, kind, what):
    if (kind, what) == ("Rollout", "text in place of a time"):
        pytest.skip("a Rollout has a field for it")
    reply = await patch(as_operator, space, kind, FORBIDDEN[what])
    assert reply.status == 403, (reply.status, reply.body)
    assert "the operator may " in reply.body["message"] or "must be a time" in reply.body["message"]


async def test_the_template_of_a_rollout_is_not_its_business(as_operator, space):
    reply = await patch(as_operator, space, "Rollout", {**STAMP, "spec": {**STAMP["spec"], "restartAt": TIME}})
    assert reply.status == 403


@pytest.mark.parametrize("kind", KINDS)
async def test_with_more_rights_than_it_has_it_still_may_do_no_more(site, as_operator, space, kind):
    """Somebody grants all rights on workloads by mistake."""
    rules = [{"apiGroups": ["apps", "argoproj.io"], "resources": ["*"], "verbs": ["*"]}]
    group = "rbac.authorization.k8s.io"
    metadata = {"name": f"too-much-{kind.lower()}"}
    await site.create({"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "secretsyncer", "namespace": "k8s-secret-syncer"}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]}
    binding = {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": metadata}
    await site.create({**binding, "roleRef": reference, "subjects": [subject]})
    path = path_of(kind, space.name)
    new = workload(space.name, "new", kind)
    old = await site.get(kind, space.name, "web")
    replaced = copy.deepcopy(old)
    replaced["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"

    async def refused():
        for method, where, body in (
            ("POST", path, new),
            ("DELETE", f"{path}/web", None),
            ("PUT", f"{path}/web", replaced),
        ):
            reply = await as_operator.request(method, f"{where}?dryRun=All", body)
            assert reply.status == 403, (method, reply.status)
            assert "ValidatingAdmissionPolicy 'secretsyncer-restarts'" in reply.body["message"], reply.body

    await eventually(refused)
    if kind in TYPED[:2]:
        scale = {"spec": {"replicas": 0}}
        reply = await as_operator.request("PATCH", f"{path}/web/scale?dryRun=All", scale, MERGE_PATCH)
        assert "ValidatingAdmissionPolicy" in reply.body["message"], reply.body


@pytest.mark.parametrize("kind", KINDS)
async def test_others_may_do_what_they_could_before(site, as_operator, space, kind):
    assert (await patch(site, space, kind, {"spec": {"template": {"spec": {"nodeName": "a"}}}})).status == 200


async def test_it_may_do_nothing_else_with_workloads(as_operator, space):
    for kind in KINDS:
        path = path_of(kind, space.name)
        assert (await as_operator.request("GET", path)).status == 200
    assert (await as_operator.request("GET", f"/api/v1/namespaces/{space.name}/pods")).status == 403


async def test_the_policy_has_no_type_error(site):
    async def checked():
        path = path_of("ValidatingAdmissionPolicy", "", "secretsyncer-restarts")
        policy = (await site.request("GET", path)).body
        assert policy.get("status", {}).get("observedGeneration") == policy["metadata"]["generation"]
        assert "expressionWarnings" not in policy["status"].get("typeChecking", {})

    await eventually(checked)
