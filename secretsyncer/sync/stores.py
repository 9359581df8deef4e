"""The three stores of watched objects: what a reconcile sees of the cluster."""

from __future__ import annotations

from typing import NamedTuple

from secretsyncer.kube.store import ObjectStore


class Stores(NamedTuple):
    """SyncedSecrets, their namespaces, and the Secrets with the operator's label."""

    objects: ObjectStore
    namespaces: ObjectStore
    secrets: ObjectStore
