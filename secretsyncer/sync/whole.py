"""Reads from the API server what the informers keep only in part."""

from __future__ import annotations

from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import BAD_ANSWER
from secretsyncer.kube.feed import read_page
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.sync.observed import summarise, synced_secret_view
from secretsyncer.sync.refusals import Reader, as_failure
from secretsyncer.sync.secret_api import Lister


async def read_object(api: Lister, key: Key, *, metadata_only: bool = False) -> Object | None:
    """The SyncedSecret as it is now, whatever the watch shows; None if there is none. Raises Unavailable.

    The operator may not get single objects. A list of one name needs no further permission, and costs the same.
    """
    name = f"metadata.name={key.name}"
    try:
        answer = await api.list(
            SYNCED_SECRETS, key.namespace, field_selector=name, limit=1, metadata_only=metadata_only
        )
        return _only(answer, key)
    except KubeError as error:
        raise as_failure(error, f"SyncedSecret {key}") from error


def _only(answer: Object, key: Key) -> Object | None:
    """The object of a list of one name; None if there is none. Raises KubeError."""
    found = read_page(answer).items
    for obj in found:
        metadata = obj.get("metadata")
        if not isinstance(metadata, dict) or (metadata.get("namespace"), metadata.get("name")) != key:
            raise KubeError(0, BAD_ANSWER, "the list has other objects than the one that was asked for")
    return found[0] if found else None


async def whole(api: Lister, obj: Object) -> Object | None:
    """This very SyncedSecret with all of its spec; None if it is gone or being deleted. Raises Unavailable."""
    found = await read_object(api, key_of(obj))
    return synced_secret_view(found) if found and _is_alive(found, obj) else None


async def is_gone(api: Lister, obj: Object | None) -> bool:
    """Whether this very SyncedSecret is gone or being deleted, whatever the watch shows. Raises Unavailable."""
    if obj is None:
        return True
    found = await read_object(api, key_of(obj), metadata_only=True)
    return not (found and _is_alive(found, obj))


def _is_alive(found: Object, obj: Object) -> bool:
    metadata = found["metadata"]
    return metadata.get("uid") == obj["metadata"].get("uid") and not metadata.get("deletionTimestamp")


async def read_secret(api: Reader, key: Key, *, whole: bool = False) -> Object | None:
    """The Secret as `summarise` keeps it, with its `whole` metadata if it is needed; None if it is gone. Raises Unavailable."""
    try:
        return summarise(await api.get(SECRETS, key.namespace, key.name), whole=whole)
    except KubeError as error:
        if error.status == 404:
            return None
        raise as_failure(error, f"Secret {key}") from error
