"""manifests/policies on a real API server of their own: what each policy allows and refuses, and with which words.

The policies hold for a whole cluster, so the server is not the one that other tests use.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio

from sandbox.aws.state import OPERATOR_ACCOUNT
from sandbox.envtest import RealKubernetes
from sandbox.kubernetes_client import MERGE_PATCH, KubernetesClient, Reply, path_of
from secretsyncer.aws.arn import Account
from secretsyncer.errors import SyncFailure
from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL, Rules, authorize
from secretsyncer.synced_secret import SyncedSecretSpec
from tests.e2e.test_authorization import ALLOWED, ANNOTATION, DENIED
from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS, Cluster, Space
from tests.support.eventually import eventually
from tests.support.specs import literal

pytestmark = pytest.mark.real

OWN = OPERATOR_ACCOUNT
OTHER = "222222222222"
READER = f"arn:aws:iam::{OWN}:role/reader"


POLICIES = sorted(path.stem for path in (MANIFESTS / "policies").glob("*.yaml") if path.stem != "kustomization")


class Site(Cluster):
    """A server with all policies. Each holds in the namespaces that have its name as the label `policy`."""

    async def apply_policies(self) -> None:
        for file in POLICIES:
            for obj in fast_yaml.load_all((MANIFESTS / "policies" / f"{file}.yaml").read_text()):
                if obj["kind"] == "ValidatingAdmissionPolicyBinding":
                    obj["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {"policy": file}}}
                await self.create(obj)

    async def under(self, policy: str, **annotations: str) -> Space:
        """A new namespace where this policy holds."""
        return await self.space(labels={"policy": policy}, annotations=annotations)

    async def attempt(self, space: Space, spec: dict[str, Any]) -> Reply:
        """What the server answers to a SyncedSecret with this spec; it is not stored."""
        obj = synced_secret(space.name, "attempt", spec)
        return await self.request("POST", path_of("SyncedSecret", space.name) + "?dryRun=All", obj)

    async def until_in_force(self, policy: str, spec: dict[str, Any], **annotations: str) -> None:
        """Until a spec that the policy refuses is refused."""
        space = await self.under(policy, **annotations)

        async def probe() -> None:
            assert (await self.attempt(space, spec)).status == 403

        await eventually(probe)


def synced_secret(namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "metadata": metadata, "spec": spec}


def spec_of(role: str | None = None, **more: Any) -> dict[str, Any]:
    return {"data": [literal("a", "1")], **({} if role is None else {"IAMRole": role}), **more}


FORBIDDEN = [
    pytest.param("require-role", spec_of(), spec_of("reader"), "set spec.IAMRole", id="no role"),
    pytest.param("require-role", spec_of(""), spec_of(AWSAccountID=OTHER), "set spec.IAMRole", id="an empty role"),
    pytest.param("own-account", spec_of(READER), spec_of("reader"), f"account {OWN}", id="an ARN"),
    pytest.param("own-account", spec_of(AWSAccountID=OTHER), spec_of(), f"account {OTHER}", id="an account"),
    pytest.param("no-adopt", spec_of(adopt=True), spec_of(adopt=False), "spec.adopt", id="adopt"),
    pytest.param("no-adopt", spec_of(adopt=True), spec_of(), "spec.adopt", id="adopt is absent"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(assets):
    """The server, once all policies are in force."""
    async with RealKubernetes(assets) as server, Site(server) as made:
        await made.install("crd.yaml")
        await made.apply_policies()
        await made.until_in_force("allowed-roles", spec_of("reader"), **{ANNOTATION: "[]"})
        await made.until_in_force("require-annotation", spec_of("reader"))
        for case in FORBIDDEN:
            await made.until_in_force(case.values[0], case.values[1])
        server.start_controllers()
        yield made


# What the operator would deny


def said_by_the_operator(namespace: dict[str, Any], spec: dict[str, Any], *, require: bool = False) -> str:
    """Its message; empty if it grants the role."""
    rules = Rules(ANNOTATION, require_annotation=require)
    try:
        authorize(SyncedSecretSpec.model_validate(spec), namespace, Account("aws", OWN), rules)
    except SyncFailure as failure:
        return failure.message
    return ""


MORE = [
    pytest.param({ANNOTATION: '["/team/reader"]'}, "team/reader", id="a path that begins with a slash"),
    pytest.param({ANNOTATION: '["team/reader"]'}, "/team/reader", id="the same in the spec"),
    pytest.param({ANNOTATION: ' [ "a" ,\n"reader"\t] '}, "reader", id="white space"),
    pytest.param({ANNOTATION: '["\\u0072eader"]'}, "reader", id="an escape"),
    pytest.param({ANNOTATION: '["reader",]'}, "reader", id="a comma too many"),
    pytest.param({ANNOTATION: '["reader"'}, "reader", id="no bracket"),
    pytest.param({ANNOTATION: '["myreader"]'}, "reader", id="a name that ends like the role"),
    pytest.param({ANNOTATION: '["reader"]'}, "myreader", id="the reverse"),
    pytest.param({ANNOTATION: '["team/reader"]'}, "reader", id="a path that ends like the role"),
    pytest.param({ANNOTATION: json.dumps([f"role-{i}" for i in range(2000)])}, "role-1999", id="2,000 roles"),
    pytest.param({ANNOTATION: '["arn:aws:iam::222222222222:role/team/reader"]'}, "reader", id="the path of an ARN"),
]
ACCOUNT_UNKNOWN = {"same name, other account"}
"""What the policy cannot know, and leaves to the operator."""


@pytest.mark.parametrize(("annotations", "role"), [*ALLOWED, *DENIED, *MORE])
async def test_it_refuses_what_the_operator_denies_with_its_words_and_nothing_else(
    request, site, annotations, role
):
    space = await site.under("allowed-roles", **annotations)
    namespace = await site.get("Namespace", "", space.name)
    message = said_by_the_operator(namespace, spec_of(role))
    reply = await site.attempt(space, spec_of(role))
    if any(case in request.node.callspec.id for case in ACCOUNT_UNKNOWN):
        assert reply.status == 201
    elif message:
        assert reply.status == 403, message
        said = reply.body["message"].partition(" denied request: ")[2]
        # The operator also names entries that it skipped.
        assert said == message.replace(f"arn:aws:iam::{OWN}:role/{role}", str(role)).partition("; annotation ")[0]
    else:
        assert reply.status == 201, reply.body


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (f"arn:aws:iam::{OTHER}:role/secret-syncer", 201),
        (f"arn:aws-cn:iam::{OTHER}:role/secret-syncer", 201),
        (f"arn:aws:iam::{OWN}:role/secret-syncer", 403),
        (f"arn:aws:iam::{OTHER}:role/reader", 403),
        ("reader", 403),
    ],
)
async def test_an_account_id_stands_for_the_role_secret_syncer_of_that_account(site, entry, status):
    space = await site.under("allowed-roles", **{ANNOTATION: json.dumps([entry])})
    reply = await site.attempt(space, spec_of(AWSAccountID=OTHER))
    assert reply.status == status
    if status == 403:
        assert f"role secret-syncer of account {OTHER} is not in the annotation" in reply.body["message"]


async def test_an_object_that_is_there_already_can_be_annotated_and_repaired(site):
    space = await site.under("allowed-roles")
    await space.write("demo", **spec_of("reader"))
    await space.annotate({ANNOTATION: '["other"]'})

    async def seen():
        assert (await site.attempt(space, spec_of("reader"))).status == 403

    await eventually(seen)
    annotations = {"metadata": {"annotations": {"secrets.contentful.com/refresh": "1"}}}
    await site.merge("SyncedSecret", space.name, "demo", annotations)
    patch = {"spec": {"suspend": True}}
    path = path_of("SyncedSecret", space.name, "demo")
    assert (await site.request("PATCH", path, patch, MERGE_PATCH)).status == 403
    await site.merge("SyncedSecret", space.name, "demo", {"spec": {"IAMRole": "other"}})
    await site.merge("SyncedSecret", space.name, "demo", {"metadata": {"finalizers": ["example.com/last"]}})
    await space.annotate({ANNOTATION: "[]"})
    await site.delete("SyncedSecret", space.name, "demo")
    await site.merge("SyncedSecret", space.name, "demo", {"metadata": {"finalizers": None}})
    assert await space.synced("demo") is None


# What an administrator may forbid


@pytest.mark.parametrize(("policy", "bad", "good", "message"), FORBIDDEN)
async def test_what_a_policy_forbids_is_refused_and_the_rest_is_not(site, policy, bad, good, message):
    space = await site.under(policy)
    reply = await site.attempt(space, bad)
    assert reply.status == 403
    assert message in reply.body["message"]
    assert (await site.attempt(space, good)).status == 201


async def test_a_namespace_needs_the_annotation(site):
    space = await site.under("require-annotation")
    reply = await site.attempt(space, spec_of("reader"))
    assert reply.status == 403
    namespace = await site.get("Namespace", "", space.name)
    assert reply.body["message"].endswith(said_by_the_operator(namespace, spec_of("reader"), require=True))
    annotated = await site.under("require-annotation", **{ANNOTATION: "[]"})
    assert (await site.attempt(annotated, spec_of("reader"))).status == 201


async def test_accounts_in_the_list_are_allowed(site):
    space = await site.under("own-account")
    policy = path_of("ValidatingAdmissionPolicy", "", "secretsyncer-own-account")
    before = (await site.request("GET", policy)).body["spec"]["variables"]
    assert before[0] == {"name": "accounts", "expression": "[]"}
    after = [{**before[0], "expression": f"['{OWN}']"}, *before[1:]]
    await site.request("PATCH", policy, {"spec": {"variables": after}}, MERGE_PATCH)

    async def allowed():
        assert (await site.attempt(space, spec_of(READER))).status == 201

    await eventually(allowed)
    assert (await site.attempt(space, spec_of(AWSAccountID=OTHER))).status == 403
    await site.request("PATCH", policy, {"spec": {"variables": before}}, MERGE_PATCH)


# Who may change the annotation


async def account(site, namespace, name):
    """A new ServiceAccount, and a client that acts as it."""
    metadata = {"namespace": namespace, "name": name}
    await site.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = await site.server.service_account_token(namespace, name)
    return {"kind": "ServiceAccount", **metadata}, KubernetesClient(site.server, token=token)


async def bind(site, kind, namespace, role, subject):
    metadata = {"name": f"{role}-{subject['name']}-{subject['namespace']}"}
    if namespace:
        metadata["namespace"] = namespace
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata}
    await site.create({**body, "roleRef": reference, "subjects": [subject]})


GUARDED = [
    pytest.param({"annotations": {ANNOTATION: '["admin"]'}}, f"the annotation {ANNOTATION}", id="changed"),
    pytest.param({"annotations": {ANNOTATION: None}}, f"the annotation {ANNOTATION}", id="removed"),
    pytest.param({"annotations": None}, f"the annotation {ANNOTATION}", id="all annotations removed"),
    pytest.param({"labels": {NAMESPACE_TYPE_LABEL: "prod"}}, f"the label {NAMESPACE_TYPE_LABEL}", id="label added"),
]


@pytest.mark.parametrize(("metadata", "what"), GUARDED)
async def test_only_holders_of_the_verb_change_what_a_namespace_may_use(site, metadata, what):
    space = await site.under("protect-annotation", **{ANNOTATION: '["reader"]'})
    tenant, as_tenant = await account(site, space.name, "tenant")
    # All rights in the namespace, which include those on the namespace itself.
    await bind(site, "RoleBinding", space.name, "cluster-admin", tenant)
    path = path_of("Namespace", "", space.name)
    async with as_tenant:
        for subresource in ("", "/status"):

            async def refused(subresource=subresource):
                patch = {"metadata": metadata}
                reply = await as_tenant.request("PATCH", path + subresource + "?dryRun=All", patch, MERGE_PATCH)
                assert reply.status == 403, reply.body
                assert f"{what} may only be changed by those" in reply.body["message"], reply.body

            await eventually(refused)
        finalize = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name}, "spec": {}}
        reply = await as_tenant.request("PUT", path + "/finalize?dryRun=All", finalize)
        assert ANNOTATION in reply.body["message"]
        unrelated = {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}
        await as_tenant.merge("Namespace", "", space.name, unrelated)

        await bind(site, "ClusterRoleBinding", "", "secretsyncer-allow-roles", tenant)

        async def allowed():
            await as_tenant.merge("Namespace", "", space.name, {"metadata": metadata})

        await eventually(allowed)


async def test_a_new_namespace_with_the_annotation_needs_the_verb_too(site):
    space = await site.under("protect-annotation", **{ANNOTATION: "[]"})  # of the administrator
    creator, as_creator = await account(site, space.name, "creator")
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "creators"}}
    await site.create({**role, "rules": rules})
    await bind(site, "ClusterRoleBinding", "", "creators", creator)

    def namespace(**more):
        metadata = {"name": f"{space.name}-new", "labels": {"policy": "protect-annotation"}, **more}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    async with as_creator:
        path = path_of("Namespace") + "?dryRun=All"

        async def refused():
            reply = await as_creator.request("POST", path, namespace(annotations={ANNOTATION: '["admin"]'}))
            assert ANNOTATION in reply.body.get("message", ""), reply.body

        await eventually(refused)
        assert (await as_creator.request("POST", path, namespace())).status == 201


async def test_no_policy_has_a_type_error(site):
    kind = path_of("ValidatingAdmissionPolicy")

    async def checked():
        found = {policy["metadata"]["name"]: policy for policy in (await site.request("GET", kind)).body["items"]}
        assert found.keys() == {f"secretsyncer-{file}" for file in POLICIES}
        for name, policy in found.items():
            status = policy.get("status", {})
            assert status.get("observedGeneration") == policy["metadata"]["generation"], name
            assert status["typeChecking"].get("expressionWarnings", []) == [], name

    await eventually(checked)
