"""`manifests/syncedsecret.schema.json`: a JSON Schema that lets editors complete, explain and check SyncedSecrets.

It has all declared limits and rules, so an editor finds at once what would otherwise become a condition. What needs
more than a schema (whether an expression compiles, the bounds of a duration) is left to the operator.
"""

from __future__ import annotations

import json

from generate.crd import DESCRIPTION
from generate.declared import Node, sentences, tree
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.synced_secret.spec import SyncedSecretSpec
from secretsyncer.synced_secret.status import SyncedSecretStatus

_METADATA = {
    "description": "Standard object's metadata.",
    "type": "object",
    "properties": {
        "name": {"description": "Name of the object, unique in its namespace.", "type": "string"},
        "namespace": {"description": "Namespace of the object, and of its Secret.", "type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema() -> Node:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Generated from secretsyncer/synced_secret/ by `make docs`. Do not edit.",
        "title": SYNCED_SECRETS.kind,
        "description": DESCRIPTION,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": SYNCED_SECRETS.api_version},
            "kind": {"const": SYNCED_SECRETS.kind},
            "metadata": _METADATA,
            "spec": _strict(tree(SyncedSecretSpec)),
            "status": _strict(tree(SyncedSecretStatus)),
        },
    }


def _strict(node: Node) -> Node:
    """The node in the words of JSON Schema."""
    made = {name: value for name, value in node.items() if name not in {"rules", "checks", "nullable"}}
    made["description"] = sentences(node)
    if node.get("nullable"):
        made["type"] = [node["type"], "null"]
    if node.get("rules"):
        made["allOf"] = [rule["schema"] for rule in node["rules"]]
    if "properties" in node:
        made["properties"] = {name: _strict(child) for name, child in node["properties"].items()}
    elif isinstance(values := node.get("additionalProperties"), dict):
        made["additionalProperties"] = _strict(values)
    if "items" in node:
        made["items"] = _strict(node["items"])
    return made
