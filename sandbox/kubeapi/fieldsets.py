"""Sets of fields, as `managedFields` records them: leaf paths of an object.

A path is a tuple of steps in the notation of FieldsV1: `f:name` for a field, `k:{...}` for an item of
a list with keys, `v:...` for an item of a set. What a list is follows from its schema
(`x-kubernetes-list-type`) or, for metadata, is known; every other list is one leaf.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sandbox.kubeapi.errors import Json

Path = tuple[str, ...]
Fields = frozenset[Path]

METADATA_SCHEMA: Json = {
    "properties": {
        "finalizers": {"x-kubernetes-list-type": "set"},
        "ownerReferences": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]},
    }
}
_UNOWNED = {
    *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "generateName", "selfLink"),
}


def with_metadata(schema: Json) -> Json:
    """The schema of a whole object, completed by what is known of metadata."""
    return {**schema, "properties": {**schema.get("properties", {}), "metadata": METADATA_SCHEMA}}


def leaves(obj: Json, schema: Json) -> dict[Path, Any]:
    """Every field of an object that a manager can own, with its value."""
    own = {key: value for key, value in obj.items() if key not in {"apiVersion", "kind"}}
    own["metadata"] = {key: value for key, value in obj.get("metadata", {}).items() if key not in _UNOWNED}
    return dict(_leaves(own, with_metadata(schema), ()))


def _leaves(value: Any, schema: Json, path: Path) -> Iterator[tuple[Path, Any]]:
    children = list(steps(value, schema)) if value else []
    if not children:
        if path and path != ("f:metadata",):
            yield path, value
        return
    for step, child, inner in children:
        yield from _leaves(child, inner, (*path, step))


def is_granular(items: list[Any], schema: Json) -> bool:
    """Whether a list is owned item by item, and not as one."""
    kind = schema.get("x-kubernetes-list-type")
    return kind == "set" or (kind == "map" and all(isinstance(item, dict) for item in items))


def steps(value: Any, schema: Json) -> Iterator[tuple[str, Any, Json]]:
    """The members of a granular object or list: step, value, schema. Nothing for a leaf."""
    if isinstance(value, dict) and schema.get("x-kubernetes-map-type") != "atomic":
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, child in value.items():
            yield f"f:{key}", child, properties.get(key) or (others if isinstance(others, dict) else {})
    elif isinstance(value, list) and is_granular(value, schema):
        keys = schema.get("x-kubernetes-list-map-keys")
        for child in value:
            if keys:
                yield "k:" + _text({key: child.get(key) for key in keys}), child, schema.get("items") or {}
            else:
                yield "v:" + _text(child), child, {}


def to_fields_v1(fields: Fields) -> Json:
    tree: Json = {}
    for path in sorted(fields):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return tree


def from_fields_v1(tree: Json) -> Fields:
    return frozenset(_paths(tree, ()))


def _paths(tree: Json, path: Path) -> Iterator[Path]:
    if path and not tree:
        yield path
    for step, inner in tree.items():
        if step != ".":
            yield from _paths(inner, (*path, step))


def remove(value: Any, path: Path, schema: Json) -> None:
    """Take one field out of an object, in place, and whatever it leaves empty above it."""
    found = next((member for member in steps(value, schema) if member[0] == path[0]), None)
    if found is None:
        return
    step, child, inner = found
    keys = json.loads(step[2:]).keys() if step.startswith("k:") else ()
    if path[1:] and path[-1][2:] in keys and len(path) == 2:
        if child.keys() <= keys:  # nothing but its name is left of the item
            value.remove(child)
        return
    if path[1:]:
        remove(child, path[1:], inner)
        if child:
            return
    if isinstance(value, dict):
        del value[step.removeprefix("f:")]
    else:
        value.remove(child)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
