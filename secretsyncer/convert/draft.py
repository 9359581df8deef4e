"""A SyncedSecret in the making, and the pieces that all originals share."""

from __future__ import annotations

import re
from typing import Any

from secretsyncer.models import Key, key_of

Object = dict[str, Any]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STAGE = re.compile(r"[A-Za-z0-9_+=.@-]{1,256}")


class Draft:
    """Collects the spec, and what could not be said in it."""

    def __init__(self, obj: Object) -> None:
        obj["metadata"].setdefault("namespace", "default")
        self._metadata = {
            field: obj["metadata"][field] for field in ("name", "namespace", "labels") if field in obj["metadata"]
        }
        self._key: Key = key_of(obj)
        self.label = f"{obj.get('kind')} {self._key}"
        self.spec: Object = {}
        self.problems: list[str] = []
        self.usable = True

    def note(self, problem: str) -> None:
        """Something of the original is not in the result."""
        self.problems.append(f"{self.label}: {problem}")

    def refuse(self, problem: str) -> None:
        """There is no result at all."""
        self.usable = False
        self.note(f"not converted: {problem}")

    def leftovers(self, where: str, given: Object, known: set[str]) -> None:
        """Note the fields that nobody has looked at."""
        for name in sorted(given.keys() - known):
            self.note(f"{where}.{name} has no counterpart")

    def add(self, name: str, value_from: Object) -> None:
        self.spec.setdefault("data", []).append({"name": name, "valueFrom": value_from})

    def metadata(self, template: Object) -> None:
        """Labels and annotations for the Secret."""
        metadata = template.get("metadata") or {}
        self.leftovers("template.metadata", metadata, {"labels", "annotations"})
        kept = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
        if kept:
            self.spec["secretMetadata"] = kept

    def target(self, name: str | None) -> None:
        if name and name != self._key.name:
            self.spec["target"] = {"name": name}

    def synced_secret(self) -> Object:
        order = ("IAMRole", "region", "externalId", "target", "type", "secretMetadata", "dataFrom", "data")
        spec = {name: self.spec[name] for name in order if name in self.spec}
        return {
            "apiVersion": "secrets.contentful.com/v1",
            "kind": "SyncedSecret",
            "metadata": self._metadata,
            "spec": {**spec, **{name: value for name, value in self.spec.items() if name not in spec}},
        }


def path_of(text: str) -> Object | None:
    """`key` or `jmesPath` for a peer's path into JSON; None where it is more than names and numbers."""
    parts = [part for part in re.split(r"[.\[\]]", text.strip("'\"")) if part]
    if len(parts) == 1:
        return {"key": parts[0]}
    if not parts or not all(_PLAIN.fullmatch(part) or part.isdigit() for part in parts):
        return None
    path = ""
    for part in parts:
        path += f"[{part}]" if part.isdigit() else f".{part}" if path else part
    return {"jmesPath": path}


def version_of(text: str) -> Object | None:
    """`versionId` of `uuid/<id>`, `versionStage` of a staging label."""
    if text.startswith("uuid/"):
        return {"versionId": text.removeprefix("uuid/")}
    if text in {"", "AWSCURRENT"}:
        return {}
    return {"versionStage": text} if _STAGE.fullmatch(text) else None
