"""Waits for a state, for a bounded time. A failure has the last assertion that failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

T = TypeVar("T")

LIMIT = 60.0
"""Seconds that anything may take on a busy machine; on an idle one it is there within one or two. It only bounds a hang."""
SHORTEST, LONGEST = 0.02, 0.25
"""Seconds from one look to the next: a tenth of the wait so far, within these limits. Looking costs CPU time."""

NOT_YET = AssertionError, LookupError, TypeError, ValueError, RuntimeError, aiohttp.ClientError, OSError
"""What a probe stumbles over: a state that is not right yet, a field or an object that is not there yet, a server that is
away, refuses (`KubernetesError`) or does not answer.
"""


async def eventually(probe: Callable[[], Awaitable[T]], within: float = LIMIT) -> T:
    """What `probe` returns, once it stumbles over nothing; else its last failure. The last look begins after the limit,
    because this process may have been stopped during the one before.
    """
    began = time.monotonic()
    while True:
        waited = time.monotonic() - began
        try:
            return await probe()
        except NOT_YET as problem:
            if waited > within:
                said = str(problem) if isinstance(problem, AssertionError) else ""
                raise AssertionError(f"after {within:g} s still: {said or repr(problem)}") from problem
        await asyncio.sleep(min(max(SHORTEST, waited / 10), LONGEST))
