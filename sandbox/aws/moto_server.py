"""moto's server as the AWS of the sandbox: a child process on a free port of loopback.

It is a child process and not a thread, because moto's backends belong to their process: two servers share nothing, and
the data of one ends with it. It has no resource policies and its sessions do not expire, so tests of permissions use
`http` instead.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import aiohttp

REGION = "eu-west-1"
_START_LIMIT = 60.0  # seconds; a start takes about 2


class MotoServer:
    """`async with MotoServer() as aws:` serves until the block ends. RuntimeError if it does not start."""

    def __init__(self, *, region: str = REGION) -> None:
        self.url = ""
        self._region = region
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """The variables that send every AWS client to this server, with dummy credentials."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    async def reset(self) -> None:
        """Delete everything in it."""
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.post(f"{self.url}/moto-api/reset") as response,
        ):
            await response.read()

    async def __aenter__(self) -> Self:
        with tempfile.TemporaryDirectory(prefix="moto-") as folder:
            log = Path(folder) / "log"
            self._process = _start(log)
            try:
                self.url = await _announced_url(self._process, log)
            except BaseException:
                await self.__aexit__()
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _start(log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )


async def _announced_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the server prints when it listens."""
    try:
        async with asyncio.timeout(_START_LIMIT):
            while process.poll() is None:
                if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", _text_of(log)):
                    return found[1]
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise RuntimeError(f"moto's server did not start: {_text_of(log)[-2000:]}")


def _text_of(log: Path) -> str:
    return log.read_text(errors="replace")
