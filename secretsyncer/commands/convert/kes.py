"""ExternalSecret of kubernetes-external-secrets."""

from __future__ import annotations

import re
from typing import Any

from secretsyncer.commands.convert.draft import JSON, Draft, at, is_true
from secretsyncer.kube.objects import Object

_SPEC = {
    "backendType",
    "roleArn",
    "region",
    "dataFrom",
    "dataFromWithOptions",
    "data",
    "properties",
    "template",
    "type",
}
_ITEM = {"key", "name", "property", "isBinary", "versionStage", "versionId"}
_STEP = re.compile(r"""[^.\[\]"'\\]+""")
_PATH = re.compile(rf"{_STEP.pattern}(?:\.{_STEP.pattern}|\[[0-9]+\])*")
_PARAMETERS = "systemManager"
_MARKS = ("<%", "${")
"""Begin what lodash computes in a template."""


def convert(obj: Object) -> Draft:
    """The draft; what is different is among its notes, and what cannot be said among its obstacles."""
    draft = Draft(obj)
    spec = obj.get("spec") or obj.get("secretDescriptor") or {}
    if spec.get("backendType") not in {"secretsManager", _PARAMETERS}:
        draft.refuse(f"backendType {spec.get('backendType')} is not AWS Secrets Manager or Parameter Store")
        return draft
    in_parameters = spec["backendType"] == _PARAMETERS
    draft.leftovers("spec", spec, _SPEC)
    draft.spec["deletionPolicy"] = "Delete"  # the original always sets an owner reference
    for field, name in (("roleArn", "IAMRole"), ("region", "region"), ("type", "type")):
        if spec.get(field):
            draft.spec[name] = spec[field]
    references: list[Object] = [{"name": name} for name in spec.get("dataFrom") or []]
    for number, item in enumerate(spec.get("dataFromWithOptions") or []):
        draft.leftovers(f"dataFromWithOptions[{number}]", item, {"key", "versionStage", "versionId"})
        if item.get("key"):
            references.append(_reference(item))
        else:
            draft.refuse(f"dataFromWithOptions[{number}] has no key")
    if references:
        draft.common.add(_JSON)
        if in_parameters:
            draft.spec["dataFrom"] = {"parameters": references}
        else:
            draft.spec["dataFrom"] = (
                {"secretRef": references[0]} if len(references) == 1 else {"secretRefs": references}
            )
    items = spec.get("data") or spec.get("properties") or []
    if in_parameters:
        _paths(draft, items)
    for number, item in enumerate(items):
        _item(draft, f"data[{number}]", item, in_parameters=in_parameters)
    _template(draft, spec.get("template") or {})
    return draft


_JSON = f"{JSON}; null is an error, and not the text null; a secret that is not JSON is not left out"


def _paths(draft: Draft, items: list[Object]) -> None:
    """Items with a path, in a `dataFrom`. The keys are the last parts of the names."""
    given = [item for item in items if item.get("path")]
    if not given:
        return
    named = draft.spec.get("dataFrom")
    entries: list[Object] = [named] if named else []
    for item in given:
        where = f"data path {item['path']}"
        draft.leftovers(where, item, {"path", "recursive"})
        entry: Object = {"parameters": [{"path": item["path"]}]}
        if item.get("recursive"):
            entry["rewrite"] = [{"source": "^.*/", "target": ""}]
            draft.note(
                f"{where}: two parameters with the same last part are an error here; there, one of them is lost"
            )
        else:
            entry["parameters"][0]["recursive"] = False
        draft.note(
            f"{where}: the operator takes what it lists in its own account and region; if that is nothing, it is an error"
        )
        entries.append(entry)
    if any(not item.get("path") for item in items[: items.index(given[-1])]):
        draft.note(
            "data: the parameters of a path come before the other items, which win if they have the same key"
        )
    draft.spec["dataFrom"] = entries[0] if len(entries) == 1 else {"entries": entries}


def _item(draft: Draft, where: str, item: Object, *, in_parameters: bool) -> None:
    if in_parameters and item.get("path"):
        return
    draft.leftovers(where, item, _ITEM - {"versionStage", "versionId"} if in_parameters else _ITEM)
    if item.get("path"):
        return
    if not item.get("name") or not item.get("key"):
        draft.refuse(f"{where} has no name or no key")
        return
    reference = _reference(item)
    if is_true(item.get("isBinary")):
        reference["decode"] = "base64"
        draft.note(f"{where}: isBinary decodes base64; remove decode if AWS holds the secret as binary")
    if "property" not in item:
        draft.add(item["name"], {"parameterRef" if in_parameters else "secretRef": reference})
        return
    draft.common.add(_JSON)
    text = str(item["property"])
    if in_parameters:
        draft.add(item["name"], {"parameterRef": {**reference, "key": text}})
    elif _PATH.fullmatch(text):
        names = re.findall(r"[^.\[\]]+", text)
        path = {"path": re.sub(r"\[([0-9]+)\]", r".\1", text)} if len(names) > 1 else at(names)
        if "[" in text and len(names) > 1:
            draft.note(f"{where}: property {text} is read as {path['path']}")
        draft.add(item["name"], {"secretKeyRef": {**reference, **path}})
    else:
        draft.refuse(f"{where}: property {text} is more than names and numbers; use jmesPath")


def _reference(item: Object) -> Object:
    # With both, the original asks for the id only.
    fields = ("versionId",) if item.get("versionId") else ("versionStage",)
    return {"name": item["key"], **{field: item[field] for field in fields if item.get(field)}}


def _template(draft: Draft, template: Object) -> None:
    metadata = template.get("metadata") or {}
    draft.leftovers("template.metadata", metadata, {"labels", "annotations"})
    draft.metadata("template.metadata", metadata, *_MARKS)
    kind = template.get("type")
    if kind:
        draft.spec["type"] = kind
    if is_true(template.get("immutable")):
        draft.spec["immutable"] = True
    for field in ("data", "stringData"):
        for name, text in (template.get(field) or {}).items():
            _static(draft, f"template.{field}.{name}", field, name, text)
    draft.leftovers("template", template, {"metadata", "type", "data", "stringData", "immutable"})


def _static(draft: Draft, where: str, field: str, name: str, text: Any) -> None:
    """A text in the template: what is computed by lodash has no counterpart."""
    if any(mark in f"{name} {text}" for mark in _MARKS):
        draft.refuse(f"{where} is a lodash template; write it as a Go template")
    elif field == "stringData":
        # The API server lets stringData win over data.
        draft.add_text(name, str(text))
    else:
        draft.refuse(f"{where}: write it as a value of data")
