"""Text for a terminal: tables, colours, and nothing that could control the terminal.

Messages and Events come from the cluster, so they may contain anything. Colours are used only on a terminal, and not if
NO_COLOR is set (no-color.org).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence

from secretsyncer.errors import clip
from secretsyncer.explain.state import Acts

Paint = Callable[[int, int, str], str]
"""Takes the number of a row and of a column, and the padded cell."""
_GAP = "   "
_LEAST = 20
"""Characters of the last column at least, however narrow the terminal is."""
_COLOURS = {Acts.SOMEBODY: 31, Acts.OPERATOR: 33, Acts.PENDING: 33, Acts.SUSPENDED: 36, Acts.NOBODY: 32}
_BOLD = 1


class Screen:
    """Standard output. `width` is None if it is not a terminal: then nothing is cut."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self.width = shutil.get_terminal_size().columns if terminal else None
        self._colours = terminal and not os.environ.get("NO_COLOR")

    def bold(self, text: str) -> str:
        return self._painted(text, _BOLD)

    def state(self, text: str, acts: Acts) -> str:
        """A text in the colour of the state."""
        return self._painted(text, _COLOURS[acts])

    def _painted(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def table(self, rows: Sequence[Sequence[str]], paint: Paint = lambda _row, _column, cell: cell) -> list[str]:
        """The rows with aligned columns. On a terminal, the last column ends where the terminal does."""
        texts = [[clean(cell) for cell in row] for row in rows]
        *widths, last = (max(map(len, column)) for column in zip(*texts, strict=True))
        if self.width:
            last = min(last, max(_LEAST, self.width - sum(widths) - len(_GAP) * len(widths)))
        lines = []
        for number, row in enumerate(texts):
            cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)] + [clip(row[-1], last)]
            lines.append(_GAP.join(paint(number, column, cell) for column, cell in enumerate(cells)).rstrip())
        return lines


def clean(text: str) -> str:
    """The text on one line, without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)
