"""JMESPath expressions for nested values in the JSON of a secret.

All of JMESPath (https://jmespath.org/specification.html) except the parts that copy: multi-selects (`[a, b]`,
`{x: a}`) and `map`. Without them, the result of an expression is never larger than its input, so a hostile expression
cannot exhaust memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

LIMIT = 512
"""Maximum length of an expression."""
_COPYING = {"multi_select_list", "multi_select_dict"}
_BY = {"sort_by", "min_by", "max_by"}


def check(expression: str) -> None:
    """Raise ValueError with the reason, if the expression cannot be used."""
    if len(expression) > LIMIT:
        raise ValueError(f"is longer than {LIMIT} characters")
    _compile(expression)


def search(expression: str, document: Any) -> Any:
    """The result of the expression; None for no match. The text of a ValueError never quotes the document."""
    try:
        return _compile(expression).search(document)
    except (JMESPathError, TypeError, RecursionError) as exc:
        problem = type(exc).__name__
    raise ValueError(f"jmesPath {expression} cannot be evaluated here ({problem})")


@lru_cache(maxsize=1024)
def _compile(expression: str) -> Any:
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as exc:
        first = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise ValueError(f"not a JMESPath expression: {first}") from None
    for node in _nodes({"type": "whole", "children": [compiled.parsed]}):
        if node["type"] in _COPYING:
            raise ValueError("multi-selects ([a, b] and {x: a}) are not supported")
        if node["type"] == "function_expression" and node["value"] == "map":
            raise ValueError("map() is not supported")
        if "expref" in _child_types(node) and not (node["type"] == "function_expression" and node["value"] in _BY):
            raise ValueError("& is only for sort_by, min_by and max_by")
    return compiled


def _child_types(node: dict[str, Any]) -> set[str]:
    return {child["type"] for child in node.get("children", ()) if isinstance(child, dict)}


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(child for child in node.get("children", ()) if isinstance(child, dict))
