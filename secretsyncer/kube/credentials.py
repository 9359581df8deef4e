"""The address of the cluster, and the credentials.

Found like kubectl and client-go do, first match wins: `KUBECONFIG`; the service account of the pod
(`KUBERNETES_SERVICE_HOST`); `~/.kube/config`.

All of it can change: the kubelet replaces the token of a ServiceAccount (KEP-1205, bound service account tokens), client
certificates are renewed, and a cluster can move to another certificate authority. So everything is read again every
minute, and a credential of an exec plugin before it expires. If the server rejects the credential or the TLS handshake
fails, everything is read again at once, for all waiting requests. `refused_for` is the time since the last accepted
credential.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from secretsyncer.errors import SettingsError, clip
from secretsyncer.proxies import check_proxy, proxy_for

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_AGE = 60.0
"""Seconds after which files are read again."""
LOAD_TIMEOUT = 30.0
REFRESH_INTERVAL = 10.0
"""Minimum seconds between two refreshes of rejected credentials, because an exec plugin is a process."""
PLUGIN_SHARE = 0.9
"""Fraction of the life of a plugin's credential after which a new one is requested."""
_BYTES_TOO = ("utf-8", "surrogateescape")  # so that what is no text fails as a token, with its message


class Tls(NamedTuple):
    """The inputs of a TLS connection. `ca`, `cert` and `key` are PEM; None: those of the system, or none."""

    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = None
    verify: bool = True
    server_name: str | None = None

    def __repr__(self) -> str:
        return f"Tls(verify={self.verify}, server_name={self.server_name!r})"

    def context(self) -> ssl.SSLContext:
        """Raises SettingsError if the certificates or the key cannot be used."""
        try:
            context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
            # Strict since Python 3.13: it refuses certificates of many clusters that Go's TLS accepts.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.cert:
                _load_chain(context, self.cert, self.key or b"")
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise SettingsError(f"the cluster's certificates cannot be used: {exc}") from exc
        return context


def _load_chain(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """Python's ssl reads keys only from files: write one that only this process can read, and delete it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(cert + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)


@dataclass(frozen=True, slots=True)
class Access:
    """One reading of the configuration.

    `token` is the whole Authorization header, empty for none. `max_age` is in seconds; None: good until refused.
    """

    server: str
    namespace: str = "default"
    token: str = field(default="", repr=False)
    tls: Tls = field(default_factory=Tls)
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    max_age: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.token.isprintable():
            raise SettingsError("the token for the Kubernetes API must be one line of text")

    @property
    def connection(self) -> tuple[str, Tls, str | None]:
        """The inputs of a connection. When they change, open connections are not used any more."""
        return self.server, self.tls, self.proxy

    def ssl_context(self) -> ssl.SSLContext | None:
        """None for plain http. Raises SettingsError if the certificates or the key cannot be used."""
        return self.tls.context() if self.server.startswith("https:") else None


Load = Callable[[], Awaitable[Access]]


class Credentials:
    """The current `Access`, refreshed in time."""

    def __init__(self, load: Load, access: Access) -> None:
        self.access = access
        self._load = load
        self._clock = asyncio.get_running_loop().time
        self._loaded = self._clock()
        self._asked = float("-inf")
        self._refused_since: float | None = None
        self._lock = asyncio.Lock()

    @classmethod
    async def find(cls) -> Credentials:
        """The credentials of the configured cluster. Raises SettingsError if there is none, or they cannot be used."""
        load = _source()
        access = await load()
        access.ssl_context()
        return cls(load, access)

    async def current(self) -> Access:
        """The access for the next request."""
        if self._is_old():
            async with self._lock:
                if self._is_old():
                    await self._reload()
        return self.access

    async def refused(self, access: Access) -> bool:
        """The server rejected this access; whether there is another one to try now."""
        async with self._lock:
            if self.access == access and self._clock() - self._asked > REFRESH_INTERVAL:
                self._asked = self._clock()
                await self._reload()
            return self.access != access

    def note(self, *, accepted: bool) -> None:
        """Record whether the server accepted the credentials of a request."""
        if accepted:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = self._clock()

    @property
    def refused_for(self) -> float:
        """Seconds since the server last accepted the credentials; 0 while it does."""
        return 0.0 if self._refused_since is None else self._clock() - self._refused_since

    def _is_old(self) -> bool:
        return self.access.max_age is not None and self._clock() - self._loaded > self.access.max_age

    async def _reload(self) -> None:
        """Reload. If that fails, the old access stays, and the server decides whether to accept it."""
        self._loaded = self._clock()
        try:
            access = await self._load()
            if access.connection != self.access.connection:
                access.ssl_context()
            self.access = access
        except SettingsError as exc:
            log.warning("credentials reload failed", extra={"error": str(exc)})


def _source() -> Load:
    paths = os.environ.get("KUBECONFIG", "")
    if paths:
        return lambda: from_kubeconfig(paths)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return from_service_account
    default = Path("~/.kube/config").expanduser()
    if default.exists():
        return lambda: from_kubeconfig(str(default))
    raise SettingsError("no Kubernetes cluster is configured: set KUBECONFIG to a kubeconfig's path")


async def from_service_account(folder: Path = SERVICE_ACCOUNT) -> Access:
    """The ServiceAccount of the pod. Raises SettingsError if a file is missing."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        token = (folder / "token").read_text(*_BYTES_TOO).strip()
        namespace = (folder / "namespace").read_text(*_BYTES_TOO).strip()
        ca = (folder / "ca.crt").read_bytes()
    except OSError as exc:
        raise SettingsError(f"the pod's service account cannot be read: {exc}") from exc
    if not token:
        raise SettingsError(f"the pod's service account has an empty token: {folder / 'token'}")
    return Access(
        server,
        namespace or "default",
        f"Bearer {token}",
        Tls(ca=ca),
        proxy_for(server, os.environ),
        MAX_AGE,
    )


async def from_kubeconfig(paths: str) -> Access:
    """The current context of these files (joined by `:`). Raises SettingsError if they cannot be used."""
    # Imported only here: in a cluster, PyYAML would be 1 MB for nothing.
    from secretsyncer.kube import kubeconfig  # noqa: PLC0415

    context = kubeconfig.read(paths)
    cluster, user = context.cluster, context.user
    max_age: float | None = MAX_AGE
    if user.get("exec"):
        status = await kubeconfig.run_plugin(user["exec"], cluster, limit=LOAD_TIMEOUT)
        user, max_age = kubeconfig.user_of(status), _life(status)
    server = str(cluster["server"]).rstrip("/")
    proxy = cluster.get("proxy-url")
    tls = Tls(
        _material(cluster, "certificate-authority"),
        _material(user, "client-certificate"),
        _material(user, "client-key"),
        not cluster.get("insecure-skip-tls-verify"),
        cluster.get("tls-server-name"),
    )
    return Access(
        server,
        context.namespace,
        await _header(user),
        tls,
        check_proxy(str(proxy), "proxy-url") if proxy else proxy_for(server, os.environ),
        max_age,
    )


def _life(status: dict[str, Any]) -> float | None:
    """Seconds until the plugin is run again; None if it does not say."""
    try:
        expires = datetime.fromisoformat(str(status["expirationTimestamp"]))
    except (KeyError, ValueError):
        return None
    left = (expires if expires.tzinfo else expires.replace(tzinfo=UTC)) - datetime.now(UTC)
    return max(left.total_seconds() * PLUGIN_SHARE, REFRESH_INTERVAL)


def _material(entry: dict[str, Any], name: str) -> bytes | None:
    """PEM from the kubeconfig, or from the file that it names."""
    data, path = entry.get(f"{name}-data"), entry.get(name)
    try:
        if data:
            return base64.b64decode(data, validate=True)
        return Path(path).read_bytes() if path else None
    except OSError as exc:
        raise SettingsError(f"KUBECONFIG: {name}: {path}: {exc.strerror}") from None
    except (ValueError, TypeError):
        raise SettingsError(f"KUBECONFIG: {name}-data must be base64") from None


async def _header(user: dict[str, Any]) -> str:
    """The Authorization header of a user. As in kubectl, a token file takes precedence over a token."""
    if user.get("tokenFile"):
        return f"Bearer {_token_of(Path(user['tokenFile']))}"
    if user.get("token"):
        return f"Bearer {user['token'].strip()}"
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password') or ''}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return await _oidc(user["auth-provider"]) if user.get("auth-provider") else ""


def _token_of(file: Path) -> str:
    try:
        token = file.read_text(*_BYTES_TOO).strip()
    except OSError as exc:
        raise SettingsError(f"KUBECONFIG: tokenFile: {file}: {exc.strerror}") from None
    if not token:
        raise SettingsError(f"KUBECONFIG: tokenFile: {file} is empty")
    return token


async def _oidc(provider: dict[str, Any]) -> str:
    """The header of an OpenID Connect login, renewed if it has expired."""
    # Imported only here: it costs 38 MB and 0.3 s.
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415
    from kubernetes_asyncio.config import load_kube_config_from_dict  # noqa: PLC0415

    entry = {"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "current-context": "x"}
    entry |= {
        "clusters": [{"name": "x", "cluster": {}}],
        "users": [{"name": "x", "user": {"auth-provider": provider}}],
    }
    configuration = Configuration()
    try:
        async with asyncio.timeout(LOAD_TIMEOUT):
            await load_kube_config_from_dict(entry, client_configuration=configuration)
    except Exception as exc:  # the library lets KeyError, TypeError, AssertionError, ... of bad files through
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise SettingsError(clip(f"KUBECONFIG: the OpenID Connect login cannot be used: {reason}")) from exc
    return str(configuration.api_key.get("BearerToken", "")).strip()
