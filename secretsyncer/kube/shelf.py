"""Objects in memory by namespace and key, with a limit on what they take together.

Whoever may create objects decides how much of them there is to keep. Beyond the limit, the namespace that has the most
keeps only stubs of its objects, so the others lose nothing. What a stub lacks is read from the API server when it is
needed.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, ItemsView, Mapping
from types import MappingProxyType
from typing import NamedTuple

from secretsyncer.kube.objects import Key, Object

log = logging.getLogger(__name__)

STUB = "stub"
"""Field of a stub."""
_NOTHING: Mapping[Key, Object] = MappingProxyType({})


def is_stub(obj: Object | None) -> bool:
    """Whether there is only a stub of the object."""
    return obj is not None and STUB in obj


class Limit(NamedTuple):
    """`weigh`: the bytes that a stub of the object would save, none for a stub. `stub`: makes one."""

    most: int
    weigh: Callable[[Object], int]
    stub: Callable[[Object], Object]


class Shelf:
    """The objects. They keep to the limit, if there is one."""

    def __init__(self, limit: Limit | None = None) -> None:
        self._limit = limit
        self._objects: dict[str, dict[Key, Object]] = {}
        self._weights: dict[Key, int] = {}  # of those that have one
        self._bytes: defaultdict[str, int] = defaultdict(int)  # by namespace
        self._total = 0
        self._told: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key.namespace, _NOTHING).get(key)

    def items(self, namespace: str = "") -> list[tuple[Key, Object]]:
        """Those of one namespace, or all."""
        found = [self._items(namespace)] if namespace else [each.items() for each in self._objects.values()]
        return [item for items in found for item in items]

    def objects(self) -> list[Object]:
        return [obj for _, obj in self.items()]

    def keys(self, namespace: str = "") -> list[Key]:
        return [key for key, _ in self.items(namespace)]

    def put(self, key: Key, obj: Object) -> None:
        """Keep the object, or a stub of it."""
        self._objects.setdefault(key.namespace, {})[key] = obj
        if self._limit:
            self._weigh(key, self._limit.weigh(obj))
            while self._total > self._limit.most:
                self._reduce(max(self._bytes, key=self._bytes.__getitem__), self._limit)

    def pop(self, key: Key) -> None:
        """Forget the object, if it is there."""
        objects = self._objects.get(key.namespace, {})
        objects.pop(key, None)
        self._weigh(key, 0)
        if not objects:
            self._objects.pop(key.namespace, None)
            self._bytes.pop(key.namespace, None)

    def _items(self, namespace: str) -> ItemsView[Key, Object]:
        return self._objects.get(namespace, _NOTHING).items()

    def _reduce(self, namespace: str, limit: Limit) -> None:
        objects = self._objects[namespace]
        if namespace not in self._told:
            self._told.add(namespace)
            log.warning(
                "objects of a namespace are too large to be kept, and are read when they are needed",
                extra={"namespace": namespace, "objects": len(objects)},
            )
        for key, obj in objects.items():
            if key in self._weights:
                objects[key] = limit.stub(obj)
                self._weigh(key, 0)

    def _weigh(self, key: Key, weight: int) -> None:
        change = weight - self._weights.pop(key, 0)
        if weight:
            self._weights[key] = weight
        if change:
            self._bytes[key.namespace] += change
            self._total += change
