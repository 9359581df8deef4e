"""The program's client against a server: the embedded one, and the real one where it is there."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.apiserver import EmbeddedKubernetes
from secretsyncer.kube.client import KubeClient
from secretsyncer.loops import Heartbeats
from tests.support.cluster import Cluster


@pytest.fixture
async def embedded():
    async with EmbeddedKubernetes(bookmark_interval=0.5) as server:
        yield server


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def server(request):
    """Either."""
    return request.getfixturevalue("embedded" if request.param == "embedded" else "real_server")


@pytest.fixture
async def connect(metrics, monkeypatch, tmp_path):
    """Make a client of a server, configured as a user does it."""
    clients = []

    async def make(server):
        monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "kubeconfig")))
        clients.append(await KubeClient.connect(metrics=metrics))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(server, connect):
    return await connect(server)


@pytest.fixture
async def admin(server):
    """The world, seen with another client."""
    async with Cluster(server) as admin:
        yield admin


@pytest.fixture
async def namespace(admin):
    return (await admin.space()).name


@pytest.fixture
async def heartbeats():
    return Heartbeats(asyncio.get_running_loop().time)
