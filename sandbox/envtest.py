"""Real Kubernetes servers on loopback, as operators' tests know them from envtest.

`find_assets` finds kube-apiserver, kube-controller-manager and etcd the way controller-runtime does: in the folder
that `KUBEBUILDER_ASSETS` names, else where `make envtest` puts them. `RealKubernetes` starts them with data,
certificates and keys of their own in a temporary folder, and ends them by their process ids.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox import access
from sandbox.kubeapi.server import RequestKey
from sandbox.program import Program, answers, post
from sandbox.usage import cpu_seconds

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "etcd")
NEWEST = "1.37"
"""The version of Kubernetes that is taken if `ENVTEST_K8S_VERSION` names no other."""
HOW_TO_GET = "no real Kubernetes servers here: run `make envtest`, or set KUBEBUILDER_ASSETS to their folder"
_ADMIN_TOKEN = "token-of-admin"
_CONTROLLERS_USER = "system:kube-controller-manager"
_CONTROLLERS_TOKEN = "token-of-kube-controller-manager"
_CONTROLLERS = (
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",
)
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "None", "users": ["system:apiserver", _CONTROLLERS_USER]}, {"level": "Metadata"}],
}


def find_assets() -> Path | None:
    """The folder with the programs; None if any of them is missing."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    folder = Path(given) if given else _cache_folder()
    return folder if all(os.access(folder / program, os.X_OK) for program in PROGRAMS) else None


def _cache_folder() -> Path:
    """Where `make envtest` puts the programs: one folder for each minor version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    major, minor, *_ = [*(os.environ.get("ENVTEST_K8S_VERSION") or NEWEST).split("."), ""]
    machine = platform.machine()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return cache / "secretsyncer/envtest" / f"{major}.{minor}" / arch


class ServerCpu(NamedTuple):
    """CPU seconds of the two servers that a write needs."""

    api_server: float
    etcd: float

    @property
    def total(self) -> float:
        return sum(self)


class RealKubernetes:
    """`async with RealKubernetes(assets) as api:` runs the API server with its etcd until the block ends.

    `start_controllers` adds the controllers. `audit` records every request but those of the servers themselves, for
    `requests`. `admission` names admission plugins that are off by default, and `feature_gates` (such as
    `WatchList=false`) holds from the next start of the API server. It belongs to no event loop: it can be started in one
    and used in another. RuntimeError if a program does not start.
    """

    def __init__(self, assets: Path, *, audit: bool = False, admission: Sequence[str] = ()) -> None:
        self._audit = audit
        self._admission = admission
        self.feature_gates = ""
        self._counted: Counter[RequestKey] = Counter()
        self._counted_bytes = 0
        self._folder = Path(tempfile.mkdtemp(prefix="envtest-"))
        self._port = access.free_port()
        self._etcd_port = access.free_port()
        self._controllers_port = access.free_port()
        programs = [Program(assets / name, self._folder) for name in PROGRAMS]
        self._server, self._controllers, self._etcd = programs

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        return _ADMIN_TOKEN

    @property
    def ca_file(self) -> Path:
        """The server's own certificate with its issuer, for clients to trust."""
        return self._folder / "certificates/apiserver.crt"

    @property
    def requests(self) -> Counter[RequestKey]:
        """Requests by verb and resource since the start; needs `audit`."""
        with (self._folder / "audit.log").open("rb") as file:
            file.seek(self._counted_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._counted_bytes += len(line)
                entry = json.loads(line)
                about = entry.get("objectRef") or {}
                parts = [about.get("resource", entry["requestURI"]), about.get("subresource", "")]
                self._counted[RequestKey(entry["verb"], "/".join(part for part in parts if part))] += 1
        return self._counted.copy()

    def audit_log(self, text: str = "") -> list[dict[str, Any]]:
        """Every request so far, as the server's audit log has it; needs `audit`.

        With `text`, such as the name of a namespace, only the lines that contain it. The log of a session is long, and
        to read the JSON of all of it takes seconds.
        """
        with (self._folder / "audit.log").open() as file:
            return [json.loads(line) for line in file if text in line and line.endswith("\n")]

    @property
    def cpu(self) -> ServerCpu:
        """What the API server and etcd have used so far."""
        return ServerCpu(cpu_seconds(self._server.pid), cpu_seconds(self._etcd.pid))

    def write_kubeconfig(self, path: Path, user: str = "admin", *, token: str = _ADMIN_TOKEN) -> Path:
        """Write a kubeconfig; `token` of a service account makes it that account's."""
        return access.write_kubeconfig(path, url=self.url, user=user, token=token, ca_file=self.ca_file)

    async def service_account_token(self, namespace: str, name: str, *, seconds: int = 3600) -> str:
        """A token of a ServiceAccount, as a pod would have it."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        url = f"{self.url}/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {**request, "spec": {"expirationSeconds": seconds}}
        answer = await asyncio.to_thread(post, url, body, token=self.token, trust=self.ca_file)
        return str(answer["status"]["token"])

    async def compact(self) -> None:
        """Make etcd forget its history; the server's watch cache still knows what it has seen."""
        etcd = f"http://127.0.0.1:{self._etcd_port}/v3/kv"
        revision = (await asyncio.to_thread(post, f"{etcd}/range", {"key": "AA=="}))["header"]["revision"]
        await asyncio.to_thread(post, f"{etcd}/compaction", {"revision": revision, "physical": True})

    async def start_listening(self) -> None:
        """Start the API server (again), on the port of before, with the data of before."""
        self._server.start(self._server_arguments())
        await self._server.until(self._is_ready)

    async def stop_listening(self) -> None:
        """Kill the API server without notice; etcd and the data stay."""
        self._server.kill()

    def start_controllers(self) -> None:
        """Start the garbage collector and the controllers of namespaces and ServiceAccounts, without waiting for them.

        The garbage collector looks for new kinds at its start, and then every 30 seconds. So call this when the custom
        resources are served, and again when there are more of them.
        """
        self._controllers.kill()
        self._controllers.start(self._controllers_arguments())

    async def until_controllers(self) -> None:
        """Wait until the controllers run."""
        await self._controllers.until(self._controllers_are_up)

    async def __aenter__(self) -> Self:
        try:
            self._prepare_files()
            self._etcd.start(self._etcd_arguments())
            await self._etcd.until(self._etcd_is_up)
            await self.start_listening()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for program in (self._controllers, self._server, self._etcd):
            program.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare_files(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self._folder / "accounts.key").write_bytes(pem)
        tokens = io.StringIO()
        for token, user in ((_ADMIN_TOKEN, "admin"), (_CONTROLLERS_TOKEN, _CONTROLLERS_USER)):
            csv.writer(tokens).writerow([token, user, user, "system:masters"])
        (self._folder / "tokens.csv").write_text(tokens.getvalue())
        (self._folder / "audit.json").write_text(json.dumps(_AUDIT_POLICY))

    def _etcd_arguments(self) -> list[str]:
        client = f"http://127.0.0.1:{self._etcd_port}"
        return [
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--log-level=error",
            "--unsafe-no-fsync",
            "--heartbeat-interval=100",  # more often costs CPU time
            "--election-timeout=500",  # of a cluster of one: it need not wait for others to vote
        ]

    def _server_arguments(self) -> list[str]:
        folder = self._folder
        audit = [f"--audit-policy-file={folder / 'audit.json'}", f"--audit-log-path={folder / 'audit.log'}"]
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            f"--service-account-key-file={folder / 'accounts.key'}",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            *(audit if self._audit else ()),
            *([f"--enable-admission-plugins={','.join(self._admission)}"] if self._admission else ()),
            *([f"--feature-gates={self.feature_gates}"] if self.feature_gates else ()),
        ]

    def _controllers_arguments(self) -> list[str]:
        folder = self._folder
        kubeconfig = folder / "controllers.kubeconfig"
        return [
            f"--kubeconfig={self.write_kubeconfig(kubeconfig, _CONTROLLERS_USER, token=_CONTROLLERS_TOKEN)}",
            f"--controllers={','.join(_CONTROLLERS)}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._controllers_port}",
            f"--cert-dir={folder / 'certificates'}",
            f"--service-account-private-key-file={folder / 'accounts.key'}",
            f"--root-ca-file={self.ca_file}",
            "--kube-api-qps=200",  # the default of 20 makes the garbage collector wait
            "--kube-api-burst=400",
        ]

    def _etcd_is_up(self) -> bool:
        return answers(f"http://127.0.0.1:{self._etcd_port}/health")

    def _is_ready(self) -> bool:
        """Ready, and with the first namespaces made, which come a little later."""
        paths = ("/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system")
        return self.ca_file.exists() and all(
            answers(self.url + path, token=self.token, trust=self.ca_file) for path in paths
        )

    def _controllers_are_up(self) -> bool:
        certificate = self._folder / "certificates/kube-controller-manager.crt"
        url = f"https://127.0.0.1:{self._controllers_port}/healthz"
        return certificate.exists() and answers(url, trust=certificate)
