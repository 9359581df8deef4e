"""The address of the cluster and the credentials, from files and the environment."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import yaml

from secretsyncer.errors import SettingsError
from secretsyncer.kube import credentials
from secretsyncer.kube.credentials import Access, Credentials, Tls, from_kubeconfig, from_service_account
from tests.support.certificates import Authority

VARIABLES = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Nothing of this machine's own."""
    for name in (*VARIABLES, *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return monkeypatch


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def pod(environment, tmp_path, authority):
    """A pod's service account."""
    environment.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    environment.setenv("KUBERNETES_SERVICE_PORT", "443")
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("one\n")
    (folder / "namespace").write_text("operators\n")
    (folder / "ca.crt").write_bytes(authority.pem)
    environment.setattr(credentials, "SERVICE_ACCOUNT", folder)
    environment.setattr(from_service_account, "__defaults__", (folder,))
    return folder


def kubeconfig(path, *, user=None, cluster=None, context=None, current="here"):
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "current-context": current,
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **(context or {})}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def test_no_cluster_is_one_helpful_line():
    with pytest.raises(SettingsError, match="KUBECONFIG") as caught:
        await Credentials.find()
    assert "\n" not in str(caught.value)


class TestKubeconfig:
    """Contexts, tokens, and files that are not what they should be."""

    async def test_current_context_is_used(self, environment, tmp_path):
        path = kubeconfig(tmp_path / "config", context={"namespace": "ns"})
        environment.setenv("KUBECONFIG", path)
        access = (await Credentials.find()).access
        assert (access.server, access.namespace, access.token) == ("http://127.0.0.1:1", "ns", "Bearer t")

    async def test_namespace_is_default_where_the_context_has_none(self, tmp_path):
        assert (await from_kubeconfig(kubeconfig(tmp_path / "config"))).namespace == "default"

    async def test_kubeconfig_at_home_is_found(self, tmp_path):
        kubeconfig(tmp_path / "home/.kube/config")
        assert (await Credentials.find()).access.token == "Bearer t"

    async def test_variable_wins_over_pod_and_pod_over_home(self, environment, tmp_path, pod):
        kubeconfig(tmp_path / "home/.kube/config")
        assert (await Credentials.find()).access.token == "Bearer one"
        environment.setenv("KUBECONFIG", kubeconfig(tmp_path / "config"))
        assert (await Credentials.find()).access.token == "Bearer t"

    async def test_user_and_password(self, tmp_path):
        path = kubeconfig(tmp_path / "config", user={"username": "u", "password": "p"})
        assert (await from_kubeconfig(path)).token == "Basic dTpw"

    async def test_token_file_is_read_again_when_the_token_is_refused(self, tmp_path):
        (tmp_path / "token").write_text("one\n")
        path = kubeconfig(tmp_path / "config", user={"tokenFile": str(tmp_path / "token")})
        access = await from_kubeconfig(path)
        found = Credentials(lambda: from_kubeconfig(path), access)
        assert (await found.current()).token == "Bearer one"
        (tmp_path / "token").write_text("two\n")
        assert await found.refused(found.access)
        assert (await found.current()).token == "Bearer two"

    async def test_proxy_and_server_name(self, tmp_path):
        cluster = {"proxy-url": "http://proxy:3128", "tls-server-name": "kubernetes"}
        access = await from_kubeconfig(kubeconfig(tmp_path / "config", cluster=cluster))
        assert (access.proxy, access.tls.server_name) == ("http://proxy:3128", "kubernetes")

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            "{",
            "a: b",
            "current-context: gone\ncontexts: []\nclusters: []\n",
            "contexts: [{}]\ncurrent-context: x\nclusters: []",
        ],
    )
    async def test_broken_file_is_one_line_that_names_it(self, tmp_path, content):
        path = tmp_path / "config"
        path.write_text(content)
        with pytest.raises(SettingsError, match=str(path)) as caught:
            await from_kubeconfig(str(path))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"current": ""}, "no current-context; choose one with: kubectl config use-context NAME"),
            ({"current": "gone"}, "there is no context gone, which is the current-context"),
            ({"context": {"cluster": "gone"}}, "context here names the cluster gone, which is not there"),
            ({"cluster": {"server": "10.0.0.1:6443"}}, "the server of context here must be a URL, like https://"),
            *(
                ({"cluster": {"server": server}}, "the server of context here must be a URL, like https://")
                for server in (
                    "https://",
                    "https://host:port",
                    "https://host:99999",
                    "https://[::1",
                    "https://ho st",
                    "https://host?x=y",
                )
            ),
            ({"cluster": {"server": 5}}, "cluster c: server must be text"),
            ({"cluster": {"tls-server-name": 5}}, "cluster c: tls-server-name must be text"),
            ({"cluster": {"insecure-skip-tls-verify": "false"}}, "insecure-skip-tls-verify must be true or false"),
            ({"context": {"user": "gone"}}, "context here names the user gone, which is not there"),
            ({"user": {"token": "t", "as": "admin"}}, "impersonation (as) is not supported"),
            ({"user": {"token": ["t"]}}, "user u: token must be text"),
            ({"user": {"token": "a\nb"}}, "must be one line of text"),
            ({"user": {"tokenFile": "lines"}}, "must be one line of text"),
            ({"user": {"tokenFile": "bytes"}}, "must be one line of text"),
            *(
                (
                    {"user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", **plugin}}},
                    said,
                )
                for plugin, said in (
                    ({"args": 5}, "exec: args must be a list of texts"),
                    ({"args": [5]}, "exec: args must be a list of texts"),
                    ({"env": {"A": "b"}}, "exec: env must be a list of maps"),
                    ({"env": [{"value": "b"}]}, "exec.env: each variable needs a name"),
                    ({"env": [{"name": "A", "value": 5}]}, "exec.env: value must be text"),
                    ({"env": [{"name": "A=B", "value": "c"}]}, "exec plugin x: illegal environment variable name"),
                    ({"command": ["x"]}, "exec: command must be text"),
                    ({"command": "a\0b"}, "embedded null byte"),
                )
            ),
            ({"cluster": {"server": ""}}, "the server of context here must be a URL, like https://"),
            ({"user": {"auth-provider": {"name": "gcp"}}}, "the auth-provider gcp is not supported"),
            ({"user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}}, "exec needs a command"),
            (
                {"user": {"exec": {"command": "x"}}},
                "exec.apiVersion must be one of client.authentication.k8s.io/v1,",
            ),
            ({"user": {"tokenFile": "gone"}}, "tokenFile: "),
            ({"user": {"tokenFile": "empty"}}, "empty is empty"),
            ({"user": {"client-certificate-data": "!"}}, "client-certificate-data must be base64"),
            ({"user": {"client-certificate": "gone"}}, "client-certificate: "),
            ({"cluster": {"proxy-url": "socks5://p"}}, "proxy-url: socks5 proxies are not supported"),
        ],
    )
    async def test_what_cannot_be_used_is_one_line_that_says_what_to_do(self, tmp_path, parts, message):
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "lines").write_text("a\nb\n")
        (tmp_path / "bytes").write_bytes(b"\xff\xfe")
        path = kubeconfig(tmp_path / "config", **parts)
        with pytest.raises(SettingsError) as caught:
            await from_kubeconfig(path)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    async def test_missing_file_is_named(self, environment, tmp_path):
        environment.setenv("KUBECONFIG", str(tmp_path / "gone"))
        with pytest.raises(SettingsError, match="gone"):
            await Credentials.find()


class TestServiceAccount:
    """What a pod is given."""

    async def test_pod_is_its_service_account(self, pod, authority):
        access = (await Credentials.find()).access
        assert access.server == "https://10.96.0.1:443"
        assert (access.namespace, access.token) == ("operators", "Bearer one")
        assert access.tls.ca == authority.pem

    async def test_address_may_be_of_version_6(self, pod, environment):
        environment.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
        assert (await Credentials.find()).access.server == "https://[fd00::1]:443"

    @pytest.mark.looptime
    async def test_token_is_read_again_each_minute(self, pod):
        found = await Credentials.find()
        (pod / "token").write_text("two")
        await asyncio.sleep(50)
        assert (await found.current()).token == "Bearer one"
        await asyncio.sleep(11)
        assert (await found.current()).token == "Bearer two"

    @pytest.mark.looptime
    async def test_refused_token_is_read_again_at_once(self, pod):
        found = await Credentials.find()
        (pod / "token").write_text("two")
        assert await found.refused(found.access)
        assert (await found.current()).token == "Bearer two"

    @pytest.mark.looptime
    async def test_unreadable_token_leaves_the_old_one(self, pod, caplog):
        found = await Credentials.find()
        (pod / "token").unlink()
        await asyncio.sleep(61)
        assert (await found.current()).token == "Bearer one"
        assert not await found.refused(found.access)
        assert "credentials reload failed" in caplog.messages

    @pytest.mark.looptime
    @pytest.mark.parametrize("content", [b"\xff\xfe", b"two\nlines", b""])
    async def test_a_token_that_is_none_leaves_the_old_one(self, pod, caplog, content):
        found = await Credentials.find()
        (pod / "token").write_bytes(content)
        await asyncio.sleep(61)
        assert (await found.current()).token == "Bearer one"
        assert "credentials reload failed" in caplog.messages

    @pytest.mark.parametrize("file", ["token", "namespace"])
    async def test_missing_file_is_a_wrong_setting(self, pod, file):
        (pod / file).unlink()
        with pytest.raises(SettingsError, match=file):
            await Credentials.find()

    async def test_empty_token_is_a_wrong_setting(self, pod):
        (pod / "token").write_text("\n")
        with pytest.raises(SettingsError, match="empty token"):
            await Credentials.find()


class TestRefused:
    """A refused token is loaded again once, for all."""

    @pytest.fixture
    async def loads(self):
        return []

    @pytest.fixture
    async def found(self, loads):
        async def load():
            loads.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)
            return Access("http://x", token=f"Bearer {len(loads) // 2}")

        return Credentials(load, Access("http://x", token="Bearer 0"))

    @pytest.mark.looptime
    async def test_fifty_refused_requests_load_once(self, found, loads):
        await asyncio.sleep(1)
        loads.append("the first answer is a new token")
        answers = await asyncio.gather(*(found.refused(Access("http://x", token="Bearer 0")) for _ in range(50)))
        assert answers == [True] * 50
        assert len(loads) == 2

    @pytest.mark.looptime
    async def test_token_that_stays_refused_is_not_loaded_for_each_request(self, found, loads):
        for _ in range(10):
            assert not await found.refused(Access("http://x", token="Bearer 0"))
        assert len(loads) == 1
        await asyncio.sleep(10)
        assert await found.refused(Access("http://x", token="Bearer 0"))
        assert len(loads) == 2

    @pytest.mark.looptime
    async def test_request_with_an_older_token_loads_nothing(self, found, loads):
        assert await found.refused(Access("http://x", token="Bearer of yesterday"))
        assert loads == []


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "10.96.0.1"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost, 10.0.0.0/8"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,192.168.0.0/16"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"ALL_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
    ],
)
async def test_proxies_of_the_environment_are_used(pod, environment, variables, proxy):
    for name, value in variables.items():
        environment.setenv(name, value)
    assert (await Credentials.find()).access.proxy == proxy


def test_certificates_are_checked_as_kubectl_does():
    context = Access("https://x").ssl_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_checks_are_left_out_only_on_request():
    assert Access("https://x", tls=Tls(verify=False)).ssl_context().verify_mode == ssl.CERT_NONE
    assert Access("http://x").ssl_context() is None


def test_token_is_not_in_the_repr():
    assert "hunter2" not in repr(Access("http://x", token="Bearer hunter2"))
