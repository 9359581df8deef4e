"""A scripted API server, an informer on it, and what its handlers heard."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import pytest

from secretsyncer.kube.informer import Informer
from secretsyncer.kube.reflector import BACKOFF
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.kube.streamed_lists import StreamedLists
from secretsyncer.loops import Heartbeats
from tests.support.scripted_api import ScriptedApi

STEADY = dataclasses.replace(BACKOFF, rand=lambda: 0.0)


@pytest.fixture
def api():
    return ScriptedApi()


@pytest.fixture
def heard():
    return []


@pytest.fixture
async def heartbeats():
    return Heartbeats(asyncio.get_running_loop().time)


@pytest.fixture
def late(heartbeats):
    """The loops that have not beaten for longer than their limit."""
    return lambda: [name for name, check in heartbeats.checks.items() if check()]


@pytest.fixture(params=["pages", "stream"])
def streamed(request):
    """For each form of lists. A test of one form overrides it."""
    return StreamedLists() if request.param == "stream" else None


@pytest.fixture
async def running(api, metrics, heartbeats, heard, streamed):
    """Make an informer that runs until the test ends; handlers' calls go to `heard`."""
    tasks = []

    def run(**options):
        options = {
            "backoff": STEADY,
            "metrics": metrics,
            "heartbeats": heartbeats,
            "streamed": streamed,
            **options,
        }
        informer = Informer(api, SYNCED_SECRETS, **options)
        informer.add_handler(lambda kind, key, old, new: heard.append((str(kind), key.name)))
        tasks.append(asyncio.create_task(informer.run()))
        informer.task = tasks[-1]
        return informer

    yield run
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
