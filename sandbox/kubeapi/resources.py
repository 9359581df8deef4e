"""What the API serves: resources, their columns for kubectl, and the registry of those served now.

A `Resource` is one (group, version, plural). Built-in ones come from `builtins.py` at the start; `crds.py` adds and
removes custom ones while the server runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox.kubeapi.errors import Cause, Json

Rule = Callable[[Json, Json | None], list[Cause]]
"""Completes a new object in place (defaults, folding) and returns what is wrong with it. The second argument is the
object that it replaces, None for a creation."""

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def no_rule(_new: Json, _old: Json | None) -> list[Cause]:
    """For resources without a rule."""
    return []


class Column(NamedTuple):
    """One column of `kubectl get`: `priority` above 0 shows with `-o wide` only."""

    name: str
    type: str
    cell: Callable[[Json], Any]
    format: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object that is served."""

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = True
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()  # groups of resources that kubectl gets at once
    custom: bool = False
    status: bool = False  # it has the status subresource
    generation: bool = False  # the server counts generations of its spec
    unconditional: bool = True  # a PUT without a resource version is accepted
    indexed: tuple[str, ...] = ()  # fields for field selectors, beside name and namespace
    columns: tuple[Column, ...] = ()
    schema: Json = field(default_factory=dict)  # OpenAPI v3
    rule: Rule = no_rule

    @property
    def key(self) -> str:
        """The name in the store: `secrets`, `widgets.example.com`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Where its URLs begin: `api/v1`, `apis/example.com/v1`."""
        return f"{'apis' if self.group else 'api'}/{self.api_version}"

    @property
    def kind_of_list(self) -> str:
        return self.list_kind or f"{self.kind}List"


class Registry:
    """The resources that are served now."""

    def __init__(self, resources: tuple[Resource, ...]) -> None:
        self._resources: dict[str, Resource] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve a resource, instead of one of the same name."""
        self._resources[resource.key] = resource

    def remove(self, key: str) -> None:
        self._resources.pop(key, None)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        resource = self._resources.get(f"{plural}.{group}" if group else plural)
        return resource if resource and resource.version == version else None

    def serves(self, resource: Resource) -> bool:
        return self.find(resource.group, resource.version, resource.plural) is not None

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return next(
            (item for item in self._resources.values() if (item.api_version, item.kind) == (api_version, kind)),
            None,
        )

    def by_root(self) -> dict[str, list[Resource]]:
        """The resources of each `api/<version>` and `apis/<group>/<version>`."""
        found: dict[str, list[Resource]] = {}
        for resource in self._resources.values():
            found.setdefault(resource.root, []).append(resource)
        return found
