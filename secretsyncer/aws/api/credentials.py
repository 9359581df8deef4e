"""The credentials of one assumed role, refreshed in time, with the interface of botocore's credentials.

The SDK's own classes create a new STS client for each refresh. If AssumeRole fails, each waiting call repeats it, one
after another. They do not renew credentials that AWS revoked early. This class calls AssumeRole once for all callers,
remembers a denial for a minute, and has a method for credentials that AWS has rejected.
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
"""Credentials are renewed this many seconds before they expire, or after three quarters of their life."""

_LAST_MOMENT = 30.0


class RoleCredentials(NamedTuple):
    """The result of AssumeRole."""

    frozen: ReadOnlyCredentials
    expires: datetime


class AssumedRole:
    """The credentials of one role. `assume` calls AWS and raises AwsError.

    `get_frozen_credentials` can be called at any time. At most one AssumeRole runs at a time.
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
        """Increases with each new set, so that a caller can say which one AWS rejected."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Valid credentials. Raises AwsError if the role cannot be assumed."""
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
        """The SDK passes these (the account id) to its endpoint rules; Secrets Manager uses none."""
        return lambda: None

    async def get_account_id(self) -> None:
        """The same for aiobotocore."""

    def invalidate(self, generation: int) -> None:
        """AWS has rejected the credentials of that generation: do not use them again."""
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
        # Jitter, so that many roles that were assumed at start are not renewed at the same moment.
        self._renew_at = now + life - min(RENEW_BEFORE, life / 4) * (1 + 0.2 * random.random())  # noqa: S311
        self._dead_at = now + life - _LAST_MOMENT
        self._frozen = fresh.frozen
        self._failed.clear()
        self.generation += 1
