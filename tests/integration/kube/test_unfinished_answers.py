"""A request that does not get its whole answer ends its connection, even if the server takes no part in that."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube import client as client_module
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.credentials import Access, Credentials, Tls
from secretsyncer.kube.resources import SECRETS
from tests.support.certificates import Authority
from tests.support.http import clients_of

PART = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
ANSWERS = {
    "nothing": "",
    "part": PART,
    "part of a refusal": PART.replace("200 OK", "500 Internal Server Error"),
}


class Server:
    """An API server over TLS. It sends `answer` once it has a request, and reads no more of the connection."""

    def __init__(self, authority, folder):
        self.answer = ""
        self.answered = asyncio.Event()
        certificate, key = authority.issue("server")
        (folder / "server.pem").write_bytes(certificate + key)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(folder / "server.pem")
        self._writers = []

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write(self.answer.encode())
        self.answered.set()


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
async def server(authority, tmp_path):
    async with Server(authority, tmp_path) as server:
        yield server


@pytest.fixture
async def client(server, authority, metrics):
    access = Access(f"https://127.0.0.1:{server.port}", tls=Tls(ca=authority.pem))

    async def load():
        return access

    client = KubeClient(Credentials(load, access), metrics=metrics)
    yield client
    await client.close()


async def get(client):
    await client.get(SECRETS, "default", "x")


async def watch(client):
    async with client.watch(SECRETS, "default", resource_version="1", timeout_seconds=30, inactivity=0.2) as events:
        await anext(events)


async def assert_ended(server):
    """In the next turn of the loop, as nothing waits for longer before the loop closes."""
    await asyncio.sleep(0)
    assert clients_of(server.port) == 0


@pytest.mark.parametrize("call", [get, watch])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_the_answer_takes_too_long(server, client, monkeypatch, call, answer):
    for name in ("REQUEST_TIMEOUT", "OPEN_TIMEOUT"):
        monkeypatch.setattr(client_module, name, 0.2)
    server.answer = ANSWERS[answer]
    with pytest.raises(KubeError):
        await call(client)
    await assert_ended(server)


async def test_the_answer_is_too_long(server, client, monkeypatch):
    monkeypatch.setattr(client_module, "PAGE_BYTES", 500)
    server.answer = PART + " " * 1000
    with pytest.raises(KubeError, match="more than"):
        await get(client)
    await assert_ended(server)


@pytest.mark.parametrize("call", [get, watch])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_the_request_is_cancelled(server, client, call, answer):
    server.answer = ANSWERS[answer]
    asking = asyncio.create_task(call(client))
    await server.answered.wait()
    assert clients_of(server.port) == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await assert_ended(server)
