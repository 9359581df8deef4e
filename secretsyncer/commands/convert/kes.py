"""ExternalSecret of kubernetes-external-secrets."""

from __future__ import annotations

from secretsyncer.commands.convert.draft import Draft, path_of
from secretsyncer.kube.objects import Object

_SPEC = {"backendType", "roleArn", "region", "dataFrom", "dataFromWithOptions", "data", "template", "type"}
_ITEM = {"key", "name", "property", "isBinary", "versionStage", "versionId"}


def convert(obj: Object) -> Draft:
    """The draft; what it cannot say is among its problems."""
    draft = Draft(obj)
    spec = obj.get("spec") or obj.get("secretDescriptor") or {}
    if spec.get("backendType") != "secretsManager":
        draft.refuse(f"backendType {spec.get('backendType')} is not AWS Secrets Manager")
        return draft
    draft.leftovers("spec", spec, _SPEC)
    draft.spec["deletionPolicy"] = "Delete"  # the original always sets an owner reference
    for field, name in (("roleArn", "IAMRole"), ("region", "region"), ("type", "type")):
        if spec.get(field):
            draft.spec[name] = spec[field]
    references: list[Object] = [{"name": name} for name in spec.get("dataFrom") or []]
    for number, item in enumerate(spec.get("dataFromWithOptions") or []):
        draft.leftovers(f"dataFromWithOptions[{number}]", item, {"key", "versionStage", "versionId"})
        references.append(_reference(item))
    draft.data_from(references)
    for number, item in enumerate(spec.get("data") or []):
        _item(draft, f"data[{number}]", item)
    _template(draft, spec.get("template") or {})
    return draft


def _item(draft: Draft, where: str, item: Object) -> None:
    draft.leftovers(where, item, _ITEM)
    if "path" in item:
        return
    if not item.get("name") or not item.get("key"):
        draft.note(f"{where} has no name or no key")
        return
    reference = _reference(item)
    if item.get("isBinary"):
        reference["decode"] = "base64"
    if not item.get("property"):
        draft.add(item["name"], {"secretRef": reference})
    elif (path := path_of(item["property"])) is not None:
        draft.add(item["name"], {"secretKeyRef": {**reference, **path}})
    else:
        draft.note(f"{where}: property {item['property']} is more than a path; use jmesPath")


def _reference(item: Object) -> Object:
    # With both, the original asks for the id only.
    fields = ("versionId",) if item.get("versionId") else ("versionStage",)
    return {"name": item["key"], **{field: item[field] for field in fields if item.get(field)}}


def _template(draft: Draft, template: Object) -> None:
    draft.metadata(template)
    if template.get("type"):
        draft.spec["type"] = template["type"]
    for field in ("data", "stringData"):
        for name in template.get(field) or {}:
            draft.note(f"template.{field}.{name} is a lodash template; rewrite it as a Go template")
    draft.leftovers("template", template, {"metadata", "type", "data", "stringData"})
