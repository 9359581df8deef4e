"""Which SyncedSecret owns a Secret. If several name the same Secret, the oldest one owns it.

If the oldest one fills only some keys (policy Merge), so may others with this policy.

The controller records each object from the informer, valid or not. A reconcile asks for the owner.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from secretsyncer.kube.objects import Key, KeysBy
from secretsyncer.synced_secret import merges, target_of


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
        self._of: dict[Key, _Claim] = {}
        self._claims = KeysBy[Key]()

    def note(self, key: Key, obj: dict[str, Any] | None) -> set[Key]:
        """Record the object; None if it is gone. Returns the other objects that may be affected."""
        old = self._of.pop(key, None)
        new = _Claim(target_of(obj), obj["metadata"].get("creationTimestamp", ""), merges(obj)) if obj else None
        if old and (new is None or old.secret != new.secret):
            self._claims.discard(old.secret, key)
        if new:
            self._of[key] = new
            self._claims.add(new.secret, key)
        claims = () if old == new else (old, new)
        affected = {other for claim in claims if claim for other in self.claimants(claim.secret)}
        return affected - {key}

    def claimants(self, secret: Key) -> Collection[Key]:
        """The objects that name this Secret."""
        return self._claims.get(secret)

    def owner(self, secret: Key) -> Key | None:
        """The owner: the oldest object, or the first by name if they are equally old."""
        claims = self._claims.get(secret)
        return min(claims, key=self._age) if len(claims) > 1 else next(iter(claims), None)

    def rival(self, secret: Key, key: Key) -> Key | None:
        """The object because of which this one may not write the Secret."""
        owner = self.owner(secret)
        if owner is None or owner == key or (self._merges(key, secret) and self._merges(owner, secret)):
            return None
        return owner

    def peers(self, secret: Key, key: Key) -> Peers:
        """The other objects that fill the Secret."""
        claims = self._claims.get(secret)
        if len(claims) < 2 or key not in claims:
            return NOBODY
        others = {other for other in claims if other != key and self._merges(other, secret)}
        older = {other for other in others if self._age(other) < self._age(key)}
        return Peers(frozenset(o.name for o in older), frozenset(o.name for o in others - older))

    def _age(self, key: Key) -> tuple[str, Key]:
        return self._of[key].created, key

    def _merges(self, key: Key, secret: Key) -> bool:
        claim = self._of.get(key)
        return claim is not None and claim.merges and claim.secret == secret
