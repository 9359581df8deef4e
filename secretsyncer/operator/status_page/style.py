"""The style sheet of all pages, and the Content-Security-Policy that names it."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path


def embedded(name: str) -> str:
    """A file of this package that is HTML or CSS already, without its line breaks."""
    return Path(__file__).with_name(name).read_text("utf-8").replace("\n", "")


STYLE = embedded("style.css")
_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of every page: one style sheet, which is in the page, and nothing else."""
