"""A Python of its own, for tests of what a new process imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def printed(code: str, *arguments: str, cwd: Path | None = None) -> str:
    """What this code prints to the standard output. CalledProcessError if it fails."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=120, cwd=cwd
    )
    return ran.stdout
