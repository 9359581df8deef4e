"""The write that a Secret needs, by the policy of the object, and the revision of the data that it puts there.

With policy Merge, the keys that this process has written for an object are remembered. So they are its own even if somebody
removes the annotation that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from secretsyncer.errors import Rejected
from secretsyncer.kube.objects import Key, Object
from secretsyncer.sync.marks import is_managed
from secretsyncer.sync.merge_plan import part_of, plan_merge
from secretsyncer.sync.owners import Peers
from secretsyncer.sync.revision import Count, Revision
from secretsyncer.sync.secret_plan import Create, Patch, Recreate, plan
from secretsyncer.synced_secret import SyncedSecret


class Wish(NamedTuple):
    """What one reconcile wants: this data in the Secret of the object, which these others fill, too."""

    synced: SyncedSecret
    data: Mapping[str, bytes]
    peers: Peers


class _Merged(NamedTuple):
    """The keys that this process has written for an object into the Secret with this uid."""

    uid: str = ""
    keys: frozenset[str] = frozenset()


class Planner:
    """Plans writes. `adopt` is the operator's setting."""

    def __init__(self, *, adopt: bool, count: Count) -> None:
        self._adopt = adopt
        self._count = count
        self._merged: dict[Key, _Merged] = {}

    async def revision(self, wish: Wish, observed: Object | None, *, reported: int) -> Revision | None:
        """The revision of the data; None if nobody needs to know. `reported` is the last one in the status.

        With policy Merge, only the object's own keys count.
        """
        synced, data, _ = wish
        managed = observed is not None and is_managed(observed)
        if observed is not None and synced.spec.merges:
            observed, held = part_of(synced, data, observed, known=self._known(synced, observed))
            managed = managed or held
        return await self._count(synced, data, observed, reported=reported, managed=managed)

    def step(
        self, wish: Wish, observed: Object | None, revision: Revision | None
    ) -> Create | Recreate | Patch | None:
        """The write; None if there is nothing to do. Raises Rejected."""
        synced, data, peers = wish
        if not synced.spec.merges:
            return plan(synced, data, observed, adopt=self._adopt, revision=revision)
        known = self._known(synced, observed)
        try:
            return plan_merge(synced, data, observed, peers=peers, known=known, revision=revision)
        except Rejected:
            self.forget(synced.key)  # somebody else may have the keys from now on
            raise

    def done(self, wish: Wish, stored: Object | None) -> None:
        """The Secret is as the object wants it."""
        if stored is not None and wish.synced.spec.merges:
            self._merged[wish.synced.key] = _Merged(stored["metadata"]["uid"], frozenset(wish.data))

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._merged.pop(key, None)

    def _known(self, synced: SyncedSecret, observed: Object | None) -> frozenset[str]:
        last = self._merged.get(synced.key, _Merged())
        same = observed is not None and observed["metadata"]["uid"] == last.uid
        return last.keys if same else frozenset()
