"""Reports awaited Secrets that appear, whatever labels they have, without ever seeing a value.

The informers watch only Secrets with the operator's mark, which a Secret of somebody else gets with the first write. Until
then, a watch of metadata shows when it is created. It runs only while something is awaited, begins at the current version
without a list, and keeps nothing. What it might have missed is reported whenever it begins: a needless report does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from secretsyncer.backoff import Retries
from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import from_status
from secretsyncer.kube.feed import ListWatcher, WatchEvent, read_page
from secretsyncer.kube.objects import Key
from secretsyncer.kube.reflector import BACKOFF, INACTIVITY, LONGEST_RETRY_AFTER, QUIET
from secretsyncer.kube.resources import SECRETS

log = logging.getLogger(__name__)

LIFETIME = 300
"""Seconds of one watch."""
_NAP = 30.0


class Wanted(Protocol):
    """What is awaited. `needed` is set while that is anything."""

    needed: asyncio.Event

    def secrets(self, namespace: str = "") -> Collection[Key]: ...


class Arrivals:
    """Calls `on_arrival` for awaited Secrets that may have appeared. `run` never returns."""

    def __init__(
        self,
        client: ListWatcher,
        wanted: Wanted,
        *,
        namespaces: Sequence[str],
        on_arrival: Callable[[Key], None],
        beat: Callable[[], None],
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._namespaces = namespaces
        self._on_arrival = on_arrival
        self._beat = beat

    async def run(self) -> None:
        """Watch whenever something is awaited, for ever."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                group.create_task(self._run(namespace), name=f"arrivals {namespace}".rstrip())

    async def _run(self, namespace: str) -> None:
        retries = Retries(BACKOFF, clock=asyncio.get_running_loop().time, reset_after=QUIET)
        while True:
            self._beat()
            if not self._wanted.secrets(namespace):
                await self._nap()
                continue
            try:
                await self._watch(namespace)
                await asyncio.sleep(1)  # a broken proxy may end each watch at once
            except KubeError as error:
                seconds = retries.failed(at_least=min(error.retry_after or 0.0, LONGEST_RETRY_AFTER))
                log.warning("watch for awaited secrets failed", extra={"error": str(error)})
                await asyncio.sleep(min(seconds, _NAP))

    async def _nap(self) -> None:
        """Until something is awaited; by another namespace perhaps, so not for less than a moment."""
        try:
            async with asyncio.timeout(_NAP):
                await self._wanted.needed.wait()
        except TimeoutError:
            return
        if len(self._namespaces) > 1:
            await asyncio.sleep(1)

    async def _watch(self, namespace: str) -> None:
        page = read_page(await self._client.list(SECRETS, namespace or None, limit=1, metadata_only=True))
        async with self._client.watch(
            SECRETS,
            namespace or None,
            resource_version=page.version,
            timeout_seconds=LIFETIME,
            inactivity=INACTIVITY,
            metadata_only=True,
        ) as events:
            for key in self._wanted.secrets(namespace):
                self._on_arrival(key)
            async for event in events:
                self._beat()
                self._take(namespace, event)
                if not self._wanted.secrets(namespace):
                    return

    def _take(self, namespace: str, event: WatchEvent) -> None:
        if event.kind == "ERROR":
            raise from_status(event.obj)
        metadata = event.obj.get("metadata")
        if event.kind not in {"ADDED", "MODIFIED"} or not isinstance(metadata, dict):
            return
        key = Key(str(metadata.get("namespace", "")), str(metadata.get("name", "")))
        if key in self._wanted.secrets(namespace):
            self._on_arrival(key)
