"""The HTTP server alone, on a port of loopback."""

from __future__ import annotations

import aiohttp
import pytest
from prometheus_client import REGISTRY

from secretsyncer.operator.http_server import Server
from tests.support.http import Checks


@pytest.fixture
async def serve():
    """Start a server on a free port; a function that asks it gives status, text and headers."""
    servers, session = [], aiohttp.ClientSession()

    async def start(*, health=None, readiness=None, notes=None, page=None):
        server = Server(
            "127.0.0.1",
            0,
            registry=REGISTRY,
            health=health or Checks(),
            readiness=readiness or Checks(),
            notes=notes,
            page=page and (lambda: page),
        )
        servers.append(server)
        await server.start()

        async def ask(path, method="GET", **options):
            async with session.request(method, f"http://127.0.0.1:{server.port}{path}", **options) as answer:
                return answer.status, await answer.text(), answer.headers

        ask.port = server.port
        return ask

    yield start
    await session.close()
    for server in servers:
        await server.stop()
