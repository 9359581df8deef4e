"""The values of all services: each reference goes to the cache of its service."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.value import SecretValue
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.errors import SyncFailure

T = TypeVar("T")


class Sources:
    """The caches by the name of their service. Its methods are those of a cache, for references of any service."""

    def __init__(self, caches: Mapping[str, SecretCache]) -> None:
        self._caches = caches

    async def aclose(self) -> None:
        """Stop fetching. All waiting callers get STOPPING."""
        await asyncio.gather(*(cache.aclose() for cache in self._caches.values()))

    def known(self, ref: SecretRef, listings: Listings) -> tuple[str, str] | None:
        return self._caches[ref.service].known(ref, listings.of(ref.service))

    async def get_many(
        self, refs: Collection[SecretRef], listings: Listings, *, max_size: int | None = None
    ) -> dict[SecretRef, SecretValue | SyncFailure]:
        parts = _by_service(refs)
        return await _together(
            [
                self._caches[name].get_many(some, listings.of(name), max_size=max_size)
                for name, some in parts.items()
            ]
        )

    async def likely(self, refs: Collection[SecretRef], listings: Listings) -> dict[SecretRef, SecretValue]:
        parts = _by_service(refs)
        return await _together([self._caches[name].likely(some, listings.of(name)) for name, some in parts.items()])

    async def tags(
        self, refs: Collection[SecretRef], listings: Listings
    ) -> dict[SecretRef, Mapping[str, str] | SyncFailure]:
        parts = _by_service(refs)
        return await _together([self._caches[name].tags(some, listings.of(name)) for name, some in parts.items()])

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """What is prefetched in this block is sent at its end, in full batches."""
        with ExitStack() as stack:
            for cache in self._caches.values():
                stack.enter_context(cache.gathered())
            yield

    def prefetch(self, refs: Collection[SecretRef], listings: Listings) -> None:
        for name, some in _by_service(refs).items():
            self._caches[name].prefetch(some, listings.of(name))

    def invalidate(self, refs: Iterable[SecretRef], identity: Identity) -> None:
        """Fetch what these references name again on the next request of this identity."""
        for name, some in _by_service(refs).items():
            self._caches[name].invalidate({ref.id for ref in some}, identity)


async def _together(reads: Collection[Coroutine[Any, Any, dict[SecretRef, T]]]) -> dict[SecretRef, T]:
    """What all of these read. Most objects use one service, for which no task is needed."""
    if len(reads) == 1:
        return await next(iter(reads))
    return {ref: result for found in await asyncio.gather(*reads) for ref, result in found.items()}


def _by_service(refs: Iterable[SecretRef]) -> dict[str, list[SecretRef]]:
    parts: defaultdict[str, list[SecretRef]] = defaultdict(list)
    for ref in refs:
        parts[ref.service].append(ref)
    return parts
