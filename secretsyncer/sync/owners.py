"""Which SyncedSecret owns a Secret. If several name the same Secret, the oldest one owns it.

The controller records each object from the informer, valid or not. A reconcile asks for the owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import KeysView
from typing import Any

from secretsyncer.kube.objects import Key
from secretsyncer.synced_secret import target_of


class Owners:
    """Objects by the Secret that they name."""

    def __init__(self) -> None:
        self._target: dict[Key, Key] = {}
        self._claims: defaultdict[Key, dict[Key, str]] = defaultdict(dict)

    def note(self, key: Key, obj: dict[str, Any] | None) -> set[Key]:
        """Record the object; None if it is gone. Returns the other objects that may be affected."""
        old, new = self._target.get(key), target_of(obj) if obj else None
        if old is not None and old != new:
            del self._target[key], self._claims[old][key]
            if not self._claims[old]:
                del self._claims[old]
        if obj and new:
            self._target[key] = new
            self._claims[new][key] = obj["metadata"].get("creationTimestamp", "")
        affected = set() if old == new else {other for t in (old, new) if t for other in self.claimants(t)}
        return affected - {key}

    def claimants(self, secret: Key) -> KeysView[Key]:
        """The objects that name this Secret."""
        return self._claims.get(secret, {}).keys()

    def owner(self, secret: Key) -> Key | None:
        """The owner: the oldest object, or the first by name if they are equally old."""
        claims = self._claims.get(secret, {})
        return min(claims, key=lambda key: (claims[key], key)) if len(claims) > 1 else next(iter(claims), None)
