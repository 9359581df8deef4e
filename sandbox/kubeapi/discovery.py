"""Discovery and OpenAPI: what clients read to learn which resources there are.

`/api`, `/apis`, `/apis/<group>`, `/apis/<group>/<version>`, `/version`, and `/openapi/v3` as far as
kubectl reads it: which kinds take `fieldValidation`, and the schemas behind `kubectl explain`.
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
    """The document at a path; None where there is none."""
    found: Json | None = None
    match [part for part in path.split("/") if part]:
        case ["version"]:
            found = VERSION
        case ["api"]:
            found = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(registry)}
        case ["apis", group]:
            chosen = [item for item in _groups(registry) if item["name"] == group]
            found = {"kind": "APIGroup", "apiVersion": "v1", **chosen[0]} if chosen else None
        case ["api", version]:
            found = _resources(registry, "", version)
        case ["apis", group, version]:
            found = _resources(registry, group, version)
        case ["openapi", "v3"]:
            found = _openapi_index(registry)
        case ["openapi", "v3", "api", version]:
            found = _openapi(registry, "", version)
        case ["openapi", "v3", "apis", group, version]:
            found = _openapi(registry, group, version)
    return found


def _groups(registry: Registry) -> list[Json]:
    groups = []
    for group, versions in registry.groups().items():
        if group:
            listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
            groups.append({"name": group, "versions": listed, "preferredVersion": listed[0]})
    return groups


def _resources(registry: Registry, group: str, version: str) -> Json | None:
    entries = [entry for resource in registry.of_version(group, version) for entry in _entries(resource)]
    if not entries:
        return None
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }


def _entries(resource: Resource) -> list[Json]:
    entry: Json = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if not resource.status:
        return [entry]
    status = {"name": f"{resource.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]}
    return [entry, {**status, "namespaced": resource.namespaced, "kind": resource.kind}]


def _openapi_index(registry: Registry) -> Json:
    paths = [
        f"apis/{group}/{version}" if group else f"api/{version}"
        for group, versions in registry.groups().items()
        for version in versions
    ]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


def _openapi(registry: Registry, group: str, version: str) -> Json | None:
    resources = registry.of_version(group, version)
    if not resources:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": dict(_openapi_path(resource) for resource in resources),
        "components": {"schemas": {_component(item): _openapi_schema(item) for item in resources}},
    }


def _openapi_path(resource: Resource) -> tuple[str, Json]:
    base = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    home = "/namespaces/{namespace}" if resource.namespaced else ""
    kind = _kind(resource)
    reference = {"$ref": f"#/components/schemas/{_component(resource)}"}
    patch = {
        "operationId": f"patch{resource.kind}",
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind,
        "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
        "requestBody": {"content": {"application/merge-patch+json": {"schema": {"type": "object"}}}},
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    }
    get = {
        "operationId": f"read{resource.kind}",
        "x-kubernetes-action": "get",
        "x-kubernetes-group-version-kind": kind,
        "responses": patch["responses"],
    }
    return f"{base}{home}/{resource.plural}/{{name}}", {"get": get, "patch": patch}


def _openapi_schema(resource: Resource) -> Json:
    own = resource.schema.get("properties", {})
    properties = {
        "apiVersion": {
            "type": "string",
            "description": "APIVersion defines the versioned schema of this object.",
        },
        "kind": {"type": "string", "description": "Kind is the REST resource that this object represents."},
        "metadata": {"type": "object", "description": "Standard object's metadata."},
        **{key: value for key, value in own.items() if key not in {"apiVersion", "kind", "metadata"}},
    }
    schema = {**resource.schema, "type": "object", "properties": properties}
    return {**schema, "x-kubernetes-group-version-kind": [_kind(resource)]}


def _component(resource: Resource) -> str:
    reverse = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{reverse}.{resource.version}.{resource.kind}"


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}
