"""The three stores of what is watched: what a reconcile sees of the cluster."""

from __future__ import annotations

from typing import NamedTuple

from secretsyncer.kube.store import ObjectStore


class Stores(NamedTuple):
    """SyncedSecrets, the namespaces that they are in, and the Secrets that carry the operator's label."""

    objects: ObjectStore
    namespaces: ObjectStore
    secrets: ObjectStore
