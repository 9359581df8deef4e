"""Which SyncedSecret owns a Secret. If several name the same Secret, the oldest one owns it.

If the oldest one fills only some keys (policy Merge), so may others with this policy.

The controller records each object from the informer, valid or not. A reconcile asks for the owner.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from secretsyncer.errors import Reason, Rejected
from secretsyncer.kube.objects import Key, KeysBy, unpacked
from secretsyncer.synced_secret import SyncedSecret, merges, target_of


class _Claim(NamedTuple):
    """What counts of an object: the Secret that it names, its age, and whether it fills only some keys."""

    secret: Key
    created: str
    merges: bool


class Peers(NamedTuple):
    """The names of the other objects that fill the same Secret."""

    older: frozenset[str] = frozenset()
    younger: frozenset[str] = frozenset()


NOBODY = Peers()


class Owners:
    """Objects by the Secret that they name."""

    def __init__(self) -> None:
        self._claims: dict[Key, _Claim] = {}
        self._claimants = KeysBy[Key]()

    def note(self, key: Key, obj: dict[str, Any] | None) -> set[Key]:
        """Record the object; None if it is gone. Returns the other objects that may be affected."""
        old, new = self._claims.pop(key, None), _claim(obj) if obj else None
        if old and (new is None or old.secret != new.secret):
            self._claimants.discard(old.secret, key)
        if new:
            self._claims[key] = new
            self._claimants.add(new.secret, key)
        if old == new:
            return set()
        return {other for claim in (old, new) if claim for other in self.claimants(claim.secret)} - {key}

    def knows(self, synced: SyncedSecret) -> bool:
        """Whether the object is recorded with this target and policy. The informer may not have shown an edit yet."""
        claim = self._claims.get(synced.key)
        return claim is None or (claim.secret, claim.merges) == (synced.secret, synced.spec.merges)

    def claimants(self, secret: Key) -> Collection[Key]:
        """The objects that name this Secret."""
        return self._claimants.get(secret)

    def owner(self, secret: Key) -> Key | None:
        """The owner: the oldest object, or the first by name if they are equally old."""
        claimants = self.claimants(secret)
        return min(claimants, key=self._age) if len(claimants) > 1 else next(iter(claimants), None)

    def rival(self, secret: Key, key: Key) -> Key | None:
        """The object because of which this one may not write the Secret."""
        owner = self.owner(secret)
        if owner is None or owner == key:
            return None
        both = key in self.claimants(secret) and self._claims[key].merges and self._claims[owner].merges
        return None if both else owner

    def check(self, secret: Key, key: Key) -> None:
        """Raises Rejected if another object owns the Secret."""
        owner = self.rival(secret, key)
        if owner is not None:
            raise Rejected(
                Reason.CONFLICT,
                f"Secret {secret} is already the target of the older SyncedSecret {owner.name}; delete one of "
                "them, change its spec.target.name, or set spec.target.policy: Merge in both",
            )

    def peers(self, secret: Key, key: Key) -> Peers:
        """The other objects that fill the Secret."""
        claimants = self.claimants(secret)
        if len(claimants) < 2 or key not in claimants:
            return NOBODY
        others = {other for other in claimants if other != key and self._claims[other].merges}
        older = {other for other in others if self._age(other) < self._age(key)}
        return Peers(frozenset(o.name for o in older), frozenset(o.name for o in others - older))

    def _age(self, key: Key) -> tuple[str, Key]:
        return self._claims[key].created, key


def _claim(obj: dict[str, Any]) -> _Claim:
    obj = {**obj, "spec": unpacked(obj.get("spec"))}  # once
    return _Claim(target_of(obj), obj["metadata"].get("creationTimestamp", ""), merges(obj))
