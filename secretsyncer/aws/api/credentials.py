"""The credentials of one assumed role, refreshed in time, as botocore's clients ask for them.

The SDK's own classes make a new STS client at each refresh, let every waiting call try a failing AssumeRole
again, one after another, and do not renew what AWS revoked early. This one asks once for all callers,
remembers a refusal for a minute, and can be told that AWS no longer takes what it holds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

from botocore.credentials import ReadOnlyCredentials

from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import AwsError
from secretsyncer.loops import loop_time

RENEW_BEFORE = 900.0
"""Seconds before the end at which credentials are renewed, or a quarter of their life if that is less."""

_LAST_MOMENT = 30.0


class RoleCredentials(NamedTuple):
    """What AssumeRole gives."""

    frozen: ReadOnlyCredentials
    expires: datetime


class AssumedRole:
    """The credentials of one role. `assume` calls AWS and raises AwsError.

    Anything may call `get_frozen_credentials` at any time; at most one AssumeRole is under way.
    """

    method = "assume-role"

    def __init__(
        self,
        assume: Callable[[], Awaitable[RoleCredentials]],
    ) -> None:
        self._assume = assume
        self._lock = asyncio.Lock()
        self._frozen: ReadOnlyCredentials | None = None
        self._renew_at = self._dead_at = 0.0
        self._failed = FailureMemory()
        self.generation = 0
        """Goes up with each new set, so that a caller can tell which one AWS refused."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Credentials that are good for now. Raises AwsError where the role cannot be assumed."""
        now = loop_time()
        if self._frozen is not None and (now < self._renew_at or (now < self._dead_at and self._lock.locked())):
            return self._frozen
        async with self._lock:
            now = loop_time()
            if self._frozen is None or now >= self._renew_at:
                await self._renew(now)
            assert self._frozen is not None  # noqa: S101 - for the type checker; _renew raised otherwise
            return self._frozen

    def get_deferred_property(self, _name: str) -> Callable[[], None]:
        """What the SDK offers to endpoint rules (the account's id); those of Secrets Manager use none."""
        return lambda: None

    async def get_account_id(self) -> None:
        """As above, as aiobotocore asks for it."""

    def invalidate(self, generation: int) -> None:
        """AWS refused the credentials of that generation: do not use them again."""
        if generation == self.generation:
            self._frozen = None

    async def _renew(self, now: float) -> None:
        usable = self._frozen is not None and now < self._dead_at
        failure = self._failed.standing(now)
        if failure is None:
            try:
                self._take(await self._assume())
            except AwsError as exc:
                failure = self._failed.note(exc.failure, loop_time())
        if failure is not None and not usable:
            raise AwsError(failure)

    def _take(self, fresh: RoleCredentials) -> None:
        now = loop_time()
        life = (fresh.expires - datetime.now(UTC)).total_seconds()
        # A little spread, so that a hundred roles assumed at the start are not renewed in one moment.
        self._renew_at = now + life - min(RENEW_BEFORE, life / 4) * (1 + 0.2 * random.random())  # noqa: S311
        self._dead_at = now + life - _LAST_MOMENT
        self._frozen = fresh.frozen
        self._failed.clear()
        self.generation += 1
