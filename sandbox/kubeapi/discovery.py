"""Discovery and OpenAPI: what clients read to learn which resources there are.

Of OpenAPI, only what kubectl reads: that every kind takes `fieldValidation` (`kubectl apply` refuses to work without
it), and the schemas of custom resources for `kubectl explain`.
"""

from __future__ import annotations

from sandbox.kubeapi.errors import Json
from sandbox.kubeapi.resources import VERBS, Registry, Resource

VERSION: Json = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.0+sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


def document(registry: Registry, path: str) -> Json | None:
    """The document at a path; None if there is none."""
    path = path.strip("/")
    root = path.removeprefix("openapi/v3").strip("/")
    served = registry.by_root()
    match path:
        case "version":
            return VERSION
        case "api":
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case "apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(list(served))}
        case "openapi/v3":
            return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in served}}
        case _ if root not in served:
            return None
    return _resource_list(served[root]) if root == path else _openapi(served[root])


def _groups(roots: list[str]) -> list[Json]:
    groups: dict[str, Json] = {}
    for root in roots:
        _, *group, version = root.split("/")
        if group:
            listed = {"groupVersion": f"{group[0]}/{version}", "version": version}
            entry = groups.setdefault(group[0], {"name": group[0], "versions": [], "preferredVersion": listed})
            entry["versions"].append(listed)
    return list(groups.values())


def _resource_list(resources: list[Resource]) -> Json:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": resources[0].api_version,
        "resources": [entry for resource in resources for entry in _entries(resource)],
    }


def _entries(resource: Resource) -> list[Json]:
    common: Json = {"namespaced": resource.namespaced, "kind": resource.kind}
    names: Json = {
        "singularName": resource.singular or resource.kind.lower(),
        "shortNames": list(resource.short_names),
    }
    if resource.categories:
        names["categories"] = list(resource.categories)
    entries = [{"name": resource.plural, **common, **names, "verbs": list(VERBS)}]
    if resource.status:
        verbs = ["get", "patch", "update"]
        entries.append({"name": f"{resource.plural}/status", **common, "singularName": "", "verbs": verbs})
    return entries


def _openapi(resources: list[Resource]) -> Json:
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {path: operations for resource in resources for path, operations in _openapi_path(resource)},
        "components": {"schemas": {item.kind: _openapi_schema(item) for item in resources if item.custom}},
    }


def _openapi_path(resource: Resource) -> list[tuple[str, Json]]:
    home = "/namespaces/{namespace}" if resource.namespaced else ""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{resource.kind}"}}}
    get = {"responses": {"200": {"description": "OK", "content": content}}} if resource.custom else {}
    patch = {"parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]}
    kind = {"x-kubernetes-group-version-kind": _kind(resource)}
    operations = {"get": {**get, **kind}, "patch": {**patch, **kind}}
    return [(f"/{resource.root}{home}/{resource.plural}/{{name}}", operations)]


def _openapi_schema(resource: Resource) -> Json:
    return {**resource.schema, "x-kubernetes-group-version-kind": [_kind(resource)]}


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}
