"""The account of the operator's own credentials, which AWS is asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from secretsyncer.aws.arn import Account
from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import STOPPING, AwsError, Failure
from secretsyncer.loops import loop_time


class OwnAccount:
    """`ask` calls AWS and raises AwsError. A failure is remembered, and the question repeated with backoff."""

    def __init__(self, ask: Callable[[], Awaitable[Account]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[Account | Failure] | None = None
        self._failed = FailureMemory()
        self.known: Account | None = None

    async def get(self) -> Account:
        """The account. Callers share one call, and may be cancelled. Raises Unavailable or Rejected."""
        if self.known is not None:
            return self.known
        found: Account | Failure | None = self._failed.standing(loop_time())
        if found is None:
            if self._asking is None:
                self._asking = asyncio.create_task(self._answer())
            found = await asyncio.shield(self._asking)
        if isinstance(found, Failure):
            raise found.error()
        return found

    async def aclose(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _answer(self) -> Account | Failure:
        try:
            self.known = await self._ask()
        except AwsError as exc:
            return self._failed.note(exc.failure, loop_time())
        except asyncio.CancelledError:
            return STOPPING  # only `aclose` cancels this task
        finally:
            self._asking = None
        return self.known
