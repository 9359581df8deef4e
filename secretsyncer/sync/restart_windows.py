"""When workloads may be restarted: hours of the week, in time zones. Pure.

A window begins at `from` on each of its days, and ends at `to`, on the next day if `to` is not later. Both are times of the
clock on the wall, so a window is an hour shorter or longer when the clock changes within it. A time that the clock skips
is the moment after the gap. Of a time that the clock shows twice, a window begins with the first and ends with the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from secretsyncer.synced_secret.restart import DAYS, RestartWindow

_AHEAD = range(-1, 8)
"""Days from today on which a window begins that is open now, or is the next to open."""


def opening(windows: Sequence[RestartWindow], now: float) -> float:
    """The next time, from now on, when a restart is allowed: now, or the beginning of a window. Unix seconds."""
    if not windows:
        return now
    return min(max(begin, now) for begin, end in _intervals(windows, now) if end > now)


def _intervals(windows: Iterable[RestartWindow], now: float) -> Iterator[tuple[float, float]]:
    for window in windows:
        zone = ZoneInfo(window.timezone)
        today = datetime.fromtimestamp(now, zone).date()
        for day in (today + timedelta(days=ahead) for ahead in _AHEAD):
            if not window.days or DAYS[day.weekday()] in window.days:
                after = timedelta(days=window.to <= window.from_)
                yield _moment(day, window.from_, zone, fold=0), _moment(day + after, window.to, zone, fold=1)


def _moment(day: date, clock: str, zone: ZoneInfo, *, fold: int) -> float:
    wall = datetime.combine(day, time.fromisoformat(clock), zone)
    # With fold=1, a time in a gap would be before the gap.
    exists = datetime.fromtimestamp(wall.timestamp(), zone).replace(tzinfo=None) == wall.replace(tzinfo=None)
    return wall.replace(fold=fold if exists else 0).timestamp()
