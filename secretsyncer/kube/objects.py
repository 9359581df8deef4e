"""Raw Kubernetes objects and their keys."""

from __future__ import annotations

from typing import Any, NamedTuple

Object = dict[str, Any]
"""A Kubernetes object as the API sends it."""


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
