"""What writes of Secrets ask of the API, and the check before one is deleted, to be created again."""

from __future__ import annotations

from typing import Protocol

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import SECRETS, Resource


class Lister(Protocol):
    """The part of `KubeClient` that lists."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        field_selector: str = "",
        limit: int = 500,
        metadata_only: bool = False,
    ) -> Object: ...


class Api(Lister, Protocol):
    """The part of `KubeClient` that writes."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...

    async def create(
        self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False
    ) -> Object: ...

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, *, subresource: str | None = None
    ) -> Object: ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> Object: ...


async def check_successor(api: Api, key: Key, body: Object) -> None:
    """Raises KubeError if the API server would refuse it: then the Secret that is there must not be deleted."""
    try:
        await api.create(SECRETS, key.namespace, body, dry_run=True)
    except KubeError as error:
        if error.status != 409 or error.reason != "AlreadyExists":  # checked, and only the name is taken
            raise
