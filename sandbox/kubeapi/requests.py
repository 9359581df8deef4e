"""A request: its verb, resource, namespace, name and options, read from the URL and the headers.

The verbs are those of Kubernetes' audit log and RBAC: list, watch, get, create, update, patch, delete,
deletecollection, and `resource/subresource`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, as the API server understands it. `plural` is empty if the path is not a resource."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str | None = None
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As in RBAC: `secrets`, `widgets/status`; else the path."""
        if not self.plural:
            return self.path
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


def read(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Request:
    """Read the request line and the headers."""
    parts = [part for part in path.split("/") if part]
    group, version, rest = _split_group(parts)
    if not rest:
        return Request(verb=method.lower(), path=path, query=query, headers=headers, group=group, version=version)
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    verb = (_OBJECT if name else _COLLECTION).get(method, method.lower())
    if verb == "list" and query.get("watch") in {"true", "1"}:
        verb = "watch"
    return Request(
        verb=verb,
        path=path,
        query=query,
        headers=headers,
        group=group,
        version=version,
        plural=plural,
        namespace=namespace,
        name=name,
        subresource=subresource,
    )


def _split_group(parts: list[str]) -> tuple[str, str, list[str]]:
    """Group, version, and what follows them: `/api/v1/…` or `/apis/<group>/<version>/…`."""
    if parts[:1] == ["api"] and len(parts) > 1:
        return "", parts[1], parts[2:]
    if parts[:1] == ["apis"] and len(parts) > 2:
        return parts[1], parts[2], parts[3:]
    return "", "", []
