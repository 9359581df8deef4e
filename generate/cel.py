"""The rules of the CRD in CEL (`x-kubernetes-validations`), made of what the fields declare.

The words of a refusal are those of the condition: both come from the declaration. Two things shape the rules.

**What was stored before a rule stays usable.** Kubernetes 1.32 checks rules in a change of the status without looking
at what was there before, and would so refuse what the operator has to say about the object. So every rule does what
later versions do for it: it accepts what has not changed, by `oldSelf`.

**`oldSelf` is not known in an item of a list**, because items have no identity. So the rules of items stand at the
list, and say by a `messageExpression` which item is wrong. If one item is changed, all must be right.

The server estimates what a rule costs from the largest sizes of the fields, and refuses a CRD that costs too much. It
also ends a rule that takes too long: `tests/integration/test_crd_rules.py` has the largest objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from generate.declared import Node
from secretsyncer.synced_secret.fields import NOT_EMPTY
from secretsyncer.synced_secret.parse import MESSAGES

_EACH, _VALUES = "[]", "{}"


class _Check(NamedTuple):
    """A condition on the value at a path below a node. A step of the path is a field's name, `[]` or `{}`."""

    message: str
    cel: str
    """On `self`, the value at the path; without `?`, because it becomes a part of other expressions."""
    shown: str = ""
    """What stands for `%s` in the message, on `self`."""
    of_several: bool = False
    """Whether it is about several fields of an object, so that the object may change in others."""
    path: tuple[str, ...] = ()


def validations(node: Node, path: str) -> list[Node]:
    """The rules that stand at this node, which is not in a list. `path` is where it is in an object."""
    found = [_own(check) for check in _checks(node)]
    if "items" in node:
        found += [_of_items(path, check) for check in _below(node)]
    return found


def _own(check: _Check) -> Node:
    # The rule of an object is about some of its fields. The others may change, even if it is broken.
    before = f"!({_about('oldSelf.value()', check.cel)})" if check.of_several else "self == oldSelf.value()"
    shown = {"messageExpression": _formatted(check.message, check.shown)} if check.shown else {}
    return _rule(check.cel, before, message=check.message.replace("%s", "…"), **shown)


def _of_items(path: str, check: _Check) -> Node:
    (_, *steps), names = check.path, _names()
    inside = "".join(_EACH if step in {_EACH, _VALUES} else f".{step}" for step in steps)
    where, words = path + _EACH, f"{inside}: {check.message}"
    item = next(names)
    holds = _at(item, (*steps,), check.cel, names)
    if check.shown:
        raise NotImplementedError(f"{where}{inside}: a rule in a list can show the number of the item only")
    number = f"self.map({item}, {holds}).indexOf(false)"
    return _rule(
        f"self.all({item}, {holds})",
        "self == oldSelf.value()",
        message=where + words,
        messageExpression=_formatted(f"{path}[%s]{words.replace('%', '%%')}", number),
    )


def _rule(holds: str, before: str, **messages: str) -> Node:
    # In this order: to compare a long list with what it was takes longer than to check it.
    return {"rule": f"{holds} || (oldSelf.hasValue() && {before})", **messages, "optionalOldSelf": True}


def _formatted(message: str, shown: str) -> str:
    """`format`, because the server estimates that `+` costs too much for texts and lists of any size."""
    return f"{_text(message)}.format([{shown}])"


def _at(subject: str, steps: tuple[str, ...], cel: str, names: Iterator[str]) -> str:
    """The condition on what is at a path below the subject, if it is there."""
    if not steps:
        return f"({_about(subject, cel)})" if " || " in cel else _about(subject, cel)
    step, *rest = steps
    if step in {_EACH, _VALUES}:
        name = next(names)
        inner = name if step == _EACH else f"{subject}[{name}]"
        return f"{subject}.all({name}, {_at(inner, (*rest,), cel, names)})"
    inner = f"{subject}.{step}"
    return f"(!has({inner}) || {_at(inner, (*rest,), cel, names)})"


def _below(node: Node) -> Iterator[_Check]:
    """The checks of what is in the node, at any depth."""
    children = dict(node.get("properties", {}))
    if "items" in node:
        children[_EACH] = node["items"]
    if isinstance(values := node.get("additionalProperties"), dict):
        children[_VALUES] = values
    for step, child in children.items():
        for check in (*_checks(child), *_below(child)):
            yield check._replace(path=(step, *check.path))


def _checks(node: Node) -> Iterator[_Check]:
    """What is declared of the node itself."""
    if least := node.get("minLength"):
        message = MESSAGES["string_too_short"].format(min_length=least)
        yield _Check(message, f"size(self) >= {least}")
    if (lowest := node.get("minimum")) is not None:
        yield _Check(MESSAGES["greater_than_equal"].format(ge=lowest), f"self >= {lowest}")
    if form := node.get("patternErrorMessage"):
        yield _Check(form, f"self.matches({_text(node['pattern'])})")
    for check in node.get("checks", ()):
        yield _Check(**check)
    for rule in node.get("rules", ()):
        if rule["enforced"]:
            yield _Check(rule["message"], _holds("self", rule["enforced"], node), of_several=True)


def _holds(subject: str, schema: Node, node: Node) -> str:
    """A rule over several fields, from the JSON Schema that `fields.py` makes for it."""
    if schema == NOT_EMPTY:
        return _is_not_empty(subject, node)
    if "const" in schema:
        return f"{subject} == {_text(schema['const'])}"
    fields = node["properties"]
    parts = [f"has({subject}.{name})" for name in schema.get("required", ())]
    parts += [
        _holds(f"{subject}.{name}", inner, fields[name]) for name, inner in schema.get("properties", {}).items()
    ]
    parts += [_holds(subject, each, node) for each in schema.get("allOf", ())]
    for word, form in (("anyOf", "({})"), ("oneOf", "[{}].filter(given, given).size() == 1")):
        if word in schema:
            joint = " || " if word == "anyOf" else ", "
            parts.append(form.format(joint.join(_holds(subject, each, node) for each in schema[word])))
    if "not" in schema:
        parts.append(f"!({_holds(subject, schema['not'], node)})")
    return " && ".join(part for part in parts if part)


def _is_not_empty(subject: str, node: Node) -> str:
    """What the value of a field must be to count as given; nothing if any will do."""
    if "properties" in node:
        return ""
    given = {"boolean": subject, "integer": f"{subject} != 0"}
    return given.get(node["type"], f"size({subject}) > 0")


def _about(subject: str, cel: str) -> str:
    return re.sub(r"\bself\b", subject, cel)


def _names() -> Iterator[str]:
    return (f"item{number or ''}" for number in count())


def _text(text: str) -> str:
    """A string literal: CEL has the escapes of JSON."""
    return json.dumps(text)
