"""The Secrets that objects wait for: they fill some of their keys, and do not create them.

A reconcile registers before it reads, so that no Secret appears unnoticed in between. `kube/arrivals.py` watches for them.
"""

from __future__ import annotations

import asyncio

from secretsyncer.kube.objects import Key


class Awaited:
    """The awaited Secret of each object."""

    def __init__(self) -> None:
        self._by_object: dict[Key, Key] = {}
        self.needed = asyncio.Event()
        """Set while an object waits."""

    def __len__(self) -> int:
        return len(self._by_object)

    def wait(self, key: Key, secret: Key) -> None:
        """The object does not know whether the Secret exists."""
        self._by_object[key] = secret
        self.needed.set()

    def done(self, key: Key) -> None:
        """The object waits for nothing any more."""
        self._by_object.pop(key, None)
        if not self._by_object:
            self.needed.clear()

    def secrets(self, namespace: str = "") -> set[Key]:
        """The awaited Secrets of a namespace, or all."""
        return {secret for secret in self._by_object.values() if namespace in {"", secret.namespace}}
