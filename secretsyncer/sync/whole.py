"""Reads from the API server what the informers keep only in part."""

from __future__ import annotations

from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.sync.observed import summarise, synced_secret_view
from secretsyncer.sync.refusals import Reader, as_failure


async def whole(api: Reader, obj: Object) -> Object | None:
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


async def read_secret(api: Reader, key: Key, *, whole: bool = False) -> Object | None:
    """The Secret as `summarise` keeps it, with its `whole` metadata if it is needed; None if it is gone. Raises Unavailable."""
    try:
        return summarise(await api.get(SECRETS, key.namespace, key.name), whole=whole)
    except KubeError as error:
        if error.status == 404:
            return None
        raise as_failure(error, f"Secret {key}") from error
