"""What the informers keep of the objects that they watch. The rest would only use memory.

Secrets are kept without their values. A keyed digest of each value shows whether it has changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from secretsyncer.kube.objects import Object
from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL
from secretsyncer.synced_secret import SyncedSecret

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NAMESPACE_FIELDS = ("name", "uid", "resourceVersion", "deletionTimestamp")


# Digests are compared only within this process. With a random key, they are useless to anybody else.
_KEY = secrets.token_bytes(32)


def digest(encoded: str) -> bytes:
    """Keyed digest (12 bytes) of a value in base64."""
    return blake2b(encoded.encode(), key=_KEY, digest_size=12).digest()


def fingerprint(synced: SyncedSecret, data: Mapping[str, bytes]) -> bytes:
    """Keyed digest (16 bytes) of what a reconcile wants of a Secret."""
    made = blake2b(f"{synced.uid} {synced.generation}".encode(), key=_KEY, digest_size=16)
    for key, value in sorted(data.items()):
        made.update(f" {key} {len(value)} ".encode())
        made.update(value)
    return made.digest()


def summarise(secret: dict[str, Any]) -> dict[str, Any]:
    """The Secret without its values: the metadata that matters, the type, and `digests` by data key.

    kubectl's copy of the manifest may contain values, too, so it is removed.
    """
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    return {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
            "labels": metadata.get("labels") or {},
            "annotations": {k: v for k, v in annotations.items() if k != LAST_APPLIED},
            "ownerReferences": metadata.get("ownerReferences") or [],
            "deletionTimestamp": metadata.get("deletionTimestamp", ""),
            "finalizers": metadata.get("finalizers") or [],
        },
        "type": secret.get("type", ""),
        "immutable": bool(secret.get("immutable")),
        "digests": {key: digest(value or "") for key, value in (secret.get("data") or {}).items()},
    }


def without_last_applied(obj: Object) -> Object:
    """A SyncedSecret without kubectl's copy of its manifest."""
    annotations = obj["metadata"].get("annotations") or {}
    kept = {name: value for name, value in annotations.items() if not name.startswith("kubectl.kubernetes.io/")}
    return {**obj, "metadata": {**obj["metadata"], "annotations": kept}}


def namespace_view(annotation: str) -> Callable[[Object], Object]:
    """The parts of a namespace that `authorize` needs."""

    def view(obj: Object) -> Object:
        metadata = obj["metadata"]
        kept = {name: metadata[name] for name in _NAMESPACE_FIELDS if name in metadata}
        for field, wanted in (("annotations", annotation), ("labels", NAMESPACE_TYPE_LABEL)):
            values = metadata.get(field) or {}
            kept[field] = {wanted: values[wanted]} if wanted in values else {}
        return {"metadata": kept}

    return view
