"""The client with faults of the server, and with wrong credentials."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from aiohttp import web

from sandbox.apiserver import EmbeddedKubernetes
from secretsyncer.errors import KubeError, SettingsError
from secretsyncer.kube import client as client_module
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.credentials import Access, Credentials
from secretsyncer.kube.resources import SECRETS
from tests.support.eventually import LIMIT, eventually


@pytest.fixture
def server(embedded):
    return embedded


async def refusal(call):
    with pytest.raises(KubeError) as caught:
        async with asyncio.timeout(LIMIT):
            await call
    return caught.value


async def opened(client, **options):
    async with client.watch(
        SECRETS, "default", resource_version="1", timeout_seconds=30, inactivity=30.0, **options
    ) as events:
        return await anext(events)


async def test_unanswered_requests_end(client, embedded, monkeypatch, value):
    for name in ("REQUEST_TIMEOUT", "LIST_TIMEOUT", "OPEN_TIMEOUT"):
        monkeypatch.setattr(client_module, name, 0.2)
    embedded.faults.hang()
    for call in (client.get(SECRETS, "default", "x"), client.list(SECRETS), opened(client)):
        error = await refusal(call)
        assert (error.status, error.reason, error.transient) == (0, "RequestTimedOut", True)
    assert value("secretsyncer_kubernetes_requests_total", verb="get", resource="secrets", status="0") == 1


async def test_dropped_connections_are_passing_failures(client, embedded):
    embedded.faults.drop()
    for call in (client.create(SECRETS, "default", {}), opened(client)):
        error = await refusal(call)
        assert (error.status, error.transient) == (0, True)


async def test_server_that_is_gone_is_a_passing_failure(client, embedded):
    await embedded.stop_listening()
    error = await refusal(client.get(SECRETS, "default", "x"))
    assert (error.status, error.reason, error.transient) == (0, "ConnectionFailed", True)
    await embedded.start_listening()
    assert (await refusal(client.get(SECRETS, "default", "x"))).status == 404


async def test_refused_watch_is_an_error_at_opening(client, embedded):
    """aiohttp raises nothing for a status, so nobody may read such a body as events."""
    for status in (403, 410, 500):
        with embedded.faults.fail(status, verb="watch"):
            assert (await refusal(opened(client))).status == status


async def test_throttling_says_how_long(client, embedded):
    embedded.faults.fail(429, retry_after=7)
    assert (await refusal(client.get(SECRETS, "default", "x"))).retry_after == 7
    assert (await refusal(opened(client))).retry_after == 7


async def test_nothing_is_repeated_behind_the_caller_s_back(client, embedded):
    with embedded.faults.fail(503) as fault:
        await refusal(client.get(SECRETS, "default", "x"))
        await refusal(client.create(SECRETS, "default", {}))
        assert fault.hits == 2


async def test_watch_cut_in_a_line_is_a_disconnect(client, embedded):
    start = (await client.list(SECRETS, "default"))["metadata"]["resourceVersion"]
    embedded.faults.cut(verb="watch")
    async with client.watch(
        SECRETS, "default", resource_version=start, timeout_seconds=30, inactivity=30.0
    ) as events:
        await client.create(SECRETS, "default", {"metadata": {"name": "x"}, "data": {"k": "aHVudGVyMg=="}})
        error = await refusal(anext(events))
    assert (error.status, error.reason) == (0, "Disconnected")
    assert "aHVudGVyMg" not in str(error)


async def test_leaving_a_watch_closes_its_connection(client, embedded):
    embedded.faults.silence(verb="watch")
    reading = asyncio.create_task(opened(client))

    async def open_watches(count):
        async def probe():
            assert embedded.faults.live_watches(resource="secrets") == count

        await eventually(probe)

    await open_watches(1)
    reading.cancel()
    await open_watches(0)
    with pytest.raises(asyncio.CancelledError):
        await reading


class TestCredentials:
    """Tokens that the server refuses."""

    async def test_refused_token_is_loaded_again_and_the_request_repeated(self, embedded, metrics):
        loads = []

        async def load():
            loads.append(1)
            return Access(embedded.url, token=f"Bearer {embedded.token}")

        client = KubeClient(Credentials(load, Access(embedded.url, token="Bearer stale")), metrics=metrics)
        try:
            found = await asyncio.gather(*(client.list(SECRETS, "default") for _ in range(20)))
            assert {page["kind"] for page in found} == {"SecretList"}
            assert loads == [1]
        finally:
            await client.close()

    async def test_watch_with_a_refused_token_opens_all_the_same(self, embedded, metrics):
        async def load():
            return Access(embedded.url, token=f"Bearer {embedded.token}")

        client = KubeClient(Credentials(load, Access(embedded.url, token="Bearer stale")), metrics=metrics)
        try:
            async with asyncio.timeout(LIMIT):
                assert (await opened(client)).kind in {"ADDED", "BOOKMARK"}
        finally:
            await client.close()

    async def test_token_that_stays_refused_is_an_error(self, embedded, metrics):
        async def load():
            return Access(embedded.url, token="Bearer as wrong")

        client = KubeClient(Credentials(load, Access(embedded.url, token="Bearer wrong")), metrics=metrics)
        try:
            assert (await refusal(client.list(SECRETS))).status == 401
            assert (await refusal(opened(client))).status == 401
        finally:
            await client.close()

    async def test_exec_plugin_gives_the_token_and_a_new_one_when_it_is_refused(
        self, embedded, metrics, monkeypatch, tmp_path
    ):
        plugin = tmp_path / "plugin.py"
        plugin.write_text(
            "import json, pathlib\n"
            f"calls = pathlib.Path({str(tmp_path / 'calls')!r})\n"
            "first = not calls.exists()\n"
            "calls.open('a').write('x')\n"
            f"token = 'stale' if first else {embedded.token!r}\n"
            "api = 'client.authentication.k8s.io/v1'\n"
            "print(json.dumps({'apiVersion': api, 'kind': 'ExecCredential', 'status': {'token': token}}))\n"
        )
        config = json.loads(embedded.write_kubeconfig(tmp_path / "kubeconfig").read_text())
        command = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plugin)],
        }
        config["users"][0]["user"] = {"exec": command}
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        client = await KubeClient.connect(metrics=metrics)
        try:
            assert (await client.list(SECRETS))["kind"] == "SecretList"
            assert (tmp_path / "calls").read_text() == "xx"
        finally:
            await client.close()

    async def test_plugin_that_fails_is_one_line(self, embedded, metrics, monkeypatch, tmp_path):
        config = json.loads(embedded.write_kubeconfig(tmp_path / "kubeconfig").read_text())
        config["users"][0]["user"] = {"exec": {"apiVersion": "v1", "command": "/no/such/plugin"}}
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        with pytest.raises(SettingsError, match="plugin"):
            await KubeClient.connect(metrics=metrics)

    async def test_certificate_that_cannot_be_read_is_a_wrong_setting(self, metrics, monkeypatch, tmp_path):
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "bm9uZQ=="}}
            ],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        with pytest.raises(SettingsError, match="certificates"):
            await KubeClient.connect(metrics=metrics)


class TestStrangers:
    """Not every server that answers is an API server."""

    @pytest.fixture
    async def stranger(self, metrics):
        """A client of a web server that answers each request alike."""
        made = []

        async def make(answer):
            async def handle(request):
                return answer()

            runner = web.ServerRunner(web.Server(handle))
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}")

            async def load():
                return access

            client = KubeClient(Credentials(load, access), metrics=metrics)
            made.append((client, runner))
            return client

        yield make
        for client, runner in made:
            await client.close()
            await runner.cleanup()

    async def test_page_of_a_proxy_is_no_object(self, stranger):
        client = await stranger(lambda: web.Response(text="<html>Log in</html>", content_type="text/html"))
        error = await refusal(client.get(SECRETS, "default", "x"))
        assert (error.status, error.reason) == (0, "BadAnswer")

    async def test_redirect_is_not_followed_with_our_token(self, stranger):
        client = await stranger(lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}))
        assert (await refusal(client.get(SECRETS, "default", "x"))).status == 302

    async def test_base_path_of_the_server_is_kept(self, metrics):
        async with EmbeddedKubernetes() as embedded:
            access = Access(f"{embedded.url}/k8s/clusters/c-1", token=f"Bearer {embedded.token}")

            async def load():
                return access

            client = KubeClient(Credentials(load, access), metrics=metrics)
            try:
                assert (await refusal(client.get(SECRETS, "default", "x"))).status == 404
                assert client.server.endswith("/k8s/clusters/c-1")
            finally:
                await client.close()
