"""A server program as a child process: its output goes to a log, and it ends by its process id."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_START_LIMIT = 60.0  # seconds; on two idle cores the slowest program needs 3
_LOOK_EVERY = 0.05


class Program:
    """`path` is the program; its log and what it writes to its working directory go to `folder`."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self._folder / f"{self._path.name}.log").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self._path.name} has not been started")
        return self._process.pid

    def start(self, arguments: Sequence[str]) -> None:
        with (self._folder / f"{self._path.name}.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the programs that the user named
                [self._path, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready; RuntimeError with the end of its log if it ends first or takes too long."""
        try:
            async with asyncio.timeout(_START_LIMIT):
                while self.is_running:
                    if await asyncio.to_thread(ready):
                        return
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            pass
        raise RuntimeError(f"{self._path.name} did not start: {self.log[-2000:]}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def post(url: str, body: dict[str, Any], *, token: str = "", trust: Path | None = None) -> dict[str, Any]:
    """POST JSON and read JSON, for use in a thread: nothing that is open here belongs to an event loop."""
    with _open(url, json.dumps(body).encode(), token, trust) as response:
        return dict(json.load(response))


def answers(url: str, *, token: str = "", trust: Path | None = None) -> bool:
    """Whether a GET is answered with a success."""
    try:
        with _open(url, None, token, trust):
            return True
    except (OSError, http.client.HTTPException):
        return False


def _open(url: str, body: bytes | None, token: str, trust: Path | None) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - loopback
    context = ssl.create_default_context(cafile=trust) if trust else None
    return urllib.request.urlopen(request, timeout=5, context=context)  # noqa: S310 - as above
