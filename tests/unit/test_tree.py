"""No file is too long to be read in one go."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 300
"""Lines of one file."""


def test_no_file_has_more_than_300_lines():
    files = [path for folder in ("secretsyncer", "sandbox", "generate") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert len(lengths) > 100
    assert {name: lines for name, lines in lengths.items() if lines > LIMIT} == {}
