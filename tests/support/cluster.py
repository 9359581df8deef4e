"""Kubernetes as a user of the tests sees it: a bare HTTP client, and namespaces with what is in them.

Nothing of the operator's own client takes part. Works against any server with the interface of
`sandbox.access.KubernetesApi`.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from sandbox.access import KubernetesApi
from tests.support.eventually import LIMIT, eventually

Object = dict[str, Any]

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
_KINDS = {
    "Namespace": "/api/v1/namespaces",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Event": "/api/v1/namespaces/{}/events",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "SyncedSecret": "/apis/secrets.contentful.com/v1/namespaces/{}/syncedsecrets",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


def writes(server: Any) -> int:
    """Requests so far that asked the server for a change, whoever made them."""
    return sum(count for key, count in server.requests.items() if key.verb in WRITES)


class Cluster:
    """The administrator of one server."""

    def __init__(self, server: KubernetesApi, session: aiohttp.ClientSession) -> None:
        self.server = server
        self._session = session

    async def call(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        data = None if body is None else io.BytesIO(json.dumps(body).encode())  # as bytes, large ones are warned of
        async with self._session.request(method, path, data=data, headers={"Content-Type": kind}) as response:
            return response.status, await response.json()

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        status, body = await self.call("GET", f"{_KINDS[kind].format(namespace)}/{name}")
        assert status in {200, 404}, body["message"]
        return body if status == 200 else None

    async def list(self, kind: str, namespace: str) -> list[Object]:
        status, body = await self.call("GET", _KINDS[kind].format(namespace))
        assert status == 200, body["message"]
        return list(body["items"])

    async def create(self, obj: Object) -> Object:
        path = _KINDS[obj["kind"]].format(obj["metadata"].get("namespace", ""))
        status, body = await self.call("POST", path, obj)
        assert status == 201, body["message"]
        return dict(body)

    async def merge(self, kind: str, namespace: str, name: str, patch: Object) -> Object:
        path = f"{_KINDS[kind].format(namespace)}/{name}"
        status, body = await self.call("PATCH", path, patch, "application/merge-patch+json")
        assert status == 200, body["message"]
        return dict(body)

    async def replace(self, obj: Object) -> Object:
        metadata = obj["metadata"]
        path = f"{_KINDS[obj['kind']].format(metadata['namespace'])}/{metadata['name']}"
        status, body = await self.call("PUT", path, obj)
        assert status == 200, body["message"]
        return dict(body)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        status, body = await self.call("DELETE", f"{_KINDS[kind].format(namespace)}/{name}")
        assert status == 200, body["message"]

    async def empty(self, kind: str, namespace: str) -> None:
        """Delete all of that kind in the namespace."""
        status, body = await self.call("DELETE", _KINDS[kind].format(namespace))
        assert status == 200, body["message"]

    async def install(self, *files: str) -> None:
        """Create what is in these files of `manifests/base/`, and wait until our resource is served."""
        for file in files:
            for obj in yaml.safe_load_all((MANIFESTS / "base" / file).read_text()):
                await self.create(obj)

        async def served() -> None:
            status, body = await self.call("GET", _KINDS["SyncedSecret"].format("default"))
            assert status == 200, body["message"]

        await eventually(served)

    async def space(
        self, *, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None
    ) -> Space:
        """A new namespace."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        metadata = {"name": name, "annotations": annotations or {}, "labels": labels or {}}
        await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return Space(self, name)


@asynccontextmanager
async def connect(server: KubernetesApi) -> AsyncIterator[Cluster]:
    trust = ssl.create_default_context(cafile=server.ca_file) if server.ca_file else True
    headers = {"Authorization": f"Bearer {server.token}", "User-Agent": "tests"}
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(server.url, connector=connector, headers=headers) as session:
        yield Cluster(server, session)


class Space:
    """One namespace. Each object in it is named by its name alone."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

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

        async def attempt() -> Object:
            old = await self.synced(name)  # whose status changes under our hands
            return await self.cluster.replace({**old, "spec": spec} if old else obj)

        return await (eventually(attempt) if await self.synced(name) else self.cluster.create(obj))

    async def synced(self, name: str) -> Object | None:
        """The SyncedSecret."""
        return await self.cluster.get("SyncedSecret", self.name, name)

    async def secret(self, name: str) -> Object | None:
        return await self.cluster.get("Secret", self.name, name)

    async def data(self, name: str) -> dict[str, bytes] | None:
        """The bytes of the Secret; None where there is none."""
        secret = await self.secret(name)
        if secret is None:
            return None
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}

    async def ready(self, name: str) -> Object:
        """The Ready condition that is about the present spec; AssertionError where there is none yet."""
        obj = await self.synced(name)
        assert obj, f"there is no SyncedSecret {name}"
        status = obj.get("status") or {}
        found = [c for c in status.get("conditions") or [] if c["type"] == "Ready"]
        assert found, f"{name} has no condition"
        assert found[0]["observedGeneration"] == obj["metadata"]["generation"], (
            f"{name}: {found[0]} is of an old spec"
        )
        return dict(found[0])

    async def events(self, name: str) -> list[Object]:
        return [e for e in await self.cluster.list("Event", self.name) if e["involvedObject"]["name"] == name]

    async def until_synced(self, name: str, within: float = LIMIT) -> Object:
        """The SyncedSecret, once it is Ready with its present spec."""

        async def probe() -> Object:
            condition = await self.ready(name)
            assert condition["status"] == "True", f"{name}: {condition}"
            obj = await self.synced(name)
            assert obj
            return obj

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

    async def clear(self) -> None:
        """Leave nothing for the operators of other tests."""
        for kind in ("SyncedSecret", "Secret"):
            await self.cluster.empty(kind, self.name)


class Kubectl:
    """`await kubectl("get", "ss")` gives what it prints; AssertionError where it fails."""

    def __init__(self, kubeconfig: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kubectl-"))
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._folder),
            "KUBECONFIG": str(kubeconfig),
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
        async with asyncio.timeout(60):
            output, _ = await process.communicate(stdin.encode())
        return process.returncode or 0, output.decode()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
