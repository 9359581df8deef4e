"""Reads the metrics and the log of an operator, and the declared metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from sandbox.operator import OperatorProcess
from sandbox.usage import MIB, memory
from secretsyncer.metrics import Metrics

_SERIES = re.compile(r"(?P<name>\w+)(\{(?P<labels>.*)\})?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def series(metrics: Mapping[str, float], name: str, **labels: str) -> dict[tuple[str, ...], float]:
    """The series of that name with these labels: the values of all their labels to their value."""
    found = {}
    for key, value in metrics.items():
        if not key.startswith(name):
            continue
        match = _SERIES.fullmatch(key)
        assert match, key
        have = dict(_LABEL.findall(match["labels"] or ""))
        if match["name"] == name and labels.items() <= have.items():
            found[tuple(have.values())] = value
    return found


def total(metrics: Mapping[str, float], name: str, **labels: str) -> float:
    """Their sum."""
    return sum(series(metrics, name, **labels).values())


async def measured(operator: OperatorProcess, name: str, **labels: str) -> float:
    """The sum of this metric at present."""
    return total(await operator.metrics(name), name, **labels)


def log_lines(text: str) -> list[dict[str, Any]]:
    """A JSON log as objects; a line that is none (a traceback from the interpreter) as its text."""
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            lines.append({"level": "error", "message": line})
    return lines


def complaints(text: str) -> list[dict[str, Any]]:
    """The lines of a log that only a bug can cause."""
    return [line for line in log_lines(text) if line["level"] == "error" or "traceback" in line]


def resident_mib(operator: OperatorProcess) -> float:
    """The memory of its process."""
    return memory(operator.pid).now / MIB


def logged_bugs(text: str) -> list[str]:
    """The first tracebacks of a log."""
    tracebacks = [str(line["traceback"]) for line in log_lines(text) if "traceback" in line]
    return [f"a bug was logged: {traceback[-800:]}" for traceback in tracebacks[:3]]


def declared() -> dict[str, set[str]]:
    """The series that `secretsyncer/metrics.py` gives, with their labels."""
    found: dict[str, set[str]] = {}
    registry = Metrics(CollectorRegistry()).registry
    for metric in registry._collector_to_names:  # the registry does not list its collectors otherwise
        for family in metric.describe():
            endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            labels = getattr(family, "_labelnames", None) or metric._labelnames
            for ending in endings:
                found[family.name + ending] = {*labels, *(("le",) if ending == "_bucket" else ())}
    return found
