"""AWS values and the texts in them: JSON whose numbers keep their source text. Pure.

Errors name the secret, the key and the position, but never the content. A key that is not a valid key of a Secret may
contain a value, so errors name its position and length instead.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected
from secretsyncer.expressions import dotted, jmespath
from secretsyncer.sync.budget import Budget
from secretsyncer.synced_secret import is_data_key

_INT_DIGITS = 300
"""Digits up to which JMESPath sees an integer as a number; longer ones stay text."""
_KEYS_SHOWN = 20
_LOT = 256
_WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Byte order marks of other encodings than UTF-8; the longer ones first, as they begin with the shorter."""
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
_MARK = "\ufeff"
_NEEDED = "but a JSON object is required"
_encoded = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make an encoder for each value


class Number(str):
    """A JSON number that JMESPath sees as text, as its source text."""

    __slots__ = ()


class Fraction(float):
    """A JSON number with a fraction or exponent that can be compared, and keeps its source text."""

    __slots__ = ("text",)
    text: str


Fraction.__name__ = "float"  # JMESPath's functions go by the name of a type


class Absent(Rejected):
    """The secret exists, but the key does not, or is null."""


class Documents:
    """The JSON of one reconcile: each value is parsed once, however many items refer to it.

    `nulls`: what null is, if it is not an error. `title` is what messages call a value, such as "AWS secret db".
    """

    def __init__(self, budget: Budget, *, nulls: str | None = None) -> None:
        self._budget = budget
        self._nulls = nulls
        self._parsed: dict[SecretValue, _Parsed] = {}
        self._steps = 0

    def parse(self, value: SecretValue, title: str) -> Mapping[str, Any]:
        """The JSON object in the secret."""
        content = self._content(value, title)
        if isinstance(content, dict):
            return content
        raise bad(title, f"is a JSON {_kind(content)}, {_NEEDED}")

    def _content(self, value: SecretValue, title: str) -> Any:
        parsed = self._parsed.get(value)
        if parsed is None:
            self._budget.charge("parsed", value.size)
            parsed = self._parsed[value] = _parse(value)
        if parsed.problem:
            raise bad(title, parsed.problem)
        return parsed.content

    def key_text(self, value: SecretValue, title: str, key: str) -> bytes:
        """The text at a top-level key."""
        parsed = self.parse(value, title)
        if key not in parsed:
            raise _absent(title, f"has no key {key!r}")
        return self._member(title, parsed[key], f"key {key!r}")

    def member_text(self, value: SecretValue, title: str, path: str) -> bytes:
        """The text at the names and numbers of a path, in an object or a list."""
        found = self._content(value, title)
        if isinstance(found, dict) and path in found:
            return self._member(title, found[path], f"path {path}")
        for step in dotted.steps(path):
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and _INDEX.fullmatch(step) and int(step) < len(found):
                found = found[int(step)]
            else:
                raise _absent(title, f"has nothing at path {path}")
        return self._member(title, found, f"path {path}")

    def _member(self, title: str, found: Any, place: str) -> bytes:
        if found is None and self._nulls is None:
            raise _absent(title, f"has null at {place}")
        problem, text = self._text(self._nulls if found is None else found)
        if problem:
            raise bad(title, problem.format(place))
        return text

    def path_text(self, value: SecretValue, title: str, path: str) -> bytes:
        """The text of the result of a JMESPath expression."""
        parsed = self.parse(value, title)
        try:
            found = jmespath.search(path, parsed, self._step)
        except ValueError as exc:
            raise bad(title, str(exc)) from None
        if found is None:
            raise _absent(title, f"has nothing at {path}")
        problem, text = self._text(found)
        if problem:
            raise bad(title, problem.format(f"jmesPath {path}"))
        return text

    def all_texts(self, value: SecretValue, title: str) -> tuple[dict[str, bytes], Rejected | None]:
        """The texts of all keys, and the failure for keys without one. A null is an error, not an absent key."""
        texts: dict[str, bytes] = {}
        problems: dict[str, list[str]] = {}
        for position, (key, part) in enumerate(self.parse(value, title).items(), 1):
            null = part is None and self._nulls is None
            problem, text = ("has null at {}", b"") if null else self._text(self._nulls if part is None else part)
            if problem:
                problems.setdefault(problem, []).append(shown_key(key, position))
            else:
                texts[key] = text
        said = " and ".join(problem.format(listed(keys)) for problem, keys in problems.items())
        return texts, bad(title, said) if problems else None

    def _step(self, steps: int) -> None:
        """Charge several steps at once, because an evaluation can have a hundred thousand."""
        self._steps += steps
        if self._steps >= _LOT:
            steps, self._steps = self._steps, 0
            self._budget.charge("steps", steps)
            self._budget.charge_time()

    def _text(self, value: Any) -> tuple[str, bytes]:
        """A JSON value as bytes of a Secret (text unchanged, anything else as compact JSON), or the problem."""
        try:
            if isinstance(value, str):
                text = value
            else:
                compact = _Compact(self._budget)
                compact.write(value)
                text = "".join(compact.parts)
            self._budget.charge("produced", len(text))
            return "", text.encode()
        except UnicodeEncodeError:
            return "is not valid text at {} (half of a surrogate pair)", b""
        except RecursionError:
            return "is nested too deeply at {}", b""


def bad(title: str, problem: str) -> Rejected:
    """The failure for a value that does not fit the spec."""
    return Rejected(Reason.INVALID_SECRET_VALUE, f"{title} {problem}")


def raw(value: SecretValue, budget: Budget) -> bytes:
    """The whole secret, byte for byte. Raises Rejected for half of a surrogate pair, which is not valid text."""
    budget.charge("produced", value.size)
    if value.binary is not None:
        return value.binary
    try:
        return (value.text or "").encode()
    except UnicodeEncodeError:
        pass
    raise bad(value.title, "is not valid text (half of a surrogate pair)")


def shown_key(key: str, position: int) -> str:
    """The name of a JSON key in a message."""
    return repr(key) if is_data_key(key) else f"number {position} ({len(key)} characters)"


def listed(keys: list[str]) -> str:
    """A list of keys in a message."""
    more = f" and {len(keys) - _KEYS_SHOWN} more" if len(keys) > _KEYS_SHOWN else ""
    return f"key{'s' * (len(keys) > 1)} {', '.join(keys[:_KEYS_SHOWN])}{more}"


class _Parsed(NamedTuple):
    """The content of a value, or its problem."""

    content: Any
    problem: str = ""


def _parse(value: SecretValue) -> _Parsed:
    text, problem = _json_of(value)
    if problem:
        return _Parsed(None, problem)
    try:
        return _Parsed(json.loads(text, parse_int=_integer, parse_float=_fraction, parse_constant=_no_constant))
    except json.JSONDecodeError as exc:
        place = f"is not JSON (line {exc.lineno}, column {exc.colno})"
        if exc.msg.startswith("Invalid control character"):
            what = "a raw line break" if text[exc.pos : exc.pos + 1] in {"\n", "\r"} else "a raw control character"
            return _Parsed(None, f"{place}: there is {what} in a text, which JSON writes as an escape like \\n")
        return _Parsed(None, f"{place}, {_NEEDED}")
    except (ValueError, RecursionError) as exc:
        what = "with NaN or Infinity" if isinstance(exc, ValueError) else "nested too deeply"
        return _Parsed(None, f"is JSON {what}")


def _json_of(value: SecretValue) -> tuple[str, str]:
    """The text of a value, which may be binary in AWS, and the problem, if any."""
    if value.binary is None:
        text = value.text or ""
        if text.startswith(_MARK):
            return "", "is not JSON: it begins with a byte order mark (U+FEFF); store it without"
        return text, ""
    for mark, encoding in _WIDE_MARKS.items():
        if value.binary.startswith(mark):
            return "", f"is binary and begins with the byte order mark of {encoding}; JSON has to be UTF-8"
    try:
        return value.binary.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return "", f"is binary and not text, {_NEEDED}; use secretRef for the whole value"


def _absent(title: str, problem: str) -> Absent:
    return Absent(Reason.INVALID_SECRET_VALUE, f"{title} {problem}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _INT_DIGITS and text != "-0" else Number(text)


def _fraction(text: str) -> Fraction:
    number = Fraction(text)
    number.text = text
    return number


class _Compact:
    """Writes compact JSON, and charges the budget meanwhile, because the result of JMESPath can repeat its parts."""

    def __init__(self, budget: Budget) -> None:
        self.parts: list[str] = []
        self._budget = budget
        self._size = 0

    def write(self, value: Any) -> None:
        match value:
            case Number():
                self._add(value)
            case Fraction():
                self._add(value.text)
            case dict():
                self._members(value)
            case list():
                self._elements(value)
            case _:
                self._add(_encoded(value))

    def _members(self, members: dict[str, Any]) -> None:
        separator = "{"
        for key, value in members.items():
            self._add(f"{separator}{_encoded(str(key))}:")
            self.write(value)
            separator = ","
        self._add("}" if members else "{}")

    def _elements(self, elements: list[Any]) -> None:
        separator = "["
        for value in elements:
            self._add(separator)
            self.write(value)
            separator = ","
        self._add("]" if elements else "[]")

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self._size += len(text)
        if self._size > self._budget.left("produced"):
            self._budget.charge("produced", self._size)


def _kind(value: Any) -> str:
    names = {Number: "number", str: "string", list: "list", bool: "boolean", int: "number", Fraction: "number"}
    return names.get(type(value), "null")
