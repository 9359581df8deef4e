"""CPU seconds and memory of a process, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


class Memory(NamedTuple):
    """Resident memory in bytes: the current and the maximum."""

    now: int
    peak: int


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, in steps of 10 ms (proc(5), `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in lines)
        if name in {"VmRSS", "VmHWM"}
    }
    return Memory(found.get("VmRSS", 0), found.get("VmHWM", 0))  # a process that has ended has neither
