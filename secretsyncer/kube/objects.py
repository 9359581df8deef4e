"""Raw Kubernetes objects and their keys."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

Object = dict[str, Any]
"""A Kubernetes object as the API sends it."""


def packed(value: Any) -> bytes:
    """JSON text, the same for equal values: a fifth of the memory of what it says."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def unpacked(value: Any) -> Any:
    """The value that was packed. What is not packed stays as it is."""
    return json.loads(value) if isinstance(value, bytes) else value


class Key(NamedTuple):
    """Namespace and name of an object: the key of queue and stores."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(obj: Object) -> Key:
    """The key of a raw Kubernetes object; the namespace is empty for cluster-scoped ones."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])
