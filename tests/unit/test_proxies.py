"""The proxy of a request. The rows are the results of Go's httpproxy, except for two that say otherwise."""

import pytest

from secretsyncer.errors import SettingsError
from secretsyncer.proxies import proxy_for

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://api.example.com", "", False),
        ("https://api.example.com", "*", True),
        ("https://api.example.com", "x, *", True),
        ("https://api.example.com", " , ", False),
        # names, and their subdomains
        ("https://example.com", "example.com", True),
        ("https://api.example.com", "example.com", True),
        ("https://a.b.example.com", "example.com", True),
        ("https://API.Example.COM", "example.com", True),
        ("https://api.example.com", " EXAMPLE.com , x", True),
        ("https://notexample.com", "example.com", False),
        ("https://api.example.com", "com", True),
        ("https://api.example.com", "ample.com", False),
        ("https://secretsmanager.eu-west-1.amazonaws.com", "amazonaws.com", True),
        # subdomains alone
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", ".example.com", True),
        ("https://notexample.com", ".example.com", False),
        ("https://example.com", "*.example.com", False),
        ("https://api.example.com", "*.example.com", True),
        ("https://a.b.example.com", "*.example.com", True),
        ("https://api.example.com", "*example.com", False),
        ("https://api.example.com", "api*", False),
        # ports
        ("https://example.com:6443", "example.com:6443", True),
        ("https://api.example.com:6443", "example.com:6443", True),
        ("https://example.com", "example.com:6443", False),
        ("https://example.com", "example.com:443", True),
        ("http://example.com", "example.com:80", True),
        ("http://example.com", "example.com:443", False),
        ("https://a.example.com:8443", "*.example.com:8443", True),
        ("https://a.example.com:8443", ".example.com:443", False),
        ("https://example.com:6443", ":6443", False),
        # addresses
        ("https://10.96.0.1", "10.96.0.1", True),
        ("https://10.96.0.1", "10.96.0.1:443", True),
        ("https://10.96.0.1:6443", "10.96.0.1:443", False),
        ("https://10.96.0.1", "10.96.0", False),
        ("https://10.96.0.1", "0.1", False),
        ("https://[fd00::1]", "fd00::1", True),
        ("https://[fd00:0::1]", "fd00::1", True),
        ("https://[fd00::1]", "[fd00::1]:443", True),
        ("https://[fd00::1]:6443", "[fd00::1]:443", False),
        ("https://[fd00::1]", "[fd00::1]", True),  # Go does not take brackets without a port
        # networks
        ("https://10.96.0.1", "10.96.0.0/12", True),
        ("https://10.96.0.1", "10.96.0.9/12", True),
        ("https://10.96.0.1", "192.168.0.0/16,10.0.0.0/8", True),
        ("https://11.0.0.1", "10.0.0.0/8", False),
        ("https://[fd00::1]", "fd00::/8", True),
        ("https://[::ffff:10.96.0.1]", "10.0.0.0/8", True),
        ("https://api.example.com", "0.0.0.0/0", False),
        ("https://10.96.0.1", "10.0.0.0/99", False),
        # this machine
        ("https://localhost:6443", "", True),
        ("https://LOCALHOST", "", True),
        ("https://127.0.0.1:6443", "", True),
        ("https://127.1.2.3", "", True),
        ("https://[::1]:6443", "", True),
        ("https://foo.localhost", "", False),
        ("https://169.254.169.254", "", False),
    ],
)
def test_no_proxy_means_what_it_means_to_go(url, no_proxy, direct):
    environment = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_for(url, environment) == (None if direct else PROXY)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://x.y", None),
        ({"HTTPS_PROXY": ""}, "https://x.y", None),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://x.y", PROXY),
        ({"HTTPS_PROXY": "proxy"}, "https://x.y", "http://proxy"),
        ({"HTTPS_PROXY": "10.0.0.1:3128"}, "https://x.y", "http://10.0.0.1:3128"),
        ({"HTTPS_PROXY": "[fd00::1]:3128"}, "https://x.y", "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": "user:pw@proxy:3128"}, "https://x.y", "http://user:pw@proxy:3128"),
        ({"HTTPS_PROXY": "https://proxy"}, "https://x.y", "https://proxy"),
        ({"HTTPS_PROXY": "HTTP://proxy:3128"}, "https://x.y", PROXY),
        ({"https_proxy": PROXY}, "https://x.y", PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other"}, "https://x.y", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://x.y", None),
        ({"HTTP_PROXY": PROXY}, "http://x.y", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://x.y", None),
        ({"ALL_PROXY": PROXY}, "https://x.y", PROXY),
        ({"all_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "https://x.y", "http://other"),
        ({"ALL_PROXY": PROXY, "no_proxy": "x.y"}, "https://x.y", None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "", "no_proxy": "x.y"}, "https://x.y", None),
        ({"HTTPS_PROXY": "socks5://proxy", "NO_PROXY": "x.y"}, "https://x.y", None),
    ],
)
def test_the_proxy_is_that_of_the_scheme(environment, url, proxy):
    assert proxy_for(url, environment) == proxy


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"HTTPS_PROXY": "socks5://user:hunter2@proxy:1080"},
            "HTTPS_PROXY: socks5 proxies are not supported; use an http or https proxy",
        ),
        (
            {"all_proxy": "socks5h://proxy"},
            "all_proxy: socks5h proxies are not supported; use an http or https proxy",
        ),
        (
            {"https_proxy": "http://:3128"},
            "https_proxy: not the URL of a proxy, like http://proxy.example.com:3128",
        ),
        (
            {"HTTPS_PROXY": "http://user:hunter2@proxy:port"},
            "HTTPS_PROXY: not the URL of a proxy, like http://proxy.example.com:3128",
        ),
        (
            {"HTTPS_PROXY": "http://[fd00"},
            "HTTPS_PROXY: not the URL of a proxy, like http://proxy.example.com:3128",
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line_without_its_password(environment, message):
    with pytest.raises(SettingsError) as caught:
        proxy_for("https://x.y", environment)
    assert str(caught.value) == message
