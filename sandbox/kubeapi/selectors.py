"""Label and field selectors of list and watch requests.

Grammar: Kubernetes, "Labels and Selectors" (equality, sets, existence) and "Field Selectors". A field that a resource
does not index is refused with 400, as the real server does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.kubeapi.errors import Json, bad_request

Matcher = Callable[[Json], bool]
_LabelTest = Callable[[Mapping[str, str]], bool]

_KEY = r"[A-Za-z0-9](?:[-\w./]*[A-Za-z0-9])?"
_VALUE = r"[-\w.]*"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_COMPARISON = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTENCE = re.compile(rf"(!?)\s*({_KEY})")


def everything(_obj: Json) -> bool:
    """Matches every object: there is no selector."""
    return True


def parse(labels: str, fields: str, indexed: Iterable[str]) -> Matcher:
    """One matcher for both selectors. `indexed` are the fields of the resource that can be selected, dotted."""
    tests = [_label_test(part.strip()) for part in _split(labels)]
    wanted = [_field_test(part, {"metadata.name", "metadata.namespace", *indexed}) for part in _split(fields)]
    if not tests and not wanted:
        return everything

    def matches(obj: Json) -> bool:
        own = obj["metadata"].get("labels") or {}
        return all(test(own) for test in tests) and all(test(obj) for test in wanted)

    return matches


def _split(selector: str) -> list[str]:
    """The parts between commas outside of parentheses."""
    return [part for part in re.split(r",(?![^()]*\))", selector) if part.strip()]


def _label_test(text: str) -> _LabelTest:
    if match := _SET.fullmatch(text):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _COMPARISON.fullmatch(text):
        key, operator, value = match.groups()
        return lambda labels: (labels.get(key) == value) == (operator != "!=")
    if match := _EXISTENCE.fullmatch(text):
        negated, key = match.groups()
        return lambda labels: (key in labels) != bool(negated)
    raise bad_request(f"unable to parse requirement: {text!r}")


def _field_test(text: str, indexed: set[str]) -> Matcher:
    match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text.strip())
    if match is None:
        raise bad_request(f"invalid selector: {text!r}; can't understand {text!r}")
    field, operator, value = match.groups()
    if field not in indexed:
        raise bad_request(f"field label not supported: {field}")
    value = re.sub(r"\\([\\,=])", r"\1", value)
    equal = operator != "!="
    return lambda obj: (_text_at(obj, field) == value) == equal


def _text_at(obj: Json, field: str) -> str:
    value: Any = obj
    for step in field.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
