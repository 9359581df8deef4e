"""The real operator as a child process, for the demo and for tests.

`async with OperatorProcess(kubeconfig=..., environment=...) as operator:` starts `python -m secretsyncer run` on a
free port of loopback. Its log goes to a file. It inherits no variable that could send it to another cluster or account.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import aiohttp

from sandbox.memory_group import MemoryGroup
from sandbox.usage import memory

_INHERITED = (
    "PATH",
    "HOME",
    "XDG_CACHE_HOME",
    "LANG",
    "PYTHONPATH",
    "TMPDIR",
    "VIRTUAL_ENV",
    "COVERAGE_PROCESS_START",
)
_PROBE_EVERY = 0.02  # seconds
_LIMIT = 60.0
"""Seconds for what takes one or two on an idle machine."""

MEMORY_LIMIT = 512 * 1024 * 1024
"""Bytes that the operator may use in a cluster: `limits.memory` of the Deployment."""


class OperatorProcess:
    """One operator. `environment` holds its settings and AWS's variables.

    `memory_limit` is in bytes, as that of a container; None for none. The kernel enforces it where this machine allows a
    memory cgroup; everywhere, `peak_memory` tells what the process has used at most.
    """

    def __init__(
        self, *, kubeconfig: Path, environment: Mapping[str, str], memory_limit: int | None = MEMORY_LIMIT
    ) -> None:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self.environment = {
            **inherited,
            "METRICS_LISTEN": "127.0.0.1:0",
            "KUBECONFIG": str(kubeconfig),
            **environment,
        }
        self._folder = tempfile.TemporaryDirectory(prefix="secretsyncer-")
        self.log_file = Path(self._folder.name) / "operator.log"
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._port = 0
        self._memory_limit = memory_limit
        self._group: MemoryGroup | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the operator has not been started")
        return self._process

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._running.returncode

    @property
    def peak_memory(self) -> int:
        """Most resident memory so far in bytes, while it runs."""
        return memory(self.pid).peak

    @property
    def exceeded_memory(self) -> bool:
        """Whether the kernel ended it because of its limit."""
        return self._group is not None and self._group.kills > 0

    @property
    def log(self) -> str:
        """Everything that it has logged."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def port(self) -> int:
        """The port of its metrics and health; RuntimeError before it listens."""
        if not self._port:  # it is found once: the log grows
            found = re.search(r'"port": (\d+)|port=(\d+)', self.log)
            if not found:
                raise RuntimeError(f"the operator does not listen yet: {self.log[-2000:]}")
            self._port = int(found[1] or found[2])
        return self._port

    def command(self) -> tuple[str, ...]:
        """The command line. Tests override it to start the operator from an image."""
        return sys.executable, "-m", "secretsyncer", "run"

    async def start(self) -> None:
        if self._memory_limit and self._group is None:
            self._group = MemoryGroup.make(self._memory_limit)
        command = self._group.command(self.command()) if self._group else self.command()
        with self.log_file.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=self.environment, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink,
            )  # fmt: skip
        self._started = time.monotonic()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of its HTTP port."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def until_ready(self, limit: float = _LIMIT) -> float:
        """Seconds from its start until /readyz is ok; RuntimeError with the end of the log if that takes longer from now."""
        answer, asked = "", time.monotonic()
        while time.monotonic() - asked < limit and self._running.returncode is None:
            try:
                status, answer = await self.get("/readyz")
                if status == 200:
                    return time.monotonic() - self._started
            except (aiohttp.ClientError, RuntimeError):
                pass
            await asyncio.sleep(max(_PROBE_EVERY, (time.monotonic() - asked) / 50))
        raise RuntimeError(f"the operator is not ready: {answer}\n{self.log[-4000:]}")

    async def metrics(self, *names: str) -> dict[str, float]:
        """Its metrics: `name{label="value"}` to value. All of them come at most once a second; a few names come at once."""
        _, text = await self.get("/metrics?" + urlencode([("name[]", name) for name in names]))
        samples = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def send(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    async def wait(self, limit: float | None = _LIMIT) -> int:
        """Its exit code, once it has ended; TimeoutError after `limit` seconds (None: never)."""
        async with asyncio.timeout(limit):
            return await self._running.wait()

    async def stop(self, limit: float = _LIMIT) -> int:
        """SIGTERM, and its exit code."""
        if self._running.returncode is None:
            self.send(signal.SIGTERM)
        return await self.wait(limit)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._group is not None:
            self._group.close()
        self._folder.cleanup()
