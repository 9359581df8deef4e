"""`make test` with a path that does not exist: pytest says so, and nothing else is claimed."""

import subprocess
import sys
from pathlib import Path


def test_a_path_that_does_not_exist_is_named():
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "auto", "tests/unit/nosuch"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 4
    assert "file or directory not found: tests/unit/nosuch" in ran.stderr
    assert "real servers" not in ran.stdout
