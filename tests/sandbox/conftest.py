"""The contract tests: the same ones against the embedded API and against a real kube-apiserver."""

from __future__ import annotations

import uuid

import pytest
from contract import WIDGET_COLUMNS, connect, crd, define

from sandbox.apiserver import EmbeddedKubernetes


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def backend(request):
    """Which server: None is the embedded one, made anew for each test."""
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
async def namespace(client):
    """A new namespace."""
    name = f"ns-{uuid.uuid4().hex[:8]}"
    await client.make("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def secrets(namespace):
    """The path of the Secrets of the new namespace."""
    return f"/api/v1/namespaces/{namespace}/secrets"


@pytest.fixture
async def widgets(client, namespace):
    """The path of a custom resource in the new namespace."""
    await define(client, crd("widgets", "Widget", additionalPrinterColumns=WIDGET_COLUMNS))
    return f"/apis/contract.example.com/v1/namespaces/{namespace}/widgets"
