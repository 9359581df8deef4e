"""Programs that check what we give to others: promtool and helm, from the PATH or from where `make tools` puts them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HOW_TO_GET = "no {0} here: run `make tools`, or put {0} on the PATH"


def tool(name: str) -> str:
    """The path of the program; the test is skipped, and says how to get it, where there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made = cache / "secretsyncer/tools" / platform.machine()
    found = shutil.which(name) or shutil.which(name, path=made)
    if found is None:
        pytest.skip(HOW_TO_GET.format(name))
    return found


def run(*command: str | Path, stdin: str = "") -> str:
    """What it prints; AssertionError with its complaint where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
    return done.stdout
