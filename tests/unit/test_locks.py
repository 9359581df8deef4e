"""The lock files agree: .venv is filled in stages, and no stage may change the packages of an earlier one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LOCKS = Path(__file__).parents[2] / "requirements"


def pins(name: str) -> dict[str, str]:
    """The hashes of each package, version and marker in a lock file."""
    lines = (line for line in (LOCKS / name).read_text().splitlines() if not line.startswith("    #"))
    entries = re.split(r"\n(?! )", "\n".join(lines))
    found = (re.match(r"([\w.-]+)(?:\[.*?\])?(==\S+ (?:; .*?)?)\\\n(.*)", entry, re.DOTALL) for entry in entries)
    return {match[1] + match[2]: match[3] for match in found if match}


@pytest.mark.parametrize(
    ("stage", "whole"), [("run", "demo"), ("build", "demo"), ("demo", "dev")], ids=lambda name: name
)
def test_what_a_stage_installs_the_next_one_leaves_alone(stage, whole):
    stage, whole = pins(f"{stage}.lock"), pins(f"{whole}.lock")
    assert stage
    assert {name: whole.get(name) for name in stage} == stage


def test_every_version_is_checked_by_hash():
    for file in LOCKS.glob("*.lock"):
        packages = re.findall(r"^\w.*$", file.read_text(), re.MULTILINE)
        hashed = [hashes for hashes in pins(file.name).values() if "--hash=sha256:" in hashes]
        assert len(hashed) == len(packages) > 0, file


def test_the_demo_does_not_install_what_only_tests_and_checks_need():
    packages = {pin.partition("==")[0] for pin in pins("demo.lock")}
    assert packages & {"pytest", "mypy", "ruff", "types-aiobotocore", "sympy", "cfn-lint"} == set()
