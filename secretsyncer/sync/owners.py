"""Which SyncedSecret owns a Secret. If several name the same Secret, the oldest one owns it.

If the oldest one fills only some keys (policy Merge), so may others with this policy.

The controller records each object from the informer, valid or not. A reconcile asks for the owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import KeysView, Mapping
from typing import Any, NamedTuple

from secretsyncer.kube.objects import Key
from secretsyncer.synced_secret import merges, target_of


class _Claim(NamedTuple):
    """What counts of an object: its age, and whether it fills only some keys."""

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
        self._target: dict[Key, Key] = {}
        self._claims: defaultdict[Key, dict[Key, _Claim]] = defaultdict(dict)

    def note(self, key: Key, obj: dict[str, Any] | None) -> set[Key]:
        """Record the object; None if it is gone. Returns the other objects that may be affected."""
        old, new = self._target.get(key), target_of(obj) if obj else None
        before = self._claims[old].get(key) if old is not None else None
        if old is not None and old != new:
            del self._target[key], self._claims[old][key]
            if not self._claims[old]:
                del self._claims[old]
        if obj and new:
            self._target[key] = new
            self._claims[new][key] = _Claim(obj["metadata"].get("creationTimestamp", ""), merges(obj))
        same = old == new and (new is None or before == self._claims[new].get(key))
        affected = set() if same else {other for t in (old, new) if t for other in self.claimants(t)}
        return affected - {key}

    def claimants(self, secret: Key) -> KeysView[Key]:
        """The objects that name this Secret."""
        return self._claims.get(secret, {}).keys()

    def owner(self, secret: Key) -> Key | None:
        """The owner: the oldest object, or the first by name if they are equally old."""
        claims = self._claims.get(secret, {})
        return min(claims, key=lambda key: _age(claims, key)) if len(claims) > 1 else next(iter(claims), None)

    def rival(self, secret: Key, key: Key) -> Key | None:
        """The object because of which this one may not write the Secret."""
        owner, claims = self.owner(secret), self._claims.get(secret, {})
        if owner is None or owner == key or (key in claims and claims[key].merges and claims[owner].merges):
            return None
        return owner

    def peers(self, secret: Key, key: Key) -> Peers:
        """The other objects that fill the Secret."""
        claims = self._claims.get(secret, {})
        if len(claims) < 2 or key not in claims:
            return NOBODY
        others = {other for other in claims if other != key and claims[other].merges}
        older = {other for other in others if _age(claims, other) < _age(claims, key)}
        return Peers(frozenset(o.name for o in older), frozenset(o.name for o in others - older))


def _age(claims: Mapping[Key, _Claim], key: Key) -> tuple[str, Key]:
    return claims[key].created, key
