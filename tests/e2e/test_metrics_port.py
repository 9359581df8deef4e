"""The metrics port of a process under clients that want to block it: probes are answered as if they were not there."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.hostile.watch import Machine, Stopwatch
from tests.support.clients import REQUESTS, clients
from tests.support.eventually import LIMIT
from tests.support.http import connect
from tests.support.measures import resident_mib

log = logging.getLogger(__name__)

PROBES = 30
TIMEOUT = 5.0
"""Seconds that the kubelet waits for the answer to a probe, in the manifests. What other tests take from the machine is no
part of them.
"""
SHARE = 0.5
"""What the operator has of the machine while other tests run: the clients and this process wait for a processor, too."""
MEMORY = 48
"""MiB that the clients of the test may cost."""


@pytest_asyncio.fixture(loop_scope="session")
async def operator(small_operator):
    return await small_operator()


async def probe(operator, machine):
    """Ask for its health on a new connection; the seconds until the answer, without what the machine took."""
    watch = Stopwatch(machine)
    async with asyncio.timeout(LIMIT):
        reader, writer = await connect(operator.port, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            assert (await reader.read()).endswith(b"ok\n")
        finally:
            writer.close()
    return watch.own_seconds


async def keep_probing(operator, connected):
    """All are answered before the kubelet gives up, and most at once, however busy the machine is."""
    took, machine = [], Machine(operator, SHARE)
    watching = asyncio.create_task(machine.run())
    try:
        while not connected.done() or len(took) < PROBES:
            took.append(await probe(operator, machine))
            await asyncio.sleep(0.05)
    finally:
        watching.cancel()
    took.sort()
    log.info("%d probes: median %.3f s, longest %.3f s", len(took), took[len(took) // 2], took[-1])
    assert took[len(took) // 2] < 1
    assert took[-1] < TIMEOUT


@pytest.mark.parametrize("count", [130, 1000])
@pytest.mark.parametrize("kind", REQUESTS)
async def test_probes_are_answered_beside_clients(operator, kind, count):
    before = resident_mib(operator)
    async with clients(operator.port, kind, count) as connected:
        await keep_probing(operator, connected)
        assert resident_mib(operator) < before + MEMORY


async def test_metrics_are_served_beside_clients_of_all_kinds(operator):
    async with AsyncExitStack() as stack:
        for kind in REQUESTS:
            await keep_probing(operator, await stack.enter_async_context(clients(operator.port, kind, 100)))
        for _ in range(3):
            assert "secretsyncer_leader" in await operator.metrics()
