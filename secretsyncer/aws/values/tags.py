"""The tags of secrets that the catalogue does not show, asked for as the role that wants to use them.

Tags decide over access in the mode where an account is named instead of a role, so they are never older than
one round of polling: each secret is described once a round. Where listing has failed for some rounds, the
catalogue's tags are not believed either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Container, Mapping

from secretsyncer.aws.api.secretsmanager import SecretsApi
from secretsyncer.aws.arn import parse_secret_id
from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import STOPPING, AwsError, Failure
from secretsyncer.aws.identity import SecretRef
from secretsyncer.loops import loop_time

_AT_ONCE = 16

Tags = Mapping[str, str] | Failure


class _Known:
    """The last answer for one secret, the round it was asked in, and what the last recheck reported."""

    __slots__ = ("asking", "failed", "reported", "round", "tags")

    def __init__(self) -> None:
        self.tags: Mapping[str, str] = {}
        self.reported: Mapping[str, str] | None = None
        self.round = -1
        self.failed = FailureMemory()
        self.asking: asyncio.Task[Tags] | None = None


class TagReader:
    """DescribeSecret, at most once a round for each secret and identity."""

    def __init__(self, api: SecretsApi) -> None:
        self._api = api
        self._known: dict[SecretRef, _Known] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def tags(self, ref: SecretRef, round_: int) -> Tags:
        """The tags, or why they cannot be read. Waiters share one call and may be cancelled."""
        known = self._known.setdefault(ref, _Known())
        if known.round >= round_:
            return known.tags
        if known.asking is None and (failure := known.failed.standing(loop_time())):
            return failure
        if known.asking is None:
            known.asking = asyncio.create_task(self._ask(ref, known, round_))
        return await asyncio.shield(known.asking)

    async def recheck(self, refs: Collection[SecretRef], round_: int) -> set[SecretRef]:
        """Those of the secrets, asked about before, whose tags are not what they were at the last recheck."""
        known = {ref: found for ref in refs if (found := self._known.get(ref)) and found.round >= 0}
        await asyncio.gather(*(self.tags(ref, round_) for ref in known))
        news = {ref for ref, found in known.items() if found.reported != found.tags}
        for ref in news:
            known[ref].reported = known[ref].tags
        return news

    def invalidate(self, names: Container[str]) -> None:
        """Ask again for the secrets of these names; what is under way may bring back old news."""
        for ref in list(self._known):
            if parse_secret_id(ref.id).name in names:
                del self._known[ref]

    def forget(self, before: int) -> None:
        """Drop what was not asked for since that round."""
        for ref, known in list(self._known.items()):
            if known.round < before and known.asking is None:
                del self._known[ref]

    async def aclose(self) -> None:
        tasks = [known.asking for known in self._known.values() if known.asking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, ref: SecretRef, known: _Known, round_: int) -> Tags:
        try:
            async with self._slots:
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
