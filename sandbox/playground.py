"""Kubernetes, AWS and the operator on this machine: what the demo shows and the sandbox keeps running.

Kubernetes is a real API server if `make envtest` (or KUBEBUILDER_ASSETS) provides one, else the embedded one. AWS is
moto's server. The operator is the real process. The samples of `manifests/samples` are applied, and AWS has the secrets
that they use. Everything listens on loopback and is removed at the end.

Kubernetes, AWS with its secrets, and the compilation of the template engine do not depend on each other, so they run in
parallel.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox.access import KubernetesApi
from sandbox.apiserver import EmbeddedKubernetes
from sandbox.aws.moto_secrets import MotoSecrets
from sandbox.aws.moto_server import MotoServer
from sandbox.envtest import RealKubernetes, find_assets
from sandbox.kubernetes_client import KubernetesClient, Object
from sandbox.operator import OperatorProcess
from secretsyncer.gotemplate.engine import EngineCatalogue, EngineUnavailable, TemplateEngine
from secretsyncer.settings import Settings


def manifests_folder() -> Path:
    """The CRD and the samples."""
    return Path(__file__).resolve().parents[1] / "manifests"


def sample_secrets() -> Iterator[tuple[str, str | bytes, dict[str, str]]]:
    """Name, value and tags of each AWS secret that the samples use."""
    for name, fields in _samples().items():
        if name == "parameters":
            continue
        if "binary" in fields:
            value: str | bytes = base64.b64decode(fields["binary"])
        else:
            value = json.dumps(fields["json"]) if "json" in fields else fields["value"]
        yield name, value, fields.get("tags", {})


def sample_parameters() -> Iterator[tuple[str, str]]:
    """Name and value of each parameter that the samples use."""
    for name, fields in _samples()["parameters"].items():
        yield name, json.dumps(fields["json"]) if "json" in fields else fields["value"]


def _samples() -> Any:
    return yaml.safe_load((manifests_folder() / "samples/aws/secrets.yaml").read_text())


class Playground:
    """`async with Playground() as ground:`, then `start_kubernetes` and `start_aws` in any order, then the others.

    Everything ends with the block.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self.folder = Path()
        self.kubernetes: KubernetesApi
        self.description = ""
        self.aws = MotoServer()
        self.secrets: MotoSecrets
        self.client: KubernetesClient
        self._compiling: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="secretsyncer-sandbox-")))
        self._compiling = asyncio.create_task(asyncio.to_thread(_compile_engine))
        self._stack.push_async_callback(asyncio.wait, {self._compiling})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def is_compiling(self) -> bool:
        """Whether the template engine is not ready yet, for which `apply_samples` waits."""
        return not self._compiling.done()

    async def start_kubernetes(self) -> None:
        """Start Kubernetes, with the CRD."""
        assets = find_assets()
        if assets:
            self.kubernetes = await self._stack.enter_async_context(RealKubernetes(assets))
            self.description = f"a real API server with etcd and controllers ({assets})"
        else:
            self.kubernetes = await self._stack.enter_async_context(EmbeddedKubernetes())
            self.description = "the embedded API (make envtest gets the real one)"
        self.client = await self._stack.enter_async_context(KubernetesClient(self.kubernetes))
        await self.client.create(yaml.safe_load((manifests_folder() / "crd.yaml").read_text()))
        await self.client.until_served("SyncedSecret")
        if isinstance(self.kubernetes, RealKubernetes):
            self.kubernetes.start_controllers()

    async def start_aws(self) -> int:
        """Start AWS with the secrets of the samples; returns their number."""
        await self._stack.enter_async_context(self.aws)
        self.secrets = MotoSecrets(self.aws)
        secrets = list(sample_secrets())
        for name, value, tags in secrets:
            await self.secrets.create(name, value, **tags)
        for name, text in sample_parameters():
            await self.secrets.put_parameter(name, text)
        return len(secrets)

    @property
    def kubeconfig(self) -> Path:
        return self.kubernetes.write_kubeconfig(self.folder / "kubeconfig")

    async def apply_samples(self) -> list[Object]:
        """Apply the samples when the template engine is compiled; returns their SyncedSecrets."""
        await self._compiling
        created: list[Object] = []
        for file in sorted((manifests_folder() / "samples").glob("*.yaml")):
            for document in yaml.safe_load_all(file.read_text()):
                await self.client.create(document)
                created.append(document)
        return [obj for obj in created if obj["kind"] == "SyncedSecret"]

    def operator(self, **settings: str) -> OperatorProcess:
        """An operator with these settings. It is not started."""
        environment = {**self.aws.environment(), **settings}
        return OperatorProcess(kubeconfig=self.kubeconfig, environment=environment, memory_limit=None)


async def together(*parts: Coroutine[Any, Any, Any]) -> None:
    """Run all of them. The first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _compile_engine() -> None:
    """Put the compiled template engine where the operator looks for it, which takes seconds the first time."""
    engine = TemplateEngine(cache_dir=Settings().cache_folder)
    with suppress(EngineUnavailable):  # the operator reports it
        engine.render_sync("", EngineCatalogue({}), {})
    engine.close()
