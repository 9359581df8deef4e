"""One run: honest tenants alone for a while, then beside hostile ones, then quiet, then the verdict."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.aws.http import FakeAws
from sandbox.envtest import RealKubernetes
from sandbox.operator import MEMORY_LIMIT, OperatorProcess
from sandbox.usage import MIB
from tests.hostile.benign import OBJECTS, Benign, Lateness
from tests.hostile.kinds import KINDS
from tests.hostile.scene import Scene
from tests.hostile.watch import PROBE_LIMIT, Machine, Probe
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.measures import logged_bugs
from tests.support.stand_in import stand_in

START, SETTLE, KIND = 60.0, 120.0, 60.0
"""Seconds that the first sync, the end of all work, and one kind may take."""
_CHANGES_A_SECOND = 5.0
_NAMESPACE, _ACCOUNT = "k8s-secret-syncer", "secretsyncer"


@dataclass
class Verdict:
    """What the run found. `problems` is empty when all was well."""

    seed: int
    problems: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    alone: Lateness = field(default_factory=Lateness)
    beside: Lateness = field(default_factory=Lateness)
    probes: int = 0
    worst_probe: float = 0.0
    peak_mib: float = 0.0


class Ended(Exception):  # noqa: N818 - what the process did
    """The operator is no more."""


async def run(
    assets: Path,
    *,
    seed: int,
    seconds: float,
    say: Callable[[str], None],
    kinds: Sequence[str] | None = None,
    lanes: int = 2,
    share: float = 1.0,
    log: Path | None = None,
) -> Verdict:
    """The run, with so many kinds at once, and this share of the machine. The operator's log goes to `log`.

    Deterministic in what it draws, not in how the operator and the kinds meet.
    """
    verdict, rand = Verdict(seed), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        async with RealKubernetes(assets) as server, FakeAws() as aws, Cluster(server) as cluster:
            await cluster.install("crd.yaml", "namespace.yaml", "rbac.yaml")
            await cluster.install_restarts()
            token = await server.service_account_token(_NAMESPACE, _ACCOUNT)
            kubeconfig = server.write_kubeconfig(Path(folder) / "kubeconfig", "operator", token=token)
            environment = {
                **stand_in(aws),
                "SYNC_INTERVAL_SEC": "10",
                "CHANGES_INTERVAL_SEC": "1",
                "EVENTS_QUEUE_URL": f"{aws.url}/123456789012/events",
                "LEADER_ELECTION": "true",
                "POD_NAMESPACE": _NAMESPACE,
                "WORKERS": "16",
                "RESTART_MIN_INTERVAL": "0",
            }
            operator = OperatorProcess(kubeconfig=kubeconfig, environment=environment)
            machine = Machine(operator, share)
            benign = Benign(cluster, aws.world, random.Random(seed + 1), machine=machine)
            probe = Probe(operator, machine, benign.kinds)
            scene = Scene(cluster, aws, operator, benign, rand)
            await benign.begin()
            async with operator:
                await operator.until_ready(START)
                background = [asyncio.create_task(one.run()) for one in (machine, benign, probe)]
                try:
                    await _acts(scene, verdict, seconds, _order(rand, kinds or list(KINDS)), lanes, say)
                except Ended as end:
                    verdict.problems.append(str(end))
                finally:
                    for task in background:
                        task.cancel()
                    results = await asyncio.gather(*background, return_exceptions=True)
                verdict.problems += [
                    f"the run itself failed: {error!r}" for error in results if isinstance(error, Exception)
                ]
                _judge(scene, probe, verdict)
                if log:
                    log.write_text(operator.log)  # noqa: ASYNC240 - at the end, when nothing is timed
    return verdict


async def _acts(
    scene: Scene,
    verdict: Verdict,
    seconds: float,
    order: Iterator[str],
    lanes: int,
    say: Callable[[str], None],
) -> None:
    benign = scene.benign
    await _while_alive(scene, _settle(benign))
    say(f"{OBJECTS} objects are in step; their changes begin")
    benign.lateness = verdict.alone
    await _while_alive(scene, _changes(benign, min(10.0, seconds / 4)))
    await _while_alive(scene, _settle(benign))
    say(f"{seconds:.0f} s of hostile tenants, messages and answers begin")
    benign.lateness = verdict.beside
    works = [_lane(scene, order, seconds) for _ in range(lanes)]
    await _while_alive(scene, _changes(benign, seconds), *works, _tell(scene, seconds, say))
    say("quiet again: everything must be right")
    try:
        await _while_alive(scene, _settle(benign))
    except AssertionError as problem:
        verdict.problems.append(str(problem))
    verdict.problems += await benign.unready()


async def _while_alive(scene: Scene, *works: object) -> None:
    """Do these things. Raises Ended as soon as the operator has ended."""
    tasks = asyncio.gather(*works)  # type: ignore[call-overload]
    death = asyncio.create_task(scene.operator.wait(None))
    try:
        await asyncio.wait({tasks, death}, return_when=asyncio.FIRST_COMPLETED)
        if death.done():
            tasks.cancel()
            await asyncio.gather(tasks, return_exceptions=True)
            raise Ended(_obituary(scene))
        await tasks
    finally:
        death.cancel()
        await asyncio.gather(death, return_exceptions=True)


def _obituary(scene: Scene) -> str:
    operator = scene.operator
    why = f"more than {MEMORY_LIMIT // MIB} MiB" if operator.exceeded_memory else f"exit code {operator.exit_code}"
    last = "\n".join(line[:600] for line in operator.log.splitlines()[-5:])
    return f"the operator ended: {why} (during {', '.join(sorted(scene.benign.kinds))}); it logged last:\n{last}"


async def _settle(benign: Benign) -> None:
    async def right() -> None:
        wrong = list(benign.wrong())
        assert not wrong, f"{len(wrong)} Secrets are wrong: {wrong[0]}"

    await eventually(right, within=SETTLE)


async def _changes(benign: Benign, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await benign.change()
        await asyncio.sleep(benign.rand.expovariate(_CHANGES_A_SECOND))


def _order(rand: random.Random, kinds: Sequence[str]) -> Iterator[str]:
    """Each kind comes once before any comes again."""
    while True:
        yield from rand.sample(kinds, len(kinds))


async def _lane(scene: Scene, order: Iterator[str], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = next(order)
        scene.ran[name] += 1
        scene.benign.note_kind(name)
        try:
            async with asyncio.timeout(KIND):
                await KINDS[name](scene)
        except TimeoutError:
            scene.ran[f"{name}, cut short"] += 1
        finally:
            scene.benign.kinds.discard(name)


async def _tell(scene: Scene, seconds: float, say: Callable[[str], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(20, left))
        say(f"  {scene.benign.lateness.changes} changes beside {sum(scene.ran.values())} hostile works")


def _judge(scene: Scene, probe: Probe, verdict: Verdict) -> None:
    verdict.changes, verdict.kinds, verdict.refused = scene.benign.model.changes, scene.ran, scene.refused
    verdict.probes, verdict.worst_probe = probe.asked, probe.worst
    scene.benign.give_up()
    verdict.problems += verdict.alone.problems + verdict.beside.problems
    verdict.problems += scene.benign.problems + scene.problems + logged_bugs(scene.operator.log)
    if probe.failures:
        said = "; ".join(dict.fromkeys(probe.failures[:3] + probe.failures[-1:]))
        verdict.problems.append(
            f"/healthz must answer within {PROBE_LIMIT:g} s, and failed {len(probe.failures)} times: {said}"
        )
    verdict.peak_mib = probe.peak / MIB
    if probe.peak > MEMORY_LIMIT:
        verdict.problems.append(f"the operator took {verdict.peak_mib:.0f} MiB")
