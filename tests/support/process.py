"""A process of the operator on a cluster and an AWS in memory: everything but HTTP, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from base64 import b64decode

from sandbox.aws.model import World
from secretsyncer.kube.resources import LEASES
from secretsyncer.operator.app import App
from secretsyncer.operator.parts import build
from secretsyncer.settings import Settings
from tests.support.builders import namespace
from tests.support.core import KEY
from tests.support.in_process_aws import WorldApi
from tests.support.memory_cluster import MemoryCluster


class Server:
    """Instead of the HTTP server. `stopped_at` is the number of the cluster's writes when it stopped."""

    port = 8080

    def __init__(self, process):
        self._process = process
        self.started = False
        self.stopped_at = None
        self.error = None

    async def start(self):
        if self.error:
            raise self.error
        self.started = True

    async def stop(self):
        self.stopped_at = len(self._process.cluster.writes)


class Engine:
    """Instead of the template engine, which has threads."""

    closed = False

    def close(self):
        self.closed = True


class Process:
    """One process. `served` are the arguments of its HTTP server: its checks and its page."""

    def __init__(self, metrics, monkeypatch, **settings):
        self.cluster = MemoryCluster()
        self.world = World()
        self.aws = WorldApi(self.world)
        self.settings = Settings(**settings)
        self.stopping = asyncio.Event()
        self.server = Server(self)
        self.served = {}
        self.metrics = metrics
        monkeypatch.setattr("secretsyncer.operator.parts.Server", self._serve)
        parts = build(self.settings, self.cluster, self.aws, metrics)
        self.parts = dataclasses.replace(parts, engine=Engine())
        self.app = App(self.settings, self.parts, metrics)
        self.cluster.put(namespace())

    def _serve(self, host, port, **served):
        self.served = served | {"address": (host, port)}
        return self.server

    @contextlib.asynccontextmanager
    async def running(self):
        """The process while the block runs; then it is asked to stop, and `code` is its exit code."""
        task = asyncio.create_task(self.app.run(self.stopping))
        try:
            yield task
        finally:
            self.stopping.set()
            self.code = await task

    def failing(self, probe):
        """The checks of `health` or `readiness` that fail, with what they say."""
        return {name: problem for name, check in self.served[probe].items() if (problem := check())}

    def data(self, key=KEY):
        secret = self.cluster.secret(key)
        return {name: b64decode(value) for name, value in secret["data"].items()} if secret else {}

    @property
    def holder(self):
        (lease,) = self.cluster.all(LEASES)
        return lease["spec"].get("holderIdentity")

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels)
