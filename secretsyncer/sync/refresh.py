"""Reads on demand: `spec.refreshInterval`, and an annotation that asks for one now.

By itself the operator reads a value when a listing shows a new version. An object may want it sooner, or without a
listing. The first reconcile of an object counts as a read: what it is rendered from is read for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from secretsyncer.kube.objects import Key, Object
from secretsyncer.synced_secret import SyncedSecret

REFRESH_ANNOTATION = "secrets.contentful.com/refresh"
"""A new value of this annotation has the object's sources read again at once."""
SLACK = 0.9
"""Part of a refresh interval after which it counts as over: timers are never exact."""


class _Refresh(NamedTuple):
    """When an object's sources were last read on demand, and the annotation's value then."""

    uid: str
    token: str | None
    at: float


class Refreshes:
    """The last refresh of each object. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[Key, _Refresh] = {}

    def is_due(self, obj: Object, synced: SyncedSecret) -> bool:
        """Whether the object asks for a refresh that it has not had."""
        last, interval = self._last.get(synced.key), synced.spec.refresh_interval
        return (
            last is None
            or last.uid != synced.uid
            or last.token != _token(obj)
            or (interval is not None and self._clock() - last.at >= interval * SLACK)
        )

    def note(self, obj: Object, synced: SyncedSecret) -> bool:
        """The object is refreshed now. False for its first reconcile."""
        last = self._last.get(synced.key)
        self._last[synced.key] = _Refresh(synced.uid, _token(obj), self._clock())
        return last is not None and last.uid == synced.uid

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)


def _token(obj: Object) -> str | None:
    token: str | None = (obj["metadata"].get("annotations") or {}).get(REFRESH_ANNOTATION)
    return token
