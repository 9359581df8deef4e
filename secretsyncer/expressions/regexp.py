"""Regular expressions of users: RE2, which takes linear time, so that no pattern can block the operator.

The syntax is that of Go's `regexp`, as in templates. Python's `re` can take exponential time for a hostile pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

LONGEST_NAME = 4096
"""Characters of a key that is rewritten, and of what it becomes on the way."""

Change = tuple[str, str] | Callable[[str], str]
"""A pattern and its replacement, or a function."""

_GROUP = re.compile(r"\$(\$|[0-9]{1,2}|\{[0-9]{1,2}\})")


def compile(pattern: str) -> Any:  # noqa: A001 - what it does
    """The compiled pattern. Raises ValueError with the problem."""
    import re2  # noqa: PLC0415 - it takes 2.6 MiB, and most objects have no regular expression

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20  # bytes; RE2's own default is eight times that
    try:
        return re2.compile(pattern, options)
    except re2.error as exc:
        reason = exc.args[0].decode() if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        raise ValueError(f"not a regular expression (RE2 syntax): {reason}") from None


def replacement(pattern: Any, target: str) -> str:
    """The RE2 form of a replacement with $1, ${1} and $$. Raises ValueError for a group that does not exist."""

    def group(match: re.Match[str]) -> str:
        name = match[1].strip("{}")
        if name == "$":
            return "$"
        if int(name) > pattern.groups:
            raise ValueError(f"target names group {name}; source has {pattern.groups}")
        return f"\\g<{name}>"

    return _GROUP.sub(group, target.replace("\\", "\\\\"))


def upper(text: str) -> str:
    """Upper case, character by character, as Go does it: `\u00df` stays."""
    return "".join(made if len(made := character.upper()) == 1 else character for character in text)


def lower(text: str) -> str:
    """Lower case, character by character."""
    return "".join(made if len(made := character.lower()) == 1 else character for character in text)


def rewrite(rules: Sequence[Change], key: str, charge: Callable[[str], None] = lambda _: None) -> str:
    """The key after all rules, in order. A key that is not valid text is not changed.

    `charge` is called with the name before each rule; what it raises ends the rewrite.

    Raises ValueError, without the text of the key, if it is or becomes too long.
    """
    name = key
    if len(key) > LONGEST_NAME:
        raise ValueError(f"is longer than {LONGEST_NAME} characters, too long for rewrite")
    try:
        for rule in rules:
            charge(name)
            if callable(rule):
                name = rule(name)
                continue
            source, target = rule
            pattern = compile(source)
            name = _replace_all(pattern, replacement(pattern, target), name)
    except UnicodeError:
        return key
    return name


def _replace_all(pattern: Any, target: str, text: str) -> str:
    """Replace like Go: `.*` matches once, where Python would find one more empty match at the end."""
    end = size = 0

    def expand(match: Any) -> str:
        nonlocal end, size
        counts = match.end() > end or match.start() == 0
        end = match.end()
        made = str(match.expand(target)) if counts else ""
        size += len(made)
        if size > LONGEST_NAME:
            raise ValueError(f"becomes longer than {LONGEST_NAME} characters by rewrite")
        return made

    return str(pattern.sub(expand, text))
