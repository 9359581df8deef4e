"""The page on the fields of a SyncedSecret."""

from __future__ import annotations

from collections.abc import Iterator

from generate import crd, markdown
from generate.declared import Node, sentences, tree
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.synced_secret.fields import Fields
from secretsyncer.synced_secret.spec import SyncedSecretSpec
from secretsyncer.synced_secret.status import SyncedSecretStatus

_PAGE = """\
{note}
# Fields of a {kind}

{description}

`apiVersion: {api_version}`, `kind: {kind}`, namespaced, short name `{short}`. In a terminal,
`kubectl explain {singular}.spec --recursive` shows the same fields.

Editors with a YAML language server complete, explain and check the fields with the JSON Schema
[manifests/syncedsecret.schema.json](../../manifests/syncedsecret.schema.json). Name the schema in the first line of
the manifest, by its path or URL:

```yaml
# yaml-language-server: $schema=../syncedsecret.schema.json
```
"""


def page() -> str:
    before = _PAGE.format(
        note=markdown.note("secretsyncer/synced_secret/"),
        kind=SYNCED_SECRETS.kind,
        description=crd.DESCRIPTION,
        api_version=SYNCED_SECRETS.api_version,
        short=crd.SHORT_NAMES[0],
        singular=crd.SINGULAR,
    )
    columns = markdown.table("Column, Shown, Meaning", (_column(column) for column in crd.COLUMNS))
    parts = [before, *_section("spec", SyncedSecretSpec), *_section("status", SyncedSecretStatus)]
    return "\n".join([*parts, "## Columns of kubectl get\n", columns])


def _section(name: str, model: type[Fields]) -> list[str]:
    node = tree(model)
    return [f"## {name}\n", f"{_plain(sentences(node))}\n", markdown.table("Field, Type, Meaning", _rows(node, ""))]


def _rows(node: Node, path: str) -> Iterator[tuple[str, ...]]:
    required = set(node.get("required", ()))
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        parts = [_type(child), *(["required"] if name in required else []), *_limits(child)]
        yield f"`{here}`", ", ".join(parts), _meaning(child)
        yield from _rows(child, here)
        yield from _rows(child.get("items", {}), f"{here}[]")


def _type(node: Node) -> str:
    """The type of a field, as Kubernetes' references write it."""
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if "items" in node:
        return f"[]{_type(node['items'])}"
    if isinstance(values := node.get("additionalProperties"), dict):
        return f"map[string]{_type(values)}"
    return "Time" if node.get("format") == "date-time" else str(node["type"])


def _limits(node: Node) -> Iterator[str]:
    for things, low, high in (
        ("characters", "minLength", "maxLength"),
        ("items", "minItems", "maxItems"),
        ("items", "minProperties", "maxProperties"),
    ):
        match node.get(low), node.get(high):
            case None, None:
                pass
            case 1, None:
                yield "not empty"
            case None, most:
                yield f"at most {most} {things}"
            case least, None:
                yield f"at least {least} {things}"
            case least, most:
                yield f"{least} to {most} {things}"


def _meaning(node: Node) -> str:
    """What is declared of the field, and what each item of a list must satisfy."""
    text = sentences(node)
    if rules := node.get("items", {}).get("rules"):
        text = f"{text} In each item, {' and '.join(rule['message'] for rule in rules)}."
    return _plain(text)


def _column(column: crd.Column) -> tuple[str, ...]:
    return column.name, "with `-o wide`" if column.wide else "always", _plain(column.description)


def _plain(text: str) -> str:
    """A browser takes `<type>` for a tag, and Markdown `*` and `_` for emphasis."""
    return text.replace("<", "&lt;")
