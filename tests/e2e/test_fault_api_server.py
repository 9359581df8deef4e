"""The API server is gone, silent, denies or sends large objects: no change is lost, and no Secret is emptied.

The operator reaches the real API server through a gate that can be held or cut.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
import pytest_asyncio

from sandbox import access
from sandbox.kubernetes_client import path_of
from secretsyncer.sync.stubs import MOST_OF_SPECS
from tests.e2e.conftest import SERVICE_ACCOUNT, until_known
from tests.support.cluster import WRITES
from tests.support.eventually import eventually
from tests.support.gate import Gate
from tests.support.measures import complaints, total
from tests.support.specs import all_keys, key, literal

pytestmark = pytest.mark.real

MANY = 500
WORKERS = 16
"""So many writes are under way at most."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gate(real_server):
    async with Gate(real_server.url) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operators_kubeconfig(real_server, cluster, gate, tmp_path_factory):
    """The rights of the manifest's ServiceAccount, through the gate."""
    token = await real_server.service_account_token(*SERVICE_ACCOUNT)
    path = tmp_path_factory.mktemp("gated") / "kubeconfig"
    return access.write_kubeconfig(path, url=gate.url, user="operator", token=token, ca_file=real_server.ca_file)


def written(server, namespace):
    """Successful writes of the operator to the Secrets of the namespace, by name."""
    counts = Counter()
    for line in server.audit_log(namespace):
        about = line.get("objectRef") or {}
        ours = SERVICE_ACCOUNT[1] in line["user"]["username"] and line["verb"] in WRITES
        if ours and about.get("resource") == "secrets" and about.get("namespace") == namespace:
            counts[about.get("name", "")] += (line.get("responseStatus") or {}).get("code", 0) < 300
    return counts


async def until_healthy(operator):
    """Alive and ready: after an outage a watch, and so readiness, comes back up to 30 s later, each on its own."""

    async def healthy():
        assert [(await operator.get(path))[0] for path in ("/healthz", "/readyz")] == [200, 200]

    await eventually(healthy)


async def test_a_server_killed_while_500_objects_are_reconciled_loses_none_and_writes_none_twice(
    operator, aws, real_server, space, name
):
    for start in range(0, MANY, 50):
        await asyncio.gather(
            *(space.write(f"demo-{i}", data=[key("a", name, "a")]) for i in range(start, start + 50))
        )

    async def holding(value, at_least):
        secrets = await space.cluster.list("Secret", space.name)
        found = sum(secret["data"] == {"a": value} for secret in secrets)
        assert found >= at_least, f"{found} of {len(secrets)} Secrets"

    await eventually(lambda: holding("MQ==", MANY))
    aws.world.put(name, '{"a": "2"}')
    await eventually(lambda: holding("Mg==", 20))
    await real_server.stop_listening()
    lines = len(operator.log.splitlines())
    await asyncio.sleep(2)  # the outage
    assert (await operator.get("/healthz"))[0] == 200
    await real_server.start_listening()
    # 30 s is the longest backoff of a watch; a pass that failed comes again after a few seconds.
    await eventually(lambda: holding("Mg==", MANY))
    counts = written(real_server, space.name).values()
    assert max(counts) <= 3  # made once, changed once; and once more where the answer got lost with the server
    assert sum(count > 2 for count in counts) <= WORKERS
    assert len(operator.log.splitlines()) - lines < 2 * MANY
    assert not complaints(operator.log)


async def held(gate):
    gate.hold()

    async def probe():
        assert gate.waiting >= 4, "the watches have not come back"

    await eventually(probe)
    await asyncio.sleep(8)


async def refused(gate):
    await gate.refuse()
    await asyncio.sleep(30)


@pytest.mark.parametrize("broken", [held, refused])
async def test_connections_that_are_never_answered_or_refused_for_30_s_lose_nothing(
    operator, gate, space, name, broken
):
    await space.write("changed", data=[literal("a", "1")])
    await space.write("deleted", data=[literal("a", "1")])
    await space.write("source", data=[key("a", name, "a")])
    for obj in ("changed", "deleted", "source"):
        await space.until_synced(obj)
    outage = asyncio.create_task(broken(gate))
    await asyncio.sleep(0)  # it begins
    # All of this is seen by no watch.
    await space.write("changed", data=[literal("a", "2")])
    await space.cluster.delete("SyncedSecret", space.name, "deleted")
    await space.write("new", data=[literal("a", "3")])
    await space.cluster.delete("Secret", space.name, "source")
    await outage
    assert (await operator.get("/healthz"))[0] == 200  # it waits: a restart would cure nothing
    if broken is refused:
        await gate.listen()
    gate.release()
    await space.until_data("changed", {"a": b"2"})
    await space.until_data("new", {"a": b"3"})
    await space.until_data("source", {"a": b"1"})
    await until_known(operator, 3)
    await until_healthy(operator)


async def test_removed_permissions_are_reported_and_once_restored_all_is_in_sync(
    operator, cluster, gate, space, aws, name
):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    before = (await space.secret("demo"))["metadata"]["resourceVersion"]
    binding = await cluster.get("ClusterRoleBinding", "", "secretsyncer")
    try:
        await cluster.delete("ClusterRoleBinding", "", "secretsyncer")

        async def refused():
            metrics = await operator.metrics()
            assert total(metrics, "secretsyncer_kubernetes_requests_total", verb="watch", status="403") >= 4
            assert "cannot watch resource" in operator.log

        lines = len(operator.log.splitlines())
        began = time.monotonic()
        gate.cut()  # a watch that is open outlives the right to open it
        await eventually(refused)
        aws.world.put(name, '{"a": "2"}')  # now, because the API server learns of the permissions a moment later

        async def refused_too():
            metrics = await operator.metrics()
            assert total(metrics, "secretsyncer_kubernetes_requests_total", verb="patch", status="403") >= 1

        await eventually(refused_too)
        await asyncio.sleep(3)
        assert (await operator.get("/healthz"))[0] == 200  # no restart gives rights back
        assert (len(operator.log.splitlines()) - lines) / (time.monotonic() - began) < 10
        secret = await space.secret("demo")
        assert secret["metadata"]["resourceVersion"] == before
    finally:
        metadata = {key: binding["metadata"][key] for key in ("name", "labels")}
        await cluster.create({**binding, "metadata": metadata})
    await space.until_data("demo", {"a": b"2"})

    # The watches are back too.
    await space.write("new", data=[literal("a", "1")])
    await space.until_data("new", {"a": b"1"})
    await space.cluster.delete("Secret", space.name, "new")
    await space.until_data("new", {"a": b"1"})
    await until_healthy(operator)
    assert not complaints(operator.log)


async def test_an_object_of_1400_kib_is_read_and_spoils_nothing(operator, gate, space):
    """etcd takes 1.5 MiB. The Secret is small: of items with one name the last counts."""
    big = [literal("a", f"{number:04}" + "x" * 100_000) for number in range(14)] + [literal("a", "last")]
    await space.write("large", data=big)
    await space.until_data("large", {"a": b"last"})
    await space.until_synced("large")
    # As much again does not fit into a Secret, which takes 1 MiB.
    await space.write("too-large", data=[literal(f"a{number}", "x" * 100_000) for number in range(14)])
    await space.until_failed("too-large", "InvalidSecretValue")
    gate.cut()  # lists and watches carry them too
    await space.write("small", data=[literal("a", "1")])
    await space.until_data("small", {"a": b"1"})
    await space.write("large", data=[*big, literal("a", "edited")])
    await space.until_data("large", {"a": b"edited"})
    await until_healthy(operator)


async def test_objects_that_are_too_large_to_be_kept_together_are_read_when_they_are_needed(operator, space):
    big = [literal("a", f"{number:04}" + "x" * 100_000) for number in range(14)]
    names = [f"large-{number}" for number in range(MOST_OF_SPECS // 1_400_000 + 2)]
    for name in names:
        await space.write(name, data=[*big, literal("a", name)], deletionPolicy="Delete")
    for name in names:
        await space.until_data(name, {"a": name.encode()})
    assert "are too large to be kept" in operator.log
    for name in names:
        await space.cluster.delete("Secret", space.name, name)
    for name in names:
        await space.until_data(name, {"a": name.encode()})
        await space.until_synced(name)
    await space.cluster.merge("Secret", space.name, names[0], {"metadata": {"ownerReferences": None}})

    async def owned():
        assert (await space.secret(names[0]))["metadata"].get("ownerReferences")

    await eventually(owned)


async def test_an_object_from_before_the_schema_gets_a_condition_and_affects_no_other_object(
    operator, gate, cluster, space
):
    """A CRD without a schema, as an older operator may have left it, lets anything in."""
    name = "syncedsecrets.secrets.contentful.com"
    definition = await cluster.get("CustomResourceDefinition", "", name)
    (version,) = definition["spec"]["versions"]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    loose = {**version, "schema": {"openAPIV3Schema": anything}}
    del loose["selectableFields"]  # they must be in the schema
    strange = {
        "no-spec": {},
        "spec-of-text": {"spec": "all of it"},
        "data-of-text": {"spec": {"data": "a=1"}},
        "numbers": {"spec": {"data": [{"name": 1, "value": [2]}], "IAMRole": 7}},
    }

    async def let_in():
        for obj, content in strange.items():
            head = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret"}
            body = {**head, "metadata": {"name": obj, "namespace": space.name}, **content}
            reply = await cluster.request("POST", path_of("SyncedSecret", space.name), body)
            assert reply.status in {201, 409}, reply.body["message"]

    try:
        await cluster.merge("CustomResourceDefinition", "", name, {"spec": {"versions": [loose]}})
        await eventually(let_in)
    finally:
        await cluster.merge("CustomResourceDefinition", "", name, {"spec": {"versions": [version]}})
    await space.write("fine", data=[literal("a", "1")])
    await space.until_data("fine", {"a": b"1"})

    async def told():
        for obj in strange.keys() - {"no-spec"}:
            assert f'"{space.name}/{obj}"' in operator.log, obj

    await eventually(told)
    await space.until_data("no-spec", {})  # as the Go operator
    await space.until_synced("no-spec")
    await until_healthy(operator)
    assert not complaints(operator.log)
