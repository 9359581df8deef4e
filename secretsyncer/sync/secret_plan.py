"""The write that a Secret needs: the difference between the observed and the desired state. Pure.

The informer keeps no values: `summarise` turns each Secret into its metadata and a keyed digest per data key, and
`plan` compares that with what was rendered. The data of the Secret becomes exactly what was rendered. Labels and
annotations of others stay. Our own are recorded in the annotation `MANAGED_METADATA`, and removed when the spec no
longer contains them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from secretsyncer.errors import Reason, Rejected
from secretsyncer.kube.objects import Key
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync.held_keys import HELD
from secretsyncer.sync.marks import MARK, OWN_GROUP, WHOLE, has_old_mark, is_managed
from secretsyncer.sync.observed import LAST_APPLIED, brief, digest
from secretsyncer.sync.revision import Revision, annotation, is_revision
from secretsyncer.sync.secret_rules import (
    check_adoption,
    check_controller,
    check_creation,
    check_metadata,
    check_not_emptied,
    check_observed,
    check_size,
    check_type,
    is_synced_secret,
)
from secretsyncer.synced_secret import SyncedSecret

MANAGED_METADATA = f"{OWN_GROUP}managed-metadata"


# None of these shows its body, because it contains the values; base64 hides nothing.
@dataclass(frozen=True, slots=True)
class Create:
    """The Secret does not exist: POST this."""

    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recreate:
    """The Secret cannot be changed: delete this very one, then create."""

    uid: str
    resource_version: str
    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patch:
    """JSON merge patch for the existing Secret, with the resourceVersion that it applies to."""

    body: dict[str, Any] = field(repr=False)
    keys: tuple[str, ...]


def plan(
    synced: SyncedSecret,
    data: Mapping[str, bytes],
    observed: dict[str, Any] | None,
    *,
    adopt: bool,
    revision: Revision | None = None,
) -> Create | Recreate | Patch | None:
    """The write that brings the Secret to the desired state; None if it is there already.

    `adopt` is the operator's setting, which the spec can override. `revision` is that of the data. Raises
    Rejected(Conflict) if the Secret belongs to somebody else and may not be adopted, or would have to be recreated and may
    not be. Raises Rejected(InvalidSecretValue) if the data lacks a key that the type requires.
    """
    check_size(data)
    check_type(synced.spec.type, data)
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    check_metadata(synced)
    annotations = _annotations(synced, revision)
    if observed is None:
        check_creation(synced)
        return Create(_body(synced, encoded, annotations))
    check_observed(synced, observed)
    check_adoption(synced, data, observed, adopt=adopt)
    check_controller(synced, observed["metadata"]["ownerReferences"])
    check_not_emptied(synced, data, observed)
    changes, keys = _data_changes(encoded, observed["digests"])
    metadata = _metadata_changes(synced, observed["metadata"], annotations)
    if obstacle := _obstacle(synced, observed, changed=bool(changes)):
        if not synced.spec.recreate_on_type_change:
            raise Rejected(
                Reason.CONFLICT,
                f"Secret {synced.secret} {obstacle}; delete it, or set spec.recreateOnTypeChange: true",
            )
        return Recreate(
            observed["metadata"]["uid"],
            observed["metadata"]["resourceVersion"],
            _successor(synced, encoded, observed["metadata"], annotations),
        )
    freeze = bool(synced.spec.immutable) and not observed["immutable"]
    if not changes and not freeze and (not metadata or _is_only_the_mark(metadata, observed)):
        return None
    body: dict[str, Any] = {"metadata": {**metadata, "resourceVersion": observed["metadata"]["resourceVersion"]}}
    if changes:
        body["data"] = changes
    if freeze:
        body["immutable"] = True
    return Patch(body, keys)


def gains_owner(step: Create | Recreate | Patch, observed: Mapping[str, Any]) -> bool:
    """Whether the write gives an existing Secret, or its successor, an owner: Kubernetes deletes it with that.

    So the owner must exist at that time. `kubectl delete --cascade=orphan` removes the reference, to keep the Secret, and
    the event of that can be faster than the one of the deletion.
    """
    before = () if isinstance(step, Recreate) else observed["metadata"]["ownerReferences"]
    after = step.body["metadata"].get("ownerReferences") or ()
    return not {ref.get("uid") for ref in after} <= {ref.get("uid") for ref in before}


def _body(synced: SyncedSecret, encoded: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": synced.secret.name,
        "namespace": synced.secret.namespace,
        "labels": _labels(synced),
    }
    if annotations:
        metadata["annotations"] = annotations
    if synced.spec.deletion_policy == "Delete":
        metadata["ownerReferences"] = [_owner(synced)]
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    frozen = {"immutable": True} if synced.spec.immutable else {}
    return {**body, "type": synced.spec.type or "Opaque", **frozen, "data": encoded}


def _successor(
    synced: SyncedSecret, encoded: dict[str, str], observed: dict[str, Any], annotations: dict[str, str]
) -> dict[str, Any]:
    """The Secret that takes the place of the observed one, with the metadata that others put there."""
    body = _body(synced, encoded, annotations)
    before = managed_before(observed["annotations"])
    for part in ("labels", "annotations"):
        others = {name: text for name, text in observed[part].items() if name not in before[part]}
        if merged := {**others, **body["metadata"].get(part, {})}:
            body["metadata"][part] = merged
    if owners := _owner_references(synced, observed["ownerReferences"]):
        body["metadata"]["ownerReferences"] = owners
    return body


def _obstacle(synced: SyncedSecret, observed: dict[str, Any], *, changed: bool) -> str:
    """Why the Secret cannot be changed to the desired state, if so."""
    if synced.spec.type and observed["type"] != synced.spec.type:
        return f"has the type {observed['type']}, and spec.type is {synced.spec.type}, which cannot be changed"
    if observed["immutable"] and changed:
        return "is immutable, and would have to change"
    return ""


def _labels(synced: SyncedSecret) -> dict[str, str]:
    return {**synced.spec.labels, MARK: WHOLE}


def _annotations(synced: SyncedSecret, revision: Revision | None) -> dict[str, str]:
    # Metadata copied from a Secret includes kubectl's copy of its manifest, which may contain values.
    wanted = {name: text for name, text in synced.spec.annotations.items() if name != LAST_APPLIED}
    managed = {"labels": sorted(synced.spec.labels), "annotations": sorted(wanted)}
    if any(managed.values()):
        wanted[MANAGED_METADATA] = json.dumps(managed, separators=(",", ":"))
    if revision:
        wanted[annotation(synced.uid)] = revision.text()
    return wanted


def _owner(synced: SyncedSecret) -> dict[str, Any]:
    return {
        "apiVersion": SYNCED_SECRETS.api_version,
        "kind": SYNCED_SECRETS.kind,
        "name": synced.key.name,
        "uid": synced.uid,
        "controller": True,
    }


def _data_changes(
    encoded: dict[str, str], digests: Mapping[str, bytes]
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    changes: dict[str, str | None] = {
        key: value for key, value in encoded.items() if digests.get(key) != digest(value)
    }
    changes.update(dict.fromkeys(digests.keys() - encoded.keys()))
    return changes, tuple(sorted(changes))


def _metadata_changes(
    synced: SyncedSecret, observed: dict[str, Any], annotations: dict[str, str]
) -> dict[str, Any]:
    before = managed_before(observed["annotations"])
    changes: dict[str, Any] = {}
    for part, wanted in (("labels", _labels(synced)), ("annotations", annotations)):
        have = observed[part]
        gone = [key for key in before[part] if key in have and key not in wanted]
        differing = {
            key: value
            for key, value in wanted.items()
            if key not in have or brief(key, have[key]) != brief(key, value)
        }
        if gone or differing:
            changes[part] = {**dict.fromkeys(gone), **differing}
    owners = _owner_references(synced, observed["ownerReferences"])
    if owners != observed["ownerReferences"]:
        changes["ownerReferences"] = owners
    return changes


def _is_only_the_mark(metadata: Mapping[str, Any], observed: Mapping[str, Any]) -> bool:
    """Whether nothing is missing but the new mark, on a Secret with the old one: it comes with the next write."""
    return metadata == {"labels": {MARK: WHOLE}} and has_old_mark(observed["metadata"]["labels"])


def managed_before(annotations: Mapping[str, str]) -> dict[str, list[str]]:
    """The labels and annotations that MANAGED_METADATA records; an unreadable record is ignored."""
    noted: Any = None
    text = annotations.get(MANAGED_METADATA)
    if text is not None:
        try:
            noted = json.loads(text)
        except (ValueError, RecursionError):
            noted = None
    before = {}
    for part in ("labels", "annotations"):
        names = noted.get(part) if isinstance(noted, dict) else None
        before[part] = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    before["annotations"] += [MANAGED_METADATA, HELD, *filter(is_revision, annotations)]
    return before


def _owner_references(synced: SyncedSecret, observed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ours for `Delete`, and without it otherwise. Those of other kinds stay.

    References to other SyncedSecrets are removed, because this one owns the Secret now, and so is one to a deleted
    object with the same name: Kubernetes would delete the Secret with them.
    """
    ours = [ref for ref in observed if is_synced_secret(ref)]
    others = [ref for ref in observed if ref not in ours]
    if synced.spec.deletion_policy != "Delete":
        return others
    if len(ours) == 1 and ours[0].get("uid") == synced.uid:
        return observed
    return [*others, _owner(synced)]


def is_ours(uid: str, observed: Mapping[str, Any]) -> bool:
    """Whether the Secret carries the operator's label and an owner reference to the very object with this uid."""
    owners = observed["metadata"]["ownerReferences"]
    return is_managed(observed) and any(ref.get("uid") == uid for ref in owners)


def owned_secrets(secrets: Iterable[tuple[Key, Mapping[str, Any]]]) -> dict[str, list[Key]]:
    """The Secrets with owner references to SyncedSecrets, by the uid of the owner."""
    owned: dict[str, list[Key]] = {}
    for key, secret in secrets:
        for ref in secret["metadata"]["ownerReferences"]:
            if is_synced_secret(ref):
                owned.setdefault(str(ref.get("uid")), []).append(key)
    return owned
