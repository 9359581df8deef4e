"""What the reference pages have in common."""

from __future__ import annotations

from collections.abc import Iterable


def note(source: str) -> str:
    """The first line of a generated page."""
    return f"<!-- Generated from {source} by `make docs`. Do not edit. -->\n"


def table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    names = tuple(head.split(", "))
    lines = [names, tuple("---" for _ in names), *rows]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "&#124;")
