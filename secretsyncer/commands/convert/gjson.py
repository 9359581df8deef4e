"""Properties of External Secrets that are more than names (gjson), as JMESPath.

What is not one of these forms has no counterpart: modifiers, pipes, comparisons other than with a text, several wildcards.
"""

from __future__ import annotations

import json
import re

_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_NAMES = rf"{_NAME}(?:\.{_NAME})*"
_COUNT = re.compile(rf"({_NAMES})\.#", re.ASCII)
"""The number of elements of a list."""
_EACH = re.compile(rf"({_NAMES})\.#\.({_NAMES})", re.ASCII)
"""A member of each element."""
_QUERY = re.compile(rf'({_NAMES})\.#\(({_NAME})=="([A-Za-z0-9_ ./:@-]*)"\)\.({_NAMES})', re.ASCII)
"""A member of the first element of which another member is a text."""
_WILDCARD = re.compile(r"(\*?)([A-Za-z0-9_-]+)(\*?)", re.ASCII)
"""The first key that begins so, ends so or contains this."""
_TESTS = {("", "*"): "starts_with", ("*", ""): "ends_with", ("*", "*"): "contains"}


def jmes_path(text: str) -> str:
    """The expression, or nothing for what is a path, or has no counterpart."""
    if found := _COUNT.fullmatch(text):
        return f"length({_names(found[1])})"
    if found := _EACH.fullmatch(text):
        return f"{_names(found[1])}[*].{_names(found[2])}"
    if found := _QUERY.fullmatch(text):
        return f"{_names(found[1])}[?{_names(found[2])}=='{found[3]}'] | [0].{_names(found[4])}"
    found = _WILDCARD.fullmatch(text)
    if found and (test := _TESTS.get((found[1], found[3]))):
        return f"items(@)[?{test}([0], '{found[2]}')] | [0][1]"
    return ""


def _names(path: str) -> str:
    return ".".join(json.dumps(name) for name in path.split("."))
