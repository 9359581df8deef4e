"""Which SyncedSecret owns a Secret. If several name the same Secret, the oldest one owns it.

The controller records each object from the informer, valid or not. A reconcile asks for the owner.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from secretsyncer.kube.objects import Key, KeysBy
from secretsyncer.synced_secret import target_of


class Owners:
    """Objects by the Secret that they name."""

    def __init__(self) -> None:
        self._target: dict[Key, tuple[Key, str]] = {}  # the Secret, and when the object was created
        self._claims = KeysBy[Key]()

    def note(self, key: Key, obj: dict[str, Any] | None) -> set[Key]:
        """Record the object; None if it is gone. Returns the other objects that may be affected."""
        old, new = self._target.pop(key, (None, ""))[0], target_of(obj) if obj else None
        if old is not None and old != new:
            self._claims.discard(old, key)
        if obj and new:
            self._target[key] = new, obj["metadata"].get("creationTimestamp", "")
            self._claims.add(new, key)
        affected = set() if old == new else {other for t in (old, new) if t for other in self.claimants(t)}
        return affected - {key}

    def claimants(self, secret: Key) -> Collection[Key]:
        """The objects that name this Secret."""
        return self._claims.get(secret)

    def owner(self, secret: Key) -> Key | None:
        """The owner: the oldest object, or the first by name if they are equally old."""
        claims = self._claims.get(secret)
        if len(claims) > 1:
            return min(claims, key=lambda key: (self._target[key][1], key))
        return next(iter(claims), None)
