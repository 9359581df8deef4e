"""Short pauses of Python's garbage collector, however many objects there are.

A full collection looks at every object of the process: with 5,000 SyncedSecrets it took 0.3 to 0.4 s, in which the
event loop stood still, to find some sixty objects. What such a collection has spared is long-lived, so it is frozen
(`gc.freeze`): the next one looks only at what has come since. Frozen objects are still freed when nothing refers to
them any more. Only cycles among them would stay, and those that were garbage have just been collected.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONG = 0.02
"""Seconds of CPU in one full collection after which its survivors are frozen."""


@contextmanager
def short_pauses(clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
    """Freeze the survivors of slow full collections while the block runs.

    `clock` gives seconds of CPU, because a process that is kept waiting is not slow.
    """
    started = 0.0

    def on_collection(phase: str, info: dict[str, Any]) -> None:
        nonlocal started
        if info["generation"] < 2:
            return
        if phase == "start":
            started = clock()
        elif clock() - started > LONG:
            gc.freeze()

    gc.callbacks.append(on_collection)
    try:
        yield
    finally:
        gc.callbacks.remove(on_collection)
