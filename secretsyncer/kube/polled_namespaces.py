"""Namespaces polled by name, for an operator that may read them but not list all.

A Role can grant `get` on its own namespace. It cannot grant `list` or `watch`, not even for one name, because these are
requests for the whole cluster. With WATCH_NAMESPACE, each namespace is therefore read every `INTERVAL` seconds. For the
reflector, this looks like the API server: a list of the existing ones, then a watch with the differences as events, and
a bookmark after each round as a sign of life.

It is between the client and the informer of namespaces. Only one reflector may use it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from secretsyncer.errors import KubeError
from secretsyncer.kube.feed import WatchEvent
from secretsyncer.kube.objects import Object
from secretsyncer.kube.reflector import OUTDATED
from secretsyncer.kube.resources import Resource
from secretsyncer.loops import loop_time

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two rounds: a change of the annotation takes effect within this time."""
_NEVER = "1"
"""The version of an empty list. Not empty or 0, which make a watch send everything."""


class Getter(Protocol):
    """The part of `KubeClient` that is needed."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...


class PolledNamespaces:
    """Lists and watches the objects with these names, of a kind that has no namespaces."""

    def __init__(self, client: Getter, names: Sequence[str], *, interval: float = INTERVAL) -> None:
        self._client = client
        self._names = names
        self._interval = interval
        self._seen: dict[str, Object] = {}  # as last reported
        self._version = _NEVER
        self._unreadable: dict[str, str] = {}
        self._read_at: dict[str, float] = {}

    def unreadable(self) -> str | None:
        """The namespaces that could not be read in the last round, with the cause; None if all could."""
        return ", ".join(f"{name} ({cause})" for name, cause in sorted(self._unreadable.items())) or None

    async def list(self, resource: Resource, namespace: str | None = None, **_: Any) -> Object:
        """The existing ones, in one page."""
        del namespace
        found = await self._read_all(resource)
        self._seen = {name: obj for name, obj in found if obj}
        for obj in self._seen.values():
            self._version = obj["metadata"]["resourceVersion"]
        items = list(self._seen.values())
        return {"kind": f"{resource.kind}List", "metadata": {"resourceVersion": self._version}, "items": items}

    @asynccontextmanager
    async def watch(
        self, resource: Resource, namespace: str | None = None, *, timeout_seconds: int, **_: Any
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """The differences from what was reported before. Ends after `timeout_seconds` like any watch."""
        del namespace
        # Read before the watch counts as open, so that a denial shows in the informer's health.
        first = await self._round(resource)
        yield self._events(resource, first, rounds=int(timeout_seconds / self._interval))

    async def _events(
        self, resource: Resource, first: Sequence[WatchEvent], *, rounds: int
    ) -> AsyncIterator[WatchEvent]:
        for event in first:
            yield event
        for _ in range(rounds):
            await asyncio.sleep(self._interval)
            for event in await self._round(resource):
                yield event

    async def _round(self, resource: Resource) -> Sequence[WatchEvent]:
        """Read all namespaces. Raises if one cannot be read, so that nothing is recorded as seen but not reported."""
        found = await self._read_all(resource)
        events = [event for name, new in found for event in self._difference(name, new)]
        bookmark = {"kind": resource.kind, "metadata": {"resourceVersion": self._version}}
        return [*events, WatchEvent("BOOKMARK", bookmark)]

    def _difference(self, name: str, new: Object | None) -> Iterator[WatchEvent]:
        old = self._seen.pop(name, None)
        if new is not None:
            self._seen[name] = new
            self._version = new["metadata"]["resourceVersion"]
        if old is None and new is not None:
            yield WatchEvent("ADDED", new)
        elif old is not None and new is None:
            yield WatchEvent("DELETED", old)
        elif old is not None and new is not None and _identity(old) != _identity(new):
            yield WatchEvent("MODIFIED", new)

    async def _read_all(self, resource: Resource) -> Sequence[tuple[str, Object | None]]:
        """Every namespace by its name; None for one that is not there or not known. Raises if none can be read."""
        found = []
        failures: dict[str, KubeError] = {}
        for name in self._names:
            obj: Object | None
            try:
                obj = await self._client.get(resource, "", name)
                self._read_at[name] = loop_time()
            except KubeError as error:
                failures[name] = error
                obj = self._last_known(name, error)
            found.append((name, obj))
        problems = [error for error in failures.values() if error.status != 404]
        if problems and len(failures) == len(self._names):
            raise problems[0]
        unreadable = {name: f"{error.status} {error.reason}" for name, error in failures.items()}
        if unreadable != self._unreadable:
            self._unreadable = unreadable
            log.warning("namespaces not readable", extra={"namespaces": self.unreadable()})
        return found

    def _last_known(self, name: str, error: KubeError) -> Object | None:
        """What counts for a namespace that cannot be read: each is its own problem, and must not stop the others.

        The Role goes with its namespace, so the answer for a deleted one is 403. Other failures may pass.
        """
        known = self._read_at.get(name)
        if error.status in {403, 404} or known is None or loop_time() - known > OUTDATED:
            return None
        return self._seen.get(name)


def _identity(obj: Object) -> tuple[str, str]:
    return str(obj["metadata"].get("uid")), str(obj["metadata"]["resourceVersion"])
