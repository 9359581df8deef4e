"""What a new listing changed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue


class Changes(NamedTuple):
    """The names in which two catalogues differ. A name is in at most one of the first three.

    `retagged`: other tags or another date of change, which templates can see, with or without a new version.
    `updated`: a new version, or a new secret with the same name.
    """

    added: frozenset[str]
    removed: frozenset[str]
    updated: frozenset[str]
    retagged: frozenset[str]

    def __bool__(self) -> bool:
        return any(self)

    @property
    def names(self) -> frozenset[str]:
        return self.added | self.removed | self.updated | self.retagged


def diff(old: Catalogue, new: Catalogue) -> Changes:
    """What a listing changed."""
    before, after = old.entries, new.entries
    both = [(before[name], entry) for name, entry in after.items() if name in before]
    moved = [(was, now) for was, now in both if was is not now and was != now]
    updated = frozenset(now.name for was, now in moved if (was.arn, was.version_id) != (now.arn, now.version_id))
    return Changes(
        added=frozenset(after.keys() - before.keys()),
        removed=frozenset(before.keys() - after.keys()),
        updated=updated,
        retagged=frozenset(now.name for _, now in moved) - updated,
    )


NO_CHANGES = Changes(frozenset(), frozenset(), frozenset(), frozenset())


ChangeHandler = Callable[[Catalogue, Catalogue, Changes, set[SecretRef]], None]
"""Called with (old catalogue, new catalogue, changes of the listing, references that the recheck found changed).

Called up to twice per round: after the listing, without references, and after the recheck, without changes. The first
complete listing is reported even if it is empty.
"""
