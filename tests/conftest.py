"""What all tests share: one real API server and one moto for the whole run, and a clear word where they are missing."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from sandbox.aws.moto_server import MotoServer
from sandbox.envtest import HOW_TO_GET, RealKubernetes, find_assets
from secretsyncer.metrics import Metrics

pytest_plugins = ["tests.support.coverage_floors"]
pytest.register_assert_rewrite("tests.support.cluster", "tests.support.measures")


def pytest_configure():
    """There is no event loop but where a test has one: else looptime makes one for the first test that has none.

    Nobody closes that one, and the warning of it fails whichever test the garbage collector runs in.
    """
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items):
    """Skip what needs a real API server where there is none."""
    if find_assets() is None:
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(pytest.mark.skip(reason=HOW_TO_GET))


def pytest_terminal_summary(terminalreporter):
    """Say at the end, in one line, whether real servers took part, and which."""
    assets = find_assets()
    if assets:
        terminalreporter.write_line(f"Kubernetes: real servers took part ({assets})")
    else:
        missed = sum(HOW_TO_GET in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
        terminalreporter.section("NOT TESTED on a real API server", yellow=True, bold=True)
        terminalreporter.write_line(f"{missed} tests were skipped: {HOW_TO_GET}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_server():
    """A real kube-apiserver with etcd, started once; its `requests` counts what it is asked."""
    assets = find_assets()
    if assets is None:
        pytest.skip(HOW_TO_GET)
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
