"""Cells of tables: the JSONPath of printer columns, and ages in the format of kubectl."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.resources import Column

_STEP = re.compile(
    r"""\.(?P<name>(?:[\w-]|\\.)+)                                             # .name, .a\.b
      | \[\?\(@\.(?P<field>[\w.-]+)\s*==\s*["'](?P<wanted>[^"']*)["']\)\]   # [?(@.type=="Ready")]
    """,
    re.VERBOSE,
)

NAME = Column("Name", "string", lambda obj: obj["metadata"]["name"], format="name")
AGE = Column("Age", "string", lambda obj: age(obj["metadata"].get("creationTimestamp")))
CREATED_AT = Column("Created At", "date", lambda obj: obj["metadata"].get("creationTimestamp"))


def steps_of(path: str) -> list[re.Match[str]]:
    """The steps of a simple JSONPath: names and filters. ValueError for any other."""
    steps, at = [], 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise ValueError(path)
        steps.append(step)
        at = step.end()
    return steps


def found_at(obj: Json, steps: list[re.Match[str]]) -> list[Any]:
    """Everything that a path selects."""
    values: list[Any] = [obj]
    for step in steps:
        values = [selected for value in values for selected in _select(value, step)]
    return values


def _select(value: Any, step: re.Match[str]) -> list[Any]:
    part = step.groupdict()
    if part["name"]:
        name = re.sub(r"\\(.)", r"\1", part["name"])
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    inner = steps_of("." + part["field"])
    return [item for item in value if [str(found) for found in found_at(item, inner)] == [part["wanted"]]]


def custom_columns(given: list[Json]) -> tuple[Column, ...]:
    """The columns of a custom resource: its `additionalPrinterColumns`, or its age."""
    return (NAME, *(_custom_column(item) for item in given)) if given else (NAME, AGE)


def _custom_column(given: Json) -> Column:
    steps, kind = steps_of(given["jsonPath"]), given["type"]

    def cell(obj: Json) -> Any:
        values = found_at(obj, steps)
        if not values or values[0] is None:
            return None
        if kind == "string":
            return " ".join(_text(value) for value in values)
        return age(values[0]) if kind == "date" else values[0]

    return Column(given["name"], kind, cell, given.get("format", ""), given.get("priority", 0))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def age(moment: str | None) -> str:
    """The time since an RFC 3339 timestamp, in the format of `duration.HumanDuration`."""
    if not moment:
        return "<unknown>"
    try:
        since = datetime.now(UTC) - datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return "<invalid>"
    seconds = int(since.total_seconds())
    return human_duration(seconds) if seconds >= -1 else "<invalid>"


def human_duration(seconds: int) -> str:
    """At most two units: `90s`, `5m30s`, `3h20m`, `2d3h`, `400d`."""
    seconds = max(0, seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    for limit, whole, rest in (
        (120, f"{seconds}s", 0),
        (600, f"{minutes}m", seconds % 60),
        (3 * 3600, f"{minutes}m", 0),
        (8 * 3600, f"{hours}h", minutes % 60),
        (48 * 3600, f"{hours}h", 0),
        (8 * 86400, f"{days}d", hours % 24),
        (2 * 365 * 86400, f"{days}d", 0),
        (8 * 365 * 86400, f"{days // 365}y", days % 365),
    ):
        if seconds < limit:
            unit = {"m": "s", "h": "m", "d": "h", "y": "d"}.get(whole[-1], "")
            return f"{whole}{rest}{unit}" if rest else whole
    return f"{days // 365}y"
