"""How to reach the cluster, and as whom.

Found the way kubectl and client-go find it, first match wins: `KUBECONFIG`; the service account of the pod
(`KUBERNETES_SERVICE_HOST`); `~/.kube/config`. Kubeconfigs are read by `kubernetes_asyncio` (contexts,
certificates, tokens, exec plugins, OIDC, proxies), imported only then: its import costs 38 MB and 0.3 s,
which a pod does not need in order to read two files.

Tokens age. A service account's token is read again each minute, because the kubelet replaces the file
(KEP-1205, bound service account tokens). Whatever its kind, a token that the server refused is loaded again
once, by one request on behalf of all that wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from secretsyncer.errors import SettingsError, clip
from secretsyncer.proxies import check_proxy, proxy_for

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_MAX_AGE = 60.0
LOAD_TIMEOUT = 30.0
REFRESH_INTERVAL = 10.0
"""Seconds between two refreshes of refused tokens: an exec plugin is a process, not run per request."""


@dataclass(frozen=True, slots=True)
class Access:
    """One reading of the configuration. `token` is the whole Authorization header, empty for none."""

    server: str
    namespace: str = "default"
    token: str = field(default="", repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """None for plain http."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        # Strict since Python 3.13: it refuses certificates of many clusters that Go's TLS accepts.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


Load = Callable[[], Awaitable[Access]]


class Credentials:
    """The present `Access`, kept fresh. `max_age` in seconds; None: loaded again only when refused."""

    def __init__(self, load: Load, access: Access, *, max_age: float | None = None) -> None:
        self.access = access
        self._load = load
        self._max_age = max_age
        self._clock = asyncio.get_running_loop().time
        self._loaded = self._clock()
        self._refused = float("-inf")
        self._lock = asyncio.Lock()

    @classmethod
    async def find(cls) -> Credentials:
        """The configured cluster's; `SettingsError` where there is none, or it cannot be used."""
        load, max_age = _source()
        return cls(load, await load(), max_age=max_age)

    async def authorization(self) -> str:
        """The Authorization header for the next request."""
        if self._max_age is not None and self._clock() - self._loaded > self._max_age:
            async with self._lock:
                if self._clock() - self._loaded > self._max_age:
                    await self._reload()
        return self.access.token

    async def refused(self, token: str) -> bool:
        """The server refused this header; whether there is another one to try now."""
        async with self._lock:
            if self.access.token == token and self._clock() - self._refused > REFRESH_INTERVAL:
                self._refused = self._clock()
                await self._reload()
            return self.access.token != token

    async def _reload(self) -> None:
        """Where that fails the old token stays: the server is the judge of it."""
        self._loaded = self._clock()
        try:
            self.access = await self._load()
        except SettingsError as exc:
            log.warning("credentials cannot be loaded again", extra={"error": str(exc)})


def _source() -> tuple[Load, float | None]:
    paths = os.environ.get("KUBECONFIG", "")
    if paths:
        return lambda: from_kubeconfig(paths), None
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return from_service_account, TOKEN_MAX_AGE
    default = Path("~/.kube/config").expanduser()
    if default.exists():
        return lambda: from_kubeconfig(str(default)), None
    raise SettingsError("no Kubernetes cluster is configured: set KUBECONFIG to a kubeconfig's path")


async def from_service_account(folder: Path = SERVICE_ACCOUNT) -> Access:
    """What every pod is given; `SettingsError` where a file is missing."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        token = (folder / "token").read_text().strip()
        namespace = (folder / "namespace").read_text().strip()
    except OSError as exc:
        raise SettingsError(f"the pod's service account cannot be read: {exc}") from exc
    if not token:
        raise SettingsError(f"the pod's service account has an empty token: {folder / 'token'}")
    return Access(
        server,
        namespace or "default",
        f"Bearer {token}",
        ca_file=str(folder / "ca.crt"),
        proxy=proxy_for(server, os.environ),
    )


async def from_kubeconfig(paths: str) -> Access:
    """The current context of these files (joined by `:`); `SettingsError` where they cannot be used."""
    # Only here: see the module's docstring.
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415
    from kubernetes_asyncio.config import load_kube_config  # noqa: PLC0415

    if not _any_file(paths):
        raise SettingsError(f"KUBECONFIG names no file that exists: {paths}")
    configuration = Configuration()
    try:
        async with asyncio.timeout(LOAD_TIMEOUT):
            loader = await load_kube_config(paths, client_configuration=configuration)
        context = (loader.current_context or {})["context"]
    except Exception as exc:  # the library lets KeyError, TypeError, AssertionError, ... of bad files through
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise SettingsError(clip(f"KUBECONFIG: {paths} cannot be used: {reason}")) from exc
    server = str(configuration.host).rstrip("/")
    return Access(
        server,
        context.get("namespace") or "default",
        configuration.api_key.get("BearerToken", "").strip(),
        configuration.ssl_ca_cert,
        configuration.cert_file,
        configuration.key_file,
        configuration.verify_ssl,
        configuration.tls_server_name,
        check_proxy(configuration.proxy, "proxy-url") if configuration.proxy else proxy_for(server, os.environ),
    )


def _any_file(paths: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)
