"""One run: changes and faults side by side for a while, then quiet, then the verdict."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from sandbox.aws.http import FakeAws
from sandbox.envtest import RealKubernetes
from sandbox.kubernetes_client import KubernetesError
from sandbox.operator import OperatorProcess
from tests.chaos.changes import Changes
from tests.chaos.faults import Faults
from tests.chaos.model import Model, Reason
from tests.support.cluster import WRITES, Cluster, Space, texts_of
from tests.support.eventually import eventually
from tests.support.measures import logged_bugs, resident_mib
from tests.support.stand_in import stand_in

SETTLE = 150.0
"""Seconds after the last fault within which everything must be right: a refusal stands for a minute, then one sync. The rest
is for a busy machine.
"""
_LOST = 5.0
"""Seconds before the API server was killed in which the answer to a write may have got lost: it is made once more."""
OBJECTS = 40
SETTINGS = {"SYNC_INTERVAL_SEC": "10"}


@dataclass
class Verdict:
    """What the run found. `problems` is empty when all was well."""

    seed: int
    problems: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    settled_after: float = 0.0
    secrets: int = 0
    writes: int = 0
    justified: int = 0
    lines_per_minute: float = 0.0
    resident_mib: float = 0.0


async def run(assets: Path, *, seed: int, seconds: float, say: Callable[[str], None]) -> Verdict:
    """The run. Deterministic in what it draws, not in how the operator and the faults meet."""
    rand = random.Random(seed)
    verdict = Verdict(seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        async with RealKubernetes(assets, audit=True) as server, FakeAws() as aws, Cluster(server) as cluster:
            aws.world.role("reader")
            await cluster.install("crd.yaml", "namespace.yaml", "rbac.yaml")
            token = await server.service_account_token("k8s-secret-syncer", "secretsyncer")
            kubeconfig = server.write_kubeconfig(Path(folder) / "kubeconfig", "operator", token=token)
            environment = {**stand_in(aws), **SETTINGS}

            def start() -> OperatorProcess:
                return OperatorProcess(kubeconfig=kubeconfig, environment=environment)

            space = await cluster.space()
            model = Model()
            changes = Changes(model, aws.world, space, rand)
            faults = Faults(server, aws, random.Random(seed + 1), start)
            try:
                await faults.operator.start()
                await changes.begin(OBJECTS)
                await faults.operator.until_ready()
                await _settle(model, space)
                say(f"{OBJECTS} objects are in step; {seconds:.0f} s of changes and faults begin")
                await _storm(changes, faults, model, space, seconds, say, verdict)
                began = time.monotonic()
                say("quiet again: everything must become right")
                await _until_right(model, space, verdict)
                verdict.settled_after = time.monotonic() - began
                await _judge(server, faults, model, space, verdict, seconds)
            finally:
                await faults.operator.__aexit__()
            verdict.changes, verdict.faults = model.changes, faults.done
    return verdict


async def _storm(
    changes: Changes,
    faults: Faults,
    model: Model,
    space: Space,
    seconds: float,
    say: Callable[[str], None],
    verdict: Verdict,
) -> None:
    end = time.monotonic() + seconds

    async def change() -> None:
        while time.monotonic() < end:
            await changes.one()
            await asyncio.sleep(changes.rand.uniform(0.02, 0.3))

    async def fault() -> None:
        while time.monotonic() < end:
            await asyncio.sleep(faults.rand.uniform(0.2, 2))
            await faults.one()

    async def look() -> None:
        while time.monotonic() < end:
            verdict.problems += await _wrong_now(model, space)
            await asyncio.sleep(0.5)

    async def tell() -> None:
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(20, left))
            say(f"  {sum(model.changes.values())} changes, {sum(faults.done.values())} faults")

    await asyncio.gather(change(), fault(), look(), tell())


async def _wrong_now(model: Model, space: Space) -> list[str]:
    """Secrets that hold what was never right. The API server may be away: then there is nothing to see."""
    try:
        secrets = await space.cluster.list("Secret", space.name)
    except (aiohttp.ClientError, OSError, KubernetesError):
        return []
    problems = (model.wrong_now(secret["metadata"]["name"], texts_of(secret)) for secret in secrets)
    return [problem for problem in problems if problem]


async def _settle(model: Model, space: Space) -> None:
    async def right() -> None:
        secrets = {s["metadata"]["name"]: texts_of(s) for s in await space.cluster.list("Secret", space.name)}
        for thing in model.things.values():
            if thing.alive and thing.source not in model.missing:
                found = secrets.get(thing.name)
                assert found == model.expected(thing), (
                    f"{thing.name} holds {found}, and not {model.expected(thing)}"
                )

    await eventually(right, within=SETTLE)


async def _until_right(model: Model, space: Space, verdict: Verdict) -> None:
    try:
        await _settle(model, space)
    except AssertionError as problem:
        verdict.problems.append(str(problem))
    verdict.problems += await _wrong_now(model, space)
    for thing in model.things.values():
        if thing.alive and thing.source not in model.missing:
            try:
                await space.until_synced(thing.name)
            except AssertionError as problem:
                verdict.problems.append(f"its condition does not tell: {problem}")
        elif thing.alive:
            try:
                await space.until_failed(thing.name, "SecretNotFound")
            except AssertionError as problem:
                verdict.problems.append(f"its condition does not tell: {problem}")


async def _judge(
    server: RealKubernetes, faults: Faults, model: Model, space: Space, verdict: Verdict, seconds: float
) -> None:
    """Writes against what justified them, and what the operator took."""
    writes: defaultdict[str, list[Reason]] = defaultdict(list)
    for line in server.audit_log():
        about = line.get("objectRef") or {}
        operator = "serviceaccount" in line["user"]["username"]
        done = line["verb"] in WRITES and line["responseStatus"]["code"] < 300
        if operator and done and about.get("resource") == "secrets":
            at = datetime.fromisoformat(line["requestReceivedTimestamp"]).timestamp()
            writes[about.get("name", "")].append(Reason(at, line["verb"]))
    for thing in model.things.values():
        lost = sum(any(0 <= kill - write.at < _LOST for write in writes[thing.name]) for kill in faults.kills)
        if len(writes[thing.name]) > len(thing.reasons) + lost:
            verdict.problems.append(
                f"Secret {thing.name} was written {len(writes[thing.name])} times, for {len(thing.reasons)} reasons:"
                f" {_history(writes[thing.name])}; {_history(thing.reasons)}"
            )
    verdict.secrets = len(model.things)
    verdict.writes = sum(map(len, writes.values()))
    verdict.justified = sum(len(thing.reasons) for thing in model.things.values())
    lines = (faults.logs + faults.operator.log).count("\n")
    verdict.lines_per_minute = lines / (seconds / 60)
    verdict.resident_mib = resident_mib(faults.operator)
    verdict.problems += logged_bugs(faults.logs + faults.operator.log)


def _history(entries: list[Reason]) -> str:
    shown = (f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f} {what}" for at, what in sorted(entries))
    return ", ".join(shown)
