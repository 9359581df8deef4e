"""`manifests/base/crd.yaml`: the CustomResourceDefinition.

The fields come from `secretsyncer.synced_secret`; here is what else a definition needs, and which of the declared
limits are in the schema. The others become rules: see `cel.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from generate import cel
from generate.declared import Node, sentences, tree
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.synced_secret.fields import Fields
from secretsyncer.synced_secret.spec import SyncedSecretSpec
from secretsyncer.synced_secret.status import SyncedSecretStatus

SINGULAR = SYNCED_SECRETS.kind.lower()
SHORT_NAMES = ["ss"]
CATEGORIES = ["secretsyncer"]
"""`kubectl get secretsyncer`. Not `all`: `kubectl delete all --all` would delete SyncedSecrets, and the Secrets of those
with the deletionPolicy Delete, while `kubectl get all` shows no Secrets."""
SELECTABLE_FIELDS = [".spec.IAMRole", ".spec.target.name"]
"""`kubectl get syncedsecrets --field-selector spec.IAMRole=...`"""
DESCRIPTION = (
    "SyncedSecret creates a Kubernetes Secret from secrets in AWS Secrets Manager and parameters in Parameter Store, and "
    "keeps it up to date. By default the Secret has the name and the namespace of the SyncedSecret. If a sync fails, the "
    "condition Ready explains why, and the Secret stays as it is."
)
_READY = '.status.conditions[?(@.type=="Ready")]'
_HEADER = """\
# Generated from secretsyncer/synced_secret/ by `make docs`. Do not edit.
#
# The API server refuses what one object can tell by itself, in the words of the condition Ready. Each rule accepts what
# has not changed since before there was the rule. There are no defaults, because a default that the server writes into
# an object looks like drift to tools that compare it with its source.
"""
_SHAPE = ("format", "nullable", "enum", "x-kubernetes-list-type", "x-kubernetes-list-map-keys")
_SIZES = ("maxLength", "maxItems", "maxProperties")
"""Of `spec`, because they bound the memory of all who watch the objects. An object from before a smaller size cannot
get a status on Kubernetes 1.32, so everything else is a rule that accepts what has not changed."""
_LIMITS = (*_SIZES, "minimum", "maximum", "minLength", "pattern", "minItems", "minProperties")
"""Of `status`, which only the operator writes."""


class Column(NamedTuple):
    """A column of `kubectl get`."""

    name: str
    type: str
    path: str
    description: str
    wide: bool = False


COLUMNS = (
    Column("Ready", "string", f"{_READY}.status", "Whether the Secret has the content that the spec asks for."),
    Column("Reason", "string", f"{_READY}.reason", "Why it is ready or not, in one word."),
    Column(
        "Last Sync",
        "date",
        ".status.lastSyncTime",
        "Time since the Secret was last written, or found to be up to date after a change.",
    ),
    Column("Age", "date", ".metadata.creationTimestamp", "Time since the SyncedSecret was created."),
    Column("Role", "string", ".spec.IAMRole", "IAM role that is assumed to read from AWS.", wide=True),
    Column("Message", "string", f"{_READY}.message", "What is wrong, and where.", wide=True),
)


def text() -> str:
    return _HEADER + yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=110)


def definition() -> Node:
    group, version, plural, kind = SYNCED_SECRETS[:4]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": SINGULAR,
                "shortNames": SHORT_NAMES,
                "categories": CATEGORIES,
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in COLUMNS],
                    "selectableFields": [{"jsonPath": path} for path in SELECTABLE_FIELDS],
                    "schema": {"openAPIV3Schema": schema()},
                }
            ],
        },
    }


def schema() -> Node:
    """The whole object's structural schema."""
    return {
        "description": DESCRIPTION,
        "type": "object",
        "properties": {
            "apiVersion": {
                "description": f"Version of this schema: {SYNCED_SECRETS.api_version}.",
                "type": "string",
            },
            "kind": {"description": f"Kind of this object: {SYNCED_SECRETS.kind}.", "type": "string"},
            "metadata": {"type": "object"},  # Kubernetes allows no description here
            "spec": checked(SyncedSecretSpec, "spec"),
            "status": _structural(tree(SyncedSecretStatus), _SHAPE + _LIMITS),
        },
    }


def checked(model: type[Fields], path: str) -> Node:
    """The schema of a model with its rules. `path` is where it is in an object."""
    declared = tree(model)
    return _with_rules(_structural(declared, _SHAPE + _SIZES), declared, path)


def _structural(node: Node, keywords: tuple[str, ...]) -> Node:
    """The node as Kubernetes allows it in a definition, with these keywords."""
    made: Node = {"description": sentences(node), "type": node["type"]}
    made |= {keyword: node[keyword] for keyword in keywords if keyword in node}
    if "required" in node:
        made["required"] = node["required"]
    if "properties" in node:
        made["properties"] = {name: _structural(child, keywords) for name, child in node["properties"].items()}
    elif isinstance(values := node.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(values, keywords)
    if "items" in node:
        made["items"] = _structural(node["items"], keywords)
    return made


def _with_rules(made: Node, declared: Node, path: str) -> Node:
    """The structural node with its rules, and with those of the fields in it, except in lists."""
    if rules := cel.validations(declared, path):
        made["x-kubernetes-validations"] = rules
    for name, child in made.get("properties", {}).items():
        _with_rules(child, declared["properties"][name], f"{path}.{name}")
    if "additionalProperties" in made:
        _with_rules(made["additionalProperties"], declared["additionalProperties"], f"{path}[]")
    return made


def _column(column: Column) -> Node:
    made: Node = {"name": column.name, "type": column.type}
    if column.wide:
        made["priority"] = 1
    return {**made, "description": column.description, "jsonPath": column.path}


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: indented lists, short lists in one line, long text folded."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=">" if len(data) > 80 else None)


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.SequenceNode:
    short = all(isinstance(item, str) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
