"""What goes wrong: one fault at a time, for a few seconds, drawn at random."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from sandbox.aws.http import FakeAws
from sandbox.envtest import RealKubernetes
from sandbox.operator import OperatorProcess

AWS_FAULTS = (
    "throttle",
    "500",
    "503",
    "html",
    "reset",
    "slow",
    "truncated",
    "expired",
    "denied",
    "no-list",
    "token-loop",
)


class Faults:
    """Breaks things. `restarts` and `done` tell the summary how often."""

    def __init__(
        self, server: RealKubernetes, aws: FakeAws, rand: random.Random, start: Callable[[], OperatorProcess]
    ) -> None:
        self.server = server
        self.aws = aws
        self.rand = rand
        self.done: Counter[str] = Counter()
        self._new = start
        self.operator = start()
        self.logs = ""
        self.kills: list[float] = []
        """When the API server was killed."""

    async def one(self) -> None:
        """One fault, and its end."""
        actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.aws_fault, 5),
            (self.server_away, 2),
            (self.compaction, 1),
            (self.kill_operator, 2),
            (self.pause_operator, 1),
            (self.stale_list, 1),
            (self.role_denied, 1),
        ]
        await self.rand.choices([a for a, _ in actions], [w for _, w in actions])[0]()

    def _seconds(self) -> float:
        return self.rand.uniform(0.5, 4)

    async def aws_fault(self) -> None:
        kind = self.rand.choice(AWS_FAULTS)
        self.done[f"AWS: {kind}"] += 1
        fault = self.aws.fault(kind, delay=2.0)
        await asyncio.sleep(self._seconds())
        self.aws.faults.remove(fault)

    async def stale_list(self) -> None:
        self.done["AWS: stale list"] += 1
        self.aws.world.freeze_lists()
        await asyncio.sleep(self._seconds())
        self.aws.world.thaw_lists()

    async def role_denied(self) -> None:
        self.done["AWS: role not trusted"] += 1
        self.aws.world.role("reader", trusted=False)
        self.aws.world.end_sessions()
        await asyncio.sleep(self._seconds())
        self.aws.world.role("reader", trusted=True)

    async def server_away(self) -> None:
        self.done["API server killed"] += 1
        self.kills.append(time.time())
        await self.server.stop_listening()
        await asyncio.sleep(self._seconds())
        await self.server.start_listening()

    async def compaction(self) -> None:
        self.done["etcd compacted"] += 1
        await self.server.compact()

    async def kill_operator(self) -> None:
        self.done["operator killed"] += 1
        self.operator.send(signal.SIGKILL)
        await self.operator.wait()
        self.logs += self.operator.log
        await self.operator.__aexit__()
        await asyncio.sleep(self.rand.uniform(0, 1))
        self.operator = self._new()
        await self.operator.start()

    async def pause_operator(self) -> None:
        self.done["operator paused"] += 1
        self.operator.send(signal.SIGSTOP)
        await asyncio.sleep(self._seconds())
        self.operator.send(signal.SIGCONT)
