"""Validation against a structural OpenAPI v3 schema, with the causes that a real server reports.

Covers what Kubernetes allows in a CustomResourceDefinition except CEL rules. Texts are those of
`go-openapi/validate`. In an update, a part that has not changed is not looked at ("ratcheting"): an
object that a stricter schema would refuse can still be changed elsewhere.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sandbox.kubeapi.errors import (
    Cause,
    Json,
    duplicate,
    mistyped,
    required,
    too_long,
    too_many,
    unsupported,
    wrong,
)

_NONE = object()
"""Stands for the old value where there was none."""

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, int | float) and value == int(value),
    "number": lambda value: not isinstance(value, bool) and isinstance(value, int | float),
}


def violations(schema: Json, obj: Json, old: Json | None = None) -> list[Cause]:
    """What is wrong with a whole object that replaces `old`; its metadata is checked elsewhere."""
    own = {
        **schema,
        "properties": {**schema.get("properties", {}), "metadata": {}, "apiVersion": {}, "kind": {}},
    }
    return list(_check(own, obj, "", _NONE if old is None else old))


def _check(schema: Json, value: Any, path: str, old: Any = _NONE) -> Iterator[Cause]:
    unchanged = type(value) is type(old) and value == old
    if unchanged or (value is None and (schema.get("nullable") or not schema)):
        return
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if not (_TYPES["integer"](value) or _TYPES["string"](value)):
            yield _mistyped(path, value, "integer,string")
            return
    elif kind and not _TYPES[kind](value):
        yield _mistyped(path, value, kind)
        if "enum" in schema:
            yield unsupported(path, value, schema["enum"])
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported(path, value, schema["enum"])
    if isinstance(value, dict):
        yield from _check_object(schema, value, path, old if isinstance(old, dict) else {})
    elif isinstance(value, list):
        yield from _check_array(schema, value, path, old if isinstance(old, list) else [])
    elif isinstance(value, str):
        yield from _check_string(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(schema, value, path)
    yield from _check_combinations(schema, value, path, old)


def _check_object(schema: Json, value: Json, path: str, old: Json) -> Iterator[Cause]:
    for key in schema.get("required") or []:
        if key not in value:
            yield required(_join(path, key))
    count = len(value)
    if count > schema.get("maxProperties", count):
        yield too_many(path, count, schema["maxProperties"])
    if count < schema.get("minProperties", count):
        yield _broken(path, value, f"should have at least {schema['minProperties']} properties")
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, inner in value.items():
        if key in properties:
            yield from _check(properties[key], inner, _join(path, key), old.get(key, _NONE))
        elif isinstance(others, dict):
            yield from _check(others, inner, _join(path, key), old.get(key, _NONE))


def _check_array(schema: Json, value: list[Any], path: str, old: list[Any]) -> Iterator[Cause]:
    count = len(value)
    if count > schema.get("maxItems", count):
        yield too_many(path, count, schema["maxItems"])
    if count < schema.get("minItems", count):
        yield _broken(path, count, f"should have at least {schema['minItems']} items")
    is_map = schema.get("x-kubernetes-list-type") == "map"
    before = {_identity(schema, item): item for item in old} if is_map else {}
    for index, item in enumerate(value):
        was = before.get(_identity(schema, item), _NONE)
        yield from _check(schema.get("items") or {}, item, f"{path}[{index}]", was)
    yield from _repeated(schema, value, path)


def _identity(schema: Json, item: Any) -> str:
    """What no other item of a list may have: the keys of a map's item, else all of it."""
    keys = schema.get("x-kubernetes-list-map-keys", [])
    own = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
    return json.dumps(own, sort_keys=True)


def _repeated(schema: Json, value: list[Any], path: str) -> Iterator[Cause]:
    if schema.get("x-kubernetes-list-type") not in {"set", "map"}:
        return
    seen = set()
    for index, item in enumerate(value):
        identity = _identity(schema, item)
        if identity in seen:
            yield duplicate(f"{path}[{index}]", json.loads(identity))
        seen.add(identity)


def _check_string(schema: Json, value: str, path: str) -> Iterator[Cause]:
    """The first rule that is broken; the others are not looked at."""
    count = len(value)
    if count > schema.get("maxLength", count):
        yield too_long(path, f"may not be more than {schema['maxLength']} bytes")
    elif count < schema.get("minLength", count):
        yield _broken(path, value, f"should be at least {schema['minLength']} chars long")
    elif (pattern := schema.get("pattern")) and not re.search(pattern, value):
        yield _broken(path, value, f"should match '{pattern}'")
    elif (form := schema.get("format", "")) in _FORMATS and not _FORMATS[form](value):
        yield mistyped(path, value, f"{path} in body must be of type {form}: {json.dumps(value)}")


def _check_number(schema: Json, value: float, path: str) -> Iterator[Cause]:
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if low is not None and (value <= low if schema.get("exclusiveMinimum") else value < low):
        relation = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield _broken(path, value, f"should be {relation} {low}")
    if high is not None and (value >= high if schema.get("exclusiveMaximum") else value > high):
        relation = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield _broken(path, value, f"should be {relation} {high}")
    if step and value % step:
        yield _broken(path, value, f"should be a multiple of {step}")


def _check_combinations(schema: Json, value: Any, path: str, old: Any) -> Iterator[Cause]:
    for inner in schema.get("allOf") or []:
        yield from _check(inner, value, path, old)
    for word, rule in (
        ("anyOf", "at least one schema (anyOf)"),
        ("oneOf", "one and only one schema (oneOf)"),
    ):
        if word not in schema:
            continue
        valid = sum(not list(_check(inner, value, path)) for inner in schema[word])
        if not valid or (word == "oneOf" and valid > 1):
            found = f". Found {valid or 'none'} valid" if word == "oneOf" else ""
            yield wrong(path, "", f'"{path}" must validate {rule}{found}')
    if "not" in schema and not list(_check(schema["not"], value, path)):
        yield wrong(path, "", f'"{path}" must not validate the schema (not)')


def _mistyped(path: str, value: Any, kind: str) -> Cause:
    actual = "null" if value is None else next(name for name, test in _TYPES.items() if test(value))
    return mistyped(path, actual, f'{path} in body must be of type {kind}: "{actual}"')


def _broken(path: str, value: Any, why: str) -> Cause:
    verb = f"{path} in body {why}"
    return wrong(path, value, verb)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None and "T" in text
    except ValueError:
        return False


def _is_micro_time(text: str) -> bool:
    """Go reads `metav1.MicroTime` with exactly six digits of the second's fraction."""
    return bool(re.fullmatch(r"[^.]+\.\d{6}(Z|[+-]\d\d:\d\d)", text)) and _is_time(text)


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_time,
    "micro-time": _is_micro_time,  # of built-in kinds only
    "byte": _is_base64,
}
