"""A real kube-apiserver and etcd on loopback, as operators' tests know them from envtest.

`find_assets` finds the two programs the way controller-runtime does: in the folder that
`KUBEBUILDER_ASSETS` names, else where `make envtest` puts them. `RealKubernetes` starts them with
data, certificates and keys of their own in a temporary folder, and ends them by their process ids.
There are no controllers: namespaces stay Terminating and owner references are not followed.
"""

from __future__ import annotations

import asyncio
import csv
import http.client
import io
import json
import os
import platform
import shutil
import ssl
import subprocess
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox import access
from sandbox.kubeapi.server import RequestKey

PROGRAMS = ("kube-apiserver", "etcd")
HOW_TO_GET = "no kube-apiserver and etcd here: run `make envtest`, or set KUBEBUILDER_ASSETS to their folder"
_START_LIMIT = 60.0  # seconds; a start takes 2-4 on two idle cores
_ADMIN_TOKEN = "token-of-admin"
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "None", "users": ["system:apiserver"]}, {"level": "Metadata"}],
}


def find_assets() -> Path | None:
    """The folder with kube-apiserver and etcd; None where they are not there."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    folder = Path(given) if given else _cache_folder()
    return folder if all(os.access(folder / program, os.X_OK) for program in PROGRAMS) else None


def _cache_folder() -> Path:
    """Where `make envtest` puts the programs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    machine = platform.machine()
    return cache / "secretsyncer/envtest" / {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


class RealKubernetes:
    """`async with RealKubernetes(assets) as api:` runs the real thing until the block ends.

    `audit` records every request but those of the server itself, for `requests`. It belongs to no event
    loop: it can be started in one and used in another. RuntimeError where it does not start.
    """

    def __init__(self, assets: Path, *, audit: bool = False) -> None:
        self._assets = assets
        self._audit = audit
        self._folder = Path(tempfile.mkdtemp(prefix="envtest-"))
        self._port = access.free_port()
        self._etcd_port = access.free_port()
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

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
        counts: Counter[RequestKey] = Counter()
        for entry in self.audit_log():
            about = entry.get("objectRef") or {}
            parts = [about.get("resource", entry["requestURI"]), about.get("subresource", "")]
            counts[RequestKey(entry["verb"], "/".join(part for part in parts if part))] += 1
        return counts

    def audit_log(self) -> list[dict[str, Any]]:
        """Every request so far, as the server's audit log has it; needs `audit`."""
        return [json.loads(line) for line in (self._folder / "audit.log").read_text().splitlines()]

    def write_kubeconfig(self, path: Path, user: str = "admin", *, token: str = _ADMIN_TOKEN) -> Path:
        """Write a kubeconfig; `token` of a service account makes it that account's."""
        return access.write_kubeconfig(path, url=self.url, user=user, token=token, ca_file=self.ca_file)

    async def service_account_token(self, namespace: str, name: str, *, seconds: int = 3600) -> str:
        """A token of a ServiceAccount, as a pod would have it."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {**request, "spec": {"expirationSeconds": seconds}}
        answer = await asyncio.to_thread(_ask, self.url + path, body=body, token=self.token, trust=self.ca_file)
        return str(answer["status"]["token"])

    async def compact(self) -> None:
        """Make etcd forget its history; the server's watch cache still knows what it has seen."""
        etcd = f"http://127.0.0.1:{self._etcd_port}/v3/kv"
        revision = (await asyncio.to_thread(_ask, f"{etcd}/range", body={"key": "AA=="}))["header"]["revision"]
        body = {"revision": revision, "physical": True}
        await asyncio.to_thread(_ask, f"{etcd}/compaction", body=body)

    async def start_listening(self) -> None:
        """Start the API server (again), on the port of before, with the data of before."""
        self._server = self._run("kube-apiserver", self._server_arguments())
        await self._until(self._is_ready, self._server)

    async def stop_listening(self) -> None:
        """Kill the API server without notice; etcd and the data stay."""
        _end(self._server)
        self._server = None

    async def __aenter__(self) -> Self:
        try:
            self._prepare_files()
            self._etcd = self._run("etcd", self._etcd_arguments())
            await self._until(self._etcd_is_up, self._etcd)
            await self.start_listening()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()
        _end(self._etcd)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare_files(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self._folder / "accounts.key").write_bytes(pem)
        tokens = io.StringIO()
        csv.writer(tokens).writerow([_ADMIN_TOKEN, "admin", "admin", "system:masters"])
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
            "--heartbeat-interval=20",  # of a cluster of one: it need not wait for others to vote
            "--election-timeout=200",
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
            "--disable-admission-plugins=ServiceAccount",  # its controller is not here to make their secrets
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            *(audit if self._audit else ()),
        ]

    def _run(self, program: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the programs that the user named
                [self._assets / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    async def _until(self, ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait until a program is ready; RuntimeError with the end of its log where it is not."""
        program = Path(str(process.args[0])).name if isinstance(process.args, list) else ""
        try:
            async with asyncio.timeout(_START_LIMIT):
                while process.poll() is None:
                    if await asyncio.to_thread(ready):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        log = (self._folder / f"{program}.log").read_text(errors="replace")
        raise RuntimeError(f"{program} did not start: {log[-2000:]}")

    def _etcd_is_up(self) -> bool:
        return _answers(f"http://127.0.0.1:{self._etcd_port}/health")

    def _is_ready(self) -> bool:
        """Ready, and with the first namespaces made, which come a little later."""
        paths = ("/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system")
        return self.ca_file.exists() and all(
            _answers(self.url + path, token=self.token, trust=self.ca_file) for path in paths
        )


def _ask(url: str, *, body: dict[str, Any], token: str = "", trust: Path | None = None) -> dict[str, Any]:
    """POST JSON and read JSON, in a thread: what is open here belongs to no event loop."""
    with _open(url, json.dumps(body).encode(), token, trust) as response:
        return dict(json.load(response))


def _answers(url: str, *, token: str = "", trust: Path | None = None) -> bool:
    """Whether a GET is answered with a success."""
    try:
        with _open(url, None, token, trust):
            return True
    except (OSError, http.client.HTTPException):
        return False


def _open(url: str, body: bytes | None, token: str, trust: Path | None) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - loopback
    context = ssl.create_default_context(cafile=trust) if trust else None
    return urllib.request.urlopen(request, timeout=5, context=context)  # noqa: S310 - as above


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()
