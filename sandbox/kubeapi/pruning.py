"""What a structural schema does to an object before validation: pruning and defaults.

Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", sections "Field pruning",
"Defaulting" and "Defaulting and Nullable". Schemas do not apply to metadata.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from sandbox.kubeapi.errors import Json

_TYPE_META = ("apiVersion", "kind", "metadata")


def prune(schema: Json, obj: Json) -> list[str]:
    """Drop the fields of an object that are not in its schema; returns their paths."""
    return list(_prune(schema, obj, "", _TYPE_META))


def _prune(schema: Json, value: Any, path: str, kept: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _prune(schema.get("items") or {}, item, f"{path}[{index}]")
    if not isinstance(value, dict):
        return
    if schema.get("x-kubernetes-embedded-resource"):
        kept = _TYPE_META
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for key in list(value):
        inner = f"{path}.{key}" if path else key
        if key in kept:
            continue
        if key in properties:
            yield from _prune(properties[key], value[key], inner)
        elif isinstance(others, dict):
            yield from _prune(others, value[key], inner)
        elif not others and not schema.get("x-kubernetes-preserve-unknown-fields"):
            del value[key]
            yield inner


def set_defaults(schema: Json, value: Any) -> None:
    """Fill in defaults, in place. A null that is not allowed is replaced by the default, or dropped."""
    if isinstance(value, list):
        for item in value:
            set_defaults(schema.get("items") or {}, item)
    if not isinstance(value, dict):
        return
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    rest = others if isinstance(others, dict) else {"nullable": True}
    for key in [key for key, inner in value.items() if inner is None]:
        if not properties.get(key, rest).get("nullable"):
            del value[key]
    for key, inner in properties.items():
        if "default" in inner and key not in value:
            value[key] = copy.deepcopy(inner["default"])
    for key, inner in value.items():
        set_defaults(properties.get(key, rest), inner)
