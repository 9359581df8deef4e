"""The process as its node sees it: whether it lives, answers its probe, and how long it waited for a processor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import aiohttp

from sandbox.operator import OperatorProcess
from tests.support.eventually import LIMIT

PROBE_LIMIT = 1.0
"""Seconds in which /healthz has to answer."""
_PROBE_EVERY = 0.25
_BEAT = 0.02


class Machine:
    """What the machine took: seconds in which the operator was ready to run, and had no processor, and in which this
    process was late itself. Nobody else's test may make the operator look late.

    `share` is what this run has of the machine. The rest of the time is taken, too: the API server waits as well.
    """

    def __init__(self, operator: OperatorProcess, share: float) -> None:
        self._operator = operator
        self.share = share
        self._own = 0.0
        self._waited = 0.0

    def taken(self) -> float:
        """So far. The difference of two readings is what was taken in between."""
        with contextlib.suppress(OSError):  # it has ended, or this is not Linux
            self._waited = int(Path(f"/proc/{self._operator.pid}/schedstat").read_text().split()[1]) / 1e9
        return self._own + self._waited

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_BEAT)
            self._own += max(0.0, time.monotonic() - began - 1.5 * _BEAT)


class Stopwatch:
    """Seconds since it was made, with and without what the machine took."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._began = time.monotonic()
        self._taken = machine.taken()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def own_seconds(self) -> float:
        return (self.seconds - (self._machine.taken() - self._taken)) * self._machine.share


class Probe:
    """Asks /healthz as a kubelet does: with a connection of its own each time."""

    def __init__(self, operator: OperatorProcess, machine: Machine, kinds: set[str]) -> None:
        self._operator = operator
        self._machine = machine
        self._kinds = kinds
        self.asked = 0
        self.worst = 0.0
        """Seconds, without what the machine took."""
        self.peak = 0
        """Most resident memory of the operator, in bytes."""
        self.failures: list[str] = []
        """What was wrong, and during which hostile kinds."""

    async def run(self) -> None:
        while True:
            self.peak = max(self.peak, self._operator.peak_memory)
            await self._ask()
            await asyncio.sleep(_PROBE_EVERY)

    async def _ask(self) -> None:
        watch, problem = Stopwatch(self._machine), ""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as session,
                session.get(f"http://127.0.0.1:{self._operator.port}/healthz") as response,
            ):
                text = await response.text()
                if response.status != 200:
                    problem = f"said {response.status} {text.strip()[:300]}"
        except (aiohttp.ClientError, OSError) as exc:
            problem = f"did not answer: {exc!r}"
        took = watch.own_seconds
        self.asked += 1
        self.worst = max(self.worst, took)
        if not problem and took > PROBE_LIMIT:
            problem = f"answered after {took:.1f} s"
        if problem:
            self.failures.append(f"{problem} (during {', '.join(sorted(self._kinds))})")
