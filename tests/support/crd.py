"""The CRD in manifests/ as a JSON Schema, to validate objects as the API server does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

CRD = Path(__file__).resolve().parents[2] / "manifests" / "crd.yaml"


@cache
def schema() -> dict[str, Any]:
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place in the schema that describes a value, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in node:
            yield from nodes(node[keyword], f"{path}[]")


@cache
def validator() -> Draft202012Validator:
    """The schema as JSON Schema, with OpenAPI's `nullable` put in its words. Unknown fields are errors."""

    def translate(node: Any) -> Any:
        if isinstance(node, list):
            return [translate(item) for item in node]
        if not isinstance(node, dict):
            return node
        out = {key: translate(value) for key, value in node.items()}
        if out.pop("nullable", False) is True:
            out["type"] = [out["type"], "null"]
        if "properties" in out:
            out["additionalProperties"] = False
        return out

    translated = translate(schema())
    translated["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(translated)
