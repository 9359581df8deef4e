"""AWSSecret of aws-secret-operator."""

from __future__ import annotations

from secretsyncer.commands.convert.draft import Draft
from secretsyncer.kube.objects import Object


def convert(obj: Object) -> Draft:
    """The draft; what it cannot say is among its problems."""
    draft = Draft(obj)
    spec = obj.get("spec") or {}
    draft.leftovers("spec", spec, {"stringDataFrom", "dataFrom", "type", "metadata"})
    draft.spec["deletionPolicy"] = "Delete"  # the original always sets an owner reference
    # What stringDataFrom gives wins over dataFrom, as the API server has it with stringData and data.
    fields = [field for field in ("dataFrom", "stringDataFrom") if _named(spec.get(field))]
    draft.data_from([_reference(draft, field, spec[field]) for field in fields])
    if not fields:
        draft.refuse("it names no secret")
    else:
        draft.note("the key AWSVersionId is left out: status.sources has the version")
    draft.metadata({"metadata": spec.get("metadata") or {}})
    if spec.get("type"):
        draft.spec["type"] = spec["type"]
    return draft


def _named(source: Object | None) -> bool:
    return bool(((source or {}).get("secretsManagerSecretRef") or {}).get("secretId"))


def _reference(draft: Draft, field: str, source: Object) -> Object:
    draft.leftovers(field, source, {"secretsManagerSecretRef"})
    reference = source["secretsManagerSecretRef"]
    draft.leftovers(field, reference, {"secretId", "versionId"})
    version = reference.get("versionId")
    if version:
        draft.note(f"{field}: pinned to version {version}, as before; without it the Secret follows AWS")
    else:
        draft.note(f"{field}: without versionId the original writes nothing; the SyncedSecret follows AWS")
    pinned = {"versionId": version} if version else {}
    return {"name": reference["secretId"], **pinned, **({"decode": "base64"} if field == "dataFrom" else {})}
