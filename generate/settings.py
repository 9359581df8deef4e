"""The page on settings, from the model that reads them."""

from __future__ import annotations

from typing import Any

from generate import markdown
from secretsyncer.settings import Settings

_BEFORE = """\
# Settings

Settings are environment variables, read once at the start. An empty variable means the default. A wrong value ends
the start with exit code 2 and one line that names the variable.
"""
_AFTER = """\
AWS's own variables (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` and the others) are read by the AWS SDK, and
`KUBECONFIG` by the Kubernetes client. Without `KUBECONFIG`, `~/.kube/config` is used, or the service account of the
pod.
"""


def page() -> str:
    rows = (
        (f"`{name.upper()}`", _default(entry), _values(entry), " ".join(entry.get("description", "").split()))
        for name, entry in Settings.model_json_schema()["properties"].items()
    )
    table = markdown.table("Variable, Default, Values, Meaning", rows)
    return "\n".join([markdown.note("secretsyncer/settings.py"), _BEFORE, table, _AFTER])


def _default(entry: dict[str, Any]) -> str:
    default = entry.get("default")
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default in (None, "", [], ()):
        return "empty"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _values(entry: dict[str, Any]) -> str:
    entry = next((choice for choice in entry.get("anyOf", ()) if choice.get("type") != "null"), entry)
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    kinds = {"boolean": "`true` or `false`", "array": "list", "string": "text", "integer": "integer"}
    bounds = {"exclusiveMinimum": "over", "minimum": "from", "exclusiveMaximum": "under", "maximum": "to"}
    limits = [f"{word} {entry[name]:g}" for name, word in bounds.items() if name in entry]
    return " ".join([kinds.get(entry.get("type", ""), "number"), *limits])
