"""What the API serves: resources, their columns for kubectl, and the registry that discovery reads.

A `Resource` is one (group, version, plural). Built-in ones come from `builtins.py` at the start;
`crds.py` adds and removes custom ones while the server runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox.kubeapi.errors import Cause, Json

Rule = Callable[[Json, Json | None], list[Cause]]
"""Completes a new object in place (defaults, folding) and says what is wrong with it; the second
argument is the object that it replaces, None for a creation."""

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def no_rule(_new: Json, _old: Json | None) -> list[Cause]:
    """For resources that are stored as they come."""
    return []


class Column(NamedTuple):
    """One column of `kubectl get`: `priority` above 0 shows with `-o wide` only."""

    name: str
    type: str
    cell: Callable[[Json], Any]
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One served version of one kind of object."""

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = True
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    custom: bool = False
    status: bool = False  # it has the status subresource
    generation: bool = False  # the server counts generations of its spec
    upsert: bool = False  # a PUT of a new name creates
    unconditional: bool = True  # a PUT without a resource version is taken
    indexed: tuple[str, ...] = ()  # fields for field selectors, beside name and namespace
    columns: tuple[Column, ...] = ()
    schema: Json = field(default_factory=dict)  # OpenAPI v3, for custom ones and for explain
    rule: Rule = no_rule

    @property
    def key(self) -> str:
        """The name in the store, shared by all versions: `secrets`, `widgets.example.com`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def kind_of_list(self) -> str:
        return self.list_kind or f"{self.kind}List"


class Registry:
    """The resources that are served now."""

    def __init__(self, resources: tuple[Resource, ...]) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        self._resources[resource.group, resource.version, resource.plural] = resource

    def remove(self, group: str, plural: str) -> None:
        """Stop serving every version of a resource."""
        for key in [key for key in self._resources if key[0] == group and key[2] == plural]:
            del self._resources[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._resources.get((group, version, plural))

    def serves(self, resource: Resource) -> bool:
        return (resource.group, resource.version, resource.plural) in self._resources

    def by_key(self, key: str) -> Resource | None:
        """Any served version of what the store calls `key`."""
        return next((resource for resource in self._resources.values() if resource.key == key), None)

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return next(
            (item for item in self._resources.values() if (item.api_version, item.kind) == (api_version, kind)),
            None,
        )

    def of_version(self, group: str, version: str) -> list[Resource]:
        return [item for item in self._resources.values() if (item.group, item.version) == (group, version)]

    def groups(self) -> dict[str, list[str]]:
        """Group -> its versions, the preferred one first; the core group is `""`."""
        groups: dict[str, list[str]] = {}
        for resource in self._resources.values():
            versions = groups.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return {group: sorted(versions, key=_preference) for group, versions in groups.items()}


def _preference(version: str) -> tuple[int, int, int, str]:
    """Stable before beta before alpha, and the newer before the older: v2, v1, v2beta1, v1alpha1."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return 3, 0, 0, version
    major, stage, minor = match.groups()
    return {None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), version
