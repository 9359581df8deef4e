"""Ctrl-C in `make demo` and `make sandbox`: everything ends, and one line says so."""

import asyncio
import os
import signal
import sys

import pytest

LIMIT = 120


@pytest.mark.parametrize(
    ("module", "begun", "code"),
    [
        ("sandbox.demo", "Starting Kubernetes", 130),
        ("sandbox.demo", "The Secrets appear", 130),
        ("sandbox", "Starting Kubernetes", 0),
        ("sandbox", "Ctrl-C stops everything.", 0),
    ],
)
async def test_ctrl_c_stops_with_one_line(tmp_path, module, begun, code):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        env={**os.environ, "KUBEBUILDER_ASSETS": str(tmp_path)},  # the embedded API
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT):
            while begun not in (line := (await process.stdout.readline()).decode()):
                assert line, f"it ended before: {begun}"
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: its children get it, too
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    *_, last = output.decode().splitlines()
    assert (process.returncode, last) == (code, "stopped"), output.decode()
    assert "Traceback" not in output.decode()
    with pytest.raises(ProcessLookupError):  # nothing is left of the group
        os.killpg(process.pid, 0)
