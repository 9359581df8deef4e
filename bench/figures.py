"""Figures of a benchmark, each with the limit that was measured in the same run, and whether the target is reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One row of the table. `limit` has the same unit; `wanted` is the target in words."""

    work: str
    what: str
    value: float
    unit: str
    wanted: str
    reached: bool
    limit: float | None = None
    limit_is: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


class Limit(NamedTuple):
    """The limit, and how it was measured."""

    value: float
    words: str


def at_least_of(work: str, what: str, rate: float, limit: Limit, *, part: float) -> Figure:
    """A rate per second; the target is a share of the limit."""
    wanted = f">= {part:.0%} of the limit"
    return Figure(work, what, rate, "/s", wanted, rate >= part * limit.value, *limit)


def at_most(work: str, what: str, value: float, unit: str, most: float) -> Figure:
    return Figure(work, what, value, unit, f"<= {most:g} {unit}".rstrip(), value <= most)


def at_most_times(work: str, what: str, seconds: float, limit: Limit, *, times: float) -> Figure:
    """A time in seconds; the target is a multiple of the limit."""
    reached = seconds <= times * limit.value
    return Figure(
        work, what, seconds * 1e3, "ms", f"<= {times:g} x the limit", reached, limit.value * 1e3, limit.words
    )


def exactly(work: str, what: str, value: float, unit: str, wanted: float) -> Figure:
    return Figure(work, what, value, unit, f"= {wanted:g}", value == wanted)


def told(work: str, what: str, value: float, unit: str) -> Figure:
    """A figure without a target."""
    return Figure(work, what, value, unit, "", reached=True)
