"""What the informers keep of the objects that they watch: the rest only takes memory.

Secrets are kept without their values: `manifest.summarise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from secretsyncer.authorize import NAMESPACE_TYPE_LABEL

_NAMESPACE_FIELDS = ("name", "uid", "resourceVersion", "deletionTimestamp")

Object = dict[str, Any]


def without_last_applied(obj: Object) -> Object:
    """A SyncedSecret without the copy of itself that kubectl keeps in it."""
    annotations = obj["metadata"].get("annotations") or {}
    kept = {name: value for name, value in annotations.items() if not name.startswith("kubectl.kubernetes.io/")}
    return {**obj, "metadata": {**obj["metadata"], "annotations": kept}}


def namespace_view(annotation: str) -> Callable[[Object], Object]:
    """Of a namespace, what the gate looks at."""

    def view(obj: Object) -> Object:
        metadata = obj["metadata"]
        kept = {name: metadata[name] for name in _NAMESPACE_FIELDS if name in metadata}
        for field, wanted in (("annotations", annotation), ("labels", NAMESPACE_TYPE_LABEL)):
            values = metadata.get(field) or {}
            kept[field] = {wanted: values[wanted]} if wanted in values else {}
        return {"metadata": kept}

    return view
