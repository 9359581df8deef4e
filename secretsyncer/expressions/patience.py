"""How long the expressions of one spec may take to compile.

Each takes milliseconds at most, but a spec can have thousands. Whoever parses a spec sets a limit of processor time, and
each compilation looks at it first.

A compilation keeps Python's global lock for all of these milliseconds, so the event loop would wait for one whenever it
comes back from the network. In a thread beside it, there is a pause after each, as long as it took.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import current_thread, main_thread

_GIVE_WAY = 0.001
"""Seconds of processor time after which a thread gives way to the event loop."""


class _Limit:
    """The clock begins with the first expression: most specs have none, and it is a slow one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last = self.end = 0.0


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


class OutOfPatience(Exception):  # noqa: N818 - it is no error of an expression, so validators must not collect it
    """The limit was exceeded."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Compile no further expression in this thread when this much processor time is used."""
    token = _limit.set(_Limit(seconds))
    try:
        yield
    finally:
        _limit.reset(token)


def check() -> None:
    """Before a compilation. Raises OutOfPatience."""
    limit = _limit.get()
    if limit is None:
        return
    now = time.thread_time()
    if not limit.end:
        limit.last, limit.end = now, now + limit.seconds
    if now > limit.end:
        raise OutOfPatience
    if current_thread() is not main_thread() and now - limit.last > _GIVE_WAY:
        time.sleep(now - limit.last)
        now = time.thread_time()
    limit.last = now
