"""A real server that streams lists, does not, or changes underneath: what informers ask, and that they miss nothing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sandbox.envtest import RealKubernetes
from secretsyncer.kube.informer import Informer
from secretsyncer.kube.resources import SECRETS
from secretsyncer.kube.streamed_lists import StreamedLists
from tests.integration.kube.test_informer import QUICK, same, secret
from tests.support.eventually import LIMIT

pytestmark = pytest.mark.real


@pytest.fixture(params=[True, False], ids=["streams", "pages"])
def streams(request):
    """Whether the server streams lists at first."""
    return request.param


@pytest.fixture
async def server(assets, streams):
    api = RealKubernetes(assets)
    api.feature_gates = f"WatchList={str(streams).lower()}"
    async with api:
        yield api


@pytest.fixture
async def informer(client, metrics, heartbeats, namespace):
    made = Informer(
        client,
        SECRETS,
        namespaces=(namespace,),
        metrics=metrics,
        heartbeats=heartbeats,
        backoff=QUICK,
        streamed=StreamedLists(),
    )
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(LIMIT):
        await made.synced.wait()
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def answered(value):
    """How often requests of this verb had this status."""
    return lambda verb, status: (
        value("secretsyncer_kubernetes_requests_total", verb=verb, resource="secrets", status=status) or 0
    )


async def test_each_server_is_asked_in_its_own_way(informer, admin, namespace, streams, answered):
    await admin.create(secret(namespace, "x", k="dg=="))
    await same(informer, admin, namespace)
    assert (answered("list", "200"), answered("watch", "422")) == ((0, 0) if streams else (1, 1))


async def test_a_server_that_changes_underneath_is_asked_in_its_new_way(
    informer, server, admin, namespace, streams, answered
):
    for name in ("kept", "deleted"):
        await admin.create(secret(namespace, name))
    await same(informer, admin, namespace)
    before = answered("list", "200"), answered("watch", "422")
    await admin.space()  # a change that the watch does not show, so that its version is too old
    await server.compact()
    await server.stop_listening()
    server.feature_gates = f"WatchList={str(not streams).lower()}"
    await server.start_listening()
    await admin.delete("Secret", namespace, "deleted")
    await admin.create(secret(namespace, "created"))
    await same(informer, admin, namespace)
    after = answered("list", "200"), answered("watch", "422")
    assert after == ((before[0] + 1, before[1] + 1) if streams else before)
