"""What all tests share: real Kubernetes servers and a moto, a clear word where they are missing, and who runs what.

With `-n` (pytest-xdist), each worker process has servers of its own, and runs whole files.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
from collections import defaultdict
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from sandbox.aws.moto_server import MotoServer
from sandbox.envtest import HOW_TO_GET, RealKubernetes, find_assets
from secretsyncer.metrics import Metrics

pytest_plugins = ["tests.support.coverage_floors"]
pytest.register_assert_rewrite("tests.support.cluster", "tests.support.measures")

TESTS = Path(__file__).parent
LONGEST = (
    "test_fault_process.py",
    "test_restart_faults.py",
    "test_fault_api_server.py",
    "test_fault_objects.py",
    "test_parameter_faults.py",
    "test_disputes.py",
    "test_fault_aws.py",
    "test_deployed.py",
    "test_event_queue_failures.py",
    "test_chaos.py",
    "test_process.py",
    "test_restart_outage.py",
    "test_fault_answers.py",
    "test_bench_smoke.py",
    "test_restarts.py",
    "test_hostile.py",
)
"""Files that take a minute and more. They begin first, so that no worker is left alone with one at the end."""


def pytest_configure(config):
    """There is no event loop but where a test has one: else looptime makes one for the first test that has none.

    Nobody closes that one, and the warning of it fails whichever test the garbage collector runs in.
    """
    asyncio.set_event_loop(None)
    # A fifth of what Kubernetes' servers compute is garbage collection: let them collect more rarely, up to some memory.
    # The benchmarks measure servers with Go's defaults, and the operator does not inherit this.
    os.environ.setdefault("GOGC", "400")
    os.environ.setdefault("GOMEMLIMIT", "1GiB")
    if (version := os.environ.get("ENVTEST_K8S_VERSION")) and find_assets() is None:
        raise pytest.UsageError(
            f"no servers of Kubernetes {version} here: run `ENVTEST_K8S_VERSION={version} make envtest`"
        )
    if hasattr(config, "workerinput"):
        # After everything has been closed and reported, Python would take three more seconds to free each object.
        atexit.register(os._exit, 0)


def pytest_xdist_auto_num_workers(config):
    """How many workers `-n auto` starts: none for a single file, which they would not share.

    None either if a path does not exist: pytest with workers does not say which one. Unit tests compute, so there is one
    worker more than cores; most others wait for longer than they compute, so there are four more.
    """
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    if not all((config.invocation_params.dir / path).exists() for path in paths):
        return 0
    if len(paths) == 1 and paths[0].suffix == ".py":
        return 0
    cores = min(len(os.sched_getaffinity(0)), 4)
    return cores + (1 if all("unit" in path.parts for path in paths) else 4)


def _in_order(items):
    """The items in the order in which workers take their files: the longest first, then those of each folder spread evenly.

    End-to-end tests wait, and unit tests compute: so there is always a worker for each core that computes.
    """
    files = {item.path: None for item in items}
    folders = defaultdict(list)
    for path in files:
        folders[path.relative_to(TESTS).parts[0]].append(path)
    place = {path: at / len(group) for group in folders.values() for at, path in enumerate(group)}
    longest = {path: LONGEST.index(path.name) - len(LONGEST) for path in files if path.name in LONGEST}
    return sorted(items, key=lambda item: (place | longest)[item.path])


def pytest_collection_modifyitems(config, items):
    """Order the files for workers, and skip what needs a real API server where there is none."""
    if hasattr(config, "workerinput"):
        items[:] = _in_order(items)
    if find_assets() is None:
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(pytest.mark.skip(reason=HOW_TO_GET))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Thousands of collected tests stay: the garbage collector need not look through them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_terminal_summary(terminalreporter):
    """Say at the end, in one line, whether real servers took part in tests, and which."""
    stats = terminalreporter.stats
    ended = [report for outcome in ("passed", "failed", "error") for report in stats.get(outcome, ())]
    if any("real" in getattr(report, "keywords", ()) for report in ended):
        terminalreporter.write_line(f"Kubernetes: real servers took part ({find_assets()})")
    elif missed := sum(HOW_TO_GET in str(report.longrepr) for report in stats.get("skipped", ())):
        terminalreporter.section("NOT TESTED on a real API server", yellow=True, bold=True)
        terminalreporter.write_line(f"{missed} tests were skipped: {HOW_TO_GET}")


@pytest.fixture(scope="session")
def assets():
    """The folder of the real Kubernetes servers. Skips where there is none."""
    found = find_assets()
    if found is None:
        pytest.skip(HOW_TO_GET)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_server(assets):
    """A real kube-apiserver with etcd, started once; its `requests` counts what it is asked."""
    async with RealKubernetes(assets, audit=True) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def moto_server():
    """moto's AWS, started once: it is one account for all tests, so their secrets have random names."""
    async with MotoServer() as server:
        yield server


@pytest.fixture
def metrics():
    """The operator's metrics, in a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
def value(metrics):
    """The value of a metric's series."""
    return lambda metric, **labels: metrics.registry.get_sample_value(metric, labels)
