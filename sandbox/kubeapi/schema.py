"""Validation against a structural OpenAPI v3 schema, with the causes that a real server reports.

A structural schema is JSON Schema (draft 4) with `nullable` and the `x-kubernetes-` keywords, so `jsonschema` does the
work. Rules in CEL are not evaluated: that would need all of Kubernetes' extensions of CEL. The texts are those of
`go-openapi/validate`. In an update, a part that has not changed is not reported ("ratcheting"): an object that a
stricter schema would refuse can still be changed elsewhere.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jsonschema import Draft4Validator, ValidationError
from jsonschema.validators import extend

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

_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")  # an integer is a number, too
_TEXTS = {
    "minimum": "{path} in body should be greater than or equal to {limit}",
    "maximum": "{path} in body should be less than or equal to {limit}",
    "minLength": "{path} in body should be at least {limit} chars long",
    "pattern": "{path} in body should match '{limit}'",
    "oneOf": '"{path}" must validate one and only one schema (oneOf)',
    "anyOf": '"{path}" must validate at least one schema (anyOf)',
}


def violations(schema: Json, obj: Json, old: Json | None = None) -> list[Cause]:
    """What is wrong with an object that replaces `old`."""
    errors = _VALIDATOR(schema).iter_errors(obj)
    return [_cause(error) for error in errors if old is None or not _is_unchanged(error, old)]


def _is_unchanged(error: ValidationError, old: Any) -> bool:
    """Whether the old object has the same value at this path. Items of lists are not compared."""
    for step in error.absolute_path:
        if not isinstance(old, dict) or step not in old:
            return False
        old = old[step]
    return type(old) is type(error.instance) and bool(old == error.instance)


def _cause(error: ValidationError) -> Cause:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)[1:]
    word, limit, value = error.validator, error.validator_value, error.instance
    match word:
        case "required":
            return required(f"{path}.{error.message}".lstrip("."))
        case "enum":
            return unsupported(path, value, limit)
        case "maxLength":
            return too_long(path, f"may not be more than {limit} bytes")
        case "maxItems" | "maxProperties":
            return too_many(path, len(value), limit)
        case "x-kubernetes-list-type":
            return duplicate(path, json.loads(error.message))
        case "format":
            return mistyped(path, value, f"{path} in body must be of type {limit}: {json.dumps(value)}")
        case "type" | "x-kubernetes-int-or-string":
            actual = next(kind for kind in _TYPES if Draft4Validator.TYPE_CHECKER.is_type(value, kind))
            wanted = limit if word == "type" else "integer,string"
            return mistyped(path, actual, f'{path} in body must be of type {wanted}: "{actual}"')
    text = _TEXTS[word].format(path=path, limit=limit) if word in _TEXTS else error.message
    return wrong(path, value, text)


def _type(validator: Any, kind: str, value: Any, schema: Json) -> Iterator[ValidationError]:
    if not (validator.is_type(value, kind) or (value is None and schema.get("nullable"))):
        yield ValidationError("wrong type")


def _enum(_validator: Any, values: list[Any], value: Any, schema: Json) -> Iterator[ValidationError]:
    if value not in values and not (value is None and schema.get("nullable")):
        yield ValidationError("not supported")


def _required(validator: Any, names: list[str], value: Any, _schema: Json) -> Iterator[ValidationError]:
    """One error for each missing field; its message is the name of the field."""
    if validator.is_type(value, "object"):
        yield from (ValidationError(name) for name in names if name not in value)


def _format(_validator: Any, form: str, value: Any, _schema: Json) -> Iterator[ValidationError]:
    if isinstance(value, str) and form in _FORMATS and not _FORMATS[form](value):
        yield ValidationError("wrong format")


def _int_or_string(_validator: Any, asked: bool, value: Any, _schema: Json) -> Iterator[ValidationError]:  # noqa: FBT001 - called by jsonschema
    if asked and (isinstance(value, bool) or not isinstance(value, int | str)):
        yield ValidationError("wrong type")


def _list_type(validator: Any, kind: str, items: Any, schema: Json) -> Iterator[ValidationError]:
    """One error for each repeated item of a set or map; its message is the repeated value as JSON."""
    if kind not in {"set", "map"} or not validator.is_type(items, "array"):
        return
    seen = set()
    for index, item in enumerate(items):
        keys = schema.get("x-kubernetes-list-map-keys") if isinstance(item, dict) else None
        identity = json.dumps({key: item.get(key) for key in keys} if keys else item, sort_keys=True)
        if identity in seen:
            yield ValidationError(identity, path=[index])
        seen.add(identity)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None and "T" in text
    except ValueError:
        return False


def _is_micro_time(text: str) -> bool:
    """Go parses `metav1.MicroTime` with exactly six digits after the point."""
    return bool(re.fullmatch(r"[^.]+\.\d{6}(Z|[+-]\d\d:\d\d)", text)) and _is_time(text)


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True


_FORMATS = {"date-time": _is_time, "micro-time": _is_micro_time, "byte": _is_base64}
_VALIDATOR = extend(
    Draft4Validator,
    {
        "type": _type,
        "enum": _enum,
        "format": _format,
        "required": _required,
        "x-kubernetes-int-or-string": _int_or_string,
        "x-kubernetes-list-type": _list_type,
    },
)
