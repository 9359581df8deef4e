"""Programs that try what we give to others: kubectl, and promtool and helm, which `make tools` gets."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

KUBECTL = "no kubectl 1.21 or later on the PATH, which knows kustomize's components"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secretsyncer"
"""Where `make tools`, `make envtest` and `.ci/image` put what they make."""

HOW_TO_GET = "no {0} here: run `make tools`, or put {0} on the PATH"


def tool(name: str) -> str:
    """The path of the program; the test is skipped, and says how to get it, where there is none."""
    made = CACHE / "tools" / platform.machine()
    found = shutil.which(name) or shutil.which(name, path=made)
    if found is None:
        pytest.skip(HOW_TO_GET.format(name))
    return found


def run(*command: str | Path, stdin: str = "") -> str:
    """What it prints; AssertionError with its complaint where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
    return done.stdout


def _has_kubectl() -> bool:
    if shutil.which("kubectl") is None:
        return False
    version = json.loads(run("kubectl", "version", "--client", "--output", "json"))["clientVersion"]
    return (int(version["major"]), int(version["minor"].rstrip("+"))) >= (1, 21)


needs_kubectl = pytest.mark.skipif(not _has_kubectl(), reason=KUBECTL)
"""For tests that build kustomizations."""
