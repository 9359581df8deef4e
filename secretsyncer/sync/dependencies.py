"""Which objects depend on which AWS secrets, so that a change in AWS reconciles only these.

Reconciles record what they read. The controller calls `affected` after each poll. Secrets and parameters
are indexed by service and name. The end of an ARN may be a random suffix or part of the name, so an ARN is indexed under
both names. A needless key costs a comparison in memory.

An object may read thousands of AWS secrets, and each of them takes almost a kilobyte here and in its record. So there is
a limit of what objects that read many may take. Beyond that, an object depends on everything that is listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.changes import Changes
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER, Named, named
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key, KeysBy
from secretsyncer.synced_secret import Parameters, Search

RECURSIVE = "recursive"
"""Argument of the filter of a path."""
MOST_FILTERS = 50
"""Filters of one object that are kept: of one tag, and in all."""
FEW = 100
"""References of an object that are always kept."""
MOST_REFS_OF_NAMESPACE = 20_000
MOST_REFS = 60_000
"""References of all objects that have more than FEW."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The inputs of an object: a change of one must cause a reconcile."""

    refs: frozenset[SecretRef] = frozenset()
    filters: frozenset[Filter] = field(default=frozenset(), repr=False)  # a template may filter by a secret's value
    whole_catalogue: bool = False

    @property
    def selections(self) -> set[Filter | None]:
        """The parts of the listings that were used; None means all AWS secrets."""
        return {*self.filters, None} if self.whole_catalogue else set(self.filters)


def coarse(filters: Collection[Filter]) -> frozenset[Filter]:
    """As few filters as depend on at least the same secrets: of one tag, and in all.

    They are kept for each object. A template may have a thousand, and a needless reconcile does no harm.
    """
    if not filters:
        return frozenset()
    made = {Filter("name", ()) if what.kind == "name" else what for what in filters}  # all names have one digest
    values = Counter(what.args[0] for what in made if what.kind == "tag")
    made = {
        Filter("tagKey", what.args[:1]) if what.kind == "tag" and values[what.args[0]] > MOST_FILTERS else what
        for what in made
    }
    paths = {what for what in made if what.kind == "path"}
    return _at_most(paths, Filter("path", ("/", RECURSIVE))) | _at_most(made - paths, Filter("name", ()))


def _at_most(filters: Collection[Filter], instead: Filter) -> frozenset[Filter]:
    return frozenset(filters) if len(filters) <= MOST_FILTERS else frozenset({instead})


class _Room:
    """How many references the objects have that have more than FEW."""

    def __init__(self) -> None:
        self._taken: dict[Key, int] = {}
        self._of_namespace: Counter[str] = Counter()

    def take(self, key: Key, number: int) -> bool:
        """Take room for this object, in place of what it has; False if there is too little."""
        self.free(key)
        if number <= FEW:
            return True
        of_namespace = self._of_namespace[key.namespace] + number
        if of_namespace > MOST_REFS_OF_NAMESPACE or self._of_namespace.total() + number > MOST_REFS:
            return False
        self._taken[key] = number
        self._of_namespace[key.namespace] = of_namespace
        return True

    def free(self, key: Key) -> None:
        if number := self._taken.pop(key, 0):
            self._of_namespace[key.namespace] -= number
            self._of_namespace += Counter()  # without namespaces that have none


class DependencyIndex:
    """Dependencies by key, and keys by dependency."""

    def __init__(self) -> None:
        self._room = _Room()
        self._of: dict[Key, Dependencies] = {}
        self._by_ref = KeysBy[SecretRef]()
        self._by_name = KeysBy[Named]()
        self._by_filter = KeysBy[Filter | None]()

    def note(self, key: Key, dependencies: Dependencies) -> bool:
        """Replace the dependencies of the object. False if they are too many, so that it depends on all that is listed."""
        kept = self._room.take(key, len(dependencies.refs))
        self._replace(key, dependencies if kept else _EVERYTHING)
        return kept

    def _replace(self, key: Key, dependencies: Dependencies) -> None:
        if self._of.get(key) == dependencies:
            return
        self._forget(key)
        self._of[key] = dependencies
        for ref in dependencies.refs:
            self._by_ref.add(ref, key)
            for name in named(ref.service, ref.id):
                self._by_name.add(name, key)
        for what in dependencies.selections:
            self._by_filter.add(what, key)

    def drop(self, key: Key) -> None:
        """The object is gone."""
        self._room.free(key)
        self._forget(key)

    def _forget(self, key: Key) -> None:
        dependencies = self._of.pop(key, None)
        if dependencies is None:
            return
        for ref in dependencies.refs:
            self._by_ref.discard(ref, key)
            for name in named(ref.service, ref.id):
                self._by_name.discard(name, key)
        for what in dependencies.selections:
            self._by_filter.discard(what, key)

    def refs(self, service: str = SECRETS_MANAGER.name) -> Collection[SecretRef]:
        """All references of this service that objects depend on. Also called in the thread that makes the metrics."""
        at_this_moment = tuple(self._by_ref)  # one step of the interpreter
        return tuple(ref for ref in at_this_moment if ref.service == service)

    def by_ids(self, ids: Collection[str], service: str = SECRETS_MANAGER.name) -> set[Key]:
        """The objects that depend on what has these names or ARNs."""
        names = {name for text in ids for name in named(service, text)}
        return {key for name in names for key in self._by_name.get(name)}

    def affected(
        self, old: Catalogue, new: Catalogue, changes: Changes, changed_refs: Collection[SecretRef]
    ) -> set[Key]:
        """The objects that are affected by a new listing of a service, or by a recheck of what is not listed."""
        keys: set[Key] = set()
        for name in changes.names:
            keys.update(self._by_name.get((new.service.name, name)))
        for ref in changed_refs:
            keys.update(self._by_ref.get(ref))
        for what in self._by_filter:
            if _service_of(what) != new.service.name:
                continue
            first = old.listed_at is None and new.listed_at is not None
            if first or (changes and digest_of(what, old) != digest_of(what, new)):
                keys.update(self._by_filter.get(what))
        return keys


def digest_of(what: Filter | None, listings: Listings) -> str:
    """Digest of what a filter selects; None means all AWS secrets."""
    catalogue = listings.of(_service_of(what))
    if what is not None and what.kind == "path":
        return catalogue.path_digest(what.args[0], recursive=what.args[1] == RECURSIVE)
    if what is None or what.kind == "name":
        return catalogue.digest()
    if what.kind == "tag":
        return catalogue.tag_value_digest(*what.args)
    return catalogue.tag_digest(*what.args)


def below(path: str, *, recursive: bool = True) -> Filter:
    """What selects the parameters below a path that ends with a slash; an empty one selects all."""
    return Filter("path", (path, RECURSIVE if recursive else ""))


_EVERYTHING = Dependencies(filters=frozenset([below("")]), whole_catalogue=True)


def _service_of(what: Filter | None) -> str:
    return (PARAMETER_STORE if what is not None and what.kind == "path" else SECRETS_MANAGER).name


def filters_of(searches: Iterable[Search]) -> frozenset[Filter]:
    """The smallest part of the listings that each search depends on."""
    return frozenset(_filter_of(search) for search in searches)


def _filter_of(search: Search) -> Filter:
    if isinstance(search, Parameters):
        return below(search.folder, recursive=search.recursive)
    if search.tags:
        return Filter("tag", min(search.tags.items()))
    return Filter("tagKey", (search.tag_key,)) if search.tag_key else Filter("name", ())


def listing_remarks(refs: Iterable[SecretRef], listings: Listings) -> tuple[str, ...]:
    """A sentence for each service that may not be listed, so that these references are read in each round of polling."""
    catalogues = (listings.of(service) for service in sorted({ref.service for ref in refs}))
    return tuple(
        f"{catalogue.service.noun}s are read at each poll, because they cannot be listed: {catalogue.denied}"
        for catalogue in catalogues
        if catalogue.denied
    )
