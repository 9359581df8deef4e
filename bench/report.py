"""The table, the raw numbers as JSON, and two plots as SVG."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from bench.figures import Figure

_HEAD = ("work", "figure", "", "limit", "ratio", "wanted", "")


def table(figures: Sequence[Figure]) -> str:
    """A table with one line for each figure."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    limit = f"{_number(figure.limit)} {figure.unit}" if figure.limit else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    mark = ("ok" if figure.reached else "MISSED") if figure.wanted else ""
    return figure.work, figure.what, f"{_number(figure.value)} {figure.unit}", limit, ratio, figure.wanted, mark


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def save(figures: Sequence[Figure], folder: Path) -> None:
    """`figures.json`, and a plot for rates and for sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "figures": [{**figure._asdict(), "ratio": figure.ratio} for figure in figures],
    }
    (folder / "figures.json").write_text(json.dumps(about, indent=1) + "\n")
    rates = [f for f in figures if f.unit == "/s"]
    sizes = [f for f in figures if f.unit == "MiB"]
    for name, title, chosen in (
        ("rates", "Objects a second, and the limit of the same run", rates),
        ("memory", "Memory in MiB", sizes),
    ):
        if chosen:
            (folder / f"{name}.svg").write_text(bars(title, chosen))


def bars(title: str, figures: Sequence[Figure]) -> str:
    """Horizontal bars, the limit as an outline around each."""
    label, width, step = 330, 420, 34
    most = max(max(f.value, f.limit or 0) for f in figures)
    height = 50 + step * len(figures)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {label + width + 90} {height}">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="24">{escape(title)}</text>',
    ]
    for number, figure in enumerate(figures):
        top, long = 40 + step * number, width * figure.value / most
        parts.append(
            f'<text x="{label - 8}" y="{top + 16}" text-anchor="end">{escape(f"{figure.work}: {figure.what}")}</text>'
        )
        parts.append(f'<rect x="{label}" y="{top}" width="{long:.0f}" height="22" fill="#2a78c4"/>')
        if figure.limit:
            reach = width * figure.limit / most
            parts.append(f'<rect x="{label}" y="{top}" width="{reach:.0f}" height="22" fill="none" stroke="#888"/>')
        end = label + max(long, width * (figure.limit or 0) / most) + 6
        parts.append(f'<text x="{end:.0f}" y="{top + 16}">{_number(figure.value)}</text>')
    return "\n".join([*parts, "</svg>", ""])
