"""Lines on standard error, so that work on a thousand objects does not look like none."""

from __future__ import annotations

import sys

_STEP = 100


class Progress:
    """Counts what is done, and says so every hundred."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0

    def step(self) -> None:
        self._done += 1
        if self._done % _STEP == 0 and self._total > _STEP:
            print(f"{self._done} of {self._total} {self._what}", file=sys.stderr, flush=True)
