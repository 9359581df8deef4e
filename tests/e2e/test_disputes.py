"""Somebody else wants other content in a managed Secret: few writes, a condition that names them, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from sandbox.kubernetes_client import MERGE_PATCH, path_of
from secretsyncer.sync.damping import FREE
from tests.e2e.conftest import SERVICE_ACCOUNT
from tests.support.cluster import WRITES, data_of
from tests.support.eventually import eventually
from tests.support.measures import total
from tests.support.specs import literal

pytestmark = pytest.mark.real

POLICIES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings"


def written(server, space, kinds=("secrets",)):
    """Successful writes of operators in the namespace."""
    return sum(
        SERVICE_ACCOUNT[1] in line["user"]["username"]
        and line["verb"] in WRITES
        and line["responseStatus"]["code"] < 300
        and line["objectRef"].get("resource") in kinds
        for line in server.audit_log(space.name)
        if (line.get("objectRef") or {}).get("namespace") == space.name
    )


@contextlib.asynccontextmanager
async def opponent(space, name, manager):
    """Another controller that puts its own value there whenever it finds another one."""
    path = f"{path_of('Secret', space.name, name)}?fieldManager={manager}"

    async def insist():
        async with space.watch("Secret", name) as events:
            async for event in events:
                if event["type"] != "DELETED" and data_of(event["object"]) != {"a": b"theirs"}:
                    await space.cluster.request("PATCH", path, {"data": {"a": "dGhlaXJz"}}, MERGE_PATCH)

    task = asyncio.create_task(insist())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_controller_that_insists_is_named_and_answered_rarely_and_after_its_end_all_is_well(
    run_operator, real_server, space
):
    operator = await run_operator(SYNC_INTERVAL_SEC="4")
    await space.write("demo", data=[literal("a", "ours")])
    await space.until_synced("demo")
    began, before = time.monotonic(), written(real_server, space)
    async with opponent(space, "demo", "argocd-controller"):
        message = await space.until_failed("demo", "Conflict")
        assert message.startswith(f"field manager argocd-controller keeps changing Secret {space.name}/demo back")
        statuses = written(real_server, space, ("syncedsecrets",))
        await asyncio.sleep(8)
        seconds = time.monotonic() - began
        assert written(real_server, space) - before <= FREE + 4 + seconds / 4
        assert written(real_server, space, ("syncedsecrets",)) == statuses
    metrics = await operator.metrics()
    assert total(metrics, "secretsyncer_undone_writes_total") > FREE
    assert total(metrics, "secretsyncer_object_ready", reason="Conflict") == 0
    await space.until_data("demo", {"a": b"ours"})
    await space.until_synced("demo")
    assert len([event for event in await space.events("demo") if event["reason"] == "Conflict"]) == 1


async def test_two_operators_on_one_secret_slow_down_and_both_say_so(run_operator, real_server, space):
    for letter in "ab":
        await space.write(f"of-{letter}", data=[literal("a", letter)], target={"name": "shared"})
        await space.cluster.merge(
            "SyncedSecret", space.name, f"of-{letter}", {"metadata": {"labels": {"shard": letter}}}
        )
    began = time.monotonic()
    first = await run_operator(WATCH_SELECTOR="shard=a", SYNC_INTERVAL_SEC="4")
    second = await run_operator(WATCH_SELECTOR="shard=b", SYNC_INTERVAL_SEC="4")
    for letter in "ab":
        message = await space.until_failed(f"of-{letter}", "Conflict")
        assert message.startswith(
            "another operator with the same field manager, secretsyncer, keeps changing Secret"
        )
    await asyncio.sleep(5)
    seconds = time.monotonic() - began
    assert written(real_server, space) <= 2 * (FREE + 4 + seconds / 4)
    for operator in (first, second):
        assert total(await operator.metrics(), "secretsyncer_undone_writes_total") > FREE
    assert await second.stop() == 0
    await space.until_data("shared", {"a": b"a"})
    await space.until_synced("of-a")


async def test_a_policy_that_takes_the_label_away_is_said_once_and_not_fought(run_operator, real_server, space):
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": space.name},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["secrets"],
                    }
                ],
            },
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": 'Object{metadata: Object.metadata{labels: {"secrets.contentful.com/managed": "platform"}}}'
                    },
                }
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": space.name},
        "spec": {"policyName": space.name},
    }
    reply = await space.cluster.request("POST", POLICIES, policy)
    if reply.status == 404:
        pytest.skip("this server has no MutatingAdmissionPolicy")
    assert reply.status == 201, reply.body
    assert (await space.cluster.request("POST", BINDINGS, binding)).status == 201
    probe = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe", "namespace": space.name}}

    async def in_force():
        await space.cluster.request("DELETE", path_of("Secret", space.name, "probe"))
        made = await space.cluster.create(probe)
        assert made["metadata"].get("labels"), "the policy is not in force yet"

    await eventually(in_force)
    await run_operator(SYNC_INTERVAL_SEC="1")
    await space.write("demo", data=[literal("a", "ours")])
    message = await space.until_failed("demo", "Conflict")
    assert "without the label secrets.contentful.com/managed=true" in message
    await asyncio.sleep(10)  # ten syncs
    assert written(real_server, space) <= 2
    assert len(await space.events("demo")) == 1
    for path in (BINDINGS, POLICIES):
        await space.cluster.request("DELETE", f"{path}/{space.name}")
    await space.until_synced("demo")
    assert await space.data("demo") == {"a": b"ours"}
