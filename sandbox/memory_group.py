"""A limit of memory for one child process, as a container has it: a memory cgroup, where this machine allows one.

The kernel ends a process that exceeds the limit and cannot be made smaller, as it ends a container. Works with both
versions of cgroups. Without the rights to make a group, `make` returns None, and the caller has to look at the peak
of the process itself.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Self

_ROOTS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.events"),
)
_ENTER = 'echo $$ >"$0" && exec "$@"'
_PATIENCE = 2.0
"""Seconds in which the kernel has to notice that the last process of a group has ended."""


class MemoryGroup:
    """One cgroup. `close` removes it, once its process has ended."""

    def __init__(self, folder: Path, events: str) -> None:
        self.folder = folder
        self._events = folder / events

    @classmethod
    def make(cls, limit: int) -> Self | None:
        """A new group with a limit in bytes; None where this machine does not allow it."""
        for parent, file, events in _ROOTS:
            folder = parent / f"secretsyncer-{uuid.uuid4().hex[:8]}"
            try:
                folder.mkdir()
            except OSError:
                continue
            try:
                if (folder / file).exists():
                    (folder / file).write_text(str(limit))
                    return cls(folder, events)
            except OSError:
                pass
            folder.rmdir()
        return None

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        """The command line that runs this command in the group, under the same process id."""
        return "/bin/sh", "-c", _ENTER, str(self.folder / "cgroup.procs"), *command

    @property
    def kills(self) -> int:
        """How many processes the kernel has ended because of the limit."""
        lines = (line.split() for line in self._events.read_text().splitlines())
        return next((int(number) for name, number in lines if name == "oom_kill"), 0)

    def close(self) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.05)
