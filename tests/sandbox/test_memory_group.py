"""The limit of memory for a child process, where this machine allows one."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from sandbox.memory_group import MemoryGroup

LIMIT = 64 << 20


@pytest.fixture
def group():
    made = MemoryGroup.make(LIMIT)
    if made is None:
        pytest.skip("this machine allows no memory cgroup")
    yield made
    made.close()
    assert not made.folder.exists()


def run(group, mebibytes):
    code = f"import os; text = b'x' * ({mebibytes} << 20); print(os.getpid())"
    with subprocess.Popen(group.command([sys.executable, "-c", code]), stdout=subprocess.PIPE) as process:
        said, _ = process.communicate(timeout=60)
    return process, said


def test_a_process_within_the_limit_runs_under_its_own_process_id(group):
    process, said = run(group, 16)
    assert process.returncode == 0
    assert int(said) == process.pid
    assert group.kills == 0


def test_a_process_that_exceeds_the_limit_is_ended(group):
    process, said = run(group, 256)
    assert process.returncode == -signal.SIGKILL
    assert said == b""
    assert group.kills == 1
