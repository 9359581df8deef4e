"""Somebody else's admission changes or rejects the Secrets that the operator writes: no write loop, and a clear reason.

A webhook changes them on every version of Kubernetes; a MutatingAdmissionPolicy where the server has this kind.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections import defaultdict

import pytest
import pytest_asyncio

from sandbox.kubernetes_client import MERGE_PATCH, path_of
from tests.e2e.conftest import SERVICE_ACCOUNT
from tests.support.cluster import WRITES
from tests.support.eventually import eventually
from tests.support.measures import measured, series
from tests.support.specs import all_keys
from tests.support.webhook import MutatingWebhook

pytestmark = pytest.mark.real
SETTINGS = {"SYNC_INTERVAL_SEC": "1"}
RESYNCS = 2
REGISTRATION = "admissionregistration.k8s.io/v1"


RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]


def attempts(server, space):
    """The answers to the operator's writes of Secrets in the namespace, refusals included, by the Secret's name."""
    found = defaultdict(list)
    for entry in server.audit_log(space.name):
        about, user = entry.get("objectRef", {}), entry["user"]["username"]
        ours = entry["verb"] in WRITES and user.endswith(f":{SERVICE_ACCOUNT[1]}")
        if ours and (about.get("resource"), about.get("namespace")) == ("secrets", space.name):
            found[about["name"]].append(entry["responseStatus"]["code"])
    return dict(found)


async def resyncs(operator, space, names):
    """Wait until these objects have been found in order some more times."""
    metric = "secretsyncer_object_last_sync_timestamp_seconds"

    async def times():
        return series(await operator.metrics(metric), metric, namespace=space.name)

    before = await times()

    async def later():
        now = await times()
        assert all(now[name, space.name] >= before[name, space.name] + RESYNCS for name in names)

    await eventually(later)


# It is changed


def put(path, value):
    return {"op": "add", "path": path, "value": value}


def annotated(secret, value):
    return put("/metadata/annotations", {**secret["metadata"].get("annotations", {}), "theirs": value})


ADDED = {
    "unchanged": lambda _, __: [],
    "label-and-annotation": lambda s, _: [put("/metadata/labels/theirs", "yes"), annotated(s, "yes")],
    "changing-annotation": lambda s, now: [annotated(s, now)],
}
"""What the webhook adds to the Secret of this name, which is nothing to the operator."""
ALTERED = {
    "our-label": lambda s, _: [put("/metadata/labels/ours", "theirs")],
    "our-label-changing": lambda s, now: [put("/metadata/labels/ours", now)],
    "key": lambda s, _: [put("/data/theirs", "eWVz")],
    "changing-key": lambda s, now: [put("/data/theirs", now)],
    "value": lambda s, _: [put("/data/b", "eWVz")],
}
"""What it does to the content that the operator has written. The second argument differs every time."""
SOONEST = 10.0
"""Seconds until a Secret that admission alters is written again, unless there is new content."""


def policy(label):
    """Several of these as a policy of the server itself."""
    patches = [
        'JSONPatch{op: "add", path: "/metadata/labels/theirs", value: "yes"}',
        'JSONPatch{op: "add", path: "/metadata/labels/ours", value: "theirs"}',
        'JSONPatch{op: "add", path: "/data/theirs", value: "eWVz"}',
        'JSONPatch{op: "add", path: "/data/b", value: "eWVz"}',
    ]
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{', '.join(patches)}]"}}
    spec = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"mutated": label}},
            "resourceRules": RULES,
        },
        "matchConditions": [{"name": "not-this-one", "expression": "object.metadata.name != 'unchanged'"}],
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        "mutations": [mutation],
    }
    metadata = {"name": label}
    return [
        {"apiVersion": REGISTRATION, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": REGISTRATION,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": label},
        },
    ]


@pytest_asyncio.fixture(loop_scope="session")
async def mutated(cluster, new_space):
    """Makes a namespace where these objects of admission are in force; they carry its label."""
    made = []

    async def until_in_force(space):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "labels": {"ours": "yes"}}}
        before = {**secret, "data": {"a": "MQ==", "b": "MQ=="}}

        async def probe():
            path = path_of("Secret", space.name) + "?dryRun=All"
            reply = await cluster.request("POST", path, before)
            assert reply.status == 201, reply.body
            assert reply.body["data"] != before["data"]

        await eventually(probe)

    async def make(label, *objects):
        for obj in objects:
            made.append(path_of(obj["kind"], "", label))
            await cluster.create(obj)
        space = await new_space(labels={"mutated": label})
        await until_in_force(space)
        return space

    yield make
    for path in reversed(made):
        await cluster.request("DELETE", path)


async def check_no_loop(operator, aws, server, space, name, *, added, altered):
    """One write for each change. What admission alters is reported, and tried again rarely."""
    began, changes = time.monotonic(), 0

    async def settled(content):
        """Until everything has this content, and some time after."""
        for secret in (*added, *altered):

            async def followed(secret=secret):
                assert (await space.data(secret) or {}).get("a") == content

            await eventually(followed)
        for secret in added:
            await space.until_synced(secret)
        for secret in altered:
            message = await space.until_failed(secret, "Conflict")
            assert "an admission policy or webhook changes its " in message
        await resyncs(operator, space, added)
        most = changes + (time.monotonic() - began) / SOONEST
        for secret, answers in attempts(server, space).items():
            assert len(answers) <= (most if secret in altered else changes), secret

    changes += 1
    for secret in (*added, *altered):
        await space.write(secret, dataFrom=all_keys(name), secretMetadata={"labels": {"ours": "yes"}})
    await settled(b"1")
    changes += 1
    aws.world.put(name, '{"a": "2", "b": "1"}')
    await settled(b"2")
    # Somebody else's edit makes the operator compare all of it.
    for secret in (*added, *altered):
        await space.cluster.merge("Secret", space.name, secret, {"metadata": {"labels": {"edited": "yes"}}})
    await settled(b"2")


@pytest.fixture
def name(aws):
    aws.faults.clear()
    made = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(made, '{"a": "1", "b": "1"}')
    return made


async def test_a_webhook_that_changes_every_secret_leads_to_no_loop(
    operator, aws, name, real_server, mutated, tmp_path
):
    calls = itertools.count()

    def change(secret):
        return {**ADDED, **ALTERED}[secret["metadata"]["name"]](secret, f"{next(calls):08d}")

    label = f"m-{uuid.uuid4().hex[:8]}"
    async with MutatingWebhook(tmp_path, change) as webhook:
        space = await mutated(label, webhook.configuration(label))
        await check_no_loop(operator, aws, real_server, space, name, added=ADDED, altered=ALTERED)


async def test_a_mutating_policy_leads_to_no_loop(operator, aws, name, real_server, cluster, mutated):
    if (await cluster.request("GET", path_of("MutatingAdmissionPolicy"))).status == 404:
        pytest.skip("this version of Kubernetes has no MutatingAdmissionPolicy in v1")
    label = f"m-{uuid.uuid4().hex[:8]}"
    space = await mutated(label, *policy(label))
    await check_no_loop(operator, aws, real_server, space, name, added=["unchanged"], altered=["demo"])
    assert (await space.secret("demo"))["metadata"]["labels"]["theirs"] == "yes"


# It is rejected


async def check_it_is_rejected(operator, server, space, message):
    """The condition says why, and the write is tried again once for each pass, which a resync brings."""
    said = await space.until_failed("demo", "AdmissionDenied")
    assert message in said
    assert f"Secret {space.name}/demo" in said
    passes = await measured(operator, "secretsyncer_reconciles_total")
    before = len(attempts(server, space)["demo"])

    async def again():
        count = len(attempts(server, space)["demo"]) - before
        assert count >= RESYNCS
        return count

    tried = await eventually(again)
    assert tried <= await measured(operator, "secretsyncer_reconciles_total") - passes + 1
    return said


async def test_a_policy_that_rejects_the_secret_is_named_and_tried_again_at_resyncs(
    operator, aws, name, real_server, cluster, new_space
):
    label = f"m-{uuid.uuid4().hex[:8]}"
    space = await new_space(labels={"rejected": label})
    spec = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"rejected": label}},
            "resourceRules": RULES,
        },
        "validations": [
            {"expression": "'team' in object.metadata.?labels.orValue({})", "message": "set the label team"}
        ],
    }
    policy = {"apiVersion": REGISTRATION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": label}}
    binding = {"apiVersion": REGISTRATION, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": label}}
    await cluster.create({**policy, "spec": spec})
    await cluster.create({**binding, "spec": {"policyName": label, "validationActions": ["Deny"]}})
    try:
        path = path_of("Secret", space.name) + "?dryRun=All"
        probe = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe"}}

        async def in_force():
            assert (await cluster.request("POST", path, probe)).status == 422

        await eventually(in_force)
        await space.write("demo", dataFrom=all_keys(name))
        said = await check_it_is_rejected(operator, real_server, space, "set the label team")
        assert f"ValidatingAdmissionPolicy '{label}'" in said
        await space.write("demo", dataFrom=all_keys(name), secretMetadata={"labels": {"team": "a"}})
        await space.until_data("demo", {"a": b"1", "b": b"1"})
        await space.until_synced("demo")
    finally:
        for kind in (binding, policy):
            await cluster.delete(kind["kind"], "", label)


async def test_a_quota_that_is_used_up_is_named_and_tried_again_at_resyncs(
    operator, aws, name, real_server, cluster, new_space
):
    space = await new_space()
    path = f"/api/v1/namespaces/{space.name}/resourcequotas"
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"secrets": "0"}},
    }
    await cluster.request("POST", path, quota)
    # The controller of quotas does not run here.
    status = {"status": {"hard": {"secrets": "0"}, "used": {"secrets": "0"}}}
    await cluster.request("PATCH", f"{path}/few/status", status, MERGE_PATCH)
    await space.write("demo", dataFrom=all_keys(name))
    await check_it_is_rejected(operator, real_server, space, "exceeded quota: few")
    await cluster.request("DELETE", f"{path}/few")
    await space.until_synced("demo")
