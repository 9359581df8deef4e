"""The value cache: the only way to a value.

When a cached value is current:

- The secret is in the catalogue: the version id that came *with* the value equals the listed one, or the value was
  fetched in this round, because the listing can lag or be ahead. Versions are compared for equality, not for age: a
  rollback moves AWSCURRENT back.
- The secret is not in the catalogue: the value was fetched in this round.
- The version is pinned: always; where versions can repeat, while the catalogue shows that it was not deleted since.

Keys include the identity, so no value crosses roles. If the catalogue resolves a reference, all spellings of a secret
share one key, and AWS is called with the name. A response with another ARN (the secret was recreated) is not returned to
a caller that used the ARN. A denial is remembered for a minute, or until the entry changes. While AWS is not available,
a value that is not current is not returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import islice

from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.regions import REGIONS, Regions
from secretsyncer.aws.value import SecretValue, size_of
from secretsyncer.aws.values.batcher import Batcher
from secretsyncer.aws.values.lanes import Flight, LaneKey, Result
from secretsyncer.aws.values.likely import LikelyReader
from secretsyncer.aws.values.resolve import Lookup, Resolver, failure_of, is_denied, too_many_denied
from secretsyncer.aws.values.store import Slot, Slots, due
from secretsyncer.aws.values.tags import TagReader
from secretsyncer.errors import Reason, Rejected, SyncFailure
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics

SLICE = 100
"""References per slice of a recheck; other work runs in between."""
AT_ONCE = 160
"""Secrets that one object fetches at once, eight batches: one with thousands does not delay others of its role."""
DENIED = 500
"""Denials after which an object's other secrets are not read, because each may cost a call of its own."""
_STALE_ROUNDS = 3
"""Rounds without a complete listing after which the tags of the catalogue are not used for access."""


class SecretCache:
    """The cache of one service.

    `region` is that of the operator, for references without one. `regions` may be named. `slots` can be shared.
    """

    def __init__(
        self,
        api: ServiceApi,
        metrics: Metrics,
        *,
        region: str,
        regions: Regions = REGIONS,
        slots: Slots | None = None,
    ) -> None:
        self._metrics = metrics
        self._service = api.service
        self._slots = Slots() if slots is None else slots
        self._batcher = Batcher(api, self._store, self._slots.ahead)
        self._tags = TagReader(api)
        self._resolver = Resolver(region, regions)
        self.expire_others = self._slots.expire_others
        self.gathered = self._slots.ahead.gathered
        self.likely = LikelyReader(self._batcher, self._lookup, self._ready).read

    async def aclose(self) -> None:
        """Stop fetching. All waiting callers get STOPPING."""
        await self._batcher.aclose()
        await self._tags.aclose()

    def known(self, ref: SecretRef, catalogue: Catalogue) -> tuple[str, str] | None:
        """The current ARN and version id of the reference; None if only AWS knows. No I/O.

        It is what `get_many` would return. The version of an evicted value is still known.
        """
        try:
            lookup = self._lookup(ref, catalogue)
        except ValueError:
            return None
        slot = self._slots.get(lookup.key)
        if slot is None or not self._good(slot, lookup, catalogue):
            return None
        slot.used_round = catalogue.round
        return slot.arn, slot.version_id

    async def get_many(
        self, refs: Collection[SecretRef], catalogue: Catalogue, *, max_size: int | None = None
    ) -> dict[SecretRef, SecretValue | SyncFailure]:
        """The value or the failure of each reference; not of all, once these values are larger than `max_size`."""
        results: dict[SecretRef, SecretValue | SyncFailure] = {}
        wanted: dict[SecretRef, Lookup] = {}
        for ref in set(refs):
            try:
                lookup = self._lookup(ref, catalogue)
            except ValueError as exc:
                results[ref] = Rejected(Reason.INVALID_SPEC, str(exc))
                continue
            if (ready := self._ready(lookup, catalogue)) is None:
                wanted[ref] = lookup
            else:
                self._requests("hit")
                results[ref] = failure_of(ref, ready, catalogue) if isinstance(ready, Failure) else ready
        while wanted and (max_size is None or size_of(results.values()) <= max_size):
            keys = set(islice(dict.fromkeys(lookup.key for lookup in wanted.values()), AT_ONCE))
            some = {ref: lookup for ref, lookup in wanted.items() if lookup.key in keys}
            again = await self._fetch(some, catalogue, results)
            wanted = {ref: lookup for ref, lookup in wanted.items() if ref not in some} | again
            if (denials := sum(map(is_denied, results.values()))) >= DENIED:
                return results | dict.fromkeys(wanted, too_many_denied(denials, self._service))
        return results

    def prefetch(self, refs: Collection[SecretRef], catalogue: Catalogue) -> None:
        """Start to fetch what `get_many` would fetch. Its callers join these flights."""
        for ref in refs:
            with suppress(ValueError):
                lookup = self._lookup(ref, catalogue)
                if self._ready(lookup, catalogue, reads=False) is None:
                    self._batcher.want(lookup.key, catalogue.round, urgent=False, waited=False)

    async def recheck(self, refs: Collection[SecretRef], catalogue: Catalogue) -> set[SecretRef]:
        """Check what was read before and is not in the catalogue, once per round, in batches.

        Returns the references whose version, failure or tags have changed; tags only if somebody has read them. `refs`
        are all references in use. Others that were not used for two rounds are forgotten.
        """
        asked: dict[SecretRef, list[SecretRef]] = {}
        tagged: dict[SecretRef, list[SecretRef]] = {}
        in_use: set[SecretRef] = set()
        for number, ref in enumerate(refs, 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)  # a listing has just ended: its changes must not wait for this
            try:
                lookup = self._lookup(ref, catalogue)
            except ValueError:
                continue
            in_use.add(lookup.key)
            if lookup.entry is None or not self._service.lists_tags:
                tagged.setdefault(lookup.tag_key(ref), []).append(ref)
            if lookup.entry is not None:
                continue
            if self._slots.get(lookup.key) and (self._service.repeats_versions or not ref.version_id):
                asked.setdefault(lookup.key, []).append(ref)
        flights = [
            self._batcher.want(key, catalogue.round, urgent=False)
            for key in due(self._slots, asked, catalogue.round)
        ]
        if flights:
            await asyncio.wait([flight.future for flight in flights])
        retagged = await self._tags.recheck(tagged, catalogue.round)
        self._forget(in_use, catalogue)
        changed = [spellings for key, spellings in asked.items() if (s := self._slots.get(key)) and s.report()]
        return {ref for spellings in (*changed, *(tagged[key] for key in retagged)) for ref in spellings}

    async def tags(
        self, refs: Collection[SecretRef], catalogue: Catalogue
    ) -> dict[SecretRef, Mapping[str, str] | SyncFailure]:
        """The tags of each secret, at most one round old, or the failure."""
        results: dict[SecretRef, Mapping[str, str] | SyncFailure] = {}
        asked: dict[SecretRef, SecretRef] = {}
        for ref in set(refs):
            try:
                lookup, entry = self._lookup(ref, catalogue), catalogue.find(ref)
            except ValueError as exc:
                results[ref] = Rejected(Reason.INVALID_SPEC, str(exc))
                continue
            is_fresh = catalogue.round - catalogue.listed_round < _STALE_ROUNDS
            if entry is not None and self._service.lists_tags and is_fresh:
                results[ref] = entry.tags
            else:
                asked[ref] = lookup.tag_key(ref)
        found = await self._tags.many(set(asked.values()), catalogue.round)
        for ref, key in asked.items():
            tags = found[key]
            results[ref] = tags.error() if isinstance(tags, Failure) else tags
        return results

    def invalidate(self, ids: Collection[str], identity: Identity | None = None) -> None:
        """Fetch these names or ARNs again on the next request, whatever the catalogue shows.

        With `identity`, only what was read as that one: an object cannot evict the values of others. Matched by name
        only, so a secret with the same name in another account is fetched again, too.
        """
        names: set[str] = set()
        for text in ids:
            with suppress(ValueError):
                names.update(self._service.parse(text).names)

        def is_meant(key: SecretRef) -> bool:
            return identity in {None, key.identity} and not names.isdisjoint(self._service.parse(key.id).names)

        for key, slot in self._slots.of(self._service):
            if is_meant(key):
                slot.stale, slot.failed = True, None
        self._batcher.disown({key for key in self._batcher if is_meant(key)})
        self._tags.invalidate(names)

    def _lookup(self, ref: SecretRef, catalogue: Catalogue) -> Lookup:
        """What AWS is asked for. Raises ValueError if the reference is invalid."""
        lookup = self._resolver.lookup(ref, catalogue)
        if lookup.arn:
            slot = self._slots.get(lookup.key)
            if slot and slot.round >= catalogue.round and slot.arn not in {"", lookup.arn}:
                return lookup.by_arn()
        return lookup

    def _good(self, slot: Slot, lookup: Lookup, catalogue: Catalogue) -> bool:
        """Whether the version of the slot is current."""
        if slot.stale or not slot.version_id:
            return False
        entry = lookup.entry
        if lookup.key.version_id and slot.keeps_version(entry, self._service):
            return True
        if entry is not None and slot.version_id == entry.version_id and slot.arn == entry.arn:
            return True
        return slot.round >= catalogue.round

    def _ready(self, lookup: Lookup, catalogue: Catalogue, *, reads: bool = True) -> Result | None:
        """The result without a call; None if a call is needed. `reads`: somebody uses it now."""
        slot = self._slots.get(lookup.key)
        if slot is None:
            return None
        slot.used_round = catalogue.round
        if slot.value is not None and self._good(slot, lookup, catalogue):
            if reads:
                self._slots.touch(lookup.key)
            return slot.value
        failure = slot.standing(loop_time())
        if failure is None or failure.transient:
            return failure
        entry = lookup.entry
        unchanged = slot.seen == entry if entry is not None else slot.round >= catalogue.round
        return failure if unchanged else None

    async def _fetch(
        self,
        wanted: dict[SecretRef, Lookup],
        catalogue: Catalogue,
        results: dict[SecretRef, SecretValue | SyncFailure],
    ) -> dict[SecretRef, Lookup]:
        """Fetch all; returns those that must be fetched again by ARN."""
        flights, read = {}, object()
        for ref, lookup in wanted.items():
            self._requests("joined" if lookup.key in self._batcher else "miss")
            flights[ref] = self._batcher.want(lookup.key, catalogue.round, urgent=True, party=read)
        # Not awaited directly: a cancelled caller must not cancel a flight that others share.
        await asyncio.wait({flight.future for flight in flights.values()})
        again = {}
        for ref, flight in flights.items():
            result, lookup = flight.future.result(), wanted[ref]
            if isinstance(result, Failure):
                results[ref] = failure_of(ref, result, catalogue)
            elif lookup.arn and result.arn != lookup.arn:
                again[ref] = lookup.by_arn()
            else:
                results[ref] = result
        return again

    def _store(self, flight: Flight, result: Result) -> Result:
        """Store the result of a flight; returns it, a failure with its delay."""
        key, round_ = flight.ref, flight.round
        slot = self._slots.make(key)
        slot.used_round = max(slot.used_round, round_)
        if isinstance(result, SecretValue):
            self._slots.hold(key, slot, result, ahead=not flight.waited)
            slot.round, slot.stale, slot.failed = round_, False, None
            slot.seen = self._resolver.latest.find(key) if key.version_id else None
        else:
            slot.failed = slot.failed or FailureMemory()
            result = slot.failed.note(result, loop_time())
            if not result.transient:
                self._slots.release(key, slot)
                slot.arn = slot.version_id = ""
                slot.round, slot.stale = round_, False
                slot.seen = self._resolver.latest.find(key)
        if not slot.reported:
            slot.report()
        self._metrics.cache_values.set(self._slots.values_held)
        return result

    def _requests(self, result: str) -> None:
        self._metrics.cache_requests.labels(self._service.name, result).inc()

    def _forget(self, in_use: Collection[SecretRef], catalogue: Catalogue) -> None:
        for key, slot in self._slots.of(self._service):
            if key not in in_use and slot.used_round < catalogue.round - 1:
                self._slots.drop(key)
        self._slots.give_up()
        self._batcher.forget({LaneKey(key.identity, key.region) for key in in_use})
        self._tags.forget(catalogue.round - 1)
        self._metrics.cache_values.set(self._slots.values_held)
