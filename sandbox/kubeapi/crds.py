"""CustomResourceDefinitions: checked, established at once, and served as resources of their own.

Only `apiextensions.k8s.io/v1` with structural schemas. All versions of a resource are one object in
the store, converted by changing `apiVersion` (conversion strategy None).
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.kubeapi.columns import CREATED_AT, NAME, custom_columns, steps_of
from sandbox.kubeapi.errors import Cause, Json, may_not, required, unsupported, wrong
from sandbox.kubeapi.metadata import timestamp
from sandbox.kubeapi.resources import Registry, Resource


def rule(new: Json, old: Json | None) -> list[Cause]:
    """Fill in derived names and say what is wrong with a definition."""
    spec = new.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List" if kind else "")
    spec.setdefault("conversion", {"strategy": "None"})
    new["status"] = new.get("status") or {
        "conditions": [],
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": [],
    }
    return list(_wrong(new, spec, names)) + (list(_moved(spec, old["spec"])) if old else [])


def _wrong(new: Json, spec: Json, names: Json) -> Iterator[Cause]:
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if new["metadata"].get("name") != wanted:
        yield wrong("metadata.name", new["metadata"].get("name", ""), 'must be spec.names.plural+"."+spec.group')
    for holder, field, path in (
        (spec, "group", "spec"),
        (names, "plural", "spec.names"),
        (names, "kind", "spec.names"),
    ):
        if not holder.get(field):
            yield required(f"{path}.{field}")
    if (scope := spec.get("scope")) not in {"Namespaced", "Cluster"}:
        yield unsupported("spec.scope", scope, ["Cluster", "Namespaced"]) if scope else required("spec.scope")
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield wrong("spec.versions", "", "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not schema:
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
            continue
        yield from _unstructural(schema, f"{path}.schema.openAPIV3Schema")
        for place, column in enumerate(version.get("additionalPrinterColumns") or []):
            yield from _wrong_column(column, f"{path}.additionalPrinterColumns[{place}].jsonPath")


def _wrong_column(column: Json, path: str) -> Iterator[Cause]:
    try:
        steps_of(column.get("jsonPath", ""))
    except ValueError:
        yield wrong(path, column.get("jsonPath", ""), "is not a simple JSONPath")


def _unstructural(schema: Json, path: str) -> Iterator[Cause]:
    """The parts of "structural" that people get wrong: types everywhere, no two ways to open an object."""
    if not schema.get("type") and not any(
        schema.get(f"x-kubernetes-{word}") for word in ("int-or-string", "preserve-unknown-fields")
    ):
        yield required(f"{path}.type", "must not be empty for specified object fields")
    if schema.get("properties") and schema.get("additionalProperties"):
        yield may_not(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if schema.get("type") == "array" and not schema.get("items"):
        yield required(f"{path}.items", "must be specified")
    for key, inner in (schema.get("properties") or {}).items():
        yield from _unstructural(inner, f"{path}.properties[{key}]")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from _unstructural(schema[word], f"{path}.{word}")


def _moved(spec: Json, old: Json) -> Iterator[Cause]:
    for field in ("group", "scope"):
        if spec.get(field) != old.get(field):
            yield wrong(f"spec.{field}", spec.get(field), "field is immutable")


CRDS = Resource(
    group="apiextensions.k8s.io",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    status=True,
    generation=True,
    unconditional=False,
    rule=rule,
    columns=(NAME, CREATED_AT),
    schema={
        "type": "object",
        "description": "CustomResourceDefinition represents a resource that should be exposed on the API server.",
        "properties": {
            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
)


def serve(registry: Registry, definition: Json) -> None:
    """Serve what a definition defines, and nothing more of its name."""
    spec, names = definition["spec"], definition["spec"]["names"]
    registry.remove(spec["group"], names["plural"])
    for version in spec["versions"]:
        if version.get("served"):
            registry.add(_resource(spec, names, version))


def _resource(spec: Json, names: Json, version: Json) -> Resource:
    subresources = version.get("subresources") or {}
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names["singular"],
        kind=names["kind"],
        list_kind=names["listKind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        custom=True,
        status="status" in subresources,
        generation=True,
        unconditional=False,
        columns=custom_columns(version.get("additionalPrinterColumns") or []),
        schema=version["schema"]["openAPIV3Schema"],
    )


def established(definition: Json) -> Json:
    """The status of a definition that is served."""
    spec = definition["spec"]
    when = timestamp()
    conditions = [
        {"type": "NamesAccepted", "reason": "NoConflicts", "message": "no conflicts found"},
        {
            "type": "Established",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    return {
        "conditions": [{**condition, "status": "True", "lastTransitionTime": when} for condition in conditions],
        "acceptedNames": spec["names"],
        "storedVersions": [version["name"] for version in spec["versions"] if version.get("storage")],
    }
