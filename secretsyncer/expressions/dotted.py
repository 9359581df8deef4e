"""Dotted paths: names and numbers, separated by dots. A backslash takes the next character as it is."""

from __future__ import annotations

import re

LIMIT = 1024
"""Characters of a path."""

_STEP = r"(?:[^.\\]|\\[\s\S])+"
PATTERN = rf"{_STEP}(?:\.{_STEP})*"
_ESCAPED = re.compile(r"\\([\s\S])")


def steps(path: str) -> list[str]:
    """The names and numbers of a path."""
    return [_ESCAPED.sub(r"\1", step) for step in re.findall(_STEP, path)]


def joined(names: list[str]) -> str:
    """The path that has these steps."""
    return ".".join(re.sub(r"[.\\]", r"\\\g<0>", name) for name in names)


def is_path(text: str) -> bool:
    """Whether the text is a path."""
    return len(text) <= LIMIT and re.fullmatch(PATTERN, text) is not None
