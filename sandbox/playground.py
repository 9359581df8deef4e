"""Kubernetes, AWS and the operator on this machine: what the demo shows and the sandbox keeps running.

Kubernetes is the real one where `make envtest` (or KUBEBUILDER_ASSETS) has it, else the embedded API; AWS
is moto's server; the operator is the real process. The samples of `manifests/samples` are applied, and AWS holds
the secrets that they use. Everything listens on loopback and is gone at the end.

What does not need each other starts side by side: Kubernetes, AWS with its secrets, and the template engine, which is
compiled into the operator's cache.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
import boto3
import yaml

from sandbox.access import KubernetesApi
from sandbox.apiserver import EmbeddedKubernetes
from sandbox.aws.moto import MotoServer
from sandbox.envtest import RealKubernetes, find_assets
from sandbox.operator import OperatorProcess
from secretsyncer.gotemplate.engine import EngineCatalogue, EngineUnavailable, TemplateEngine
from secretsyncer.settings import Settings

Object = dict[str, Any]
_PATHS = {
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Namespace": "/api/v1/namespaces",
    "SyncedSecret": "/apis/secrets.contentful.com/v1/namespaces/{namespace}/syncedsecrets",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
}
_SETTLE_LIMIT = 30.0  # seconds


def manifests_folder() -> Path:
    """The CRD and the samples."""
    return Path(__file__).resolve().parents[1] / "manifests"


class Playground:
    """`async with Playground() as ground:`, then `start_kubernetes` and `start_aws` in any order, then the others.

    All of it ends with the block.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self.folder = Path()
        self.kubernetes: KubernetesApi
        self.description = ""
        self.aws = MotoServer()
        self._compiling: asyncio.Task[None]
        self._secretsmanager: Any = None
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="secretsyncer-sandbox-")))
        self._compiling = asyncio.create_task(asyncio.to_thread(_compile_engine))
        self._stack.push_async_callback(asyncio.wait, {self._compiling})
        return self

    async def start_kubernetes(self) -> None:
        """Start Kubernetes, with the CRD."""
        assets = find_assets()
        if assets:
            self.kubernetes = await self._stack.enter_async_context(RealKubernetes(assets))
            self.description = f"a real API server with etcd and controllers ({assets})"
        else:
            self.kubernetes = await self._stack.enter_async_context(EmbeddedKubernetes())
            self.description = "the embedded API (make envtest gets the real one)"
        ca = self.kubernetes.ca_file
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                self.kubernetes.url,
                headers={"Authorization": f"Bearer {self.kubernetes.token}"},
                connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca) if ca else True),
            )
        )
        await self._create(yaml.safe_load((manifests_folder() / "crd.yaml").read_text()))
        await self._until_served()
        if isinstance(self.kubernetes, RealKubernetes):
            self.kubernetes.start_controllers()

    async def start_aws(self) -> int:
        """Start AWS and put the secrets of the samples into it; how many."""
        await self._stack.enter_async_context(self.aws)
        secrets = yaml.safe_load((manifests_folder() / "samples/aws/secrets.yaml").read_text())
        for name, fields in secrets.items():
            tags = [{"Key": key, "Value": value} for key, value in fields.get("tags", {}).items()]
            await self.call_aws("create_secret", Name=name, Tags=tags, **_payload(fields))
        return len(secrets)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def kubeconfig(self) -> Path:
        return self.kubernetes.write_kubeconfig(self.folder / "kubeconfig")

    async def call_aws(self, operation: str, **parameters: Any) -> Any:
        """One operation of Secrets Manager, as a user with their own AWS client would call it."""
        if self._secretsmanager is None:
            environment = self.aws.environment()
            self._secretsmanager = boto3.client(
                "secretsmanager",
                endpoint_url=environment["AWS_ENDPOINT_URL"],
                region_name=environment["AWS_REGION"],
                aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            )
        return await asyncio.to_thread(getattr(self._secretsmanager, operation), **parameters)

    async def apply_samples(self) -> list[Object]:
        """Apply the samples, once there is an engine for their templates; the SyncedSecrets among them."""
        await self._compiling
        created: list[Object] = []
        for file in sorted((manifests_folder() / "samples").glob("*.yaml")):
            for document in yaml.safe_load_all(file.read_text()):
                await self._create(document)
                created.append(document)
        return [obj for obj in created if obj["kind"] == "SyncedSecret"]

    async def _until_served(self) -> None:
        async with asyncio.timeout(_SETTLE_LIMIT):
            while (await self._http.get(_PATHS["SyncedSecret"].format(namespace="default"))).status != 200:
                await asyncio.sleep(0.05)

    async def _create(self, obj: Object) -> None:
        async with self._http.post(_path(obj["kind"], obj["metadata"].get("namespace", "")), json=obj) as response:
            if response.status not in {201, 409}:
                raise RuntimeError(f"{obj['kind']} {obj['metadata']['name']}: {await response.text()}")

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        async with self._http.get(f"{_path(kind, namespace)}/{name}") as response:
            return await response.json() if response.status == 200 else None

    def operator(self, **settings: str) -> OperatorProcess:
        """An operator for this ground, not started."""
        return OperatorProcess(kubeconfig=self.kubeconfig, environment={**self.aws.environment(), **settings})


async def together(*parts: Coroutine[Any, Any, Any]) -> None:
    """Run all of them to their end. The first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _compile_engine() -> None:
    """Put the compiled template engine where the operator looks for it, which takes seconds the first time."""
    engine = TemplateEngine(cache_dir=Settings().cache_folder)
    with suppress(EngineUnavailable):  # the operator says what is wrong with it
        engine.render_sync("", EngineCatalogue({}), {})
    engine.close()


def _path(kind: str, namespace: str) -> str:
    return _PATHS[kind].format(namespace=namespace)


def _payload(fields: Object) -> Object:
    if "binary" in fields:
        return {"SecretBinary": base64.b64decode(fields["binary"])}
    return {"SecretString": json.dumps(fields["json"]) if "json" in fields else fields["value"]}
