"""Removes the values of a Secret from messages of the API server.

Such a message can be that of an admission policy or webhook, which may quote the rejected object with its values in base64.
Every message about the write of a Secret goes through `scrub` before it reaches a status, an Event or a log.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable

from secretsyncer.errors import MESSAGE_LIMIT

PART = 8
"""Characters of the shortest part of a value that is hidden."""
_SHORTEST = 2
"""Characters of the shortest value that is hidden as a word. One character would hide everything."""
_HIDDEN = "***"
_GO_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&"})


def scrub(text: str, values: Iterable[bytes]) -> str:
    """The first MESSAGE_LIMIT characters of the text, without the values and parts of them, plain or in base64."""
    clipped = len(text) > MESSAGE_LIMIT or text.endswith("…")
    text = text[:MESSAGE_LIMIT].removesuffix("…")
    hidden = bytearray(len(text))
    if clipped:  # a value may begin there; whether it does is not shown, either
        hidden[-PART:] = b"\x01" * len(hidden[-PART:])
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
    return _masked(text, hidden) + "…" * clipped


def _forms(value: bytes) -> set[str]:
    """The forms in which a value may be quoted: text, text in JSON (Go escapes more than Python), and base64."""
    text = value.decode(errors="replace")
    forms = {text, b64encode(value).decode(), urlsafe_b64encode(value).decode()}
    if "\ufffd" not in text:
        quoted = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)}
        forms |= {escaped for form in quoted for escaped in (form, form.translate(_GO_ESCAPES))}
    return forms


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
