"""Proxies and certificate authorities on the way to AWS."""

from __future__ import annotations

import ssl

import pytest
from aiohttp import web

from sandbox.aws.http import FakeAws
from secretsyncer.errors import SettingsError, Unavailable
from tests.support.certificates import Authority
from tests.support.wired_aws import ref


@pytest.fixture
def environment(aws_env):
    """Nothing of this machine's own way to the network."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        for spelling in (name, name.lower()):
            aws_env.delenv(spelling, raising=False)
    return aws_env


@pytest.mark.parametrize("proxy", ["{host}", "http://{host}", "http://user:hunter2@{host}"])
async def test_calls_go_through_the_proxy(environment, aws, make_side, proxy):
    """The stand-in is the proxy: of a plain HTTP request it sees what a proxy sees."""
    environment.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")
    environment.setenv("HTTP_PROXY", proxy.format(host=aws.url.removeprefix("http://")))
    side = await make_side()
    aws.world.create("app", "x")
    assert await side.get(ref("app")) == "x"


@pytest.mark.parametrize("no_proxy", ["aws.invalid", "*.invalid", ".invalid", "aws.invalid:80", "*"])
async def test_hosts_of_no_proxy_are_asked_directly(environment, aws, make_side, no_waiting, no_proxy):
    environment.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")
    environment.setenv("HTTP_PROXY", aws.url)
    environment.setenv("NO_PROXY", no_proxy)
    side = await make_side()
    aws.world.create("app", "x")
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable)
    assert "no connection to aws.invalid:80" in error.message
    assert not aws.calls


async def test_loopback_takes_no_proxy(environment, aws, make_side):
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    side = await make_side()
    aws.world.create("app", "x")
    assert await side.get(ref("app")) == "x"


async def test_a_proxy_of_another_kind_stops_the_start_with_one_line(environment, aws, make_side):
    environment.setenv("HTTPS_PROXY", "socks5://user:hunter2@proxy:1080")
    with pytest.raises(SettingsError, match="HTTPS_PROXY: socks5 proxies are not supported") as caught:
        await make_side()
    assert "hunter2" not in str(caught.value)


async def test_a_proxy_that_is_down_is_named(environment, make_side, no_waiting):
    environment.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")
    environment.setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:1")
    side = await make_side()
    error = await side.get(ref("app"))
    assert "proxy 127.0.0.1:1: Connection refused" in error.message
    assert "hunter2" not in error.message


async def test_a_proxy_that_refuses_is_told_with_its_status(environment, aws, make_side, no_waiting):
    environment.setenv("AWS_ENDPOINT_URL", "https://aws.invalid")
    environment.setenv("HTTPS_PROXY", aws.url)  # the stand-in knows no CONNECT
    side = await make_side()
    error = await side.get(ref("app"))
    assert f"proxy {aws.url.removeprefix('http://')}: it answers with the status 4" in error.message


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_an_authority_of_ones_own_is_trusted(environment, make_side, no_waiting, tmp_path, variable):
    authority = Authority()
    certificate, key = authority.issue("aws")
    (tmp_path / "aws.pem").write_bytes(certificate + key)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    async with FakeAws() as aws, over_tls(aws, tmp_path / "aws.pem") as url:
        environment.setenv("AWS_ENDPOINT_URL", url)
        aws.world.create("app", "x")
        untrusting = await make_side()
        error = await untrusting.get(ref("app"))
        assert "certificate verify failed" in error.message
        environment.setenv(variable, str(tmp_path / "ca.pem"))
        assert await (await make_side()).get(ref("app")) == "x"


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_bundle_that_cannot_be_used_stops_the_start_with_one_line(
    environment, aws, make_side, tmp_path, content
):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    environment.setenv("AWS_CA_BUNDLE", str(path))
    with pytest.raises(SettingsError, match="AWS_CA_BUNDLE or SSL_CERT_FILE: "):
        await make_side()


class over_tls:  # noqa: N801 - reads as a function
    """A TLS listener in front of the stand-in."""

    def __init__(self, aws, certificate):
        self._aws, self._certificate = aws, certificate

    async def __aenter__(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate)
        site = web.TCPSite(self._aws._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self._site = site
        return f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_):
        await self._site.stop()
