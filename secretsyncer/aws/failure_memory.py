"""A failure that is remembered, so that what AWS just refused is not asked again at once.

Used for a role that cannot be assumed, a secret that cannot be read, the operator's own account. A refusal
stands for a minute (IAM changes take about as long to arrive); a failure that may pass, for a growing time
with jitter.
"""

from __future__ import annotations

from secretsyncer.aws.failures import Failure
from secretsyncer.backoff import Backoff

REFUSAL_STANDS = 60.0
"""Seconds for which a refusal is repeated to whoever asks, without asking AWS."""

_BACKOFF = Backoff(initial=1, cap=REFUSAL_STANDS)


class FailureMemory:
    """The failures in a row of one thing. Times are those of the caller's clock, in seconds."""

    __slots__ = ("_failure", "_retry_at", "count")

    def __init__(self) -> None:
        self._failure: Failure | None = None
        self._retry_at = 0.0
        self.count = 0

    def note(self, failure: Failure, now: float, backoff: Backoff = _BACKOFF) -> Failure:
        """Remember this failure, and give it with its time to wait."""
        self.count += 1
        # The first refusal's text stays: a new request id at each attempt would look like news.
        kept = self._failure if self._failure is not None and failure.same_as(self._failure) else failure
        if failure.transient:
            wait = max(backoff.delay(self.count), failure.retry_after or 0)
            self._failure = kept._replace(retry_after=wait)
        else:
            wait = REFUSAL_STANDS
            self._failure = kept
        self._retry_at = now + wait
        return self._failure

    def standing(self, now: float) -> Failure | None:
        """The failure, while it is too early to ask again."""
        if self._failure is None or now >= self._retry_at:
            return None
        return (
            self._failure._replace(retry_after=self._retry_at - now) if self._failure.transient else self._failure
        )

    def clear(self) -> None:
        self._failure, self.count = None, 0
