"""CustomResourceDefinitions: established at once. The storage version is served as a resource.

It refuses only what would break this server. Use a real one to check whether a schema is structural, and what its
rules in CEL (`x-kubernetes-validations`) refuse: they are not evaluated here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.kubeapi.columns import CREATED_AT, NAME, custom_columns, steps_of
from sandbox.kubeapi.errors import Cause, Json, required, wrong
from sandbox.kubeapi.metadata import timestamp
from sandbox.kubeapi.resources import Registry, Resource


def rule(new: Json, _old: Json | None) -> list[Cause]:
    """Fill in derived names, and return what is wrong with a definition."""
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
    return list(_wrong(new, spec, names))


def _wrong(new: Json, spec: Json, names: Json) -> Iterator[Cause]:
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if new["metadata"].get("name") != wanted:
        yield wrong("metadata.name", new["metadata"].get("name", ""), 'must be spec.names.plural+"."+spec.group')
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield wrong("spec.versions", "", "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        for place, column in enumerate(version.get("additionalPrinterColumns") or []):
            yield from _wrong_column(column, f"{path}.additionalPrinterColumns[{place}].jsonPath")


def _wrong_column(column: Json, path: str) -> Iterator[Cause]:
    try:
        steps_of(column.get("jsonPath", ""))
    except ValueError:
        yield wrong(path, column.get("jsonPath", ""), "is not a simple JSONPath")


CRDS = Resource(
    group="apiextensions.k8s.io",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    status=True,
    generation=True,
    unconditional=False,
    rule=rule,
    columns=(NAME, CREATED_AT),
    schema={
        "type": "object",
        "properties": {
            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
)


def serve(registry: Registry, definition: Json) -> None:
    """Serve the resource of a definition, in place of the one that it defined before."""
    spec, names = definition["spec"], definition["spec"]["names"]
    version = next(version for version in spec["versions"] if version.get("storage"))
    resource = Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names["singular"],
        kind=names["kind"],
        list_kind=names["listKind"],
        namespaced=spec.get("scope") != "Cluster",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        indexed=tuple(field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or []),
        custom=True,
        status="status" in (version.get("subresources") or {}),
        generation=True,
        unconditional=False,
        columns=custom_columns(version.get("additionalPrinterColumns") or []),
        schema=version["schema"]["openAPIV3Schema"],
    )
    registry.add(resource)


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
