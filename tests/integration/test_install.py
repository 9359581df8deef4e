"""`.ci/install`: uv installs if it is available, otherwise pip, and nothing without the locked hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = "little-1.0-py3-none-any.whl"


@pytest.fixture
def checkout(tmp_path):
    """A checkout that has nothing but what installing needs, and no index but a folder with one wheel."""
    for name in (".ci/install", "requirements/uv.lock"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / WHEEL, "w") as wheel:
        wheel.writestr("little.py", "")
        wheel.writestr("little-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: little\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("little-1.0.dist-info/WHEEL", tags)
        wheel.writestr("little-1.0.dist-info/RECORD", "")
    return tmp_path


def lock(checkout: Path, *, digest: str = "") -> Path:
    digest = digest or hashlib.sha256((checkout / "wheels" / WHEEL).read_bytes()).hexdigest()
    file = checkout / "little.lock"
    file.write_text(f"little==1.0 --hash=sha256:{digest}\n")
    return file


def install(checkout: Path, *, uv: str, python: str = sys._base_executable) -> subprocess.CompletedProcess[str]:
    """Run it with `uv`, a shell script, as the uv on the PATH."""
    folder = checkout / "bin"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\n{uv}\n")
    (folder / "uv").chmod(0o755)
    environment = {
        "HOME": str(checkout),
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHON": python,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(checkout / "wheels"),
    }
    command = [checkout / ".ci/install", "only", "made", "little.lock"]
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=250
    )


def installed(checkout: Path) -> list[str]:
    return [path.name for path in checkout.glob("made/lib/python*/site-packages/little.py")]


def test_pip_installs_if_uv_is_not_available(checkout):
    lock(checkout)
    done = install(checkout, uv="echo uv 0.4.1")  # too old, and the index has no other
    assert done.returncode == 0, done.stderr
    assert "uv cannot be installed: pip does it" in done.stdout
    assert installed(checkout) == ["little.py"]


def test_an_interpreter_that_is_not_there_is_named(checkout):
    lock(checkout)
    done = install(checkout, uv="exit 1", python="python3.99")
    assert done.returncode == 1
    assert done.stderr == "install: python3.99 is not found (make PYTHON=python3.13 ... chooses another one)\n"


def test_pip_installs_if_uv_fails(checkout):
    lock(checkout)
    done = install(checkout, uv='[ "$1" = --version ] && echo uv 9.0.0')
    assert done.returncode == 0, done.stderr
    assert "uv failed: pip does it" in done.stdout
    assert installed(checkout) == ["little.py"]


def test_what_is_not_as_locked_is_not_installed(checkout):
    lock(checkout, digest="0" * 64)
    done = install(checkout, uv="exit 1")
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert installed(checkout) == []
