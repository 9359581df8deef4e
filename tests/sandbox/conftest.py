"""The contract tests: the same ones against the embedded API and against a real kube-apiserver."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio

from sandbox.apiserver import EmbeddedKubernetes
from tests.sandbox.contract import WIDGET_COLUMNS, connect, crd, define


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def backend(request):
    """Which server: None is the embedded one, created for each test."""
    return request.getfixturevalue("real_server") if request.param == "real" else None


@pytest.fixture
async def api(backend):
    if backend is not None:
        yield backend
        return
    async with EmbeddedKubernetes(bookmark_interval=1) as embedded:
        yield embedded


@pytest.fixture
async def embedded():
    async with EmbeddedKubernetes(bookmark_interval=1) as server:
        yield server


@pytest.fixture
async def client(api):
    async with connect(api) as made:
        yield made


@pytest.fixture
async def minor(client):
    """The minor version of Kubernetes, for what is not the same in all; the embedded API is of the newest one."""
    return int((await client.get("/version")).body["minor"])


@pytest.fixture
async def namespace(client):
    """A new namespace."""
    name = f"ns-{uuid.uuid4().hex[:8]}"
    await client.make("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_controllers(real_server):
    """The controllers of the real server, which know the custom resource of `widgets`."""
    async with connect(real_server) as client:
        await define(client, crd("widgets", "Widget", additionalPrinterColumns=WIDGET_COLUMNS))
    real_server.start_controllers()
    await real_server.until_controllers()


@pytest.fixture
def controllers(request, backend):
    """The controllers of both: the embedded API always has them."""
    if backend is not None:
        request.getfixturevalue("real_controllers")


@pytest.fixture
def secrets(namespace):
    """The path of the Secrets of the new namespace."""
    return f"/api/v1/namespaces/{namespace}/secrets"


@pytest.fixture
async def widgets(client, namespace):
    """The path of a custom resource in the new namespace."""
    await define(client, crd("widgets", "Widget", additionalPrinterColumns=WIDGET_COLUMNS))
    return f"/apis/contract.example.com/v1/namespaces/{namespace}/widgets"
