"""Annotations of workloads for Reloader, which restarts them when a Secret has changed, as `spec.restart`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secretsyncer.commands.convert.draft import Draft
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import WORKLOADS
from secretsyncer.sync.workloads import view

_RELOADER = "reloader.stakater.com"
_NAMED = f"secret.{_RELOADER}/reload"
_AUTO = (f"{_RELOADER}/auto", f"secret.{_RELOADER}/auto")
_SEARCH, _MATCH = f"{_RELOADER}/search", f"{_RELOADER}/match"


def add_restarts(drafts: Iterable[Draft], objects: Iterable[Object]) -> None:
    """Let each draft restart the workloads among the objects that Reloader restarts with its Secret."""
    workloads = [obj for obj in objects if _is_workload(obj)]
    for draft in drafts:
        targets = list(_targets(draft, workloads))
        if targets:
            draft.spec["restart"] = {"targets": targets}
            names = ", ".join(f"{target['kind']} {target['name']}" for target in targets)
            draft.note(
                f"restart: as Reloader restarts {names}; remove its annotations there, and grant the operator the "
                "permissions (docs/restarts.md)"
            )


def _targets(draft: Draft, workloads: Iterable[Object]) -> Iterator[Object]:
    namespace, secret = draft.secret
    own = ((draft.spec.get("secretMetadata") or {}).get("annotations") or {}).get(_MATCH) == "true"
    for obj in workloads:
        metadata, found = obj["metadata"], view(obj["kind"], obj)
        template = ((obj.get("spec") or {}).get("template") or {}).get("metadata") or {}
        asked = {**(template.get("annotations") or {}), **(metadata.get("annotations") or {})}
        named = [name.strip() for name in str(asked.get(_NAMED) or "").split(",")]
        by_use = any(asked.get(name) == "true" for name in _AUTO) or (own and asked.get(_SEARCH) == "true")
        wanted = secret in named or (by_use and secret in found.secrets)
        if (metadata.get("namespace") or "") == namespace and wanted:
            yield {"kind": obj["kind"], "name": metadata["name"]}


def _is_workload(obj: Object) -> bool:
    resource = WORKLOADS.get(str(obj.get("kind")))
    return resource is not None and str(obj.get("apiVersion")).partition("/")[0] == resource.group
