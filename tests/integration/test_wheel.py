"""What a wheel contains: the package and its engine, and nothing that only development needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The paths in a wheel built without the hook that compiles the engine, which takes a minute."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT, env={**os.environ, "HATCH_BUILD_NO_HOOKS": "true"}, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]


def test_it_has_the_package_and_its_metadata_only(paths):
    top = {path.parts[0] for path in paths}
    assert {name for name in top if not name.endswith(".dist-info")} == {"secretsyncer"}
    assert {PurePosixPath("secretsyncer/cli.py"), PurePosixPath("secretsyncer/py.typed")} <= set(paths)


def test_it_has_no_sandbox_no_go_source_and_no_tests(paths):
    assert [str(path) for path in paths if {"sandbox", "tests", "bench", "go"} & set(path.parts)] == []
    assert [str(path) for path in paths if path.suffix == ".go" or path.name.startswith("test_")] == []
