"""Reads on demand: `spec.refreshInterval`, and the refresh annotation.

Normally, the operator reads a value when a listing shows a new version. An object can request it sooner, or without a
listing, at most every MIN_REFRESH seconds. The first reconcile of an object counts as a read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from secretsyncer.kube.objects import Key, Object
from secretsyncer.sync.observed import refresh_token
from secretsyncer.synced_secret.formats import MIN_REFRESH

SLACK = 0.9
"""Fraction of a refresh interval after which it counts as over, because timers are not exact."""


class Asking(Protocol):
    """What matters of an object that may be refreshed."""

    @property
    def key(self) -> Key: ...

    @property
    def uid(self) -> str: ...

    @property
    def refresh_interval(self) -> float | None: ...


class _Refresh(NamedTuple):
    """The time of the last read on demand, and the value of the annotation at that time."""

    uid: str
    token: str | None
    at: float
    evicted: float
    """When values were last read again for the object; the first reconcile does not count."""


class Refreshes:
    """The last refresh of each object. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[Key, _Refresh] = {}

    def is_due(self, obj: Object, synced: Asking) -> bool:
        """Whether the object needs a refresh."""
        last, interval = self._last.get(synced.key), synced.refresh_interval
        return (
            last is None
            or last.uid != synced.uid
            or (last.token != refresh_token(obj) and self._clock() - last.evicted >= MIN_REFRESH)
            or (interval is not None and self._clock() - last.at >= interval * SLACK)
        )

    def due_in(self, obj: Object, synced: Asking) -> float | None:
        """Seconds after which the object may be due; None: only after a new annotation."""
        last = self._last.get(synced.key)
        waits = last is not None and last.uid == synced.uid and last.token != refresh_token(obj)
        return MIN_REFRESH if waits else synced.refresh_interval

    def note(self, obj: Object, synced: Asking) -> bool:
        """Record a refresh. False for the first reconcile of the object."""
        last, now = self._last.get(synced.key), self._clock()
        again = last is not None and last.uid == synced.uid
        self._last[synced.key] = _Refresh(synced.uid, refresh_token(obj), now, now if again else float("-inf"))
        return again

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)
