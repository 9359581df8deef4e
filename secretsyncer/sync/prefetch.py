"""What of an object to fetch before its reconcile, so that objects of one role share batches. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.fetch import ref_of, refs_below
from secretsyncer.sync.render import finds, references
from secretsyncer.sync.template_ids import ref_for
from secretsyncer.synced_secret import Parameters, SyncedSecretSpec

LONGEST = 0.1
"""Seconds of processor time for objects that are looked at together."""
MOST = 100
"""Parameters below the paths of one object. With more, it fills batches of its own, and may exceed its limits."""


def foreseen(spec: SyncedSecretSpec, grant: Grant, listings: Listings, ids: Iterable[str]) -> set[SecretRef]:
    """What the spec itself names, what its templates read last time (`ids`), and, if that is not much, what is listed below
    its paths.
    """
    named = {*(ref_of(grant, reference) for reference in references(spec)), *(ref_for(grant, id_) for id_ in ids)}
    paths = {(search.folder, search.recursive): search for search in finds(spec) if isinstance(search, Parameters)}
    below: set[SecretRef] = set()
    for search in paths.values():
        below.update(refs_below(search, grant, listings, most=MOST + 1))
        if len(below) > MOST:
            return named
    return named | below
