"""Exponential backoff with jitter, as a value.

Used by the reflectors, the poller, the work queue, Events and the AWS roles. A `Backoff` computes the delay after the
n-th consecutive failure. It never sleeps, so each owner waits in its own cancellable way, and tests need no clock.
Randomness is injected.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds: `initial * factor**n`, at most `cap`, spread by `jitter` (0.5 = plus up to 50 %).

    Jitter is added after the cap: many owners at the cap must not retry together either.
    """

    initial: float = 1.0
    factor: float = 2.0
    cap: float = 300.0
    jitter: float = 0.5
    rand: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """The delay in seconds after this many consecutive failures (1 or more). Does not overflow."""
        try:
            base = min(self.initial * self.factor ** (max(failures, 1) - 1), self.cap)
        except OverflowError:  # of a float, long after it passed any cap
            base = self.cap
        return base * (1 + self.jitter * self.rand())


class Retries:
    """Counts consecutive failures of one owner, and resets after a quiet time.

    The count restarts if the previous failure is more than `reset_after` seconds old, so that something that flaps keeps
    its long delays. client-go's reflector does the same with two minutes.
    """

    __slots__ = ("_backoff", "_clock", "_failures", "_last_failure", "_reset_after")

    def __init__(self, backoff: Backoff, *, clock: Callable[[], float], reset_after: float) -> None:
        self._backoff = backoff
        self._clock = clock
        self._reset_after = reset_after
        self._failures = 0
        self._last_failure = 0.0

    @property
    def failures(self) -> int:
        return self._failures

    def failed(self, *, at_least: float | None = None) -> float:
        """Count a failure. Returns the delay in seconds, at least `at_least` (a Retry-After)."""
        now = self._clock()
        if now - self._last_failure > self._reset_after:
            self._failures = 0
        self._failures += 1
        self._last_failure = now
        return max(self._backoff.delay(self._failures), at_least or 0.0)
