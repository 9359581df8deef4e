"""The process: exit codes, signals, ports, readiness. On the embedded API, which can fail on demand."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time

import aiohttp
import pytest

from sandbox.access import free_port
from tests.support.eventually import LIMIT, eventually
from tests.support.measures import complaints, measured
from tests.support.specs import all_keys, literal

DRAIN = 10
"""Seconds that passes have to end."""


async def run_to_its_end(*arguments, **environment):
    """Exit code, standard output and standard error of a command that should end by itself."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "secretsyncer", *arguments,
        env={**inherited, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POLL_INTERVAL_SEC", "often"),
        ("POLL_INTERVAL_SEC", "0"),
        ("SYNC_INTERVAL_SEC", "-1"),
        ("METRICS_LISTEN", "::1:8080"),
        ("METRICS_LISTEN", ":99999"),
        ("NS_ANNOTATION", "not an annotation"),
        ("ADOPT_EXISTING", "perhaps"),
        ("WORKERS", "0"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("POLL_DEFAULT_SEARCH_ROLE", "no role"),
    ],
)
async def test_a_wrong_setting_is_exit_code_2_and_one_line_that_names_it(
    embedded, tmp_path, environment, variable, value
):
    kubeconfig = embedded.write_kubeconfig(tmp_path / "kubeconfig")
    everything = {**environment, "METRICS_LISTEN": "127.0.0.1:0", "KUBECONFIG": str(kubeconfig), variable: value}
    code, out, err = await run_to_its_end("run", **everything)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert variable in line
    assert value in line


async def test_without_a_cluster_it_is_exit_code_2_and_one_line(environment, tmp_path):
    everything = {**environment, "METRICS_LISTEN": "127.0.0.1:0", "HOME": str(tmp_path)}
    code, out, err = await run_to_its_end("run", **everything)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "KUBECONFIG" in line


async def test_without_a_region_it_is_exit_code_2_and_one_line(embedded, environment, tmp_path):
    kubeconfig = embedded.write_kubeconfig(tmp_path / "kubeconfig")
    everything = {**environment, "METRICS_LISTEN": "127.0.0.1:0", "KUBECONFIG": str(kubeconfig), "AWS_REGION": ""}
    code, out, err = await run_to_its_end("run", **everything)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "AWS_REGION" in line


async def test_sigterm_ends_an_idle_operator_at_once(small_operator, small_cluster):
    operator = await small_operator()
    started = time.monotonic()
    assert await operator.stop() == 0
    assert time.monotonic() - started < DRAIN  # it waits for nothing
    assert not complaints(operator.log)


async def test_sigterm_lets_passes_under_way_end(small_operator, small_cluster, aws, name):
    operator = await small_operator()
    space = await small_cluster.space()
    for operation in ("BatchGetSecretValue", "GetSecretValue"):
        aws.fault("hold", operation=operation)
    await space.write("demo", dataFrom=all_keys(name))
    await under_way(operator)
    operator.send(signal.SIGTERM)
    await stopping(operator)
    assert await space.secret("demo") is None
    aws.faults.clear()
    assert await operator.wait() == 0
    assert await space.data("demo") == {"a": b"1"}
    assert (await space.ready("demo"))["status"] == "True"
    assert not complaints(operator.log)


async def test_a_pass_that_hangs_delays_the_end_by_ten_seconds_at_most(small_operator, small_cluster, aws, name):
    operator = await hanging(small_operator, small_cluster, aws, name)
    started = time.monotonic()
    assert await operator.stop() == 0
    assert time.monotonic() - started > DRAIN - 1
    assert "reconciles cancelled" in operator.log  # so it did not end by itself, which it would after 25 s


async def test_a_second_signal_ends_it_at_once(small_operator, small_cluster, aws, name):
    operator = await hanging(small_operator, small_cluster, aws, name)
    operator.send(signal.SIGTERM)
    await stopping(operator)
    started = time.monotonic()
    operator.send(signal.SIGINT)
    assert await operator.wait() == 1
    assert time.monotonic() - started < DRAIN


async def stopping(operator):
    async def probe():
        assert '"operator stopping"' in operator.log

    await eventually(probe)


async def hanging(small_operator, small_cluster, aws, name):
    """An operator in the middle of a pass that does not end."""
    operator = await small_operator()
    space = await small_cluster.space()
    for operation in ("BatchGetSecretValue", "GetSecretValue"):
        aws.fault("hang", operation=operation)
    await space.write("demo", dataFrom=all_keys(name))
    await under_way(operator)
    return operator


async def under_way(operator):
    async def probe():
        assert await measured(operator, "secretsyncer_queue_longest_running_seconds") > 0

    await eventually(probe)


@pytest.mark.parametrize(
    ("form", "host"),
    [(":{}", "127.0.0.1"), (":{}", "[::1]"), ("127.0.0.1:{}", "127.0.0.1"), ("[::1]:{}", "[::1]")],
)
async def test_metrics_listen_takes_every_usual_form(small_operator, small_cluster, form, host):
    if "::1" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    port = free_port()
    await small_operator(METRICS_LISTEN=form.format(port), ready=False)

    async def served():
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/metrics") as response:
            assert response.status == 200
            assert "secretsyncer_build_info" in await response.text()

    await eventually(served)


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_a_port_that_is_taken_is_exit_code_2_and_one_line(embedded, environment, tmp_path):
    kubeconfig = embedded.write_kubeconfig(tmp_path / "kubeconfig")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = await run_to_its_end(
            "run", **{**environment, "METRICS_LISTEN": listen, "KUBECONFIG": str(kubeconfig)}
        )
    assert code == 2
    lines = [line for line in err.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, err
    assert f"METRICS_LISTEN={listen}" in lines[0]


async def test_it_is_not_ready_until_aws_has_been_listed_and_has_the_reason(
    small_operator, small_cluster, aws, name
):
    fault = aws.fault("denied", operation="ListSecrets")
    operator = await small_operator(ready=False)

    async def told():
        assert "port" in operator.log, "it does not listen yet"
        status, text = await operator.get("/readyz")
        assert status == 503
        assert "aws" in text
        assert "ListSecrets" in text, text
        assert "syncedsecrets" not in text

    await eventually(told)
    assert (await operator.get("/healthz"))[0] == 200
    _, verbose = await operator.get("/readyz?verbose")
    assert "[+] syncedsecrets" in verbose
    # What can be done without a listing is done.
    space = await small_cluster.space()
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    aws.faults.remove(fault)
    await operator.until_ready()
    _, verbose = await operator.get("/healthz?verbose")
    informers = ("syncedsecrets", "namespaces", "secrets", "secrets with old mark")
    loops = [*(f"informer {name}" for name in informers), "arrivals", "poller", "poller ParameterStore", "workers"]
    loops.append("kubernetes credentials")
    assert sorted(verbose.splitlines()) == sorted([*(f"[+] {loop}" for loop in loops), "ok"])


async def test_it_waits_for_a_kubernetes_api_that_is_not_there_yet(small_operator, small_cluster, embedded):
    await embedded.stop_listening()
    operator = await small_operator(ready=False)

    async def told():
        assert "port" in operator.log, "it does not listen yet"
        assert (await operator.get("/readyz"))[0] == 503

    await eventually(told)
    await embedded.start_listening()
    await operator.until_ready()
    space = await small_cluster.space()
    await space.write("demo", data=[literal("a", "1")])
    await space.until_synced("demo")


async def test_the_main_job_on_the_embedded_api(small_operator, small_cluster, aws, name):
    """So that a machine without a real API server sees it too."""
    await small_operator()
    space = await small_cluster.space()
    await space.write("demo", dataFrom=all_keys(name), deletionPolicy="Delete")
    await space.until_data("demo", {"a": b"1"})
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("demo", {"a": b"2"})
    await small_cluster.delete("SyncedSecret", space.name, "demo")

    async def collected():
        assert await space.secret("demo") is None

    await eventually(collected)


async def test_the_demo_shows_everything_and_ends_well(tmp_path):
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.demo",
        env={**environment, "KUBEBUILDER_ASSETS": str(tmp_path)},  # the embedded API: the real one has the other tests
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(4 * LIMIT):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    for words in ("the embedded API", "has it after", "RoleNotAllowed", "exit code 0", "Done in"):
        assert words in text, text
