"""Remembered failures, so that the operator does not repeat a failed call at once.

Used for a role that cannot be assumed, a secret that cannot be read, and the operator's own account. A denial is
remembered for a minute, because changes in IAM take about as long. A temporary failure is remembered for an
increasing time with jitter.
"""

from __future__ import annotations

from secretsyncer.aws.failures import Failure
from secretsyncer.backoff import Backoff

REFUSAL_STANDS = 60.0
"""Seconds for which a denial is returned without another call."""

_BACKOFF = Backoff(initial=1, cap=REFUSAL_STANDS)


class FailureMemory:
    """Consecutive failures of one kind of call. Times are from the caller's clock, in seconds."""

    __slots__ = ("_failure", "_retry_at", "count")

    def __init__(self) -> None:
        self._failure: Failure | None = None
        self._retry_at = 0.0
        self.count = 0

    def note(self, failure: Failure, now: float, backoff: Backoff = _BACKOFF) -> Failure:
        """Remember this failure, and return it with its delay."""
        self.count += 1
        # Keep the text of the first denial: a new request id for each attempt would change the status.
        kept = self._failure if self._failure is not None and failure.same_as(self._failure) else failure
        if failure.transient:
            wait = max(backoff.delay(self.count), failure.retry_after or 0)
        else:
            # Another memory may have returned it, that of the role: it ends when that one does, not a minute later.
            wait = REFUSAL_STANDS if failure.retry_after is None else failure.retry_after
        self._failure = kept._replace(retry_after=wait)
        self._retry_at = now + wait
        return self._failure

    def standing(self, now: float) -> Failure | None:
        """The failure with its remaining delay, until the call may be repeated."""
        if self._failure is None or now >= self._retry_at:
            return None
        return self._failure._replace(retry_after=self._retry_at - now)

    def clear(self) -> None:
        self._failure, self.count = None, 0
