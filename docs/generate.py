"""Writes what the papers take from the code and from files: `make docs`.

Two things. The pages in `reference/` are made whole: fields from `manifests/crd.yaml`, settings from
`secretsyncer.settings`, metrics from `secretsyncer.metrics`. In every other page, and in the README, the block
between `<!-- file: PATH -->` and `<!-- end -->` becomes the content of that file, the path being relative to the
page; so the examples that are shown are the files that the tests render. `tests/unit/test_docs.py` fails where a
page is stale.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from secretsyncer.metrics import Metrics
from secretsyncer.settings import Settings

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
CRD = ROOT / "manifests" / "crd.yaml"
_INCLUDED = re.compile(r"(<!-- file: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LANGUAGES = {".yaml": "yaml", ".json": "json", ".sh": "sh"}
_NOTE = "<!-- Made by docs/generate.py from {source}. Change that, then run `make docs`. -->\n"
_SETTINGS = (
    """\
# Settings

Settings are environment variables, read once at the start. An empty variable means the default. A wrong value ends
the start with exit code 2 and one line that names the variable.
""",
    """\
AWS's own variables (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` and the others) are read by the AWS SDK, and
`KUBECONFIG` by the Kubernetes client. Without `KUBECONFIG`, `~/.kube/config` is used, or the service account of the
pod.
""",
)
_METRICS = """\
# Metrics

Served as `/metrics` on `METRICS_LISTEN`, in the text format of Prometheus. Times are in seconds. A histogram has
the series `_bucket`, `_sum` and `_count`. The series of an object go when the object goes. The metrics `process_*`
and `python_*` of the Prometheus client are there as well.
"""


def pages() -> dict[Path, str]:
    """Every page that is made or partly made, with the text that it should have."""
    made = {
        DOCS / "reference" / "fields.md": fields(yaml.safe_load(CRD.read_text())),
        DOCS / "reference" / "settings.md": settings(),
        DOCS / "reference" / "metrics.md": metrics(),
    }
    written = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    return {**made, **{page: with_files(page) for page in written}}


def with_files(page: Path) -> str:
    """The page, with the present content of the files that it shows."""

    def block(match: re.Match[str]) -> str:
        file = page.parent / match[2]
        language = _LANGUAGES.get(file.suffix, "text")
        return f"{match[1]}```{language}\n{file.read_text().rstrip()}\n```\n{match[3]}"

    return _INCLUDED.sub(block, page.read_text())


# Fields


def fields(crd: dict[str, Any]) -> str:
    """The reference of the resource, from its definition."""
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    identity = (
        f"`apiVersion: {crd['spec']['group']}/{version['name']}`, `kind: {names['kind']}`, "
        f"{crd['spec']['scope'].lower()}, short name `{names['shortNames'][0]}`."
    )
    explain = f"The same text is in the cluster: `kubectl explain {names['singular']}.spec --recursive`."
    parts = [
        _NOTE.format(source="manifests/crd.yaml"),
        f"# Fields of a {names['kind']}\n",
        f"{_plain(schema)}\n",
        f"{identity} {explain}\n",
    ]
    for name in ("spec", "status"):
        part = schema["properties"][name]
        parts += [f"## {name}\n", f"{_plain(part)}\n", _table("Field, Type, Meaning", _fields(part, ""))]
    columns = version["additionalPrinterColumns"]
    return "\n".join([*parts, "## Columns of kubectl get\n", _table("Column, Shown, Meaning", _columns(columns))])


def _fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    required = set(node.get("required", ()))
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        kind = _kind(child) + (", required" if name in required else "")
        yield f"`{here}`", kind, _plain(child)
        yield from _fields(child, here)
        yield from _fields(child.get("items", {}), f"{here}[]")


def _kind(node: dict[str, Any]) -> str:
    """The type of a field, in words."""
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    for keyword, word in (("items", "list"), ("additionalProperties", "map")):
        if isinstance(node.get(keyword), dict):
            return f"{word} of {_kind(node[keyword])}s"
    if node.get("format") == "date-time":
        return "time"
    return str({"string": "text"}.get(node.get("type", ""), node.get("type", "any")))


def _columns(columns: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for column in columns:
        shown = "with `-o wide`" if column.get("priority") else "always"
        yield column["name"], shown, _plain(column)


def _plain(node: dict[str, Any]) -> str:
    """The description; a browser would take `<type>` for a tag."""
    return str(node.get("description", "")).replace("<", "&lt;")


# Settings


def settings() -> str:
    """The reference of the environment, from the model that reads it."""
    before, after = _SETTINGS
    rows = (
        (f"`{name.upper()}`", _default(entry), _values(entry), " ".join(entry.get("description", "").split()))
        for name, entry in Settings.model_json_schema()["properties"].items()
    )
    table = _table("Variable, Default, Values, Meaning", rows)
    return "\n".join([_NOTE.format(source="secretsyncer/settings.py"), before, table, after])


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


# Metrics


def metrics() -> str:
    """The reference of /metrics, from the declarations."""
    registry = CollectorRegistry()
    Metrics(registry)
    declared = registry._collector_to_names  # noqa: SLF001 - the registry does not list its collectors otherwise
    rows = [_metric(collector, family) for collector in declared for family in collector.describe()]
    table = _table("Metric, Type, Labels, Meaning", rows)
    return "\n".join([_NOTE.format(source="secretsyncer/metrics.py"), _METRICS, table])


def _metric(collector: Collector, family: Metric) -> tuple[str, ...]:
    name = family.name + ("_total" if family.type == "counter" else "")
    names = getattr(family, "_labelnames", None) or getattr(collector, "_labelnames", ())  # no public name for them
    return f"`{name}`", family.type, ", ".join(f"`{label}`" for label in names), family.documentation


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    names = tuple(head.split(", "))
    lines = [names, tuple("---" for _ in names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def main() -> None:
    """Write every page that is not as it should be."""
    for page, text in pages().items():
        if not page.exists() or page.read_text() != text:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text)


if __name__ == "__main__":
    main()
