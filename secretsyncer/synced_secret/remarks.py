"""What a spec says twice or not at all, and what is made of it: the meaning is the Go operator's.

Its manifests stay valid, so none of this is an error. The condition `Ready` says it.
"""

from __future__ import annotations

from collections.abc import Iterator

from secretsyncer.synced_secret.spec import DataItem, SyncedSecretSpec

_SHOWN = 5


def remarks(spec: SyncedSecretSpec) -> list[str]:
    """A sentence for each, in the order of the spec."""
    found = [
        text for number, item in enumerate(spec.items) for text in _of_item(f"data[{number}] ({item.name})", item)
    ]
    if not spec.items and not spec.data_from:
        found.append("the spec has neither data nor dataFrom, so the Secret has no keys")
    if spec.merges:
        found.append("the other keys of the Secret stay (policy Merge)")
    if len(found) > _SHOWN:
        found[_SHOWN:] = [f"{len(found) - _SHOWN} more items like these"]
    return found


def _of_item(where: str, item: DataItem) -> Iterator[str]:
    if item.value is None and not item.has_source:
        yield f"{where} has no value and is skipped"
    if item.value is not None and item.has_source:
        yield f"{where} has value and valueFrom, and valueFrom is used"
    if item.value_from and item.value_from.secret_ref and item.value_from.secret_key_ref:
        yield f"{where} has secretRef and secretKeyRef, and secretKeyRef is used"
