"""Reads and writes YAML by the rules of kubectl, which differ from those of PyYAML.

kubectl turns YAML into JSON with sigs.k8s.io/yaml. There a date (`2024-01-31`), a time (`22:22`) and `=` are text,
`yes` and `on` are booleans, `0777` and `0o777` are octal, numbers beyond 64 bits are floating point, and the keys of
mappings are always text. The tests compare this loader with kubectl, scalar by scalar.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Hashable, Sequence
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as _BaseDumper
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML was built without the C library
    from yaml import SafeDumper as _BaseDumper  # type: ignore[assignment]
    from yaml import SafeLoader as _Base  # type: ignore[assignment]

_MERGE = "tag:yaml.org,2002:merge"
_PLAIN = "tag:secretsyncer,plain"
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_LETTERS = {"y", "Y", "n", "N"}
_INTEGER = re.compile(r"([-+]?)(?:0[bB]([01]+)|0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_LONGEST = 400
"""Characters of the longest text that is looked at as a number: no number of 64 bits needs more."""

DEEPEST = 200
"""Levels of lists and mappings in each other. No manifest has more than twenty."""


def load_all(text: str, *, letters_are_text: bool = False) -> list[Any]:
    """The documents of a text, as JSON values; empty documents are left out. Raises yaml.YAMLError.

    `letters_are_text`: a value y or n without quotes is text. kubectl reads a boolean, which the API server rejects where
    text has to be, so objects with such values were made by other tools.
    """
    loader = _LettersLoader if letters_are_text else _Loader
    return [document for document in yaml.load_all(text, Loader=loader) if document is not None]


class DuplicateKeyError(ValueError):
    """A mapping has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}: appears twice")


def load_unique(text: str) -> list[Any]:
    """As `load_all`. Raises DuplicateKeyError as well, where kubectl takes the last value."""
    return [document for document in yaml.load_all(text, Loader=_UniqueLoader) if document is not None]


def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of these pairs, also for the parser of JSON. Raises DuplicateKeyError."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise DuplicateKeyError(key)
        made[key] = value
    return made


def dump_all(documents: Sequence[Any]) -> str:
    """The documents as YAML that kubectl reads back as they are; empty without any document."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False) if documents else ""


def scalar(text: str) -> Any:
    """The value of a plain scalar. Raises ValueError for what JSON cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise ValueError("JSON has no infinity and no NaN")
    if len(text) > _LONGEST or not (text[0] in "+-." or (text[0].isascii() and text[0].isdigit())):
        return text
    plain = text.replace("_", "")
    integer = _integer(plain)
    if integer is not None:
        return integer
    if _FLOAT.fullmatch(plain) and math.isfinite(number := float(plain)):
        return _as_json(number)
    return text


def _integer(plain: str) -> int | float | None:
    match = _INTEGER.fullmatch(plain)
    if match is None:
        return None
    sign, *digits = match.groups()
    base, given = next((base, part) for base, part in zip((2, 16, 8, 10), digits, strict=True) if part)
    number = int(sign + given, base)
    if -(1 << 63) <= number < (1 << 63):
        return number
    # Beyond 64 bits without a sign, Go parses no integer; then only decimal digits are a number, a floating one.
    return float(number) if base == 10 or 0 < number < (1 << 64) else None


def _as_json(number: float) -> int | float:
    """A whole number is written without a fraction, and read back as an integer."""
    return int(number) if number.is_integer() and abs(number) < (1 << 63) else number


class _Loader(_Base):
    _depth = 0

    def descend_resolver(self, parent: yaml.Node | None, index: Any) -> None:
        """Called for each node. The C library overflows its stack in a document that is too deep."""
        self._depth += 1
        if self._depth > DEEPEST:
            mark = parent.start_mark if parent else None
            raise yaml.composer.ComposerError(None, None, f"more than {DEEPEST} levels deep", mark)
        super().descend_resolver(parent, index)

    def ascend_resolver(self) -> None:
        self._depth -= 1
        super().ascend_resolver()

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _MERGE if value == "<<" else _PLAIN
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return tag

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002, ARG002
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep=True) for key, value in node.value}

    def _key(self, node: yaml.Node) -> str:
        key = self.construct_object(node, deep=True)
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, str | int | float):
            return str(key)
        raise yaml.constructor.ConstructorError(None, None, "a key must be text", node.start_mark)


class _LettersLoader(_Loader):
    """Reads the values y and n as text. Keys are kubectl's."""

    def _key(self, node: yaml.Node) -> str:
        text = super()._key(node)
        return str(_WORDS[text]).lower() if node.tag == _PLAIN and text in _LETTERS else text


class _UniqueLoader(_Loader):
    """Looks for keys that appear twice before a document is made: making it puts merged keys beside a mapping's own."""

    def construct_document(self, node: yaml.Node) -> Any:
        self._check(node, set())
        return super().construct_document(node)

    def _check(self, node: yaml.Node, checked: set[yaml.Node]) -> None:
        if node in checked or isinstance(node, yaml.ScalarNode):
            return
        checked.add(node)
        if isinstance(node, yaml.MappingNode):
            unique([(self._key(key), None) for key, _ in node.value])
        for child in node.value:
            self._check(child[1] if isinstance(child, tuple) else child, checked)


class _Dumper(_BaseDumper):
    """Quotes texts that kubectl would read as another type, and writes texts of several lines as blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None if _is_text(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _is_text(text: str) -> bool:
    try:
        return scalar(text) is text
    except ValueError:
        return False


_Dumper.add_representer(str, _represent_text)


def _plain(_: _Loader, node: yaml.ScalarNode) -> Any:
    try:
        return scalar(str(node.value))
    except ValueError as exc:
        raise yaml.constructor.ConstructorError(None, None, str(exc), node.start_mark) from None


def _plain_or_letter(loader: _Loader, node: yaml.ScalarNode) -> Any:
    return node.value if node.value in _LETTERS else _plain(loader, node)


def _typed(*kinds: type) -> Any:
    def construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
        value = _plain(loader, node)
        fraction = kinds == (int,) and not _INTEGER.fullmatch(str(node.value).replace("_", ""))
        if type(value) not in kinds or fraction:
            raise yaml.constructor.ConstructorError(None, None, "not of the type of its tag", node.start_mark)
        return value

    return construct


def _text(_: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _binary(_: _Loader, node: yaml.ScalarNode) -> str:
    try:
        return base64.b64decode(str(node.value)).decode()
    except ValueError:
        raise yaml.constructor.ConstructorError(None, None, "not the base64 of text", node.start_mark) from None


def _any(loader: _Loader, node: yaml.Node) -> Any:
    """A tag that kubectl ignores."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return node.value


for _tag, _constructor in {
    _PLAIN: _plain,
    _MERGE: _text,
    "tag:yaml.org,2002:str": _text,
    "tag:yaml.org,2002:timestamp": _text,
    "tag:yaml.org,2002:int": _typed(int),
    "tag:yaml.org,2002:float": _typed(int, float),
    "tag:yaml.org,2002:bool": _typed(bool),
    "tag:yaml.org,2002:null": _typed(type(None)),
    "tag:yaml.org,2002:binary": _binary,
    "tag:yaml.org,2002:map": _any,
    "tag:yaml.org,2002:seq": _any,
    None: _any,
}.items():
    _Loader.add_constructor(_tag, _constructor)
for _tag in ("set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _any)
_LettersLoader.add_constructor(_PLAIN, _plain_or_letter)
