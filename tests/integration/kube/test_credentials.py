"""Certificates and keys are read again when they change, so that a process survives a change of its cluster."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest
from aiohttp import web

from secretsyncer.errors import KubeError
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.resources import NAMESPACES
from tests.support.certificates import Authority

ANSWER = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}


class Server:
    """An API server with one answer, on one port; `certificate` (of whom, for whom) can change between starts.

    With `clients` it takes client certificates of that authority, and refuses all but the client `accepts`.
    """

    def __init__(self, folder, authority, clients=None):
        self.folder, self.authority, self.clients, self.accepts = folder, authority, clients, "one"
        self._runner = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    async def start(self):
        certificate, key = self.authority.issue("server")
        (self.folder / "server.pem").write_bytes(certificate + key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "server.pem")
        if self.clients:
            context.load_verify_locations(cadata=self.clients.pem.decode())
            context.verify_mode = ssl.CERT_OPTIONAL
            # As Kubernetes: from Python 3.13 on, a context would refuse certificates without key identifiers.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()

    async def stop(self):
        await self._runner.cleanup()

    async def _answer(self, request):
        if self.clients:
            peer = request.transport.get_extra_info("peercert") or {}
            names = {value for part in peer.get("subject", ()) for _, value in part}
            if self.accepts not in names:
                return web.json_response({"kind": "Status", "reason": "Unauthorized", "code": 401}, status=401)
        return web.json_response(ANSWER)


@contextlib.asynccontextmanager
async def connected(metrics):
    client = await KubeClient.connect(metrics=metrics)
    try:
        yield client
    finally:
        await client.close()


async def read(client):
    return (await client.get(NAMESPACES, "", "x"))["metadata"]["name"]


async def test_a_new_authority_of_the_cluster_is_taken_up_at_once(tmp_path, monkeypatch, metrics):
    old, new = Authority("old"), Authority("new")
    server = Server(tmp_path, old)
    await server.start()
    (tmp_path / "ca.crt").write_bytes(old.pem)
    kubeconfig(tmp_path, server, {"token": "t"})
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    async with connected(metrics) as client:
        assert await read(client) == "x"
        await server.stop()
        server.authority = new
        await server.start()
        with pytest.raises(KubeError):
            await read(client)
        assert client.refused_for > 0
        client._credentials._asked = float("-inf")  # as after 10 s
        (tmp_path / "ca.crt").write_bytes(new.pem)
        assert await read(client) == "x"
        assert client.refused_for == 0
    await server.stop()


@pytest.fixture
async def server(tmp_path, monkeypatch):
    """A server that takes the client certificate of the kubeconfig, which is that of `one`."""
    authority, clients = Authority("cluster"), Authority("clients")
    server = Server(tmp_path, authority, clients)
    await server.start()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    renew(tmp_path, clients, "one")
    kubeconfig(tmp_path, server, {"client-certificate": "client.crt", "client-key": "client.key"})
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield server
    await server.stop()


async def test_a_renewed_client_certificate_is_taken_up_at_once(tmp_path, server, metrics):
    async with connected(metrics) as client:
        assert await read(client) == "x"
        server.accepts = "two"
        renew(tmp_path, server.clients, "two")
        assert await read(client) == "x"


async def test_rejected_credentials_are_reported_until_others_exist(tmp_path, server, metrics):
    async with connected(metrics) as client:
        assert await read(client) == "x"
        assert client.refused_for == 0
        server.accepts = "two"
        with pytest.raises(KubeError):
            await read(client)
        first = client.refused_for
        with pytest.raises(KubeError):
            await read(client)
        assert client.refused_for > first > 0
        renew(tmp_path, server.clients, "two")
        client._credentials._asked = float("-inf")  # as after 10 s
        assert await read(client) == "x"
        assert client.refused_for == 0


def renew(folder, authority, name):
    certificate, key = authority.issue(name)
    (folder / "client.crt").write_bytes(certificate)
    (folder / "client.key").write_bytes(key)


def kubeconfig(folder, server, user):
    cluster = f"{{server: 'https://127.0.0.1:{server.port}', certificate-authority: ca.crt}}"
    (folder / "config").write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {cluster}}}]\nusers: [{{name: u, user: {user}}}]\n"
    )
