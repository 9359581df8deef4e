"""How long the expressions of one spec may take to compile.

Each takes milliseconds at most, but a spec can have thousands. Whoever parses a spec sets a limit of processor time, and
each compilation looks at it first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

_until: ContextVar[float] = ContextVar("until", default=inf)


class OutOfPatience(Exception):  # noqa: N818 - it is no error of an expression, so validators must not collect it
    """The limit was exceeded."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Compile no further expression in this thread when this much processor time is used."""
    token = _until.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def check() -> None:
    """Raises OutOfPatience."""
    if time.thread_time() > _until.get():
        raise OutOfPatience
