"""The proxy of a request, by the rules of Go's httpproxy, like kubectl and most Kubernetes tools.

`HTTPS_PROXY` and `HTTP_PROXY` are URLs; without a scheme, the proxy is an http proxy. Upper-case variables take precedence
over lower-case ones. `ALL_PROXY` is the default for both, as in curl. `NO_PROXY` is a list of hosts without a proxy: names
(with their subdomains), `.suffix` and `*.suffix` (subdomains only), addresses, networks, each with or without a port, or
`*`. `localhost` and loopback addresses never use a proxy.

Source: the documentation of golang.org/x/net/http/httpproxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from secretsyncer.errors import SettingsError

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://.+", re.ASCII)


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL for a request to `url`; None: no proxy. Raises SettingsError that names the variable."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise SettingsError("an address has no valid host and port") from None
    name, proxy = _configured(parts.scheme, environment)
    if not proxy:
        return None
    if _is_direct(parts.hostname or "", port, _first(environment, "NO_PROXY")[1]):
        return None
    return check_proxy(proxy, name)


def check_proxy(proxy: str, name: str) -> str:
    """The proxy as a URL. Raises SettingsError where it is none, or of a kind that is not supported."""
    whole = proxy if _URL.fullmatch(proxy) else f"http://{proxy}"
    try:
        parts = urlsplit(whole)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{name}: not the URL of a proxy, like http://proxy.example.com:3128")
    if parts.scheme not in _SCHEMES:
        raise SettingsError(f"{name}: {parts.scheme} proxies are not supported; use an http or https proxy")
    return parts.scheme + whole[len(parts.scheme) :]


def _configured(scheme: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The variable that counts for URLs of this scheme, and its value."""
    name, proxy = _first(environment, f"{scheme.upper()}_PROXY") if scheme in _SCHEMES else ("", "")
    return (name, proxy) if proxy else _first(environment, "ALL_PROXY")


def _first(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelling in (name, name.lower()):
        if environment.get(spelling):
            return spelling, environment[spelling].strip()
    return name, ""


def _is_direct(host: str, port: int, no_proxy: str) -> bool:
    host = host.lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host, address, port) for entry in no_proxy.split(","))


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _matches(entry: str, host: str, address: Address | None, port: int) -> bool:
    if entry in {"", "*"}:
        return bool(entry)
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    name, wanted_port = _split_port(entry)
    if not name or (wanted_port and wanted_port != str(port)):
        return False
    wanted = _address(name)
    if wanted is not None or address is not None:
        return wanted == address
    suffix = name[1:] if name.startswith("*.") else name
    if suffix.startswith("."):
        return host.endswith(suffix)
    return host == suffix or host.endswith(f".{suffix}")


def _split_port(entry: str) -> tuple[str, str]:
    """Host and port of `host`, `host:port`, `v6`, `[v6]` and `[v6]:port`."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    host, colon, port = entry.partition(":")
    return (host, port) if colon and ":" not in port else (entry, "")


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _in_network(address: Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
