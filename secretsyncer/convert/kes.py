"""ExternalSecret of kubernetes-external-secrets."""

from __future__ import annotations

from secretsyncer.convert.draft import Draft, Object, path_of

_SPEC = {"backendType", "roleArn", "region", "dataFrom", "data", "template", "type"}
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
    names = spec.get("dataFrom") or []
    if names:
        references = [{"name": name} for name in names]
        draft.spec["dataFrom"] = {"secretRef": references[0]} if len(names) == 1 else {"secretRefs": references}
    for number, item in enumerate(spec.get("data") or []):
        _item(draft, f"data[{number}]", item)
    _template(draft, spec.get("template") or {})
    return draft


def _item(draft: Draft, where: str, item: Object) -> None:
    draft.leftovers(where, item, _ITEM)
    if "path" in item or "name" not in item:
        return
    reference = {"name": item.get("key", "")}
    reference |= {field: item[field] for field in ("versionStage", "versionId") if item.get(field)}
    if item.get("isBinary"):
        reference["decode"] = "base64"
    if not item.get("property"):
        draft.add(item["name"], {"secretRef": reference})
    elif (path := path_of(item["property"])) is not None:
        draft.add(item["name"], {"secretKeyRef": {**reference, **path}})
    else:
        draft.note(f"{where}: property {item['property']} is more than a path; use jmesPath")


def _template(draft: Draft, template: Object) -> None:
    draft.metadata(template)
    if template.get("type"):
        draft.spec["type"] = template["type"]
    for field in ("data", "stringData"):
        for name in template.get(field) or {}:
            draft.note(f"template.{field}.{name} is a lodash template; write it anew as a Go template")
    draft.leftovers("template", template, {"metadata", "type", "data", "stringData"})
