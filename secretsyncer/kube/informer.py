"""A store of one kind of object, kept current by list and watch: one reflector per namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from secretsyncer.backoff import Backoff
from secretsyncer.kube.feed import ListWatcher
from secretsyncer.kube.reflector import BACKOFF, BEAT_LIMIT, OUTDATED, Reflector
from secretsyncer.kube.resources import Resource
from secretsyncer.kube.shelf import Limit
from secretsyncer.kube.store import ObjectStore, Transform
from secretsyncer.kube.streamed_lists import StreamedLists
from secretsyncer.loops import Heartbeats
from secretsyncer.metrics import Metrics


class Informer(ObjectStore):
    """Runs the reflectors that fill it. `run` never returns. `name` is for logs, probes and metrics.

    With `streamed`, lists are streams where the server offers them.
    """

    def __init__(
        self,
        client: ListWatcher,
        resource: Resource,
        *,
        name: str = "",
        namespaces: Sequence[str] = ("",),
        label_selector: str = "",
        metadata_only: bool = False,
        transform: Transform | None = None,
        limit: Limit | None = None,
        page_size: int = 500,
        streamed: StreamedLists | None = None,
        metrics: Metrics,
        heartbeats: Heartbeats,
        backoff: Backoff = BACKOFF,
    ) -> None:
        super().__init__(resource, namespaces=namespaces, transform=transform, limit=limit)
        self.name = name or resource.plural
        self._reflectors = [
            Reflector(
                client,
                self,
                namespace=namespace,
                label_selector=label_selector,
                metadata_only=metadata_only,
                page_size=page_size,
                streamed=streamed,
                metrics=metrics,
                beat=heartbeats.register(f"informer {self.name} {namespace}".rstrip(), limit=BEAT_LIMIT),
                backoff=backoff,
                clock=asyncio.get_running_loop().time,
            )
            for namespace in namespaces
        ]
        self._by_namespace = {reflector.namespace: reflector for reflector in self._reflectors}
        metrics.informer_objects.labels(self.name).set_function(self.__len__)

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=reflector.name)

    def health(self) -> str | None:
        """None while everything is watched, else one line with the cause."""
        return next((problem for reflector in self._reflectors if (problem := reflector.health())), None)

    def is_outdated(self, namespace: str) -> bool:
        watching = self._by_namespace.get("") or self._by_namespace.get(namespace)
        return watching is None or watching.age() > OUTDATED

    def outdated(self) -> str | None:
        """None while one picture is current, else the problem in one line."""
        freshest = min(self._reflectors, key=Reflector.age)
        if freshest.age() <= OUTDATED:
            return None
        return f"not confirmed by the API server for {freshest.age():.0f} s: {freshest.health() or 'it is silent'}"

    def unwatched(self) -> str | None:
        """None while everything is watched, else what is not."""
        return "; ".join(problem for reflector in self._reflectors if (problem := reflector.health())) or None
