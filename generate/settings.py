"""The page on settings, from the model that reads them."""

from __future__ import annotations

from typing import Any

from generate import markdown
from secretsyncer.settings import Settings

_BEFORE = """\
# Settings

Settings are environment variables. The operator reads them once, at start. An empty variable means the default. If a
value is wrong, the operator prints one line that names the variable, and ends with exit code 2.
"""
_AFTER = """\
The AWS SDK reads its own variables (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` and others). The Kubernetes client
uses `KUBECONFIG`, or else the ServiceAccount of the pod, or else `~/.kube/config`.
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
    kinds = {"boolean": "`true` or `false`", "array": "list", "string": "string", "integer": "integer"}
    bounds = {
        "exclusiveMinimum": "greater than",
        "minimum": "at least",
        "exclusiveMaximum": "less than",
        "maximum": "at most",
    }
    limits = [f"{word} {entry[name]:g}" for name, word in bounds.items() if name in entry]
    return ", ".join([kinds.get(entry.get("type", ""), "number"), *limits])
