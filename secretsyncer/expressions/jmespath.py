"""JMESPath expressions for nested values in the JSON of a secret.

All of JMESPath (https://jmespath.org/specification.html) except the parts that create objects: multi-selects (`[a, b]`,
`{x: a}`) and `map`. `items` gives a list of `[key, value]` for an object, as JMESPath Community has it. The rest can still
create large results: a projection whose elements are literals, `join` of a `join`, `to_string` of a `to_string`. Therefore
each evaluation charges its steps and results in advance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import jmespath
from cachetools import LRUCache, cached
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from jmespath.visitor import Options, TreeInterpreter

LIMIT = 512
"""Maximum length of an expression."""
_REMEMBERED = 32 << 10
"""Characters of the expressions that are kept compiled; each character takes up to 400 bytes."""
_COPYING = {"multi_select_list", "multi_select_dict"}
_BY = {"sort_by", "min_by", "max_by"}
_DASHED = re.compile(r"""[A-Za-z_]\w*(?:-\w+)+""", re.ASCII)
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`""")

Charge = Callable[[int], None]
"""Called with the number of steps before they are taken; raises to stop the evaluation."""


def check(expression: str) -> None:
    """Raise ValueError with the reason, if the expression cannot be used."""
    if len(expression) > LIMIT:
        raise ValueError(f"is longer than {LIMIT} characters")
    _compile(expression)


def search(expression: str, document: Any, charge: Charge) -> Any:
    """The result of the expression; None for no match. The text of a ValueError never quotes the document."""
    try:
        return _Interpreter(charge).visit(_compile(expression).parsed, document)
    except (JMESPathError, TypeError, ArithmeticError, RecursionError) as exc:
        problem = type(exc).__name__
    raise ValueError(f"jmesPath {expression} cannot be evaluated here ({problem})")


class _Functions(Functions):  # type: ignore[misc] # the library has no types
    """The functions of JMESPath. Those that create text charge it first."""

    def __init__(self, charge: Charge) -> None:
        self._charge = charge

    @signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, array: list[str]) -> str:
        self._charge(sum(map(len, array)) + len(separator) * len(array))
        return separator.join(array)

    @signature({"types": ["object"]})  # type: ignore[untyped-decorator]
    def _func_items(self, members: dict[str, Any]) -> list[list[Any]]:
        self._charge(2 * len(members))
        return [[key, value] for key, value in members.items()]

    @signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, arg: Any) -> str:
        if isinstance(arg, str):
            return arg
        chunks = []
        for chunk in json.JSONEncoder(separators=(",", ":"), default=str).iterencode(arg):
            self._charge(len(chunk))
            chunks.append(chunk)
        return "".join(chunks)


class _Interpreter(TreeInterpreter):  # type: ignore[misc] # the library has no types
    """Evaluates an expression, and charges each visited part and each created element."""

    def __init__(self, charge: Charge) -> None:
        super().__init__(Options(custom_functions=_Functions(charge)))
        self._charge = charge

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._charge(1)
        return super().visit(node, *args, **kwargs)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        result = super().visit_function_expression(node, value)
        if isinstance(result, list | dict | str):
            self._charge(len(result))
        return result

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if isinstance(base, list):
            self._charge(sum(len(element) if isinstance(element, list) else 1 for element in base))
        return super().visit_flatten({"children": [{"type": "literal", "value": base}]}, value)

    def visit_slice(self, node: Any, value: Any) -> Any:
        if isinstance(value, list):
            self._charge(len(value))
        return super().visit_slice(node, value)


@cached(LRUCache(_REMEMBERED, getsizeof=lambda compiled: len(compiled.expression)), lock=Lock())
def _compile(expression: str) -> Any:
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as exc:
        first = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise ValueError(f"not a JMESPath expression: {first.rstrip(': ')}{_advice(expression)}") from None
    for node in _nodes({"type": "whole", "children": [compiled.parsed]}):
        if node["type"] in _COPYING:
            raise ValueError("multi-selects ([a, b] and {x: a}) are not supported")
        if node["type"] == "function_expression" and node["value"] == "map":
            raise ValueError("map() is not supported")
        if "expref" in _child_types(node) and not (node["type"] == "function_expression" and node["value"] in _BY):
            raise ValueError("& is only for sort_by, min_by and max_by")
    return compiled


def _advice(expression: str) -> str:
    """How to write a key with a dash, the most common mistake."""
    dashed = _DASHED.search(_QUOTED.sub(" ", expression))
    return f'; write a key with a dash in double quotes: "{dashed[0]}"' if dashed else ""


def _child_types(node: dict[str, Any]) -> set[str]:
    return {child["type"] for child in node.get("children", ()) if isinstance(child, dict)}


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(child for child in node.get("children", ()) if isinstance(child, dict))
