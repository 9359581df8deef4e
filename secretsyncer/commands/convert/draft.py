"""A SyncedSecret in the making, and the pieces that all originals share."""

from __future__ import annotations

import re
from typing import Any

from secretsyncer.expressions import dotted
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import SYNCED_SECRETS

_KUBECTL = "kubectl.kubernetes.io/"
_STAGE = re.compile(r"[A-Za-z0-9_+=.@-]{1,256}")
_ORDER = (
    *("IAMRole", "region", "externalId", "target", "type", "immutable", "secretMetadata", "deletionPolicy"),
    *("adopt", "nullValues", "restart", "dataFrom", "data"),
)

JSON = (
    "numbers in JSON keep their digits (1.50, 1e6), objects and lists become compact JSON, the last of equal keys "
    "counts, and what is not valid JSON is an error"
)
FUNCTIONS = (
    "in templates, what is not valid JSON, base64 or a number is an error, and so is an object that would be printed as "
    "map[...]; numbers of fromJson keep their digits"
)


class Draft:
    """Collects the spec, and what is different from the original's.

    `notes`: what a user should know of the result. `obstacles`: why there is no result. `common`: what depends on the
    values in AWS, and is told once for all objects.
    """

    def __init__(self, obj: Object) -> None:
        metadata = obj["metadata"]
        self._metadata = {
            field: metadata[field] for field in ("name", "namespace", "labels") if metadata.get(field)
        }
        self._annotations: dict[str, str] = metadata.get("annotations") or {}
        self.namespace: str = metadata.get("namespace") or ""
        self.name = f"{self.namespace}/{metadata['name']}" if self.namespace else metadata["name"]
        self.label = f"{obj.get('kind')} {self.name}"
        self.spec: Object = {}
        self.notes: list[str] = []
        self.obstacles: list[str] = []
        self.common: set[str] = set()

    def note(self, difference: str) -> None:
        """Something differs from the original in a way that a user should know."""
        if difference not in self.notes:
            self.notes.append(difference)

    def refuse(self, obstacle: str) -> None:
        """There is no result, because it would not be what the original makes."""
        self.obstacles.append(obstacle)

    def leftovers(self, where: str, given: Object, known: set[str]) -> None:
        """Refuse the fields that nobody has looked at, unless they say nothing."""
        for name in sorted(given.keys() - known):
            if given[name] not in (None, "", False, [], {}):
                self.refuse(f"{where}.{name} has no counterpart")

    def add(self, name: str, value_from: Object, *, template_only: bool = False) -> None:
        only = {"templateOnly": True} if template_only else {}
        self.spec.setdefault("data", []).append({"name": name, **only, "valueFrom": value_from})

    def add_text(self, name: str, text: str) -> None:
        self.spec.setdefault("data", []).append({"name": name, "value": text})

    def metadata(self, where: str, metadata: Object, *marks: str) -> None:
        """Labels and annotations for the Secret. `marks` begin what the original would compute."""
        kept: Object = {}
        for part in ("labels", "annotations"):
            for name, text in (metadata.get(part) or {}).items():
                if any(mark in f"{name} {text}" for mark in marks):
                    self.refuse(f"{where}.{part}.{name} is a template: labels and annotations are texts here")
                elif not name.startswith(_KUBECTL):
                    kept.setdefault(part, {})[name] = text
        if kept:
            self.spec["secretMetadata"] = kept

    def own_metadata(self) -> None:
        """The object's own labels and annotations, for peers that copy them to the Secret."""
        self.metadata("metadata", {"labels": self._metadata.get("labels"), "annotations": self._annotations})

    def target(self, name: str | None) -> None:
        if name and name != self._metadata["name"]:
            self.spec["target"] = {"name": name}

    def merge(self, *, create: bool) -> None:
        """Fill some keys of a Secret. The original has written them already, so they are taken over."""
        chosen = {"create": True} if create else {}
        self.spec["target"] = {**self.spec.get("target", {}), "policy": "Merge", **chosen}
        self.spec["adopt"] = True
        self.note(
            "policy Merge with adopt: true, which takes the keys over from whoever has written them; "
            "labels, annotations and type of the Secret stay as they are"
        )

    @property
    def merges(self) -> bool:
        return (self.spec.get("target") or {}).get("policy") == "Merge"

    @property
    def secret(self) -> tuple[str, str]:
        """Namespace and name of the Secret."""
        return self.namespace, (self.spec.get("target") or {}).get("name") or self._metadata["name"]

    def synced_secret(self) -> Object:
        return {
            "apiVersion": SYNCED_SECRETS.api_version,
            "kind": SYNCED_SECRETS.kind,
            "metadata": self._metadata,
            "spec": {name: self.spec[name] for name in _ORDER if name in self.spec},
        }


def at(names: list[str]) -> Object:
    """`key` or `path` for these steps into JSON."""
    (first, *more) = names
    return {"path": dotted.joined(names)} if more or first.isdigit() else {"key": first}


def version_of(text: Any) -> Object | None:
    """`versionId` of `uuid/<id>`, `versionStage` of a staging label; None for what is neither."""
    text = str(text or "")
    if text.startswith("uuid/"):
        return {"versionId": text.removeprefix("uuid/")}
    if text in {"", "AWSCURRENT"}:
        return {}
    return {"versionStage": text} if _STAGE.fullmatch(text) else None


def is_true(value: Any) -> bool:
    """Whether a boolean field is true; YAML has y for it, too."""
    return value is True or value in ("y", "Y")
