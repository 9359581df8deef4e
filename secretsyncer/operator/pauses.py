"""Keeps the pauses of the event loop short, however many objects there are and whatever runs in threads.

A full garbage collection scans every object of the process. With 5,000 SyncedSecrets, it took 0.3 to 0.4 s, blocked the
event loop, and found about 60 objects. Objects that survive such a collection are long-lived, as are those of the modules.
They are frozen (`gc.freeze`), and the next collection scans only newer objects. Frozen objects are still freed when nothing
refers to them any more. Only frozen cycles would stay, and those that were garbage have just been collected.

Only one thread runs Python code at a time. The event loop gives way whenever it waits for the network, and then waits until
a thread that computes gives way. By default, that is 5 ms, ten times what the loop has to do until it waits again. So two
threads had 77 % of the time, and the loop 23 %.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONG = 0.02
"""Seconds of CPU in one full collection after which its survivors are frozen."""
TURN = 0.0005
"""Seconds for which a thread runs Python code while another one waits for its turn."""


@contextmanager
def short_pauses(clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
    """While the block runs, freeze the survivors of slow full collections, and let threads take short turns.

    `clock` returns CPU seconds, because the wall time of a waiting process says nothing.
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

    gc.freeze()  # what the modules have made
    gc.callbacks.append(on_collection)
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.callbacks.remove(on_collection)
