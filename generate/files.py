"""Every generated file, with the text that it should have."""

from __future__ import annotations

import re
from pathlib import Path

from generate import crd, editor_schema, fields, metrics, regions, settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_INCLUDED = re.compile(r"(<!-- file: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LANGUAGES = {".yaml": "yaml", ".json": "json", ".sh": "sh"}


def files() -> dict[Path, str]:
    """The generated files, and the pages that show files."""
    made = {
        ROOT / "manifests" / "base" / "crd.yaml": crd.text(),
        ROOT / "manifests" / "syncedsecret.schema.json": editor_schema.text(),
        ROOT / "secretsyncer" / "aws" / "region_names.py": regions.text(),
        DOCS / "reference" / "fields.md": fields.page(),
        DOCS / "reference" / "settings.md": settings.page(),
        DOCS / "reference" / "metrics.md": metrics.page(),
    }
    written = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    return {**made, **{page: with_files(page) for page in written}}


def with_files(page: Path) -> str:
    """The page, with each block between `<!-- file: PATH -->` and `<!-- end -->` replaced by the file's content.

    So the examples in the pages are the files that the tests render. Paths are relative to the page.
    """

    def block(match: re.Match[str]) -> str:
        file = page.parent / match[2]
        language = _LANGUAGES.get(file.suffix, "text")
        return f"{match[1]}```{language}\n{file.read_text().rstrip()}\n```\n{match[3]}"

    return _INCLUDED.sub(block, page.read_text())
