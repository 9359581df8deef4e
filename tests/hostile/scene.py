"""What a hostile kind gets to work with: namespaces, secrets of AWS, the operator's port, and time.

A tenant of a kind ends with the kind: its objects and secrets go. What a tenant's own Secrets hold is looked at first:
a value of an honest tenant in it was stolen.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.http import FakeAws
from sandbox.kubernetes_client import KubernetesError
from sandbox.operator import OperatorProcess
from tests.hostile.benign import VALUE, Benign
from tests.support.builders import ANNOTATION
from tests.support.cluster import Cluster, Space, texts_of

_STAY = 1.0, 3.0
"""Seconds that a kind lets its work go on."""
_SLOW = 1.0
"""Seconds that a slow answer takes."""
_AT_ONCE = 8
_BYTES_A_SECOND = 10e6
"""JSON of Secrets that a tenant deletes. All at once, the API server itself would be behind with everybody's events."""


class Tenant:
    """A hostile tenant: a namespace, a role that reads what begins with `prefix`, and secrets there."""

    def __init__(self, scene: Scene, space: Space, number: int) -> None:
        self.scene = scene
        self.space = space
        self.prefix = f"hostile/{number}/"
        self.name = f"hostile-{number}"
        self.role = scene.aws.world.role(self.name, read=[f"{self.prefix}*"])
        self._secrets: list[str] = []

    def secret(self, name: str, value: str | bytes = "{}", **tags: str) -> str:
        """The whole name of a new secret of its own."""
        whole = self.prefix + name
        self.scene.aws.world.create(whole, value, tags=tags)
        self._secrets.append(whole)
        return whole

    async def write(self, name: str, **spec: Any) -> bool:
        """Write a SyncedSecret with its role; whether the API server takes it."""
        try:
            await self.space.write(name, **{"IAMRole": self.name, **spec})
        except (KubernetesError, AssertionError):
            self.scene.refused += 1
            return False
        return True

    async def write_all(self, specs: Iterable[dict[str, Any]]) -> None:
        await each(
            [
                lambda number=number, spec=spec: self.write(f"o-{number}", **spec)
                for number, spec in enumerate(specs)
            ]
        )

    async def end(self) -> None:
        cluster, namespace = self.space.cluster, self.space.name
        await cluster.delete_all("SyncedSecret", namespace)
        for secret in await cluster.list("Secret", namespace):
            if secret.get("type") == "Opaque" and VALUE in json.dumps(texts_of(secret)):
                self.scene.problems.append(f"a Secret of {self.name} holds a value of an honest tenant")
            with suppress(KubernetesError):
                await cluster.delete("Secret", namespace, secret["metadata"]["name"])
            await asyncio.sleep(len(json.dumps(secret)) / _BYTES_A_SECOND)
        await self.space.clear()
        self.forget_secrets()

    def forget_secrets(self) -> None:
        for name in self._secrets:
            self.scene.aws.world.delete(name, force=True)
        self._secrets.clear()


@dataclass
class Scene:
    """The stage, for all kinds of a run."""

    cluster: Cluster
    aws: FakeAws
    operator: OperatorProcess
    benign: Benign
    rand: random.Random
    ran: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    refused: int = 0
    """What the API server did not take."""
    _numbers: Iterable[int] = field(default_factory=itertools.count)

    @asynccontextmanager
    async def tenant(self, annotations: dict[str, str] | None = None) -> AsyncIterator[Tenant]:
        number = next(iter(self._numbers))
        roles = {ANNOTATION: json.dumps([f"hostile-{number}"])} if annotations is None else annotations
        tenant = Tenant(self, await self.cluster.space(annotations=roles), number)
        try:
            yield tenant
        finally:
            await tenant.end()

    async def stay(self) -> None:
        """Let the work go on."""
        await asyncio.sleep(self.rand.uniform(*_STAY))

    @asynccontextmanager
    async def fault(
        self, kind: str, *, operation: str | None = None, role: str | None = None
    ) -> AsyncIterator[None]:
        """AWS answers like this meanwhile."""
        fault = self.aws.fault(kind, operation, role, delay=_SLOW)
        try:
            yield
        finally:
            self.aws.faults.remove(fault)

    @asynccontextmanager
    async def connections(self, count: int, first: bytes = b"") -> AsyncIterator[None]:
        """So many connections to the operator's port, each with these first bytes and then silent."""
        writers = []
        try:
            for _ in range(count):
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.operator.port)
                    writers.append(writer)
                    writer.write(first)
            yield
        finally:
            for writer in writers:
                writer.transport.abort()


async def each(actions: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """Do all of them, a few at once."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(action: Callable[[], Awaitable[Any]]) -> None:
        async with limit:
            await action()

    await asyncio.gather(*(one(action) for action in actions))


async def again_and_again(action: Callable[[], Awaitable[Any]], scene: Scene, pause: float = 0.05) -> None:
    """The action for as long as a kind stays; what the API server refuses is counted."""

    async def loop() -> None:
        while True:
            try:
                await action()
            except KubernetesError:
                scene.refused += 1
            await asyncio.sleep(pause)

    task = asyncio.create_task(loop())
    try:
        await scene.stay()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
