"""A Kubernetes API server in this process: for the demo, for fast tests, and for faults on demand.

It keeps everything in memory and listens on loopback in the caller's event loop. It serves what the operator and
kubectl's get, describe, apply, edit, delete, wait and events need: resource versions and 410, watches with bookmarks,
selectors, pages, tables, CRDs with pruning and validation, the status subresource, merge patches, conflicts. It knows
users by their tokens and has no RBAC: every user may do everything. The same contract tests run against it and against
a real kube-apiserver (`tests/sandbox`); what it does not serve needs the real one (`make envtest`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Self

from aiohttp import web

from sandbox import access
from sandbox.kubeapi import builtins
from sandbox.kubeapi.bodies import Target, Writer
from sandbox.kubeapi.controllers import Controllers
from sandbox.kubeapi.crds import CRDS
from sandbox.kubeapi.faults import Faults
from sandbox.kubeapi.objects import Objects
from sandbox.kubeapi.operations import Operations
from sandbox.kubeapi.requests import WRITES
from sandbox.kubeapi.resources import Registry
from sandbox.kubeapi.server import RequestKey, Server
from sandbox.kubeapi.store import Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RESOURCES = (builtins.NAMESPACES, builtins.SECRETS, builtins.EVENTS, builtins.LEASES, CRDS)


class EmbeddedKubernetes:
    """`async with EmbeddedKubernetes() as api:` serves until the block ends.

    `port` 0 takes a free one and keeps it over `stop_listening`. A watch can start from any of the last `history`
    writes; from before them, the answer is 410. `bookmark_interval` is in seconds.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        history: int = 1000,
        bookmark_interval: float = 60.0,
        users: tuple[str, ...] = ("admin",),
    ) -> None:
        self._port = port or access.free_port()
        self._tokens = {f"token-of-{user}": user for user in users}
        self._store = Store(history)
        registry = Registry(_RESOURCES)
        objects = Objects(self._store, registry)
        Controllers(self._store, registry, objects)
        self._server = Server(
            self._store,
            registry,
            Operations(self._store, registry, objects),
            tokens=self._tokens,
            bookmark_interval=bookmark_interval,
        )
        self._runner: web.ServerRunner | None = None
        for name in NAMESPACES:
            body = {"metadata": {"name": name}}
            objects.create(Target(builtins.NAMESPACES, "", ""), body, Writer())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        return next(iter(self._tokens))

    @property
    def ca_file(self) -> Path | None:
        return None

    @property
    def faults(self) -> Faults:
        return self._server.faults

    @property
    def requests(self) -> Counter[RequestKey]:
        """Requests by verb and resource since the start, or since its `clear()`."""
        return self._server.requests

    def writes(self) -> int:
        """The number of requests that asked for a change."""
        return sum(count for key, count in self.requests.items() if key.verb in WRITES)

    def write_kubeconfig(self, path: Path, user: str = "admin") -> Path:
        token = next(token for token, name in self._tokens.items() if name == user)
        return access.write_kubeconfig(path, url=self.url, user=user, token=token)

    def compact(self) -> None:
        """Forget the history, as etcd's compaction does: a watch that resumes from before gets 410."""
        self._store.compact()

    async def start_listening(self) -> None:
        """Listen, or listen again: on the same port, with the same data."""
        server = web.Server(self._server.handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def stop_listening(self) -> None:
        """Refuse connections and cut the open ones; the data stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start_listening()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.faults.clear()
        await self.stop_listening()
