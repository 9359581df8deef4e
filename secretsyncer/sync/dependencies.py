"""Which objects depend on which AWS secrets, so that a change in AWS reconciles only these.

Reconciles record what they read. The controller calls `affected` after each poll. Secrets and parameters
are indexed by service and name. The end of an ARN may be a random suffix or part of the name, so an ARN is indexed under
both names. A needless key costs a comparison in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Changes
from secretsyncer.aws.services import SECRETS_MANAGER, Named, named
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key

T = TypeVar("T", bound=Hashable)


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


class DependencyIndex:
    """Dependencies by key, and keys by dependency."""

    def __init__(self) -> None:
        self._of: dict[Key, Dependencies] = {}
        self._by_ref: defaultdict[SecretRef, set[Key]] = defaultdict(set)
        self._by_name: defaultdict[Named, set[Key]] = defaultdict(set)
        self._by_filter: defaultdict[Filter | None, set[Key]] = defaultdict(set)

    def note(self, key: Key, dependencies: Dependencies) -> None:
        """Replace the dependencies of the object."""
        if self._of.get(key) == dependencies:
            return
        self.drop(key)
        self._of[key] = dependencies
        for ref in dependencies.refs:
            self._by_ref[ref].add(key)
            for name in named(ref.service, ref.id):
                self._by_name[name].add(key)
        for what in dependencies.selections:
            self._by_filter[what].add(key)

    def drop(self, key: Key) -> None:
        """The object is gone."""
        dependencies = self._of.pop(key, None)
        if dependencies is None:
            return
        for ref in dependencies.refs:
            _discard(self._by_ref, ref, key)
            for name in named(ref.service, ref.id):
                _discard(self._by_name, name, key)
        for what in dependencies.selections:
            _discard(self._by_filter, what, key)

    def refs(self) -> Collection[SecretRef]:
        """All references that objects depend on."""
        return tuple(self._by_ref)

    def by_ids(self, ids: Collection[str], service: str = SECRETS_MANAGER.name) -> set[Key]:
        """The objects that depend on what has these names or ARNs."""
        names = {name for text in ids for name in named(service, text)}
        return {key for name in names for key in self._by_name.get(name, ())}

    def affected(
        self, old: Catalogue, new: Catalogue, changes: Changes, changed_refs: Collection[SecretRef]
    ) -> set[Key]:
        """The objects that are affected by a new listing, or by a recheck of unlisted secrets."""
        keys: set[Key] = set()
        for name in changes.names:
            keys |= self._by_name.get((new.service.name, name), set())
        for ref in changed_refs:
            keys |= self._by_ref.get(ref, set())
        for what, dependents in self._by_filter.items():
            first = old.listed_at is None and new.listed_at is not None
            if first or (changes and digest_of(what, old) != digest_of(what, new)):
                keys |= dependents
        return keys


def digest_of(what: Filter | None, catalogue: Catalogue) -> str:
    """Digest of what a filter selects; None means the whole catalogue."""
    if what is None or what.kind == "name":
        return catalogue.digest()
    if what.kind == "tag":
        return catalogue.tag_value_digest(*what.args)
    return catalogue.tag_digest(*what.args)


def _discard(index: dict[T, set[Key]], what: T, key: Key) -> None:
    keys = index.get(what)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[what]
