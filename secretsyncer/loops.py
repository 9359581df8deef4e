"""Long-lived coroutines: if one ends, the process ends.

An operator that is alive but no longer watches is worse than one that restarts. `asyncio.TaskGroup` does not notice a
coroutine that returns, hence `GuardedLoops`. With `Heartbeats`, `/healthz` checks that every loop makes progress.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

A = TypeVar("A")

log = logging.getLogger(__name__)


class LoopEndedError(RuntimeError):
    """A loop that must run for ever has ended; the process cannot go on."""


class GuardedLoops:
    """The loops that must run as long as the process.

    `start` runs a coroutine. If it ends without being cancelled, `failed` gets the cause.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._tasks[name] = asyncio.create_task(self._guard(name, coroutine), name=name)
        task.add_done_callback(lambda _: coroutine.close())  # if it is stopped before it runs, it is never awaited

    async def _guard(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                # Not stopped by us: something that it awaited was cancelled.
                self._died(name, exc)
                return
            log.debug("loop cancelled", extra={"loop": name})
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the loop is dead
            self._died(name, exc)
        else:
            log.error("loop ended", extra={"loop": name})
            self._fail(LoopEndedError(f"{name} ended"))

    def _died(self, name: str, exc: BaseException) -> None:
        log.error("loop died", exc_info=exc, extra={"loop": name})
        self._fail(LoopEndedError(f"{name} died: {type(exc).__name__}"))

    def _fail(self, error: LoopEndedError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def stop(self, *names: str) -> None:
        """Cancel these loops (all, if none is given) and wait until they have ended."""
        chosen = [self._tasks.pop(name) for name in (names or tuple(self._tasks)) if name in self._tasks]
        for task in chosen:
            task.cancel()
        await asyncio.gather(*chosen, return_exceptions=True)
        if not self._tasks and not self.failed.done():
            self.failed.cancel()


class Heartbeats:
    """Checks that loops make progress, with a monotonic clock.

    A loop registers with a limit in seconds, and beats in each round. Errors do not matter: a loop that fails and retries
    is alive. `checks` has a function for each registered loop, which returns None or the problem.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        self.checks: dict[str, Callable[[], str | None]] = {}

    def register(self, name: str, *, limit: float) -> Callable[[], None]:
        """The function that `name` calls at each round, at least every `limit` seconds."""

        def beat() -> None:
            self._beats[name] = self._clock()

        def check() -> str | None:
            age = self._clock() - self._beats[name]
            return f"no progress for {age:.0f} s" if age > limit else None

        beat()
        self.checks[name] = check
        return beat


@asynccontextmanager
async def begun(work: Coroutine[Any, Any, A]) -> AsyncIterator[asyncio.Task[A]]:
    """The work as a task, which ends with the block at the latest."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # the block has ended for another reason


PULSE = 1.0
"""Seconds between two measurements of the event loop's lag."""


async def measure_lag(report: Callable[[float], None]) -> None:
    """Measure the lag of the event loop, for ever."""
    while True:
        before = loop_time()
        await asyncio.sleep(PULSE)
        report(max(0.0, loop_time() - before - PULSE))


def loop_time() -> float:
    """Monotonic seconds, by the clock of the running loop: virtual time in tests."""
    return asyncio.get_running_loop().time()
