"""Times for people: how long ago something was, in one unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def age(timestamp: Any, now: float) -> str:
    """The time since an RFC 3339 timestamp, in its largest unit; a dash if there is none."""
    try:
        then = datetime.fromisoformat(str(timestamp)).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return "-"
    return seconds(now - then)


def seconds(count: float) -> str:
    """A duration in its largest unit."""
    whole = max(0, int(count))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
