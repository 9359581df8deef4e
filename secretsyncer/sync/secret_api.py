"""What writes of Secrets ask of the API, and the check before one is deleted, to be created again."""

from __future__ import annotations

from typing import Protocol

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS, Resource
from secretsyncer.sync.observed import synced_secret_view
from secretsyncer.sync.refusals import as_failure


class Api(Protocol):
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


async def whole(api: Api, obj: Object) -> Object | None:
    """This very SyncedSecret with all of its spec; None if it is gone. Raises Unavailable."""
    key = key_of(obj)
    try:
        found = synced_secret_view(await api.get(SYNCED_SECRETS, key.namespace, key.name))
    except KubeError as error:
        if error.status == 404:
            return None
        raise as_failure(error, "its spec") from error
    gone = found["metadata"].get("uid") != obj["metadata"].get("uid") or found["metadata"].get("deletionTimestamp")
    return None if gone else found
