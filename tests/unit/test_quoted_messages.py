"""Messages that the runbook and other pages quote are those of the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
GAP = "\0"


def _literal(node: ast.AST) -> str:
    """The text of a string in the source; GAP stands for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def literals() -> frozenset[str]:
    """All texts of the program on one line."""
    found = set()
    for path in (ROOT / "secretsyncer").rglob("*.py"):
        found |= {PLACEHOLDER.sub(GAP, _literal(node)) for node in ast.walk(ast.parse(path.read_text()))}
    for path in (ROOT / "secretsyncer" / "gotemplate" / "go").glob("*.go"):
        quoted = re.findall(r'"((?:[^"\\\n]|\\.)*)"', path.read_text())
        found |= {re.sub(r"%[a-z]", GAP, text) for text in quoted}
    return frozenset(text for text in found if "\n" not in text)


@cache
def texts() -> frozenset[str]:
    """Those that could be a message."""
    return frozenset(text for text in literals() if len(re.findall(r"\w{2,} ", text)) > 1)


def is_in_the_code(message: str) -> bool:
    """Whether some text of the program, filled in, is the better part of the message."""
    for text in texts():
        parts = text.split(GAP)
        if not all(part in message for part in parts):
            continue  # much quicker than to search for the pattern
        match = re.search(".+".join(map(re.escape, parts)), message)
        if match and len(match[0]) >= len(message) / 3 and len(text.replace(GAP, "")) > 10:
            return True
    return False


def quoted_messages() -> list[str]:
    lines = [line for block in re.findall(r"```text\n(.*?)```", RUNBOOK, re.DOTALL) for line in block.splitlines()]
    parts = [part for line in lines for part in re.split(r"; (?=spec|data)", line)]
    return [re.sub(r" \(\w+: \w+\).*|: \.\.\.$", "", part) for part in parts]


@pytest.mark.parametrize("message", quoted_messages())
def test_every_quoted_message_is_one_of_the_program(message):
    assert is_in_the_code(message)


def test_an_invented_message_is_not_a_message_of_the_program():
    assert len(quoted_messages()) > 10
    assert not is_in_the_code(
        "dataFrom: role arn:aws:iam::123456789012:role/team-a has no time for secret team-b/db"
    )


def test_every_conflict_of_the_runbook_is_one_of_the_program():
    table = RUNBOOK.partition("\n### Conflict\n")[2].partition("\n### ")[0]
    cells = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(cells) > 4
    for cell in cells:
        pieces = [re.escape(piece.strip()) for piece in cell.split("...") if piece.strip()]
        pattern = re.compile(rf"[^\n]*?{GAP}[^\n]*?".join(pieces))
        assert any(pattern.search(text) for text in texts()), cell


@pytest.mark.parametrize("page", ["runbook.md", "events.md"])
def test_every_quoted_log_line_is_one_of_the_program(page):
    text = " ".join((ROOT / "docs" / page).read_text().split())
    quoted = re.findall(r"(?:logs `([a-z ]+)`|`([a-z ]+)` in the log)", text)
    assert quoted
    for line in quoted:
        assert "".join(line) in literals()
