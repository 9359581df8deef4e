"""Which Secrets have keys of which object, as their annotations say (see `held_keys`).

An object that is deleted, or that names another Secret now, has to leave the Secrets that it has filled, also if this
happened while no operator ran. The controller records each Secret of the informer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from secretsyncer.kube.objects import Key, Object
from secretsyncer.sync import held_keys


class Holders:
    """Secrets by the objects that hold keys of them."""

    def __init__(self) -> None:
        self._holders: dict[Key, dict[Key, bool]] = {}
        self._secrets: defaultdict[Key, set[Key]] = defaultdict(set)

    def note(self, secret: Key, obj: Object | None) -> None:
        """Record the summary of the Secret; None if it is gone or not watched any more."""
        annotations = (obj["metadata"].get("annotations") or {}) if obj else {}
        held = held_keys.read(annotations)
        for holder in self._holders.pop(secret, {}):
            self._secrets[holder].discard(secret)
            if not self._secrets[holder]:
                del self._secrets[holder]
        if held:
            crowded = held_keys.is_crowded(annotations)
            self._holders[secret] = {
                Key(secret.namespace, name): entry.delete or crowded for name, entry in held.items()
            }
            for holder in self._holders[secret]:
                self._secrets[holder].add(secret)

    def secrets_of(self, holder: Key) -> frozenset[Key]:
        """The Secrets that have keys of the object."""
        return frozenset(self._secrets.get(holder, ()))

    def temporary(self, secret: Key) -> list[Key]:
        """The objects that are forgotten when they are gone, in order: their keys go, too, or there is little room."""
        return sorted(holder for holder, delete in self._holders.get(secret, {}).items() if delete)

    def orphaned(self, secret: Key, exists: Callable[[Key], bool]) -> list[Key]:
        """The first object that is gone and is to be forgotten. It stands for all of this Secret."""
        return [key for key in self.temporary(secret) if not exists(key)][:1]

    def all_orphaned(self, exists: Callable[[Key], bool]) -> list[Key]:
        """The same for all Secrets."""
        return [key for secret in self._holders for key in self.orphaned(secret, exists)]
