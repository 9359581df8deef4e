"""The fields of a model as a tree of JSON Schema, from which everything about a SyncedSecret is generated.

It is pydantic's own JSON Schema, with these differences: references are replaced by what they refer to, there are no
titles and no defaults, and absent is not the same as null. Descriptions are the text under a field, or the
docstring of its class. Three keywords are added: `rules` (of an object), `patternErrorMessage` (of a pattern), and
`checks` (what no other keyword says, in CEL).
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from secretsyncer.synced_secret.fields import Fields

Node = dict[str, Any]


def tree(model: type[Fields]) -> Node:
    """The fields of the model. Raises LookupError if one has no description."""
    schema = dict(_schema(model))
    resolved: Node = _resolved(schema, schema.pop("$defs", {}))
    return resolved


@cache
def _schema(model: type[Fields]) -> Node:
    return model.model_json_schema(schema_generator=_Generator)


def sentences(node: Node) -> str:
    """What is declared of a field in words: its description, and what its format and its rules demand."""
    demands = [node.get("patternErrorMessage"), *(rule["message"] for rule in node.get("rules", ()))]
    return " ".join([node["description"], *(f"{text[0].upper()}{text[1:]}." for text in demands if text)])


class _Generator(GenerateJsonSchema):
    def nullable_schema(self, schema: core_schema.NullableSchema) -> Node:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Node:
        return self.generate_inner(schema["schema"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> Node:
        return {"type": "string", "enum": schema["expected"]}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> Node:
        node, model = super().model_schema(schema), schema["cls"]
        del node["title"]
        node["description"] = _one_line(model.__doc__ or "")
        node["rules"] = [
            {"message": rule.message, "schema": rule.schema, "enforced": rule.enforced} for rule in model.rules
        ]
        described = _descriptions(model)
        for name, field in model.model_fields.items():
            if name not in described:
                raise LookupError(f"{model.__name__}.{name} has no description")
            node["properties"][field.alias]["description"] = described[name]
        return node


def _resolved(node: Any, definitions: Node) -> Any:
    """The node, with each reference replaced by its definition. What stands beside a reference wins."""
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if reference := node.get("$ref"):
        node = {**definitions[reference.rpartition("/")[2]], **node}
        del node["$ref"]
    return {name: _resolved(value, definitions) for name, value in node.items()}


def _descriptions(model: type[Fields]) -> dict[str, str]:
    """The text under each field. Pydantic can read it too, but would do so in each program that imports the model."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, Fields):
            (definition,) = ast.parse(dedent(inspect.getsource(cls))).body
            assert isinstance(definition, ast.ClassDef)  # noqa: S101 - the source of a class is a class
            for pair in pairwise(definition.body):
                match pair:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        found[name] = _one_line(words)
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
