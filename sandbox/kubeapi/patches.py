"""JSON merge patch (RFC 7386), and the part of the strategic merge patch that kubectl sends. Pure functions.

kubectl sends strategic merge patches for built-in kinds, from `apply` and `edit`. The built-in kinds here have two
lists that are merged item by item, both in the metadata: `finalizers` and `ownerReferences`.
"""

from __future__ import annotations

import copy
from typing import Any

from sandbox.kubeapi.errors import Json


def merge_patch(target: Json, patch: Json) -> Json:
    """RFC 7386: objects merge, null removes, everything else replaces. Neither argument is changed."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    return merge_patch(target if isinstance(target, dict) else {}, patch)


def strategic_merge_patch(target: Json, patch: Json) -> Json:
    """A merge patch that merges the two lists of the metadata item by item."""
    own = patch.get("metadata")
    if not isinstance(own, dict):
        return merge_patch(target, patch)
    plain = {key: value for key, value in own.items() if not key.startswith("$")}
    finalizers, owners = (target["metadata"].get(key, []) for key in ("finalizers", "ownerReferences"))
    if removed := own.get("$deleteFromPrimitiveList/finalizers", []):
        finalizers = [item for item in finalizers if item not in removed]
    if removed or plain.get("finalizers"):
        plain["finalizers"] = list(dict.fromkeys([*plain.get("finalizers", []), *finalizers]))
    if plain.get("ownerReferences"):
        plain["ownerReferences"] = _merged_owners(owners, plain["ownerReferences"])
    return merge_patch(target, {**patch, "metadata": plain})


def _merged_owners(present: list[Json], patch: list[Json]) -> list[Json]:
    """Owners by their uid; `$patch: delete` removes one."""
    owners: dict[str, Json] = {owner["uid"]: owner for owner in present}
    for owner in patch:
        if owner.get("$patch") == "delete":
            owners.pop(owner["uid"], None)
        else:
            owners[owner["uid"]] = merge_patch(owners.get(owner["uid"], {}), owner)
    return list(owners.values())
