"""Reads of AWS values, each under a Grant: no form of reference has another way to a value.

`GatedReader.read` applies the grant's tag rule before a value is fetched, and reads as the grant's identity only.
`content.py` reads what a spec names through it, `templates.py` what a template asks for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.services import PARAMETER_STORE, SERVICES
from secretsyncer.aws.value import SecretValue, size_of
from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import Budget, Version
from secretsyncer.sync.status import Source
from secretsyncer.synced_secret import AnyReference, Parameters

Fetched = Mapping[SecretRef, SecretValue | SyncFailure]
"""The value or the failure of each secret."""


class ValueSource(Protocol):
    """Where values come from: the operator's `Sources`, or the file of `secretsyncer render`."""

    async def get_many(
        self, refs: Collection[SecretRef], listings: Listings, *, max_size: int | None = None
    ) -> Fetched: ...

    async def likely(self, refs: Collection[SecretRef], listings: Listings) -> Mapping[SecretRef, SecretValue]: ...

    async def tags(
        self, refs: Collection[SecretRef], listings: Listings
    ) -> Mapping[SecretRef, Mapping[str, str] | SyncFailure]: ...


def ref_of(grant: Grant, reference: AnyReference) -> SecretRef:
    """The referenced secret or parameter, with the identity of the grant."""
    return grant.ref(
        reference.name or "",
        region=reference.region or "",
        version_id=reference.version_id or "",
        stage=reference.version_stage or "",
        service=reference.service,
    )


def refs_below(search: Parameters, grant: Grant, listings: Listings, *, most: int | None = None) -> list[SecretRef]:
    """The listed parameters below a path, with the identity of the grant. `most`: of how many names at most."""
    found = listings.of(PARAMETER_STORE.name).below(search.folder, recursive=search.recursive, most=most)
    return [grant.ref(entry.arn, service=PARAMETER_STORE.name) for entry in found]


def source_of(value: SecretValue) -> Source:
    return Source(value.name, value.arn, value.version_id, value.service)


def versions_of(fetched: Fetched) -> dict[SecretRef, Version | None]:
    """The ARN and version id of each value; None for a failure."""
    return {
        ref: (value.arn, value.version_id) if isinstance(value, SecretValue) else None
        for ref, value in fetched.items()
    }


class GatedReader:
    """Reads values under a grant."""

    def __init__(self, values: ValueSource) -> None:
        self._values = values

    async def read(self, grant: Grant, refs: Collection[SecretRef], listings: Listings, budget: Budget) -> Fetched:
        """The value or the failure of each secret. Each is charged once. Raises Exhausted or StillWaiting."""
        answer = budget.long_work.answer
        new = {ref for ref in refs if ref not in budget.read}
        budget.charge("reads", len(new))
        refused = await self._refused(grant, refs, listings, budget)
        permitted = [ref for ref in refs if ref not in refused]
        again = [ref for ref in permitted if ref not in new]
        found = dict(await answer(lambda: self._values.get_many(again, listings))) if again else {}
        if first := [ref for ref in permitted if ref in new]:
            values = await answer(lambda: self._values.get_many(first, listings, max_size=budget.left("fetched")))
            budget.read.update(dict.fromkeys(first) | versions_of(values))
            budget.charge("fetched", size_of(values.values()))
            found.update(values)
        budget.read.update(dict.fromkeys(refused))
        return {**refused, **found}

    async def likely(
        self, grant: Grant, refs: Collection[SecretRef], listings: Listings, budget: Budget
    ) -> Mapping[SecretRef, SecretValue]:
        """The values that can be read, of secrets that may be needed: not too many, and no failures. Raises StillWaiting."""
        refused = await self._refused(grant, refs, listings, budget)
        permitted = [ref for ref in refs if ref not in refused]
        found = await budget.long_work.answer(lambda: self._values.likely(permitted, listings))
        budget.read.update(versions_of(found))
        budget.charge("reads", len(found))
        return found

    async def _refused(
        self, grant: Grant, refs: Collection[SecretRef], listings: Listings, budget: Budget
    ) -> dict[SecretRef, SyncFailure]:
        """As `refusals`. Most grants have no tag rule, and need no limit of time. Raises StillWaiting."""
        return await budget.long_work.answer(lambda: self.refusals(grant, refs, listings)) if grant.tag else {}

    async def refusals(
        self, grant: Grant, refs: Collection[SecretRef], listings: Listings
    ) -> dict[SecretRef, SyncFailure]:
        """The secrets that the tag rule of the grant excludes, and why."""
        if not grant.tag or not refs:
            return {}
        refused: dict[SecretRef, SyncFailure] = {}
        for ref, tags in (await self._values.tags(refs, listings)).items():
            if isinstance(tags, SyncFailure):
                refused[ref] = tags
            elif not grant.permits(tags):
                refused[ref] = Rejected(
                    Reason.ROLE_NOT_ALLOWED,
                    f"{SERVICES[ref.service].noun} {ref.id} does not carry the tag {grant.tag}=1, which this namespace needs",
                )
        return refused
