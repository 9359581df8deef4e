"""AWSSecret of aws-secret-operator."""

from __future__ import annotations

from secretsyncer.convert.draft import Draft, Object


def convert(obj: Object) -> Draft:
    """The draft; what it cannot say is among its problems."""
    draft = Draft(obj)
    spec = obj.get("spec") or {}
    draft.leftovers("spec", spec, {"stringDataFrom", "dataFrom", "type", "metadata"})
    draft.spec["deletionPolicy"] = "Delete"  # the original always sets an owner reference
    references = []
    for field in ("stringDataFrom", "dataFrom"):
        source = spec.get(field) or {}
        draft.leftovers(field, source, {"secretsManagerSecretRef"})
        reference = source.get("secretsManagerSecretRef")
        if not reference:
            continue
        draft.leftovers(field, reference, {"secretId", "versionId"})
        pinned = {"versionId": reference["versionId"]} if reference.get("versionId") else {}
        decode = {"decode": "base64"} if field == "dataFrom" else {}
        references.append({"name": reference.get("secretId", ""), **pinned, **decode})
        if pinned:
            draft.note(
                f"{field}: pinned to version {pinned['versionId']}, as before; without it the Secret follows AWS"
            )
    if references:
        draft.spec["dataFrom"] = (
            {"secretRef": references[0]} if len(references) == 1 else {"secretRefs": references}
        )
    else:
        draft.refuse("it names no secret")
    draft.metadata({"metadata": spec.get("metadata") or {}})
    if spec.get("type"):
        draft.spec["type"] = spec["type"]
    return draft
