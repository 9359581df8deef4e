"""JSON merge patch (RFC 7386), JSON patch (RFC 6902) and strategic merge patch, as pure functions.

Each takes an object and a patch and returns a new object; neither argument is changed. Strategic merge
knows the merge keys of the fields that kubectl sends for the built-in kinds (Kubernetes, "Update API
Objects in Place Using kubectl patch").
"""

from __future__ import annotations

import copy
from typing import Any

from sandbox.kubeapi.errors import Json, bad_request, unprocessable

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "secrets": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "ownerReferences": "uid",
    "conditions": "type",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
_MERGED_VALUES = {"finalizers"}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(target: Json, operations: Any) -> Any:
    """RFC 6902. ApiError 400 for what is not a patch, 422 for one that cannot be applied."""
    if not isinstance(operations, list) or not all(isinstance(step, dict) for step in operations):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document = copy.deepcopy(target)
    for step in operations:
        try:
            document = _operate(document, step)
        except (KeyError, IndexError, ValueError, TypeError):
            raise unprocessable() from None
    return document


def _operate(document: Any, step: Json) -> Any:
    operation, path = step["op"], step["path"]
    if operation == "test":
        if _read(document, path) != step.get("value"):
            raise ValueError(path)
        return document
    if operation in {"move", "copy"}:
        value = copy.deepcopy(_read(document, step["from"]))
        if operation == "move":
            document = _write(document, step["from"], "remove", None)
        return _write(document, path, "add", value)
    if operation not in {"add", "remove", "replace"}:
        raise ValueError(operation)
    return _write(document, path, operation, copy.deepcopy(step.get("value")))


def _steps(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise ValueError(path)
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _read(document: Any, path: str) -> Any:
    for step in _steps(path):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def _write(document: Any, path: str, operation: str, value: Any) -> Any:
    *parents, last = _steps(path) or [""]
    if not path:
        return value
    holder = _read(document, "".join(f"/{_escape(step)}" for step in parents))
    if isinstance(holder, list):
        index = len(holder) if last == "-" and operation == "add" else int(last)
        if not 0 <= index <= len(holder) - (operation != "add"):
            raise IndexError(path)
        holder[index : index + (operation != "add")] = [] if operation == "remove" else [value]
    elif operation == "remove":
        del holder[last]
    elif operation == "replace" and last not in holder:
        raise KeyError(path)
    else:
        holder[last] = value
    return document


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def strategic_merge(target: Any, patch: Any) -> Any:
    """Objects merge as in a merge patch; lists with a merge key merge by it; `$` directives are obeyed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    if retained := patch.get("$retainKeys"):
        merged = {key: value for key, value in merged.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$"):
            _obey(merged, key, value)
        elif value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _merge_list(key, merged.get(key) or [], value)
        else:
            merged[key] = strategic_merge(merged.get(key), value)
    return merged


def _obey(merged: Json, directive: str, value: Any) -> None:
    """`$deleteFromPrimitiveList/f` and `$setElementOrder/f`."""
    name, _, field = directive.partition("/")
    if name == "$deleteFromPrimitiveList":
        merged[field] = [item for item in merged.get(field) or [] if item not in value]


def _merge_list(field: str, current: list[Any], patch: list[Any]) -> list[Any]:
    """New items come first, as the real server puts them; the others keep their order."""
    if field in _MERGED_VALUES:
        return [*(item for item in patch if item not in current), *current]
    key = _merge_key(field, patch)
    replaced = [item for item in patch if item != {"$patch": "replace"}]
    if key is None or len(replaced) != len(patch):
        return copy.deepcopy(replaced)
    known = {item.get(key) for item in current}
    merged: dict[Any, Any] = {item.get(key): {} for item in patch if item.get(key) not in known}
    merged |= {item.get(key): item for item in current}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic_merge(merged[item.get(key)], item)
    return list(merged.values())


def _merge_key(field: str, items: list[Any]) -> str | None:
    if not all(isinstance(item, dict) for item in items):
        return None
    if field == "ports":
        return "containerPort" if any("containerPort" in item for item in items) else "port"
    return _MERGE_KEYS.get(field)
