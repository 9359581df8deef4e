"""Gives up what an object does not write any more: a whole Secret, or its keys in one that objects fill together.

An object leaves a Secret when it names another one, and when it is deleted. There is no finalizer: the owner references and
annotations of the Secrets say what is left to do, also after a time without an operator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from cachetools import LRUCache

from secretsyncer.errors import KubeError, Reason, Rejected, Unavailable
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.resources import SECRETS, Resource
from secretsyncer.kube.shelf import is_stub
from secretsyncer.loops import loop_time
from secretsyncer.sync.damping import Damping, part_of
from secretsyncer.sync.holders import Holders
from secretsyncer.sync.merge_plan import plan_release
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.refusals import check_lease, is_denial, refusal
from secretsyncer.sync.secret_api import Lister
from secretsyncer.sync.secret_plan import is_ours, owned_secrets
from secretsyncer.sync.stores import Stores
from secretsyncer.sync.whole import read_object, read_secret
from secretsyncer.synced_secret import SyncedSecret

log = logging.getLogger(__name__)

TRIES = 4
"""Attempts to write a Secret that others change meanwhile."""
LOOKS = 300
"""Objects of one namespace that are looked up in one WINDOW, because a Secret says that their keys go with them."""
WINDOW = 60.0
"""In seconds."""
_NAMESPACES = 1024
_RELEASED = b""
"""What is wanted of a Secret, for damping: that it has no keys of objects that are gone."""


class Api(Lister, Protocol):
    """The part of `KubeClient` that is needed."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...

    async def merge_patch(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> Object: ...


class Releases:
    """What objects have left."""

    def __init__(
        self,
        api: Api,
        stores: Stores,
        owners: Owners,
        holders: Holders,
        damping: Damping,
        *,
        may_write: Callable[[], bool],
    ) -> None:
        self._api = api
        self._objects = stores.objects
        self._secrets = stores.secrets
        self._owners = owners
        self._holders = holders
        self._damping = damping
        self._may_write = may_write
        self._owned: dict[str, list[Key]] | None = None
        self._looks: LRUCache[tuple[str, int], int] = LRUCache(_NAMESPACES)

    def left_before_start(self, synced: SyncedSecret) -> frozenset[Key]:
        """The Secrets that the object owns and does not name any more: its target changed while no operator ran."""
        if self._owned is None:
            self._owned = owned_secrets(self._secrets.items())
        return frozenset(self._owned.pop(synced.uid, [])) - {synced.secret}

    def owned(self, left: Collection[Key], uid: str) -> frozenset[Key]:
        """Those of these Secrets that the object has. Whoever edits its target again and again names any number."""
        found = ((key, self._secrets.get(key)) for key in left)
        return frozenset(key for key, secret in found if secret and is_ours(uid, secret))

    async def leave(self, synced: SyncedSecret, left: Collection[Key]) -> frozenset[Key]:
        """Give up what the object has written and does not name any more. `left`: Secrets that it had as a whole.

        Returns those that it still has: another object names them, which may take them over, or they were changed meanwhile.
        """
        if synced.spec.merges:
            # The watch may show it after the next edit.
            self._holders.note(synced.secret, self._secrets.get(synced.secret))
        stay = {
            secret
            for secret in sorted(left)
            if self._owners.owner(secret) is not None or not await self._release(synced, secret)
        }
        for secret in self._holders.secrets_of(synced.key) - {synced.secret}:
            await self._release_keys(secret, [synced.key.name], delete=synced.spec.deletion_policy == "Delete")
        return self.owned(stay, synced.uid)

    async def gone(self, key: Key) -> None:
        """The object is gone: its keys go with it, where the Secret says so. Raises Rejected or Unavailable."""
        if self._objects.get(key) is None:
            for secret in self._holders.secrets_of(key):
                await self._release_gone(secret)

    async def _release_gone(self, secret: Key) -> None:
        """Forget all objects that are gone, and remove their keys where they ask for it, with one write.

        Whoever may write the Secret can name any objects in its annotation, again and again, which is damped.
        """
        place = part_of(secret, Key(secret.namespace, ""))
        if seconds := self._damping.wait(place, _RELEASED):
            raise Rejected(
                Reason.CONFLICT,
                f"Secret {secret} has keys of deleted objects again and again; the operator removes them less often",
                retry_after=seconds,
            )
        candidates = [key for key in self._holders.temporary(secret) if self._objects.get(key) is None]
        self._may_look(secret, len(candidates))
        gone = [key.name for key in candidates if await read_object(self._api, key, metadata_only=True) is None]
        if gone and await self._release_keys(secret, gone):
            self._damping.wrote(place, _RELEASED)

    def _may_look(self, secret: Key, number: int) -> None:
        """Raises Rejected if too many objects of this namespace were looked up: many Secrets can name some."""
        now = loop_time()
        window = secret.namespace, int(now // WINDOW)
        looks = self._looks.get(window, 0) + number
        if looks > LOOKS:
            raise Rejected(
                Reason.CONFLICT,
                f"Secret {secret} has keys of deleted objects, like many others in its namespace; "
                "the operator removes them later",
                retry_after=WINDOW - now % WINDOW,
            )
        self._looks[window] = looks

    async def _release(self, synced: SyncedSecret, secret: Key) -> bool:
        """Give up a Secret that the object wrote before it named another target, and that no other object names.

        With deletionPolicy: Delete it is deleted. Otherwise it stays, without an owner reference to the object. False if it was
        changed meanwhile.
        """
        observed = await self._find(secret)
        if observed is None or not is_ours(synced.uid, observed):
            return True
        metadata = observed["metadata"]
        check_lease(self._may_write)
        try:
            if synced.spec.deletion_policy == "Delete":
                await self._api.delete(
                    SECRETS,
                    secret.namespace,
                    secret.name,
                    uid=metadata["uid"],
                    resource_version=metadata["resourceVersion"],
                )
            else:
                owners = [ref for ref in metadata["ownerReferences"] if ref.get("uid") != synced.uid]
                body = {"metadata": {"ownerReferences": owners, "resourceVersion": metadata["resourceVersion"]}}
                self._secrets.remember(await self._api.merge_patch(SECRETS, secret.namespace, secret.name, body))
        except KubeError as error:
            if error.status not in {404, 409}:
                raise await refusal(self._api, error, secret, ()) from None
            return error.status == 404
        return True

    async def _release_keys(self, secret: Key, names: Collection[str], *, delete: bool | None = None) -> bool:
        """Give up the keys of these objects, with or without removing them; None: as the annotation says.

        Returns whether there was anything to do.
        """
        observed = await self._find(secret)
        for _ in range(TRIES):
            step = plan_release(observed, names, delete=delete) if observed else None
            if step is None:
                return False
            check_lease(self._may_write)
            try:
                written = await self._api.merge_patch(SECRETS, secret.namespace, secret.name, step.body)
            except KubeError as error:
                if error.status not in {404, 409} or is_denial(error):
                    raise await refusal(self._api, error, secret, ()) from None
            else:
                self._secrets.remember(written)
                log.info("keys released", extra={"secret": str(secret), "removed": len(step.keys)})
                return True
            observed = await read_secret(self._api, secret)
        raise Unavailable(Reason.KUBERNETES_ERROR, f"Secret {secret} keeps being modified concurrently")

    async def _find(self, secret: Key) -> Object | None:
        observed = self._secrets.get(secret)
        return await read_secret(self._api, secret) if is_stub(observed) else observed
