"""Foreign text without the values of a Secret.

The API server passes on what admission policies and webhooks say, and they may quote the object that they refuse, with its
values in base64. Whatever the answer to a write of a Secret says goes through `scrub` before anybody sees it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable

from secretsyncer.errors import MESSAGE_LIMIT

PART = 8
"""Characters of the shortest part of a value that is hidden."""
_SHORTEST = 2
"""Characters of the shortest value that is hidden where it stands alone. One character would hide everything."""
_HIDDEN = "***"


def scrub(text: str, values: Iterable[bytes]) -> str:
    """The text, at most MESSAGE_LIMIT characters of it, without the values, plain and in base64, and without parts of them."""
    text = text[:MESSAGE_LIMIT]
    hidden = bytearray(len(text))
    grams: dict[str, list[int]] = {}
    for position in range(len(text) - PART + 1):
        grams.setdefault(text[position : position + PART], []).append(position)
    for value in values:
        for form in _forms(value):
            if len(form) < PART:
                _hide_alone(text, form, hidden)
                continue
            for start in range(len(form) - PART + 1):
                for position in grams.get(form[start : start + PART], ()):
                    hidden[position : position + PART] = b"\x01" * PART
    return _masked(text, hidden)


def _forms(value: bytes) -> Iterable[str]:
    """A value as it may be quoted: its text, the text in JSON, and base64."""
    text = value.decode(errors="replace")
    yield text
    if "\n" in text or '"' in text or "\\" in text:
        yield text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    yield b64encode(value).decode()


def _hide_alone(text: str, form: str, hidden: bytearray) -> None:
    if len(form) < _SHORTEST:
        return
    for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text):
        hidden[match.start() : match.end()] = b"\x01" * len(form)


def _masked(text: str, hidden: bytearray) -> str:
    parts, inside = [], False
    for position, char in enumerate(text):
        if hidden[position] and not inside:
            parts.append(_HIDDEN)
        elif not hidden[position]:
            parts.append(char)
        inside = bool(hidden[position])
    return "".join(parts)
