"""Limits of memory and time for one reconcile.

A spec of a few kilobytes can ask for gigabytes. Each limit is far above what a Secret of 1 MiB needs. Code that works for
an object charges its `Budget` before it builds anything large. A charge that exceeds a limit raises `Exhausted`.
`docs/security.md` has a table of these limits.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from secretsyncer.aws.identity import SecretRef
from secretsyncer.errors import Reason, Rejected, StillWaiting, TakesLong

T = TypeVar("T")

Version = tuple[str, str]
"""ARN and version id of a value."""


class Exhausted(Rejected):
    """The object exceeds a limit. The reconcile ends at once.

    `read` are the versions that it has read until then; None where there was no value.
    """

    read: Mapping[SecretRef, Version | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one reconcile may use of each."""

    reads: int = 5_000
    """AWS secrets read, each counted once."""

    fetched: int = 16 << 20
    """Size of the values of these secrets: text in characters, binary in bytes."""

    parsed: int = 16 << 20
    """Bytes of JSON parsed. Each value is parsed once."""

    keys: int = 40_000
    """Keys made of AWS secrets, and AWS secrets selected by searches, each time: four times the keys of a Secret."""

    produced: int = 4 << 20
    """Bytes produced for the Secret, including those that a later key replaces: four times the size of a Secret."""

    steps: int = 500_000
    """Steps of JMESPath: evaluated parts of the expression, and created elements and characters."""

    cpu_seconds: float = 3.0
    """Seconds of processor time for values, keys, searches and regular expressions."""

    template_seconds: float = 10.0
    """Seconds in which templates run."""

    filters: int = 1_000
    """Different calls of filter functions in templates."""


_USUAL = Limits()
_NAMES = tuple(field.name for field in fields(Limits))
_EXCEEDED = {
    "reads": (Reason.INVALID_SPEC, "the object reads {used} AWS secrets and parameters; the limit is {limit}"),
    "fetched": (
        Reason.INVALID_SPEC,
        "what the object reads from AWS has {used} bytes or more; the limit is {limit}, and a Secret holds 1048576",
    ),
    "parsed": (Reason.INVALID_SECRET_VALUE, "the object reads {used} bytes of JSON; the limit is {limit}"),
    "produced": (
        Reason.INVALID_SECRET_VALUE,
        "the object produces {used} bytes or more; the limit is {limit}, and a Secret holds 1048576",
    ),
    "keys": (
        Reason.INVALID_SPEC,
        "the object makes {used} keys or more, also counting those that a later one replaces; the limit is {limit}",
    ),
    "steps": (Reason.INVALID_SECRET_VALUE, "jmesPath takes {used} steps or more; the limit is {limit}"),
    "cpu_seconds": (
        Reason.INVALID_SPEC,
        "values and keys take {used:.1f} s of processor time or more; the limit is {limit:.1f} s",
    ),
    "template_seconds": (
        Reason.TEMPLATE_ERROR,
        "the templates run for {used:.1f} s; the limit is {limit:.1f} s",
    ),
    "filters": (
        Reason.TEMPLATE_ERROR,
        "the templates call filters with {used} different arguments; the limit is {limit}",
    ),
}


_GLANCE = {"parsed": 256 << 10, "produced": 256 << 10, "keys": 5_000, "steps": 1_000, "cpu_seconds": 0.005}
"""What a first try in the event loop may use of these. The processor time is that of all first tries of a reconcile."""


_LOOK_EVERY = 0.0005
"""Seconds between two looks at the clock of the thread."""

LONG_RENDER = 0.1
"""Seconds for which templates run, from which on a render is remembered, and an object takes long."""


class LongWork:
    """Whether a reconcile takes long, and whether it may.

    Few threads do what computes for long, and a call to AWS may get no answer. Who waits keeps a worker. With all workers,
    a few namespaces would keep everybody waiting, so this is left to a few of them.
    """

    def __init__(
        self,
        *,
        allowed: bool = True,
        patience: float | None = None,
        is_needed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.allowed = allowed
        self.patience = patience
        """Seconds for each wait for AWS, after which others may get the worker; None: as long as it takes."""
        self.is_needed = is_needed
        self.found = False
        """Whether the object takes long."""
        self._ran = 0.0

    def ran(self, seconds: float) -> None:
        """A template ran for so long."""
        self._ran += seconds
        self.found = self.found or self._ran >= LONG_RENDER

    def begin(self) -> None:
        """Before work that is long. Raises TakesLong where it may not be."""
        self.found = True
        self.check()

    async def turn(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Wait for it: no longer than this where it may not take long. Raises TakesLong."""
        if self.allowed:
            return await awaitable
        try:
            async with asyncio.timeout(seconds) as limit:
                return await awaitable
        except TimeoutError:
            if limit.expired():
                self.begin()
            raise

    async def answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Wait for AWS while nobody else needs the worker. What it answers later is kept. Raises StillWaiting."""
        while True:
            try:
                async with asyncio.timeout(self.patience) as limit:
                    return await ask()
            except TimeoutError:
                if not limit.expired():
                    raise
            if self.is_needed():
                raise StillWaiting

    def check(self, *, crowded: bool = False) -> None:
        """Before work that may be long. Raises TakesLong if the object takes long, or would wait in a crowd, and may not."""
        if not self.allowed and (self.found or crowded):
            self.found = True
            raise TakesLong


class Budget:
    """What one reconcile has used so far. Used by one thread at a time.

    `party`: the namespace, whose share of the threads it uses. `read`: the versions that it has read.
    """

    def __init__(self, limits: Limits | None = None, party: str = "", long_work: LongWork | None = None) -> None:
        self.party = party
        self.long_work = long_work or LongWork()
        self.read: dict[SecretRef, Version | None] = {}
        self._limits = limits or _USUAL
        self._used: dict[str, float] = dict.fromkeys(_NAMES, 0)
        self._thread_began: float | None = None
        self._look_at = 0.0
        self._tried = 0.0
        self._is_glance = False
        self.is_exhausted = False
        """Whether a charge has exceeded a limit."""

    def charge(self, what: str, amount: float) -> None:
        """Use this much of one limit, by its name in `Limits`. Raises Exhausted."""
        self._used[what] = used = self._used[what] + amount
        limit = getattr(self._limits, what)
        if used > limit:
            self.is_exhausted = True
            reason, text = _EXCEEDED[what]
            raise Exhausted(reason, text.format(used=used, limit=limit))

    def glance(self) -> Budget | None:
        """A budget for a first try: what is used so far, and very little more. None if first tries have used theirs."""
        if self._tried >= _GLANCE["cpu_seconds"]:
            return None
        allowed = {**_GLANCE, "cpu_seconds": _GLANCE["cpu_seconds"] - self._tried}
        little: dict[str, Any] = {
            what: min(getattr(self._limits, what), self._used[what] + more) for what, more in allowed.items()
        }
        made = Budget(replace(self._limits, **little))
        made._used.update(self._used)
        made._is_glance = True
        made.start_clock()
        return made

    def settle(self, glance: Budget, *, done: bool) -> None:
        """Charge what a first try has used; only its time if it is not `done` and begins again. Raises Exhausted."""
        spent = glance._used["cpu_seconds"] - self._used["cpu_seconds"] + glance._since_last_look()
        self._tried = math.inf if glance.is_exhausted else self._tried + spent
        if done:
            self._used |= glance._used | {"cpu_seconds": self._used["cpu_seconds"]}
        self.charge("cpu_seconds", spent)

    def leave_to_a_thread(self) -> None:
        """What follows can take long, and is not charged meanwhile: a first try ends here. Raises Exhausted."""
        if self._is_glance:
            self.is_exhausted = True
            raise Exhausted(Reason.INVALID_SPEC, "too long for a first try")

    def left(self, what: str) -> int:
        """How much of a limit is left."""
        return int(getattr(self._limits, what) - self._used[what])

    def start_clock(self) -> None:
        """Start to measure the processor time of this thread."""
        self._thread_began = None
        self.charge_time()

    def charge_time(self) -> None:
        """Charge the processor time since the last charge. Raises Exhausted.

        Cheap enough to be called for each key: the clock of the thread, which is not, is read every half millisecond.
        """
        wall = time.perf_counter()
        if self._thread_began is not None and wall < self._look_at:
            return
        self._look_at = wall + _LOOK_EVERY
        self.charge("cpu_seconds", self._since_last_look())

    def _since_last_look(self) -> float:
        now = time.thread_time()
        before, self._thread_began = self._thread_began, now
        return 0.0 if before is None else now - before
