"""Go templates of External Secrets, whose data are the keys of the object, as templates over `.Data`.

`convert` changes only where a template looks: `.key` becomes `.Data.key`. A template that uses its data in another way
(`range`, `with`, `index .`, `$`) becomes a named template that gets `.Data` as its data, and stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_QUOTED = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`' + r"|'(?:[^'\\\n]|\\.)*'"
_COMMENT = r"/\*.*?\*/"
_ACTION = re.compile(
    rf"\{{\{{(?P<left>-(?=\s))?(?P<body>\s*{_COMMENT}\s*|(?:{_QUOTED}|(?!\}}\}})[^\"`'])*?)(?P<right>(?<=\s)-)?\}}\}}",
    re.DOTALL,
)
_PARTS = re.compile(f"({_QUOTED})", re.DOTALL)
_FIELD = re.compile(r"(?<![\w.)\]$])\.([^\W\d]\w*)")
_ROOT = re.compile(r"(?<![\w)\]])\.(?![^\W\d])|\$(?![^\W\d])")
_SCOPES = {"range", "with", "define", "template", "block", "break", "continue"}
_OPENING = {"if", "range", "with", "define", "block"}
_WORD = re.compile(r"\s*([a-z]+)\b")


class _Action(NamedTuple):
    start: int
    end: int
    left: str
    body: str
    right: str

    @property
    def word(self) -> str:
        """The keyword, if any."""
        found = _WORD.match(self.body)
        return found[1] if found else ""


def convert(name: str, text: str) -> str | None:
    """The template, or None if it is not one. `name` is the key that it makes."""
    actions = list(_actions(text))
    if text.count("{{") and not actions:
        return None
    if not any(action.word in _SCOPES or _uses_root(action) for action in actions):
        return _with_fields(text, actions)
    text, definitions = _without_definitions(text, actions)
    label = json.dumps(name if name not in re.findall(r'define\s+"([^"]*)"', definitions) else f"{name} itself")
    return f"{definitions}{{{{ define {label} }}}}{text}{{{{ end }}}}{{{{ template {label} .Data }}}}"


def fields(text: str) -> set[str]:
    """The keys that the template reads from its data, as far as this can be seen in it."""
    actions = list(_actions(text))
    if any(action.word in _SCOPES or _uses_root(action) for action in actions):
        return set()
    return {name for action in actions for code in _code(action.body) for name in _FIELD.findall(code)}


def prints_data(text: str) -> bool:
    """Whether the template prints all of its data, which Go does in its own notation."""
    actions = list(_actions(text))
    inside = any(action.word in {"range", "with"} for action in actions)
    return not inside and any(action.body.strip() in {".", "$"} for action in actions)


def calls(text: str, function: str) -> bool:
    """Whether the template may call the function."""
    pattern = re.compile(rf"(?<![\w.$]){function}\b")
    return any(pattern.search(code) for action in _actions(text) for code in _code(action.body))


def _actions(text: str) -> Iterator[_Action]:
    for found in _ACTION.finditer(text):
        yield _Action(found.start(), found.end(), found["left"] or "", found["body"], found["right"] or "")


def _code(body: str) -> list[str]:
    """What of an action is not a literal or a comment."""
    return [] if re.fullmatch(rf"\s*{_COMMENT}\s*", body, re.DOTALL) else _PARTS.split(body)[::2]


def _uses_root(action: _Action) -> bool:
    return any(_ROOT.search(code) for code in _code(action.body))


def _with_fields(text: str, actions: list[_Action]) -> str:
    made, done = [], 0
    for action in actions:
        parts = _PARTS.split(action.body)
        if _code(action.body):
            parts[::2] = [_FIELD.sub(r".Data.\1", code) for code in parts[::2]]
        made += [text[done : action.start], "{{", action.left, *parts, action.right, "}}"]
        done = action.end
    return "".join([*made, text[done:]])


def _without_definitions(text: str, actions: list[_Action]) -> tuple[str, str]:
    """The text without its named templates, which cannot be inside of another one; and these."""
    definitions, rest, done, depth = [], [], 0, 0
    opened: _Action | None = None
    for action in actions:
        if action.word == "define" and depth == 0:
            opened = action
        depth += (action.word in _OPENING) - (action.word == "end")
        if opened and depth == 0:
            inner = text[opened.end : action.start]
            definitions.append(f"{{{{{opened.body}{opened.right}}}}}{inner}{{{{{action.left} end }}}}")
            # A comment trims the white space around it as the definition did.
            comment = f"{{{{{opened.left and '- '}/* */{action.right and ' -'}}}}}"
            rest += [text[done : opened.start], comment if opened.left or action.right else ""]
            done, opened = action.end, None
    return "".join([*rest, text[done:]]), "".join(definitions)
