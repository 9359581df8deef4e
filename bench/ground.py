"""The environment of a benchmark: a real kube-apiserver with etcd, the AWS stand-in, and operators as processes.

The stand-in runs in this process, so that calls are counted and secrets changed without further calls. A call costs
0.3 ms of CPU, and the operator makes few.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import yaml

from bench import objects
from bench.kubernetes import Kube
from sandbox.aws.http import FakeAws
from sandbox.aws.model import World
from sandbox.aws.state import Principal
from sandbox.envtest import HOW_TO_GET, RealKubernetes, find_assets
from sandbox.operator import OperatorProcess
from sandbox.usage import cpu_seconds

LATENCY = 0.02
"""Seconds that AWS takes to answer."""
PASSES = "secretsyncer_reconciles_total"
_LOOK, _LONGEST = 0.1, 2.0
"""Seconds between two looks at the metrics: at least, and at most."""


class TimedWorld(World):
    """Records the time of the last page of a listing of secrets, and tells when a listing has ended."""

    def __init__(self) -> None:
        super().__init__(open_doors=True)
        self.listings: list[float] = []
        self._listed = {"ListSecrets": asyncio.Event(), "DescribeParameters": asyncio.Event()}

    def perform(self, who: Principal, region: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().perform(who, region, operation, params)
        if "NextToken" not in answer and operation in self._listed:
            self._listed[operation].set()
            if operation == "ListSecrets":
                self.listings.append(time.perf_counter())
        return answer

    async def until_listed(self, operation: str = "ListSecrets", *, limit: float = 60.0) -> None:
        """Until the last page of the next listing was answered. TimeoutError after `limit` seconds."""
        self._listed[operation].clear()
        async with asyncio.timeout(limit):
            await self._listed[operation].wait()


class Operator(OperatorProcess):
    """One operator process, with cheap readings of its metrics and log."""

    async def passes(self) -> Counter[str]:
        """Passes by result so far."""
        found = await self.metrics(PASSES)
        return Counter({name.split('"')[1]: int(number) for name, number in found.items()})

    async def until_changed(self, count: int, *, limit: float = 300.0) -> float:
        """Wait until so many passes have changed something; the clock's time then.

        A look costs the operator milliseconds, so the next one is due when half of what is left should be done.
        """
        began = time.perf_counter()
        async with asyncio.timeout(limit):
            while (changed := (await self.passes())["changed"]) < count:
                each = (time.perf_counter() - began) / max(changed, 1)
                await asyncio.sleep(min(max(_LOOK, (count - changed) * each / 2), _LONGEST))
        return time.perf_counter()

    @property
    def cpu(self) -> float:
        return cpu_seconds(self.pid)

    def logged(self, message: str) -> float | None:
        """The Unix time of the first log line with this message."""
        for line in self.log.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["message"] == message:
                return datetime.fromisoformat(entry["time"]).timestamp()
        return None


class Ground:
    """`async with Ground() as ground:` has a fresh API server and a fresh AWS."""

    def __init__(self, *, latency: float = LATENCY) -> None:
        self.world = TimedWorld()
        self.aws = FakeAws(self.world, latency=latency)
        self.kube: Kube
        self.api: RealKubernetes
        self._stack = AsyncExitStack()
        self._folder = Path()

    async def __aenter__(self) -> Self:
        assets = find_assets()
        if assets is None:
            raise RuntimeError(HOW_TO_GET)
        try:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self.api = await self._stack.enter_async_context(RealKubernetes(assets))
            await self._stack.enter_async_context(self.aws)
            self.kube = await self._stack.enter_async_context(Kube(self.api))
            crd = Path(__file__).parents[1] / "manifests/base/crd.yaml"
            await self.kube.create(yaml.safe_load(crd.read_text()))
            await self.kube.until_served("SyncedSecret")
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def seed(self, count: int, *, start: int = 0, **fields: Any) -> None:
        """Put secrets into AWS."""
        for number in range(start, start + count):
            self.world.create(objects.name_of(number), objects.value(number), **fields)

    def rotate(self, numbers: range, revision: int) -> None:
        for number in numbers:
            self.world.put(objects.name_of(number), objects.value(number, revision))

    def forget_calls(self) -> None:
        self.aws.calls.clear()
        self.aws.batches.clear()

    def calls(self) -> Counter[str]:
        """AWS calls by operation since `forget_calls`."""
        counts: Counter[str] = Counter()
        for (operation, _), number in self.aws.calls.items():
            counts[operation] += number
        return counts

    @asynccontextmanager
    async def operator(self, *, ready: bool = True, **settings: str) -> AsyncIterator[Operator]:
        """An operator on this ground; waits until it is ready."""
        environment = {
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            **settings,
        }
        kubeconfig = self.api.write_kubeconfig(self._folder / "kubeconfig")
        async with Operator(kubeconfig=kubeconfig, environment=environment, memory_limit=None) as operator:
            if ready:
                await operator.until_ready(60)
            yield operator
            await operator.stop()
