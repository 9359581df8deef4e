"""AWSSecret of aws-secret-operator."""

from __future__ import annotations

from secretsyncer.commands.convert.draft import Draft
from secretsyncer.kube.objects import Object

_TEXTS = (
    "numbers, booleans, objects and lists in JSON become text, and are not left out; what is not a JSON object is an "
    "error, and not the key data"
)


def convert(obj: Object) -> Draft:
    """The draft; what is different is among its notes, and what cannot be said among its obstacles."""
    draft = Draft(obj)
    spec = obj.get("spec") or {}
    draft.leftovers("spec", spec, {"stringDataFrom", "dataFrom", "type", "metadata"})
    draft.spec["deletionPolicy"] = "Delete"  # the original always sets an owner reference
    # What stringDataFrom gives wins over dataFrom, as the API server has it with stringData and data.
    fields = [field for field in ("dataFrom", "stringDataFrom") if spec.get(field)]
    references = [reference for field in fields if (reference := _reference(draft, field, spec[field]))]
    if not references:
        draft.refuse("it names no secret with a versionId, so there it writes a Secret without data")
    else:
        draft.spec["dataFrom"] = (
            {"secretRef": references[0]} if len(references) == 1 else {"secretRefs": references}
        )
        draft.spec["nullValues"] = "Empty"
        draft.note("the key AWSVersionId is left out: status.sources has the version")
        draft.common.add(_TEXTS)
    metadata = spec.get("metadata") or {}
    draft.leftovers("metadata", metadata, {"labels", "annotations"})
    draft.metadata("metadata", metadata)
    if spec.get("type"):
        draft.spec["type"] = spec["type"]
    return draft


def _reference(draft: Draft, field: str, source: Object) -> Object | None:
    draft.leftovers(field, source, {"secretsManagerSecretRef"})
    reference = source.get("secretsManagerSecretRef") or {}
    draft.leftovers(field, reference, {"secretId", "versionId"})
    if not reference.get("secretId") or not reference.get("versionId"):
        # The original reads nothing then.
        if reference.get("secretId"):
            draft.refuse(f"{field} has no versionId, so there it reads nothing: add one, or remove {field}")
        return None
    draft.note(f"{field}: pinned to version {reference['versionId']}, as before; without it the Secret follows AWS")
    decode = {"decode": "base64"} if field == "dataFrom" else {}
    return {"name": reference["secretId"], "versionId": reference["versionId"], **decode}
