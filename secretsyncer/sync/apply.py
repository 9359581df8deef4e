"""Writes the Secret and the status of one object.

Writes have the version that they apply to. If it is outdated, the Secret is read again, so no edit is lost. Each response
goes to the informer's store (`remember`), so that the next reconcile sees it before the watch reports it. Errors of the
API become the failures in the status. `may_write` is checked before each write: a process that has lost its Lease, or
was paused for longer than its duration, must not write.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from secretsyncer.errors import KubeError, Reason, Rejected, Unavailable
from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import SECRETS, SYNCED_SECRETS
from secretsyncer.kube.shelf import is_stub
from secretsyncer.sync.awaited import Awaited
from secretsyncer.sync.damping import Damping, dispute, turf
from secretsyncer.sync.marks import MARKED, is_managed, is_watched
from secretsyncer.sync.observed import fingerprint
from secretsyncer.sync.owners import NOBODY, Peers
from secretsyncer.sync.planner import Planner, Wish
from secretsyncer.sync.refusals import as_failure, check_lease, is_denial, refusal
from secretsyncer.sync.revision import Count, Revision, following
from secretsyncer.sync.secret_api import Api, check_successor
from secretsyncer.sync.secret_plan import Create, Patch, Recreate, gains_owner
from secretsyncer.sync.secret_rules import listed_keys
from secretsyncer.sync.status import NOTHING_REPORTED, Reported
from secretsyncer.sync.stores import Stores
from secretsyncer.sync.whole import is_gone, read_secret, whole
from secretsyncer.synced_secret import SyncedSecret

log = logging.getLogger(__name__)

TRIES = 4
"""Attempts of one reconcile to write a Secret that others change meanwhile."""


class Written(NamedTuple):
    """The result of a write: the resourceVersion of the Secret, and the action (empty: none).

    `revision` is that of its data; None if nobody needs to know.
    """

    version: str
    action: str = ""
    revision: int | None = None


Announce = Callable[[SyncedSecret, int], Awaitable[None]]
"""Says in the status which revision a Secret gets that is deleted now. Raises SyncFailure."""


async def _nothing(*_: object) -> None:
    pass


class Writer:
    """Writes Secrets and statuses."""

    def __init__(
        self,
        api: Api,
        stores: Stores,
        damping: Damping,
        *,
        adopt: bool,
        may_write: Callable[[], bool],
        count: Count = following,
        awaited: Awaited | None = None,
    ) -> None:
        self._api = api
        self._objects = stores.objects
        self._secrets = stores.secrets
        self._damping = damping
        self._may_write = may_write
        self._planner = Planner(adopt=adopt, count=count)
        self._awaited = awaited if awaited is not None else Awaited()
        self._told_of_crd = False

    async def write_secret(
        self,
        synced: SyncedSecret,
        data: Mapping[str, bytes],
        *,
        reported: Reported = NOTHING_REPORTED,
        announce: Announce = _nothing,
        peers: Peers = NOBODY,
        is_still_wanted: Callable[[], bool] = lambda: True,
    ) -> Written | None:
        """Write the Secret so that it has exactly this data, or with policy Merge so that it has these keys, too.

        `announce` is called before a Secret is deleted, to be created with other data: the process may end in between.
        `peers`: the other objects that fill the Secret. `is_still_wanted` is asked immediately before each write, and if
        there is nothing to write; None if it says no, or the object is gone. Raises Rejected or Unavailable.
        """
        wanted, place, wish = fingerprint(synced, data), turf(synced), Wish(synced, data, peers)
        observed = await self._find(synced)
        if seconds := self._damping.until_retry(place, wanted, is_known=observed is not None):
            raise await self._disputed(synced.secret, place, seconds)
        for _ in range(TRIES):
            known = reported.revision if observed else max(reported)
            made = await self._planner.revision(wish, observed, reported=known)
            step = self._planner.step(wish, observed, made)
            seconds = self._damping.wait(place, wanted) if step else self._damping.on_trial(place)
            if seconds:
                raise await self._disputed(synced.secret, place, seconds)
            if isinstance(step, Recreate) and observed and not observed["whole"]:
                # With all that others put there, which the successor gets.
                observed = await read_secret(self._api, synced.secret, whole=True)
                continue
            number = made.number if made else None
            if step is None:
                if not is_still_wanted():
                    return None
                self._planner.done(wish, self._secrets.get(synced.secret))
                return Written(observed["metadata"]["resourceVersion"] if observed else "", revision=number)
            counts = isinstance(step, Recreate) and number is not None and number > reported.revision
            reported = reported._replace(following=max(reported.following, number or 0)) if counts else reported
            try:
                written = await self._write(
                    synced,
                    step,
                    observed,
                    wanted,
                    is_still_wanted,
                    before_deletion=partial(announce, synced, reported.following) if counts else _nothing,
                )
            except KubeError as error:
                # Created by somebody else, changed, or deleted meanwhile: read it again.
                raced = error.status == 409 or (error.status == 404 and not isinstance(step, Create))
                if not raced or is_denial(error):
                    raise await refusal(self._api, error, synced.secret, data.values()) from None
            else:
                return written and await self._written(wish, wanted, written, made)
            observed = await self._find(synced, again=True)
        raise Unavailable(
            Reason.KUBERNETES_ERROR,
            f"Secret {synced.secret} keeps being modified concurrently (gave up after {TRIES} attempts)",
        )

    async def _written(self, wish: Wish, wanted: bytes, written: Written, made: Revision | None) -> Written:
        synced, place = wish.synced, turf(wish.synced)
        await self._check_unchanged(wish, wanted, written, made)
        self._damping.wrote(place, wanted)
        if seconds := self._damping.on_trial(place):
            raise await self._disputed(synced.secret, place, seconds)
        self._planner.done(wish, self._secrets.get(synced.secret))
        return written._replace(revision=made.number if made else None)

    async def _find(self, synced: SyncedSecret, *, again: bool = False) -> Object | None:
        """The Secret, from the store unless it is read `again`.

        One that is not watched may exist all the same. If it does not, it is awaited from before it is read.
        """
        observed = None if again else self._secrets.get(synced.secret)
        unknown = observed is None and (again or synced.spec.merges or not synced.spec.creates)
        if unknown or is_stub(observed):
            if not synced.spec.creates:
                self._awaited.wait(synced.key, synced.secret)
            observed = await read_secret(self._api, synced.secret, whole=True)
        if observed is not None or synced.spec.creates:
            self._awaited.done(synced.key)
        return observed

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._planner.forget(key)
        self._awaited.done(key)

    async def write_status(self, obj: Object, patch: Object) -> Object | None:
        """Patch the status of this very object, and return the object; None if it is gone or was recreated, or has changed
        where the patch has a resourceVersion.

        The store decides who it is: the API server ignores a uid in a patch of a status subresource.
        """
        if not self.is_current(obj):
            return None
        metadata = obj["metadata"]
        check_lease(self._may_write)
        try:
            answer = await self._api.merge_patch(
                SYNCED_SECRETS, metadata["namespace"], metadata["name"], patch, subresource="status"
            )
        except KubeError as error:
            if error.status == 404 or (error.status == 409 and "metadata" in patch):
                return None
            raise as_failure(error, "its status") from error
        self._objects.remember(answer)
        self._check_stored(answer, patch)
        return answer

    def _check_stored(self, answer: Object, patch: Object) -> None:
        """The API server drops the fields of a status that its CRD does not have."""
        sent = {field for field, value in patch["status"].items() if value is not None}
        missing = sorted(sent - (answer.get("status") or {}).keys())
        if missing and not self._told_of_crd:
            self._told_of_crd = True
            log.warning(
                "status fields dropped by the API server: the CRD in the cluster is older than the operator",
                extra={"error": f"missing: {', '.join(missing)}"},
            )

    async def whole(self, obj: Object) -> Object | None:
        """This very object with all of its spec; None if it is gone. Raises Unavailable."""
        return await whole(self._api, obj) if is_stub(obj) else obj

    def present(self, obj: Object) -> Object | None:
        """The object as it is now; None if it is gone, or there is a new one with the same name."""
        now = self._objects.get(key_of(obj))
        return now if now is not None and now["metadata"].get("uid") == obj["metadata"].get("uid") else None

    def is_current(self, obj: Object) -> bool:
        """Whether the object still exists, and is not a new one with the same name."""
        return self.present(obj) is not None

    async def _write(
        self,
        synced: SyncedSecret,
        step: Create | Recreate | Patch,
        observed: Object | None,
        wanted: bytes,
        is_still_wanted: Callable[[], bool],
        *,
        before_deletion: Callable[[], Awaitable[None]],
    ) -> Written | None:
        key = synced.secret
        if observed and gains_owner(step, observed) and await is_gone(self._api, self._objects.get(synced.key)):
            return None
        if isinstance(step, Recreate):
            await check_successor(self._api, key, step.body)
            if is_still_wanted():
                await before_deletion()
        if not is_still_wanted():
            return None
        check_lease(self._may_write)
        if isinstance(step, Recreate):
            await self._api.delete(
                SECRETS, key.namespace, key.name, uid=step.uid, resource_version=step.resource_version
            )
        if isinstance(step, Create | Recreate):
            answer = await self._api.create(SECRETS, key.namespace, step.body)
            action = f"created with {listed_keys(step.body['data'])}"
        else:
            answer = await self._api.merge_patch(SECRETS, key.namespace, key.name, step.body)
            action = f"updated: {listed_keys(step.keys)}" if step.keys else "updated: labels or annotations"
        self._secrets.remember(answer)
        if not (is_watched(answer) if synced.spec.merges else is_managed(answer)):
            raise self._altered(
                turf(synced),
                wanted,
                f"Secret {key} was written without the label {MARKED}, which the operator needs to watch it: "
                "an admission policy or webhook removes or changes the label",
                watched=False,
            )
        return Written(answer["metadata"]["resourceVersion"], action)

    async def _check_unchanged(
        self, wish: Wish, wanted: bytes, written: Written, revision: Revision | None
    ) -> None:
        """Raises Rejected if the API server stored something else than what was sent."""
        synced = wish.synced
        stored = self._secrets.get(synced.secret)
        if is_stub(stored):
            stored = await read_secret(self._api, synced.secret, whole=True)
        if stored is None or stored["metadata"]["resourceVersion"] != written.version:
            return  # somebody else has changed it since
        left = self._planner.step(wish, stored, revision)
        if left is None:
            return
        keys = left.keys if isinstance(left, Patch) else ()
        what = f"its {listed_keys(keys)}" if keys else "its labels, annotations or owner references"
        raise self._altered(
            turf(synced),
            wanted,
            f"Secret {synced.secret}: an admission policy or webhook changes {what} whenever it is written; "
            "exempt the Secret from it, or change the spec",
        )

    def _altered(self, place: Key, wanted: bytes, message: str, *, watched: bool = True) -> Rejected:
        seconds = self._damping.altered(place, wanted, message, watched=watched)
        return Rejected(Reason.CONFLICT, message, retry_after=seconds)

    async def _disputed(self, key: Key, place: Key, seconds: float) -> Rejected:
        """The failure for a Secret that is left alone for this long. Whoever writes it, too, is looked up once per write."""
        message = self._damping.message(place)
        if not message:
            stored: Object | None = {"metadata": {}}
            try:
                stored = await self._api.get(SECRETS, key.namespace, key.name)
            except KubeError as error:
                stored = None if error.status == 404 else stored
            message = dispute(key, stored)
            self._damping.explain(place, message)
        return Rejected(Reason.CONFLICT, message, retry_after=seconds)
