"""`make demo` and `make sandbox`: Kubernetes, AWS and the operator on one machine."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

from sandbox.kubernetes_client import Object
from sandbox.operator import OperatorProcess
from sandbox.playground import Playground, together
from secretsyncer.synced_secret import target_of

LIMIT = 60.0
"""The time limit of each step, in seconds."""
_ROTATED = "mysql"
_FAILING = {"denied", "broken"}
_NOT_SYNCED = {*_FAILING, "suspended"}


def say(text: str = "") -> None:
    print(text, flush=True)


def main() -> int:
    """Run the demo; returns its exit code."""
    try:
        return asyncio.run(_until_stopped(_demo(), code=130))
    except (RuntimeError, TimeoutError) as exc:
        print(f"demo: {exc or 'a step took too long'}", file=sys.stderr)
        return 1


async def _until_stopped(work: Coroutine[None, None, int], *, code: int) -> int:
    """The exit code of the work, or `code` after Ctrl-C or SIGTERM.

    Ctrl-C reaches the programs that the work has started, too. So what fails afterwards is not reported.
    """
    task = asyncio.create_task(work)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # what is being ended is not cut short
            stopping = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    (result,) = await asyncio.gather(task, return_exceptions=True)
    if stopping:
        print("stopped", file=sys.stderr)
        return code
    if isinstance(result, BaseException):
        raise result
    return result


async def _demo() -> int:
    began = time.monotonic()
    say("Starting Kubernetes, AWS and the operator on this machine ...")
    async with Playground() as ground:
        await together(_start_kubernetes(ground), _start_aws(ground))
        async with ground.operator(POLL_INTERVAL_SEC="1", LOG_FORMAT="text") as operator:
            say(f"  Operator:   ready after {await operator.until_ready():.1f} s (POLL_INTERVAL_SEC=1)")
            if ground.is_compiling:
                say("  Templates:  the engine is being compiled, once")
            objects = await ground.apply_samples()
            say(f"  Samples:    {len(objects)} SyncedSecrets from manifests/samples applied\n")
            failures = [await _show_objects(ground, objects), await _show_rotation(ground)]
            await _show_conditions(ground, objects)
            await _show_calls(operator)
            code = await operator.stop()
            say(f"\nOperator stopped by SIGTERM: exit code {code}")
            failures.append(code != 0)
    bad = sum(failures)
    say(
        f"{'FAILED' if bad else 'Done'} in {time.monotonic() - began:.0f} s. Next: make sandbox, to try it by hand."
    )
    return int(bool(bad))


async def _start_kubernetes(ground: Playground) -> None:
    await ground.start_kubernetes()
    say(f"  Kubernetes: {ground.description}")


async def _start_aws(ground: Playground) -> None:
    say(f"  AWS:        moto's server, {await ground.start_aws()} secrets in it")


async def _show_objects(ground: Playground, objects: list[Object]) -> bool:
    """Print the Secret or the reason of each sample; returns whether one differs from its file."""
    say("The Secrets appear:")
    wrong = False
    for obj in objects:
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        ready = await _condition(ground, namespace, name)
        secret = await ground.client.get("Secret", *target_of(obj))
        keys = ", ".join(sorted((secret or {}).get("data") or {})) or "no Secret"
        say(f"  {name:<18} Ready={ready['status']:<6} {ready['reason']:<20} {keys}")
        wrong |= (ready["status"] == "True") == (name in _NOT_SYNCED) or (ready["status"] == "True") != bool(secret)
    return wrong


async def _show_rotation(ground: Playground) -> bool:
    say(f"\nThe password of {_ROTATED} is rotated in AWS:")
    password = f"rotated-{os.getpid()}"

    async def followed() -> bool:
        secret = await ground.client.get("Secret", "demo", "single-keys") or {}
        return password in {base64.b64decode(value).decode() for value in (secret.get("data") or {}).values()}

    value = f'{{"user": "contentful", "password": "{password}", "port": 3306}}'
    await ground.secrets.put(_ROTATED, value)
    began = time.monotonic()
    await _until(followed, "the Secret does not follow the rotation")
    say(f"  Secret demo/single-keys has it after {time.monotonic() - began:.2f} s")
    return False


async def _show_conditions(ground: Playground, objects: list[Object]) -> None:
    say("\nObjects that fail say why, and their Secrets are left unchanged:")
    for obj in objects:
        if obj["metadata"]["name"] in _FAILING:
            ready = await _condition(ground, obj["metadata"]["namespace"], obj["metadata"]["name"])
            say(f"  {obj['metadata']['name']}: {ready['reason']}: {ready['message']}")


async def _show_calls(operator: OperatorProcess) -> None:
    calls: Counter[str] = Counter()  # by operation, successful or not
    for name, value in (await operator.metrics()).items():
        if name.startswith("secretsyncer_aws_calls_total"):
            calls[name.split('operation="')[1].split('"')[0]] += int(value)
    say("\nAWS calls so far:")
    for operation, count in sorted(calls.items()):
        say(f"  {operation:<20} {count}")


async def _condition(ground: Playground, namespace: str, name: str) -> Object:
    """The Ready condition, once there is one and the operator does not retry."""
    found: dict[str, Object] = {}

    async def settled() -> bool:
        obj = await ground.client.get("SyncedSecret", namespace, name) or {}
        found.clear()
        found.update(
            {condition["type"]: condition for condition in (obj.get("status") or {}).get("conditions") or []}
        )
        return "Ready" in found and found.get("Reconciling", {}).get("status") != "True"

    await _until(settled, f"{name} has no condition, or is still retried")
    return found["Ready"]


async def _until(true: Callable[[], Awaitable[bool]], problem: str) -> None:
    end = time.monotonic() + LIMIT
    while not await true():
        if time.monotonic() > end:
            raise RuntimeError(f"{problem} after {LIMIT:.0f} s")
        await asyncio.sleep(0.02)


def sandbox() -> int:
    """Run the sandbox until Ctrl-C or SIGTERM; returns its exit code."""
    try:
        return asyncio.run(_until_stopped(_sandbox(), code=0))
    except RuntimeError as exc:
        print(f"sandbox: {exc}", file=sys.stderr)
        return 1


async def _sandbox() -> int:
    print("Starting Kubernetes, AWS and the operator ...", file=sys.stderr, flush=True)
    async with Playground() as ground:
        await together(ground.start_kubernetes(), ground.start_aws())
        async with ground.operator(POLL_INTERVAL_SEC="1", LOG_FORMAT="text") as operator:
            await operator.until_ready()
            await ground.apply_samples()
            print(
                f"Kubernetes is {ground.description}. In another terminal, with kubectl and the AWS CLI:\n",
                file=sys.stderr,
                flush=True,
            )
            variables = {"KUBECONFIG": str(ground.kubeconfig), **ground.aws.environment()}
            say("\n".join(f"export {name}={value}" for name, value in variables.items()))
            say(f'export PATH="{Path(sys.executable).parent}:$PATH"')
            print(_HINTS.format(port=operator.port, log=operator.log_file), file=sys.stderr, flush=True)
            await operator.wait(limit=None)
            print(operator.log[-4000:], file=sys.stderr)
            return 1


_HINTS = """
kubectl get syncedsecrets -n demo
kubectl get secret -n demo single-keys -o yaml
kubectl secretsyncer status -n demo
kubectl secretsyncer why demo/broken
aws secretsmanager put-secret-value --secret-id mysql \\
    --secret-string '{{"user": "me", "password": "new", "port": 1}}'
aws ssm put-parameter --name /demo/web/timeout --value 60s --overwrite

Status page: http://127.0.0.1:{port}/   Metrics: http://127.0.0.1:{port}/metrics
Log: {log}
Ctrl-C stops everything."""

if __name__ == "__main__":
    sys.exit(main())
