"""What the commands that talk to the cluster share: their arguments, the connection, and how failures end.

The cluster is that of KUBECONFIG, of the pod, or of ~/.kube/config, as for every command. The API server records their
writes under a name of their own, because the operator's name stands for the operator.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry

from secretsyncer.commands import manifests
from secretsyncer.errors import KubeError, SettingsError
from secretsyncer.kube.client import KubeClient
from secretsyncer.kube.errors import TOO_LARGE
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import Resource
from secretsyncer.metrics import Metrics

FIELD_MANAGER = "kubectl-secretsyncer"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PAGE = 500


def run(action: Callable[[KubeClient], Awaitable[int]]) -> int:
    """Run the action with a client of the cluster; its exit code, or 1 if the cluster refuses or does not answer."""

    async def connected() -> int:
        client = await KubeClient.connect(metrics=Metrics(CollectorRegistry()), field_manager=FIELD_MANAGER)
        try:
            return await action(client)
        except KubeError as error:
            manifests.report([f"{client.server}: {error}"])
            return 1
        finally:
            await client.close()

    return asyncio.run(connected())


def key(text: str, chosen: argparse.Namespace, client: KubeClient) -> Key:
    """The object of an argument: NAMESPACE/NAME, or NAME in the namespace of -n or of the context."""
    namespace, _, name = text.rpartition("/")
    found = Key(namespace or namespace_of(chosen, client), name)
    if not all(_NAME.fullmatch(part) for part in found):
        raise SettingsError(f"{text!a} is not the name of an object; use NAMESPACE/NAME, or NAME with -n NAMESPACE")
    return found


def namespace_of(chosen: argparse.Namespace, client: KubeClient) -> str:
    """The namespace of -n, or that of the context."""
    namespace: str = chosen.namespace or client.namespace or "default"
    if not _NAME.fullmatch(namespace):
        raise SettingsError(f"{namespace!a} is not the name of a namespace")
    return namespace


async def list_all(
    client: KubeClient, resource: Resource, namespace: str | None, *, field_selector: str = ""
) -> list[Object]:
    """All objects, in pages as large as possible."""
    items: list[Object] = []
    token, limit = "", _PAGE
    while True:
        try:
            page = await client.list(
                resource, namespace, field_selector=field_selector, limit=limit, continue_=token
            )
        except KubeError as error:
            if error.reason != TOO_LARGE or limit == 1:
                raise
            limit = max(1, limit // 10)
            continue
        items += page.get("items") or []
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return items
