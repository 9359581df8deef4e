"""Kubernetes, AWS and the operator on this machine: what the demo shows and the sandbox keeps running.

Kubernetes is the real one where `make envtest` (or KUBEBUILDER_ASSETS) has it, else the embedded API; AWS
is moto's server; the operator is the real process. The samples of `manifests/samples` are applied, and AWS holds
the secrets that they use. Everything listens on loopback and is gone at the end.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import yaml

from sandbox.access import KubernetesApi
from sandbox.apiserver import EmbeddedKubernetes
from sandbox.aws.moto_secrets import MotoSecrets
from sandbox.aws.moto_server import MotoServer
from sandbox.envtest import RealKubernetes, find_assets
from sandbox.kubernetes_client import KubernetesClient, Object
from sandbox.operator import OperatorProcess


def manifests_folder() -> Path:
    """The CRD and the samples."""
    return Path(__file__).resolve().parents[1] / "manifests"


def sample_secrets() -> Iterator[tuple[str, str | bytes, dict[str, str]]]:
    """Name, value and tags of each AWS secret that the samples use."""
    for name, fields in yaml.safe_load((manifests_folder() / "samples/aws/secrets.yaml").read_text()).items():
        if "binary" in fields:
            value: str | bytes = base64.b64decode(fields["binary"])
        else:
            value = json.dumps(fields["json"]) if "json" in fields else fields["value"]
        yield name, value, fields.get("tags", {})


class Playground:
    """`async with Playground() as ground:` starts everything but the operator."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self.folder = Path()
        self.kubernetes: KubernetesApi
        self.description = ""
        self.aws: MotoServer
        self.secrets: MotoSecrets
        self.client: KubernetesClient

    async def __aenter__(self) -> Self:
        stack = self._stack
        try:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secretsyncer-sandbox-")))
            assets = find_assets()
            if assets:
                self.kubernetes = await stack.enter_async_context(RealKubernetes(assets))
                self.description = f"a real API server with etcd and controllers ({assets})"
            else:
                self.kubernetes = await stack.enter_async_context(EmbeddedKubernetes())
                self.description = "the embedded API (make envtest gets the real one)"
            self.aws = await stack.enter_async_context(MotoServer())
            self.secrets = MotoSecrets(self.aws)
            self.client = await stack.enter_async_context(KubernetesClient(self.kubernetes))
        except BaseException:
            await stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def kubeconfig(self) -> Path:
        return self.kubernetes.write_kubeconfig(self.folder / "kubeconfig")

    async def seed_aws(self) -> int:
        """Put the secrets of the samples into AWS; how many."""
        secrets = list(sample_secrets())
        for name, value, tags in secrets:
            await self.secrets.create(name, value, **tags)
        return len(secrets)

    async def apply_samples(self) -> list[Object]:
        """Create the CRD and the samples; the SyncedSecrets among them."""
        folder = manifests_folder()
        await self.client.create(yaml.safe_load((folder / "crd.yaml").read_text()))
        await self.client.until_served("SyncedSecret")
        if isinstance(self.kubernetes, RealKubernetes):
            self.kubernetes.start_controllers()
        created: list[Object] = []
        for file in sorted((folder / "samples").glob("*.yaml")):
            for document in yaml.safe_load_all(file.read_text()):
                await self.client.create(document)
                created.append(document)
        return [obj for obj in created if obj["kind"] == "SyncedSecret"]

    def operator(self, **settings: str) -> OperatorProcess:
        """An operator for this ground, not started."""
        return OperatorProcess(kubeconfig=self.kubeconfig, environment={**self.aws.environment(), **settings})
