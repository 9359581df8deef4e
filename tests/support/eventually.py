"""Waits for a state, for a bounded time. A failure has the last assertion that failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from sandbox.kubernetes_client import KubernetesError

T = TypeVar("T")

LIMIT = 30.0
"""Seconds that anything may take on a busy machine; on an idle one it is there within one or two."""
SHORTEST, LONGEST = 0.02, 0.25
"""Seconds from one look to the next: a tenth of the wait so far, within these limits. Looking costs CPU time."""


async def eventually(probe: Callable[[], Awaitable[T]], within: float = LIMIT) -> T:
    """What `probe` returns, once no assertion in it fails and Kubernetes answers and refuses nothing; else its last
    failure.
    """
    began = time.monotonic()
    while True:
        try:
            return await probe()
        except (AssertionError, KubernetesError, aiohttp.ClientConnectionError, ConnectionError) as problem:
            waited = time.monotonic() - began
            if waited > within:
                raise AssertionError(f"after {within:g} s still: {str(problem) or repr(problem)}") from None
        await asyncio.sleep(min(max(SHORTEST, waited / 10), LONGEST))
