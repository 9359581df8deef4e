"""A SyncedSecret in the making, and the pieces that all originals share."""

from __future__ import annotations

import json
import re

from secretsyncer.kube.objects import Key, Object, key_of
from secretsyncer.kube.resources import SYNCED_SECRETS

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KUBECTL = "kubectl.kubernetes.io/"
_STEP = re.compile(r"[-A-Za-z0-9_.:/ ]+", re.ASCII)
_BETWEEN = re.compile(r"(?<!\\)\.|[\[\]]")
_STAGE = re.compile(r"[A-Za-z0-9_+=.@-]{1,256}")


class Draft:
    """Collects the spec, and what could not be said in it."""

    def __init__(self, obj: Object) -> None:
        obj["metadata"].setdefault("namespace", "default")
        self._metadata = {
            field: obj["metadata"][field] for field in ("name", "namespace", "labels") if field in obj["metadata"]
        }
        self._annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
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

    def data_from(self, references: list[Object]) -> None:
        """Whole JSON objects; a later one wins, as with the peers."""
        if references:
            one = len(references) == 1
            self.spec["dataFrom"] = {"secretRef": references[0]} if one else {"secretRefs": references}

    def add(self, name: str, value_from: Object) -> None:
        self.spec.setdefault("data", []).append({"name": name, "valueFrom": value_from})

    def metadata(self, template: Object) -> None:
        """Labels and annotations for the Secret."""
        metadata = template.get("metadata") or {}
        self.leftovers("template.metadata", metadata, {"labels", "annotations"})
        kept = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
        if kept:
            self.spec["secretMetadata"] = kept

    def own_metadata(self) -> None:
        """The object's own labels and annotations, for peers that copy them to the Secret."""
        mine = {name: text for name, text in self._annotations.items() if not name.startswith(_KUBECTL)}
        self.metadata({"metadata": {"labels": self._metadata.get("labels"), "annotations": mine}})

    def target(self, name: str | None) -> None:
        if name and name != self._key.name:
            self.spec["target"] = {"name": name}

    def synced_secret(self) -> Object:
        order = ("IAMRole", "region", "externalId", "target", "type", "secretMetadata", "dataFrom", "data")
        spec = {name: self.spec[name] for name in order if name in self.spec}
        return {
            "apiVersion": SYNCED_SECRETS.api_version,
            "kind": SYNCED_SECRETS.kind,
            "metadata": self._metadata,
            "spec": {**spec, **{name: value for name, value in self.spec.items() if name not in spec}},
        }


def path_of(text: str) -> Object | None:
    """`key` or `jmesPath` for a peer's path into JSON; None where it is more than names and numbers.

    The peers (lodash, gjson) take `tls.crt` as a key of that name where there is one, and else as a path.
    """
    steps = [step.replace("\\.", ".") for step in _BETWEEN.split(text) if step]
    if not steps or not all(_STEP.fullmatch(step) for step in steps):
        return None
    if len(steps) == 1 and "[" not in text:
        return {"key": steps[0]}
    path = _step(steps[0])
    for step in steps[1:]:
        path += f"[{step}]" if step.isdigit() else f".{_step(step)}"
    return {"jmesPath": path if "\\" in text else f"{json.dumps(text)} || {path}"}


def _step(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def version_of(text: str) -> Object | None:
    """`versionId` of `uuid/<id>`, `versionStage` of a staging label."""
    if text.startswith("uuid/"):
        return {"versionId": text.removeprefix("uuid/")}
    if text in {"", "AWSCURRENT"}:
        return {}
    return {"versionStage": text} if _STAGE.fullmatch(text) else None
