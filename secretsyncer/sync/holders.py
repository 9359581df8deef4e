"""Which Secrets have keys of which object, as their annotations say (see `held_keys`).

An object that is deleted, or that names another Secret now, has to leave the Secrets that it has filled, also if this
happened while no operator ran. The controller records each Secret of the informer.
"""

from __future__ import annotations

from collections.abc import Callable

from secretsyncer.kube.objects import Key, KeysBy, Object
from secretsyncer.sync import held_keys


class Holders:
    """Secrets by the objects that hold keys of them.

    Whoever may write a Secret chooses the names in its annotation, so as little as possible is kept of them: a hash, and
    the name only if keys go with the object. Two names with the same hash cause a needless look at a Secret.
    """

    def __init__(self) -> None:
        self._hashes: dict[Key, tuple[int, ...]] = {}
        self._temporary: dict[Key, tuple[str, ...]] = {}
        self._secrets = KeysBy[int]()

    def note(self, secret: Key, obj: Object | None) -> None:
        """Record the summary of the Secret; None if it is gone or not watched any more."""
        annotations = (obj["metadata"].get("annotations") or {}) if obj else {}
        held = held_keys.read(annotations)
        for number in self._hashes.pop(secret, ()):
            self._secrets.discard(number, secret)
        self._temporary.pop(secret, None)
        if held:
            self._hashes[secret] = tuple(hash((secret.namespace, name)) for name in held)
            for number in self._hashes[secret]:
                self._secrets.add(number, secret)
        crowded = held_keys.is_crowded(annotations)
        if temporary := tuple(sorted(name for name, entry in held.items() if entry.delete or crowded)):
            self._temporary[secret] = temporary

    def secrets_of(self, holder: Key) -> frozenset[Key]:
        """The Secrets that have keys of the object."""
        return frozenset(self._secrets.get(hash((holder.namespace, holder.name))))

    def temporary(self, secret: Key) -> list[Key]:
        """The objects that are forgotten when they are gone, in order: their keys go, too, or there is little room."""
        return [Key(secret.namespace, name) for name in self._temporary.get(secret, ())]

    def orphaned(self, secret: Key, exists: Callable[[Key], bool]) -> list[Key]:
        """The first object that is gone and is to be forgotten. It stands for all of this Secret."""
        return [key for key in self.temporary(secret) if not exists(key)][:1]

    def all_orphaned(self, exists: Callable[[Key], bool]) -> list[Key]:
        """The same for all Secrets."""
        return [key for secret in self._temporary for key in self.orphaned(secret, exists)]
