"""Kubernetes as the tests see it: the administrator's client, and namespaces with what is in them.

Works against any server with the interface of `sandbox.access.KubernetesApi`.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
import uuid
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

from sandbox.access import KubernetesApi
from sandbox.kubeapi.requests import WRITES
from sandbox.kubernetes_client import KubernetesClient, KubernetesError, Object, Watch, path_of
from tests.support import fast_yaml
from tests.support.eventually import LIMIT, eventually
from tests.support.workloads import ROLLOUTS

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def writes(server: Any) -> int:
    """Requests so far that asked the server for a change, whoever made them."""
    return sum(count for key, count in server.requests.items() if key.verb in WRITES)


def data_of(secret: Object) -> dict[str, bytes]:
    """The bytes of a Secret."""
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def texts_of(secret: Object) -> dict[str, str]:
    return {key: value.decode() for key, value in data_of(secret).items()}


class Cluster(KubernetesClient):
    """The administrator of one server."""

    def __init__(self, server: KubernetesApi) -> None:
        super().__init__(server)
        self.server = server

    async def install(self, *files: str) -> None:
        """Create what is in these files of `manifests/base/`, and wait until our resource is served."""
        for file in files:
            for obj in fast_yaml.load_all((MANIFESTS / "base" / file).read_text()):
                await self.create(obj)
        await self.until_served("SyncedSecret")

    async def install_restarts(self) -> list[Object]:
        """Create what manifests/components/restarts has, which it returns, and Argo's Rollout, which stays."""
        files = [MANIFESTS / "components/restarts" / name for name in ("policy.yaml", "rbac.yaml")]
        made = [obj for file in files for obj in fast_yaml.load_all(file.read_text())]
        if not await self.get("CustomResourceDefinition", "", ROLLOUTS["metadata"]["name"]):
            await self.create(ROLLOUTS)  # a definition takes long to go
        for obj in made:
            await self.create(obj)
        await self.until_served("Rollout")
        return made

    async def space(
        self,
        *,
        name: str = "",
        annotations: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Space:
        """A new namespace."""
        name = name or f"t-{uuid.uuid4().hex[:10]}"
        metadata = {"name": name, "annotations": annotations or {}, "labels": labels or {}}
        await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return Space(self, name)


def _ready(name: str, obj: Object | None) -> Object:
    """The Ready condition, if it is about the present spec."""
    assert obj, f"there is no SyncedSecret {name}"
    status = obj.get("status") or {}
    found = [c for c in status.get("conditions") or [] if c["type"] == "Ready"]
    assert found, f"{name} has no condition"
    assert found[0]["observedGeneration"] == obj["metadata"]["generation"], f"{name}: {found[0]} is of an old spec"
    return dict(found[0])


class Space:
    """One namespace. Each object in it is named by its name alone."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._written: set[str] = set()

    async def annotate(self, annotations: dict[str, str | None]) -> None:
        """Change annotations of the namespace itself; None takes one away."""
        await self.cluster.merge("Namespace", "", self.name, {"metadata": {"annotations": annotations}})

    async def write(self, name: str, **spec: Any) -> Object:
        """Create the SyncedSecret with this spec, or give it this spec."""
        metadata = {"namespace": self.name, "name": name}
        obj = {
            "apiVersion": "secrets.contentful.com/v1",
            "kind": "SyncedSecret",
            "metadata": metadata,
            "spec": spec,
        }

        if name not in self._written:  # most are new: then this is the only request
            self._written.add(name)
            with suppress(KubernetesError):
                return await self.cluster.create(obj)
        old = await self.synced(name)
        if old is None:
            return await self.cluster.create(obj)

        async def again() -> Object:
            present = await self.synced(name)
            return await self.cluster.replace({**present, "spec": spec} if present else obj)

        try:
            return await self.cluster.replace({**old, "spec": spec})
        except KubernetesError:  # the status has changed under our hands
            return await eventually(again)

    async def put_foreign(self, name: str, data: dict[str, str], **metadata: Any) -> Object:
        """Create a Secret of somebody else."""
        secret = {"apiVersion": "v1", "kind": "Secret", "stringData": data}
        return await self.cluster.create({**secret, "metadata": {"namespace": self.name, "name": name, **metadata}})

    async def synced(self, name: str) -> Object | None:
        """The SyncedSecret."""
        return await self.cluster.get("SyncedSecret", self.name, name)

    async def secret(self, name: str) -> Object | None:
        return await self.cluster.get("Secret", self.name, name)

    def watch(self, kind: str, name: str) -> AbstractAsyncContextManager[Watch]:
        """The events of one object. The first tells what it is like at present, if it is there."""
        return self.cluster.watch(f"{path_of(kind, self.name)}?fieldSelector=metadata.name%3D{name}")

    async def data(self, name: str) -> dict[str, bytes] | None:
        """The bytes of the Secret; None where there is none."""
        secret = await self.secret(name)
        return None if secret is None else data_of(secret)

    async def ready(self, name: str) -> Object:
        """The Ready condition that is about the present spec; AssertionError where there is none yet."""
        return _ready(name, await self.synced(name))

    async def events(self, name: str) -> list[Object]:
        return [e for e in await self.cluster.list("Event", self.name) if e["involvedObject"]["name"] == name]

    async def until_synced(self, name: str, within: float = LIMIT) -> Object:
        """The SyncedSecret, once it is Ready with its present spec."""

        async def probe() -> Object:
            obj = await self.synced(name)
            condition = _ready(name, obj)
            assert condition["status"] == "True", f"{name}: {condition}"
            return obj or {}

        return await eventually(probe, within)

    async def until_failed(self, name: str, reason: str, within: float = LIMIT) -> str:
        """The message, once it is not Ready for that reason."""

        async def probe() -> str:
            condition = await self.ready(name)
            said = (condition["status"], condition["reason"])
            assert said == ("False", reason), f"{name}: {condition}"
            return str(condition["message"])

        return await eventually(probe, within)

    async def until_data(self, name: str, expected: dict[str, bytes], within: float = LIMIT) -> None:
        """Until the Secret holds exactly this."""

        async def probe() -> None:
            found = await self.data(name)
            assert found == expected, f"Secret {name} holds {found} and not {expected}"

        await eventually(probe, within)

    async def until_version(self, name: str, version: str, within: float = LIMIT) -> None:
        """Until the status names this version of AWS. The operator writes the Secret first, and then the status."""

        async def probe() -> None:
            obj = await self.until_synced(name, within)
            assert obj["status"]["currentVersionID"] == version, f"{name}: {obj['status']}"

        await eventually(probe, within)

    async def clear(self) -> None:
        """Delete everything, so that the operators of other tests do not see it."""
        for kind in ("SyncedSecret", "Secret"):
            await self.cluster.delete_all(kind, self.name)


class Kubectl:
    """`await kubectl("get", "ss")` gives what it prints; AssertionError where it fails."""

    def __init__(self, kubeconfig: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kubectl-"))
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._folder),
            "KUBECONFIG": str(kubeconfig),
            "GOGC": "off",  # it ends before it needs the memory back
        }

    async def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        code, output = await self.attempt(*arguments, stdin=stdin, **environment)
        assert code == 0, f"kubectl {' '.join(arguments)}: {output}"
        return output

    async def attempt(self, *arguments: str, stdin: str = "", **environment: str) -> tuple[int, str]:
        """Exit code and everything that it printed."""
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments,
            env={**self._environment, **environment},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(2 * LIMIT):
            output, _ = await process.communicate(stdin.encode())
        return process.returncode or 0, output.decode()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
