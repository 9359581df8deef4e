"""A headless Chromium, steered over its DevTools protocol: what a person at a screen or a phone would see.

`async with Browser(find_chromium()) as browser:` starts one with an empty profile. Nothing of the page's own content
policy stands in the way of `evaluate`, and nothing but the pages asked for is loaded.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any, Self

import aiohttp

HOW_TO_GET = "no Chromium: install it (Debian: apt-get install chromium), or set CHROMIUM to the path of one"
FLAGS = (
    "--headless",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PHONE, SMALL_PHONE, DESKTOP = (390, 844), (360, 640), (1280, 800)
LIGHT, DARK = "light", "dark"


def find_chromium() -> str | None:
    """The path of a Chromium; None where there is none."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Browser:
    """One page of one browser."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._profile = Path(tempfile.mkdtemp(prefix="chromium-"))
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            self._program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self._profile), "LANG": "C.UTF-8"},
        )  # fmt: skip
        self._session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(60):
                self._socket = await self._session.ws_connect(await self._address(), max_msg_size=0)
            await self.call("Page.enable")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _address(self) -> str:
        port = self._profile / "DevToolsActivePort"
        while True:
            if self._process.returncode is not None:
                raise RuntimeError(f"{self._program} ended with {self._process.returncode}")
            if port.exists() and (lines := port.read_text().split()):
                async with self._session.get(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                    pages = [one for one in await answer.json() if one["type"] == "page"]
                if pages:
                    return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(10):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    async def call(self, method: str, *, until: str = "", **params: Any) -> Any:
        """A command's result; with `until`, once that event has come, too."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        result, waiting = None, {number, until} - {""}
        async with asyncio.timeout(60):
            while waiting:
                said = json.loads((await self._socket.receive()).data)
                waiting -= {said.get("id"), said.get("method")}
                if said.get("id") == number:
                    assert "error" not in said, said
                    result = said["result"]
        return result

    async def open(self, url: str, size: tuple[int, int] = DESKTOP) -> None:
        """Load a page on a screen of that size; as on a phone where it is narrow."""
        phone = size[0] < DESKTOP[0] // 2
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        await self.call("Page.navigate", until="Page.loadEventFired", url=url)

    async def prefer(self, scheme: str) -> None:
        """Ask for a light or a dark page from now on."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def evaluate(self, expression: str, *, until: str = "") -> Any:
        """The value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", until=until, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def type(self, text: str) -> None:
        """Write into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def enter(self) -> None:
        """Press Enter, and wait for the page that it leads to."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await self.call("Input.dispatchKeyEvent", type="keyDown", until="Page.loadEventFired", **key)

    async def tab(self) -> None:
        """Press the Tab key."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    async def seen_by_screen_readers(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of the page."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        return [
            (str(node["role"]["value"]), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node["ignored"]
        ]

    async def screenshot(self, height: int = 0) -> bytes:
        """A PNG of what is on the screen, or of so much of the page."""
        options: dict[str, Any] = {}
        if height:
            width = await self.evaluate("innerWidth")
            options = {
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
            }
        answer = await self.call("Page.captureScreenshot", format="png", **options)
        return base64.b64decode(answer["data"])
