"""The tags of secrets that are not in the catalogue, read with the role that uses them.

With `AWSAccountID`, tags decide about access, so they are never older than one round of polling: each secret is
described once per round. If listing has failed for some rounds, the tags in the catalogue are not used either.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Mapping

from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import STOPPING, AwsError, Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.loops import loop_time

_AT_ONCE = 8
"""Concurrent calls per identity."""
_PER_READER = 4
"""Concurrent calls for one object, or for the recheck: half, so that an object that reads much delays nobody."""
DENIED = 50
"""Denials after which an object's other secrets are not asked for: it fails anyway."""

Tags = Mapping[str, str] | Failure


class _Known:
    """The last result for one secret, its round, and what the last recheck reported."""

    __slots__ = ("asking", "failed", "reported", "round", "tags")

    def __init__(self) -> None:
        self.tags: Mapping[str, str] = {}
        self.reported: Mapping[str, str] | None = None
        self.round = -1
        self.failed = FailureMemory()
        self.asking: asyncio.Task[Tags] | None = None


class TagReader:
    """Asks for tags, at most once per round for each secret and identity."""

    def __init__(self, api: ServiceApi) -> None:
        self._api = api
        self._known: dict[SecretRef, _Known] = {}
        self._slots: defaultdict[Identity, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))

    async def tags(self, ref: SecretRef, round_: int) -> Tags:
        """The tags, or the failure. Callers share one call and may be cancelled."""
        known = self._known.setdefault(ref, _Known())
        if known.round >= round_:
            return known.tags
        if known.asking is None and (failure := known.failed.standing(loop_time())):
            return failure
        if known.asking is None:
            known.asking = asyncio.create_task(self._ask(ref, known, round_))
        return await asyncio.shield(known.asking)

    async def many(
        self, refs: Collection[SecretRef], round_: int, *, denied: float = DENIED
    ) -> dict[SecretRef, Tags]:
        """The tags or the failures of what one object reads, some at a time. After so many denials, the rest fails."""
        found: dict[SecretRef, Tags] = {}
        waiting = iter(refs)
        denials: list[Failure] = []

        async def work() -> None:
            for ref in waiting:
                found[ref] = tags = denials[-1] if len(denials) >= denied else await self.tags(ref, round_)
                if isinstance(tags, Failure) and tags.outcome is CallOutcome.DENIED:
                    denials.append(tags)

        await asyncio.gather(*(work() for _ in range(_PER_READER)))
        return found

    async def recheck(self, refs: Collection[SecretRef], round_: int) -> set[SecretRef]:
        """The secrets whose tags have changed since the last recheck."""
        known = {ref: found for ref in refs if (found := self._known.get(ref)) and found.round >= 0}
        by_identity: defaultdict[Identity, list[SecretRef]] = defaultdict(list)
        for ref in known:
            by_identity[ref.identity].append(ref)
        await asyncio.gather(*(self.many(some, round_, denied=math.inf) for some in by_identity.values()))
        news = {ref for ref, found in known.items() if found.reported != found.tags}
        for ref in news:
            known[ref].reported = known[ref].tags
        return news

    def invalidate(self, names: set[str]) -> None:
        """Describe the secrets with these names again, even if a call is running."""
        for ref in list(self._known):
            if not names.isdisjoint(self._api.service.parse(ref.id).names):
                del self._known[ref]

    def forget(self, before: int) -> None:
        """Forget what was not read since that round."""
        for ref, known in list(self._known.items()):
            if known.round < before and known.asking is None:
                del self._known[ref]
        used = {ref.identity for ref in self._known}
        for identity in [identity for identity in self._slots if identity not in used]:
            del self._slots[identity]

    async def aclose(self) -> None:
        tasks = [known.asking for known in self._known.values() if known.asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, ref: SecretRef, known: _Known, round_: int) -> Tags:
        try:
            async with self._slots[ref.identity]:
                known.tags = await self._api.tags(ref)
            known.round = round_
            known.reported = known.tags if known.reported is None else known.reported
            known.failed.clear()
            return known.tags
        except AwsError as exc:
            return known.failed.note(exc.failure, loop_time())
        except asyncio.CancelledError:
            return STOPPING  # only `aclose` cancels this task; its waiters are not cancelled
        finally:
            known.asking = None
