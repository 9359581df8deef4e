"""Timers of keys: at most one of a key, and one timer of the event loop for all that are due at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
P = TypeVar("P", bound=int)


class _Timer(NamedTuple):
    when: float
    priority: Any


class _Moment(NamedTuple):
    """A time at which keys are due, with one timer of the event loop."""

    handle: asyncio.TimerHandle
    keys: dict[Any, None]


class Timers(Generic[K, P]):
    """Calls `due` with each key, and the smallest priority that was asked for, when the earliest of its times has come."""

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[K, P], None]) -> None:
        self._loop = loop
        self._due = due
        self._timers: dict[K, _Timer] = {}
        self._moments: dict[float, _Moment] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def set(self, key: K, when: float, priority: P) -> None:
        """The key is due then (the time of the loop), or sooner if it already was."""
        timer = self.cancel(key)
        if timer is not None:
            when = min(when, timer.when)
            priority = min(priority, timer.priority)
        self._timers[key] = _Timer(when, priority)
        moment = self._moments.get(when)
        if moment is None:
            moment = self._moments[when] = _Moment(self._loop.call_at(when, self._fire, when), {})
        moment.keys[key] = None

    def cancel(self, key: K) -> _Timer | None:
        """The key is not due any more. Returns when it was, if it was."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            moment = self._moments[timer.when]
            del moment.keys[key]
            if not moment.keys:
                moment.handle.cancel()
                del self._moments[timer.when]
        return timer

    def clear(self) -> None:
        """No key is due any more."""
        for moment in self._moments.values():
            moment.handle.cancel()
        self._moments.clear()
        self._timers.clear()

    def _fire(self, when: float) -> None:
        for key in self._moments.pop(when).keys:
            self._due(key, self._timers.pop(key).priority)
