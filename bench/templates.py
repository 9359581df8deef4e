"""Templates: the engine in WebAssembly compared with native Go, and the lag of the event loop meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, Limit, at_most, at_most_times, median, percentile
from bench.ground import Ground
from bench.say import say
from bench.sync import NEVER
from hatch_build import ENVIRONMENT, goroot
from sandbox.usage import MIB, memory
from secretsyncer.gotemplate.contract import EngineCatalogue, Rendered
from secretsyncer.gotemplate.engine import TemplateEngine

TEMPLATE = """\
{{- $cfg := "" -}}
{{- range $secretID, $_ := filterByTagKey .Secrets "tag1" -}}
{{- $secretValue := getSecretValueMap $secretID -}}
{{- $cfg = printf "%shost=%s user=%s password=%s\\n" $cfg $secretValue.host $secretValue.user $secretValue.password -}}
{{- end -}}
{{- $cfg -}}
"""
"""The pgbouncer example of the Go operator."""
ROUNDS = 60


def _values(count: int) -> dict[str, str]:
    fields = [{"host": f"db-{n}.example.com", "user": f"user-{n}", "password": f"secret-{n}"} for n in range(count)]
    return {f"bench/db-{n:05d}": json.dumps(value) for n, value in enumerate(fields)}


async def templates(count: int) -> list[Figure]:
    """One template over so many tagged secrets."""
    say(f"a template over {count} tagged secrets")
    work = f"template over {count} secrets"
    values = _values(count)
    limit = await asyncio.to_thread(_native, values)
    taken, lag = await _engine(values)
    figures = [
        at_most_times(
            work, "a rendering, median", median(taken), Limit(limit, "Go's engine, compiled natively"), times=10
        ),
        at_most(work, "lag of the event loop, 99th of 100", percentile(lag, 0.99) * 1e3, "ms", 50),
    ]
    return figures + await _in_the_operator(work, values)


def _native(values: dict[str, str]) -> float:
    """Seconds per render in native Go, built with the same compiler as the operator's engine."""
    source = Path(__file__).with_name("native")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "native"
        native = {**ENVIRONMENT, "GOOS": "", "GOARCH": "", "GOROOT": str(goroot()), "GOCACHE": f"{folder}/cache"}
        command = [str(goroot() / "bin" / "go"), "build", "-o", str(program), "."]
        subprocess.run(command, cwd=source, env={**os.environ, **native}, check=True)
        work = json.dumps({"Template": TEMPLATE, "Secrets": values})
        said = subprocess.run([str(program)], input=work, capture_output=True, text=True, check=True).stdout
    return int(said) / 1e9


async def _engine(values: dict[str, str]) -> tuple[list[float], list[float]]:
    """Seconds of each rendering, and how late the loop was during others: to look each millisecond costs time, too."""
    entry = {"Tags": {"tag1": ""}, "CurrentVersionID": "v1", "UpdatedAt": None}
    catalogue = EngineCatalogue(dict.fromkeys(values, entry))
    engine = TemplateEngine(cache_dir=Path(tempfile.gettempdir()) / "secretsyncer-bench")
    lag: list[float] = []

    async def watch_the_loop() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lag.append(time.perf_counter() - before - 0.001)

    async def rounds() -> list[float]:
        taken = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            result = await engine.render(TEMPLATE, catalogue, values)
            taken.append(time.perf_counter() - started)
            assert isinstance(result, Rendered)
            assert len(result.output.splitlines()) == len(values)
        return taken

    try:
        await engine.render(TEMPLATE, catalogue, values)  # loads it
        taken = await rounds()
        watcher = asyncio.create_task(watch_the_loop())
        await rounds()
        watcher.cancel()
    finally:
        await asyncio.to_thread(engine.close)
    return taken, lag


async def _in_the_operator(work: str, values: dict[str, str]) -> list[Figure]:
    """The calls of the first render, and the memory of the engine."""
    async with Ground() as ground:
        for name, text in values.items():
            ground.world.create(name, text, tags={"tag1": ""})
        await ground.kube.namespace("bench")
        metadata = {"namespace": "bench", "name": "templated"}
        spec = {"data": [{"name": "all", "valueFrom": {"template": TEMPLATE}}]}
        manifest = {
            "apiVersion": "secrets.contentful.com/v1",
            "kind": "SyncedSecret",
            "metadata": metadata,
            "spec": spec,
        }
        async with ground.operator(**NEVER) as operator:
            before = memory(operator.pid).now
            ground.forget_calls()
            await ground.kube.create(manifest)
            await operator.until_changed(1)
            calls, used = ground.calls(), memory(operator.pid).now
    wanted = -(-len(values) // 20)
    return [
        at_most(work, "calls for values", calls.total(), "calls", wanted),
        at_most(work, "memory of the engine", (used - before) / MIB, "MiB", 60),
    ]
