"""Which objects depend on which AWS secrets, so that a change in AWS reconciles only these.

Reconciles record what they read. The controller calls `affected` after each poll. Secrets are indexed by name. The end of
an ARN may be a random suffix or part of the name, so an ARN is indexed under both names. A needless key costs a
comparison in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from secretsyncer.aws.arn import possible_names
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Changes
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key, KeysBy

MOST_FILTERS = 50
"""Filters of one object that are kept: of one tag, and in all."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The inputs of an object: a change of one must cause a reconcile."""

    refs: frozenset[SecretRef] = frozenset()
    filters: frozenset[Filter] = field(default=frozenset(), repr=False)  # a template may filter by a secret's value
    whole_catalogue: bool = False

    @property
    def selections(self) -> set[Filter | None]:
        """The parts of the catalogue that were used; None means all of it."""
        return {*self.filters, None} if self.whole_catalogue else set(self.filters)


def coarse(filters: Collection[Filter]) -> frozenset[Filter]:
    """As few filters as depend on at least the same secrets: of one tag, and in all.

    They are kept for each object. A template may have a thousand, and a needless reconcile does no harm.
    """
    made = {Filter("name", ()) if what.kind == "name" else what for what in filters}  # all names have one digest
    values = Counter(what.args[0] for what in made if what.kind == "tag")
    made = {
        Filter("tagKey", what.args[:1]) if what.kind == "tag" and values[what.args[0]] > MOST_FILTERS else what
        for what in made
    }
    return frozenset(made) if len(made) <= MOST_FILTERS else frozenset({Filter("name", ())})


class DependencyIndex:
    """Dependencies by key, and keys by dependency."""

    def __init__(self) -> None:
        self._of: dict[Key, Dependencies] = {}
        self._by_ref = KeysBy[SecretRef]()
        self._by_name = KeysBy[str]()
        self._by_filter = KeysBy[Filter | None]()

    def note(self, key: Key, dependencies: Dependencies) -> None:
        """Replace the dependencies of the object."""
        if self._of.get(key) == dependencies:
            return
        self.drop(key)
        self._of[key] = dependencies
        for ref in dependencies.refs:
            self._by_ref.add(ref, key)
            for name in possible_names(ref.id):
                self._by_name.add(name, key)
        for what in dependencies.selections:
            self._by_filter.add(what, key)

    def drop(self, key: Key) -> None:
        """The object is gone."""
        dependencies = self._of.pop(key, None)
        if dependencies is None:
            return
        for ref in dependencies.refs:
            self._by_ref.discard(ref, key)
            for name in possible_names(ref.id):
                self._by_name.discard(name, key)
        for what in dependencies.selections:
            self._by_filter.discard(what, key)

    def refs(self) -> Collection[SecretRef]:
        """All references that objects depend on."""
        return tuple(self._by_ref)

    def by_ids(self, ids: Collection[str]) -> set[Key]:
        """The objects that depend on secrets with these names or ARNs."""
        names = {name for text in ids for name in possible_names(text)}
        return {key for name in names for key in self._by_name.get(name)}

    def affected(
        self, old: Catalogue, new: Catalogue, changes: Changes, changed_refs: Collection[SecretRef]
    ) -> set[Key]:
        """The objects that are affected by a new listing, or by a recheck of unlisted secrets."""
        keys: set[Key] = set()
        for name in changes.names:
            keys.update(self._by_name.get(name))
        for ref in changed_refs:
            keys.update(self._by_ref.get(ref))
        for what in self._by_filter:
            first = old.listed_at is None and new.listed_at is not None
            if first or (changes and digest_of(what, old) != digest_of(what, new)):
                keys.update(self._by_filter.get(what))
        return keys


def digest_of(what: Filter | None, catalogue: Catalogue) -> str:
    """Digest of what a filter selects; None means the whole catalogue."""
    if what is None or what.kind == "name":
        return catalogue.digest()
    if what.kind == "tag":
        return catalogue.tag_value_digest(*what.args)
    return catalogue.tag_digest(*what.args)
