"""AWS values in memory, as a `reading.ValueSource`: what may be read by whom, and what was asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SyncFailure


class MemoryAws:
    """Secrets by name; `denied` names those that nobody may read, `failures` those that fail otherwise."""

    def __init__(self, *values: SecretValue) -> None:
        self.values = {value.name: value for value in values}
        self.tags_of: dict[str, dict[str, str]] = {}
        self.denied: set[str] = set()
        self.failures: dict[str, SyncFailure] = {}
        self.asked: list[SecretRef] = []
        self.batches: list[set[str]] = []

    def known(self, ref: SecretRef, catalogue: Catalogue) -> tuple[str, str] | None:
        value = self._get(ref)
        return None if isinstance(value, SyncFailure) else (value.arn, value.version_id)

    def invalidate(self, ids: Collection[str]) -> None:
        """Nothing is remembered here."""

    async def get_many(
        self, refs: Collection[SecretRef], catalogue: Catalogue, *, max_size: int | None = None
    ) -> dict[SecretRef, SecretValue | SyncFailure]:
        self.asked.extend(refs)
        self.batches.append({ref.id for ref in refs})
        return {ref: self._get(ref) for ref in refs}

    async def likely(self, refs: Collection[SecretRef], catalogue: Catalogue) -> dict[SecretRef, SecretValue]:
        found = await self.get_many(refs, catalogue)
        return {ref: value for ref, value in found.items() if isinstance(value, SecretValue)}

    async def tags(
        self, refs: Collection[SecretRef], catalogue: Catalogue
    ) -> dict[SecretRef, Mapping[str, str] | SyncFailure]:
        found = {ref: self._get(ref) for ref in refs}
        return {r: v if isinstance(v, SyncFailure) else self.tags_of.get(v.name, {}) for r, v in found.items()}

    def _get(self, ref: SecretRef) -> SecretValue | SyncFailure:
        if ref.id in self.failures:
            return self.failures[ref.id]
        if ref.id in self.denied:
            return Rejected(Reason.ACCESS_DENIED, f"{ref.identity} may not read {ref.id}")
        found = [value for value in self.values.values() if value.answers(ref.id)]
        return found[0] if found else Rejected(Reason.SECRET_NOT_FOUND, f"AWS secret {ref.id} does not exist")
