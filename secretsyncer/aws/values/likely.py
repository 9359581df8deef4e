"""Reads of what a template is only likely to need: what its filters select.

A filter selects what is listed, and a role may often read little of that. So a denial here costs no second call, is
remembered for an hour or until the secret changes, and after `DENIED_PER_ROUND` denials, an identity gets nothing more of
this kind in that round of polling. What the template really needs, it then asks for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from cachetools import TTLCache

from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.value import SecretValue
from secretsyncer.aws.values.batcher import BATCH_REFUSED, Batcher
from secretsyncer.aws.values.lanes import Result
from secretsyncer.aws.values.resolve import Lookup
from secretsyncer.loops import loop_time

DENIED_PER_ROUND = 200
"""Denials per identity in one round of polling, after which it gets no more of these."""

MAX_BYTES = 16 * 1024 * 1024
"""Size of the values that one template gets: far more than it can print."""

_AT_ONCE = 100
"""Secrets in flight for one template: five batches."""
_REMEMBERED = 100_000

_NEVER = object()
"""In place of the entry of a secret that was not denied."""


class LikelyReader:
    """Reads through the cache's own batcher. `lookup` and `ready` are the cache's."""

    def __init__(
        self,
        batcher: Batcher,
        lookup: Callable[[SecretRef, Catalogue], Lookup],
        ready: Callable[[Lookup, Catalogue], Result | None],
    ) -> None:
        self._batcher = batcher
        self._lookup = lookup
        self._ready = ready
        self._denied: TTLCache[SecretRef, Entry | None] = TTLCache(_REMEMBERED, BATCH_REFUSED, timer=loop_time)
        self._count: Counter[Identity] = Counter()
        self._round = -1

    async def read(self, refs: Iterable[SecretRef], catalogue: Catalogue) -> dict[SecretRef, SecretValue]:
        """Those that can be read, and not too many."""
        found: dict[SecretRef, SecretValue] = {}
        size = 0
        wanted = self._wanted(refs, catalogue)
        while size < MAX_BYTES and (chunk := list(islice(wanted, _AT_ONCE))):
            for ref, result in (await self._fetch(chunk, catalogue)).items():
                if isinstance(result, SecretValue):
                    found[ref] = result
                    size += result.size
        return found

    def _wanted(self, refs: Iterable[SecretRef], catalogue: Catalogue) -> Iterator[tuple[SecretRef, Lookup]]:
        """Those that may be read now. It is looked at one by one, because each denial counts for the next."""
        if catalogue.round != self._round:
            self._round, self._count = catalogue.round, Counter()
        for ref in refs:
            try:
                lookup = self._lookup(ref, catalogue)
            except ValueError:
                continue
            if self._count[ref.identity] >= DENIED_PER_ROUND:
                return
            if self._denied.get(lookup.key, _NEVER) != lookup.entry:
                yield ref, lookup

    async def _fetch(self, chunk: list[tuple[SecretRef, Lookup]], catalogue: Catalogue) -> dict[SecretRef, Result]:
        results = {ref: ready for ref, lookup in chunk if (ready := self._ready(lookup, catalogue)) is not None}
        flights = {
            ref: self._batcher.want(lookup.key, catalogue.round, urgent=False, likely=True)
            for ref, lookup in chunk
            if ref not in results
        }
        if flights:
            await asyncio.wait({flight.future for flight in flights.values()})
        for ref, lookup in chunk:
            if ref not in flights:
                continue
            results[ref] = result = flights[ref].future.result()
            if isinstance(result, Failure) and result.outcome is CallOutcome.DENIED:
                self._denied[lookup.key] = lookup.entry
                self._count[ref.identity] += 1
            elif isinstance(result, SecretValue) and lookup.arn not in {"", result.arn}:
                del results[ref]  # another secret has that name now
        return results
