"""manifests/base/rbac.yaml is enough for everything that the operator does, and without it the operator says what lacks.

All other tests on the real API server run with its ServiceAccount as well.
"""

from __future__ import annotations

import re
import uuid

import pytest

from sandbox.operator import OperatorProcess
from tests.support.eventually import eventually
from tests.support.measures import series
from tests.support.specs import all_keys

pytestmark = pytest.mark.real


async def test_the_service_account_of_the_manifest_may_do_all_that_is_needed(run_operator, aws, cluster, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, '{"a": "1"}')
    operator = await run_operator(LEADER_ELECTION="true", POD_NAMESPACE="k8s-secret-syncer")
    metadata = {"name": "adopted", "namespace": space.name}
    await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "y"}})
    await space.write("adopted", dataFrom=all_keys(name))
    await space.write("created", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.write("failing", dataFrom=all_keys(f"{name}-missing"))
    for obj in ("adopted", "created"):
        await space.until_data(obj, {"a": b"1"})
    await space.until_failed("failing", "SecretNotFound")
    await cluster.delete("Secret", space.name, "created")
    aws.world.put(name, '{"a": "2"}')
    for obj in ("adopted", "created"):
        await space.until_data(obj, {"a": b"2"})

    async def told():
        assert await space.events("failing")

    await eventually(told)
    assert series(await operator.metrics(), "secretsyncer_kubernetes_requests_total", status="403") == {}
    assert await operator.stop() == 0
    assert "lease released" in operator.log
    assert "orbidden" not in operator.log


async def test_without_permissions_it_is_not_ready_and_names_what_it_lacks(
    real_server, cluster, environment, space, tmp_path
):
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nobody", "namespace": space.name},
    }
    await cluster.create(account)
    token = await real_server.service_account_token(space.name, "nobody")
    kubeconfig = real_server.write_kubeconfig(tmp_path / "kubeconfig", "nobody", token=token)
    async with OperatorProcess(kubeconfig=kubeconfig, environment=environment) as operator:

        async def told():
            assert "port" in operator.log, "it does not listen yet"
            status, text = await operator.get("/readyz")
            assert status == 503
            # A list is the beginning of a watch where the server streams lists.
            assert re.search(r'cannot (list|watch) resource "syncedsecrets"', text), text

        await eventually(told)
        assert (await operator.get("/healthz"))[0] == 200
        assert await operator.stop() == 0
