"""The value of one AWS secret and the strings in it: JSON whose numbers keep their source text. Pure.

Errors name the secret, the key and the position, never the content.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected
from secretsyncer.expressions import jmespath

_INT_DIGITS = 300
"""Maximum digits of an integer that JMESPath sees as a number. Longer ones stay text."""


class Number(str):
    """A JSON number, as its source text."""

    __slots__ = ()


class Fraction(float):
    """A JSON number with a fraction or exponent that can be compared, and keeps its source text."""

    __slots__ = ("text",)
    text: str


Fraction.__name__ = "float"  # JMESPath's functions go by the name of a type


class Absent(Rejected):
    """The secret exists, but the key does not, or it is null."""


def bad(secret: str, problem: str) -> Rejected:
    """The failure for an unsuitable value."""
    return Rejected(Reason.INVALID_SECRET_VALUE, f"AWS secret {secret} {problem}")


def raw(value: SecretValue) -> bytes:
    """The whole secret, byte for byte. Raises Rejected for half a surrogate pair."""
    if value.binary is not None:
        return value.binary
    try:
        return (value.text or "").encode()
    except UnicodeEncodeError:
        pass
    raise bad(value.name, "is not valid text (half of a surrogate pair)")


def parse_object(value: SecretValue, secret: str) -> dict[str, Any]:
    """The JSON object in the secret, with numbers as `Number`. `secret`: the name in the spec."""
    return _parse(value, secret, integer=Number, fraction=Number)


def key_text(value: SecretValue, secret: str, key: str) -> bytes:
    """The text at a top-level key."""
    parsed = parse_object(value, secret)
    if key not in parsed:
        raise _absent(secret, f"has no key {key!r}")
    return compact(secret, key, parsed[key])


def path_text(value: SecretValue, secret: str, path: str) -> bytes:
    """The text of the result of a JMESPath expression."""
    parsed = _parse(value, secret, integer=_integer, fraction=_fraction)
    try:
        found = jmespath.search(path, parsed)
    except ValueError as exc:
        raise bad(secret, str(exc)) from None
    if found is None:
        raise _absent(secret, f"has nothing at {path}")
    return compact(secret, path, found)


def compact(secret: str, key: str, value: Any) -> bytes:
    """A JSON value for a Secret: text as it is, anything else as compact JSON."""
    if value is None:
        raise _absent(secret, f"has null at key {key!r}")
    try:
        return (value if isinstance(value, str) else _json(value)).encode()
    except UnicodeEncodeError:
        problem = f"is not valid text at key {key!r} (half of a surrogate pair)"
    except RecursionError:
        problem = f"is nested too deeply at key {key!r}"
    raise bad(secret, problem)


def _parse(
    value: SecretValue, secret: str, *, integer: Callable[[str], Any], fraction: Callable[[str], Any]
) -> dict[str, Any]:
    if value.text is None:
        raise bad(secret, "is binary, but a JSON object is required; use secretRef for the whole value")
    try:
        parsed = json.loads(value.text, parse_int=integer, parse_float=fraction, parse_constant=_no_constant)
        if isinstance(parsed, dict):
            return parsed
        problem = f"is a JSON {_kind(parsed)}, but a JSON object is required"
    except json.JSONDecodeError as exc:
        problem = f"is not JSON (line {exc.lineno}, column {exc.colno}), but a JSON object is required"
    except (ValueError, RecursionError) as exc:
        problem = "is JSON with NaN or Infinity" if isinstance(exc, ValueError) else "is JSON nested too deeply"
    # Raised outside the except blocks: a JSONDecodeError carries the whole document, so it must not become the cause.
    raise bad(secret, problem)


def _absent(secret: str, problem: str) -> Absent:
    return Absent(Reason.INVALID_SECRET_VALUE, f"AWS secret {secret} {problem}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _INT_DIGITS and text != "-0" else Number(text)


def _fraction(text: str) -> Fraction:
    number = Fraction(text)
    number.text = text
    return number


def _json(value: Any) -> str:
    match value:
        case Number():
            return value
        case Fraction():
            return value.text
        case dict():
            return "{" + ",".join(f"{_json(str(k))}:{_json(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(_json(v) for v in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    names = {Number: "number", str: "string", list: "list", bool: "boolean", int: "number", Fraction: "number"}
    return names.get(type(value), "null")
