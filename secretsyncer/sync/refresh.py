"""Reading again on demand: `spec.refreshInterval`, and an annotation for at once.

By itself the operator reads a value when the listing shows a new version. An object may want it sooner, or without a
listing. The first look at an object counts as a reading: what it is rendered from has been read for it.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from secretsyncer.kube.objects import Key
from secretsyncer.synced_secret import SyncedSecret

REFRESH_ANNOTATION = "secrets.contentful.com/refresh"
"""Anything new here has the object's sources read again at once."""
SLACK = 0.9
"""Part of a refresh interval after which it counts as over: timers and passes are never exact."""


class _Reading(NamedTuple):
    """When an object's sources were last read on demand, and the demand that was met."""

    uid: str
    token: str | None
    at: float


class Refreshes:
    """The last reading of each object."""

    def __init__(self) -> None:
        self._last: dict[Key, _Reading] = {}

    def is_due(self, obj: dict[str, Any], synced: SyncedSecret) -> bool:
        """Whether the object asks for a reading that it has not had."""
        last, interval = self._last.get(synced.key), synced.spec.refresh_interval
        return (
            last is None
            or last.uid != synced.uid
            or last.token != _token(obj)
            or (interval is not None and time.monotonic() - last.at >= interval * SLACK)
        )

    def note(self, obj: dict[str, Any], synced: SyncedSecret) -> bool:
        """It has its reading now. False for the first look at an object."""
        last = self._last.get(synced.key)
        self._last[synced.key] = _Reading(synced.uid, _token(obj), time.monotonic())
        return last is not None and last.uid == synced.uid

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)


def _token(obj: dict[str, Any]) -> str | None:
    token: str | None = (obj["metadata"].get("annotations") or {}).get(REFRESH_ANNOTATION)
    return token
