"""The base class of the models in `spec` and `status`, and rules over several fields.

A rule has several forms: `holds` checks an object, `message` is for the user, and `schema` is the same in JSON Schema.
The rule of the API server is generated from `enforced` (see `generate/cel.py`). Rules name fields as users write them.
A path may lead into an object: `name.regexp`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel, to_snake

NOT_EMPTY: dict[str, Any] = {"minLength": 1, "minItems": 1, "minProperties": 1, "not": {"enum": [False]}}


class Rule(NamedTuple):
    """A condition over several fields of one object."""

    message: str
    holds: Callable[[Any], bool]
    schema: dict[str, Any]
    """For editors."""
    enforced: dict[str, Any] | None
    """What the API server refuses to break, in JSON Schema; None if it accepts everything, as the operator does."""


class Fields(BaseModel):
    """Fields of an object. Their names are in camel case, and unknown fields are errors."""

    # Messages of these models go to statuses, so they never repeat what the user wrote as a value.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)

    rules: ClassVar[tuple[Rule, ...]] = ()

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Checks the rules. A model validator would cost a third more time when the program starts."""
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)


def exactly_one_of(*names: str, tolerated: tuple[str, ...] | None = None) -> Rule:
    """One of the fields is set, and the others are absent.

    With `tolerated`, which may be set together, there may also be none, as in the Go operator.
    """
    values = {name: _reader(name) for name in names}

    def holds(fields: Any) -> bool:
        given = tuple(name for name, value in values.items() if value(fields) is not None)
        return len(given) == 1 or (tolerated is not None and given in {(), tolerated})

    schema: dict[str, Any] = {"oneOf": [{"required": [name]} for name in names]}
    pairs = [{"required": [*pair]} for pair in combinations(names, 2) if pair != tolerated]
    enforced = schema if tolerated is None else {"not": {"anyOf": pairs}}
    return Rule(f"exactly one of {_listed(names)} must be set", holds, schema, enforced)


def at_least_one_of(*paths: str) -> Rule:
    """One of the fields is set and not empty."""
    values = [_reader(path) for path in paths]
    schema = {"anyOf": [not_empty(path) for path in paths]}
    return Rule(
        f"at least one of {_listed(paths)} must be set",
        lambda fields: any(value(fields) for value in values),
        schema,
        schema,
    )


def at_most_one_of(*names: str) -> Rule:
    """The fields are mutually exclusive; an empty one counts as absent."""
    values = [_reader(name) for name in names]
    schema = {"not": {"anyOf": [{"allOf": [*pair]} for pair in combinations(map(not_empty, names), 2)]}}
    return Rule(
        f"{_listed(names)} are mutually exclusive",
        lambda fields: len([value for value in values if value(fields)]) <= 1,
        schema,
        schema,
    )


def advised(rule: Rule, otherwise: str) -> Rule:
    """A rule for editors. Objects that break it work, as in the Go operator (see `remarks.py`).

    `otherwise` says to readers what an object means that breaks it.
    """
    return rule._replace(message=otherwise, holds=lambda _: True, enforced=None)


def _reader(path: str) -> Callable[[Any], Any]:
    """A function that returns the value at a path, or None."""
    attributes = [to_snake(name) for name in path.split(".")]
    if len(attributes) == 1:
        return attrgetter(attributes[0])

    def read(fields: Any) -> Any:
        for attribute in attributes:
            if fields is None:
                return None
            fields = getattr(fields, attribute)
        return fields

    return read


def not_empty(path: str) -> dict[str, Any]:
    """The schema of a path that is set, and is not empty or false. Each keyword applies to one type only."""
    name, _, rest = path.partition(".")
    value = not_empty(rest) if rest else NOT_EMPTY
    return {"required": [name], "properties": {name: value}}


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
