"""What the informers keep of the objects that they watch. The rest would only use memory.

Secrets are kept without their values. A keyed digest of each value shows whether it has changed.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from secretsyncer.kube.objects import Object, packed
from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL
from secretsyncer.sync.held_keys import HELD, LONGEST
from secretsyncer.sync.marks import MARK_NAMES, OWN_GROUP
from secretsyncer.synced_secret import TOO_LARGE, SyncedSecret

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
REFRESH_ANNOTATION = "secrets.contentful.com/refresh"
"""A new value of this annotation of a SyncedSecret causes a read of its sources, and another try of its restarts."""
LONG = 1024
"""Characters of an annotation of which only a digest is kept."""
MOST_ENTRIES = 20_000
"""Keys of a Secret, with its labels, annotations, owners and finalizers."""
LONGEST_TYPE = 317
"""Characters of the longest valid type. The API server accepts longer ones, of which the beginning is kept."""
MOST_ENTRIES_OF_SPEC = 30_000
"""More than any spec has that keeps to the limits of the CRD."""
FINALIZERS = 5
"""Finalizers of a SyncedSecret that are kept: they only say who delays its deletion."""
_NAMESPACE_FIELDS = ("name", "uid", "resourceVersion", "deletionTimestamp")
OTHERS = "labelsAndAnnotations"
_OBJECT_FIELDS = (*_NAMESPACE_FIELDS, "namespace", "generation", "creationTimestamp")
_NO_FIELDS: dict[str, Any] = {}
_NO_ITEMS: list[Any] = []
"""Those of all objects."""
_SHARED_FIELDS = ("name", "namespace", "uid", "creationTimestamp")


# Digests are compared only within this process. With a random key, they are useless to anybody else.
_KEY = secrets.token_bytes(32)


def digest(encoded: str) -> bytes:
    """Keyed digest (12 bytes) of a value in base64."""
    return _digest(encoded.encode())


def _digest(value: bytes) -> bytes:
    return blake2b(value, key=_KEY, digest_size=12).digest()


def fingerprint(synced: SyncedSecret, data: Mapping[str, bytes]) -> bytes:
    """Keyed digest (16 bytes) of what a reconcile wants of a Secret."""
    made = blake2b(f"{synced.uid} {synced.generation}".encode(), key=_KEY, digest_size=16)
    for key, value in sorted(data.items()):
        made.update(f" {key} {len(value)} ".encode())
        made.update(value)
    return made.digest()


def summarise(secret: dict[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """The Secret without its values: the metadata that matters, the type, and `digests` by data key.

    kubectl's copy of the manifest may contain values, too, so it is removed. Long annotations are kept as digests,
    unless the `whole` metadata is needed. Of a Secret with more than MOST_ENTRIES only the number of them is kept.
    """
    metadata = secret["metadata"]
    data, labels = secret.get("data") or {}, metadata.get("labels") or {}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    owners, finalizers = metadata.get("ownerReferences") or [], metadata.get("finalizers") or []
    entries = sum(map(len, (data, labels, annotations, owners, finalizers)))
    if entries > MOST_ENTRIES:
        labels = {name: text for name, text in labels.items() if name in MARK_NAMES}
        data, annotations, owners, finalizers = {}, {}, [], []
    return {
        "metadata": {
            "name": sys.intern(metadata["name"]),
            "namespace": sys.intern(metadata.get("namespace", "")),
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
            "labels": _sharing(labels),
            "annotations": _sharing_names((k, v if whole else brief(k, v)) for k, v in annotations.items()),
            "ownerReferences": [_sharing(owner) for owner in owners] or _NO_ITEMS,
            "deletionTimestamp": metadata.get("deletionTimestamp", ""),
            "finalizers": finalizers or _NO_ITEMS,
        },
        "type": sys.intern(_type(secret.get("type", ""))),
        "immutable": bool(secret.get("immutable")),
        "digests": _sharing_names((key, digest(value or "")) for key, value in data.items()),
        "entries": entries,
        "whole": whole or all(v == brief(k, v) for k, v in annotations.items()),
    }


def _sharing(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with names and texts that many objects share: the parser makes new ones for each object."""
    return _sharing_names(
        (name, sys.intern(value) if type(value) is str else value) for name, value in values.items()
    )


def _sharing_names(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {sys.intern(name): value for name, value in items} or _NO_FIELDS


def _type(text: str) -> str:
    return text if len(text) <= LONGEST_TYPE else f"{text[:LONGEST_TYPE]}…"


def brief(name: str, text: str) -> str:
    """The value of an annotation as it is kept: a digest stands for a long one, except for the operator's own."""
    kept = len(text) <= LONG or (name.startswith(OWN_GROUP) and (name != HELD or len(text) <= LONGEST))
    return text if kept else f"digest {digest(text).hex()}"


def synced_secret_view(obj: Object) -> Object:
    """A SyncedSecret without what nothing reads. Its spec and its status are packed, because they are seldom read.

    A spec that is larger than any valid one is not kept, but counted. Of labels and annotations, except for the
    refresh annotation, a digest shows whether they have changed.
    """
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    others = {name: text for name, text in annotations.items() if not name.startswith("kubectl.kubernetes.io/")}
    kept = {name: metadata[name] for name in _OBJECT_FIELDS if name in metadata}
    # Keys, records and Secrets have them, too, and each event brings them as new strings.
    kept |= _sharing({name: kept[name] for name in _SHARED_FIELDS if name in kept})
    if finalizers := metadata.get("finalizers"):
        kept["finalizers"] = finalizers[:FINALIZERS]
    kept[OTHERS] = _digest(packed([metadata.get("labels"), others])).hex()
    if REFRESH_ANNOTATION in annotations:
        kept["annotations"] = {REFRESH_ANNOTATION: brief("", annotations[REFRESH_ANNOTATION])}
    kept.setdefault("namespace", "")
    view: Object = {name: sys.intern(obj[name]) for name in ("apiVersion", "kind") if name in obj} | {
        "metadata": kept
    }
    spec = packed(obj.get("spec"))
    if len(spec) > MOST_ENTRIES_OF_SPEC and (entries := count(obj["spec"])) > MOST_ENTRIES_OF_SPEC:
        target = obj["spec"].get("target")
        spec = packed({"target": target} if count(target) < 10 else {})
        view[TOO_LARGE] = entries
    return view | {"spec": spec, "status": packed(obj.get("status") or {})}


def intent(obj: Object | None) -> Any:
    """What a user can change of a SyncedSecret: everything but its status and the server's bookkeeping."""
    metadata = obj["metadata"] if obj else {}
    return [metadata.get(field) for field in ("uid", "generation", "annotations", OTHERS, "deletionTimestamp")]


def refresh_token(obj: Object) -> str | None:
    """The value of the refresh annotation of a SyncedSecret, as it is kept."""
    token: str | None = (obj["metadata"].get("annotations") or {}).get(REFRESH_ANNOTATION)
    return token


def count(value: Any) -> int:
    """How many entries lists and maps have, with what is in them."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inner) + sum(map(count, inner))


def namespace_view(annotation: str) -> Callable[[Object], Object]:
    """The parts of a namespace that `authorize` needs."""

    def view(obj: Object) -> Object:
        metadata = obj["metadata"]
        kept = {name: metadata[name] for name in _NAMESPACE_FIELDS if name in metadata}
        for field, wanted in (("annotations", annotation), ("labels", NAMESPACE_TYPE_LABEL)):
            values = metadata.get(field) or {}
            kept[field] = {wanted: values[wanted]} if wanted in values else _NO_FIELDS
        return {"metadata": kept}

    return view


def access(namespace: Object) -> tuple[Any, ...]:
    """What decides of a namespace what its objects may read."""
    metadata = namespace["metadata"]
    return metadata.get("labels"), metadata.get("annotations"), metadata.get("uid")
