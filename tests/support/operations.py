"""Counts what the operator does, not how long it takes: instructions of the interpreter in its own code.

A count does not depend on the machine, so that twice the objects can be compared with twice the work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import secretsyncer

_OURS = str(Path(secretsyncer.__file__).parent)


class Operations:
    """`count` is the number of instructions so far."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def operations() -> Iterator[Operations]:
    """Count while the block runs, in this thread."""
    counted = Operations()

    def on_instruction(frame, event, _argument):
        if event == "opcode":
            counted.count += 1
        return on_instruction

    def on_call(frame, _event, _argument):
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return on_instruction

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield counted
    finally:
        sys.settrace(before)
