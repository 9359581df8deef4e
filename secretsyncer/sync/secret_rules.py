"""Rules for Secrets: required keys, reserved labels and annotations, and Secrets that are never taken over. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.sync import held_keys
from secretsyncer.sync.held_keys import NOTHING
from secretsyncer.sync.marks import MARKED, is_managed
from secretsyncer.sync.observed import MOST_ENTRIES
from secretsyncer.synced_secret import SyncedSecret
from secretsyncer.synced_secret.formats import CLUSTER_CREDENTIALS

PROTECTED_TYPES = (*CLUSTER_CREDENTIALS, "helm.sh/release.v1")
"""Secrets of these types are credentials of the cluster, or Helm's records of releases."""
MOST_KEYS = MOST_ENTRIES // 2
"""Keys of a Secret that is written. The rest is for metadata, also that of others."""
_RESERVED = ("kubernetes.io", "k8s.io")
_KUBECTL = "kubectl.kubernetes.io"  # its annotations have no effect on a Secret
_HARMLESS = frozenset(
    {
        "kubernetes.io/description",
        *(
            f"app.kubernetes.io/{name}"
            for name in ("name", "instance", "version", "component", "part-of", "managed-by", "created-by")
        ),
    }
)
_REQUIRED_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
}
_JSON_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}


def check_metadata(synced: SyncedSecret) -> None:
    """Reject labels and annotations of Kubernetes, because controllers act on them: some let a Secret grant access."""
    for part, names in (("labels", synced.spec.labels), ("annotations", synced.spec.annotations)):
        for name in names:
            domain = name.rpartition("/")[0]
            reserved = any(domain == own or domain.endswith(f".{own}") for own in _RESERVED)
            if reserved and domain != _KUBECTL and name not in _HARMLESS:
                raise Rejected(
                    Reason.INVALID_SPEC,
                    f"spec.secretMetadata.{part}.{name}: {part} of {domain} are reserved for Kubernetes",
                )


def check_observed(synced: SyncedSecret, observed: dict[str, Any]) -> None:
    """Reject Secrets of protected types, even with `adopt: true`, and those that are being deleted."""
    if observed["type"] in PROTECTED_TYPES:
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} has the type {observed['type']}, which is never taken over; choose another name",
        )
    if observed["entries"] > MOST_ENTRIES:
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} has {observed['entries']} keys, labels and annotations; with more than "
            f"{MOST_ENTRIES} it is left alone; delete it, and it is created again",
        )
    if observed["metadata"].get("deletionTimestamp"):
        held = ", ".join(observed["metadata"].get("finalizers") or ()) or "none"
        raise Unavailable(
            Reason.KUBERNETES_ERROR,
            f"Secret {synced.secret} is being deleted (finalizers: {held}); it is created again when it is gone",
        )


def check_creation(synced: SyncedSecret) -> None:
    """Reject a Secret that does not exist, if the object may not create it."""
    if not synced.spec.creates:
        raise Rejected(
            Reason.SECRET_MISSING,
            f"Secret {synced.secret} does not exist, and the object does not create it; it is written as soon as it "
            "exists; to create it, set spec.target.create: true",
        )


def check_adoption(
    synced: SyncedSecret, data: Mapping[str, bytes], observed: dict[str, Any], *, adopt: bool
) -> None:
    """Reject a Secret of somebody else that may not be taken over.

    `adopt` is the operator's setting, which the spec can override. Only the object itself can allow that keys of
    somebody else are removed: one wrong name would otherwise empty a Secret of another program.
    """
    held = held_keys.read(observed["metadata"]["annotations"]).get(synced.key.name, NOTHING).keys
    removed = observed["digests"].keys() - data.keys() - held
    if is_managed(observed) or (held and held >= observed["digests"].keys()):
        return
    if not (adopt if synced.spec.adopt is None else synced.spec.adopt):
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} exists and is not managed by secretsyncer; "
            f"delete it, label it {MARKED}, or set spec.adopt: true",
        )
    if removed and not synced.spec.adopt:
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} exists and is not managed by secretsyncer, and its {listed_keys(removed)} would "
            "be removed; choose another spec.target.name, set spec.target.policy: Merge to write only some keys, "
            "or set spec.adopt: true",
        )


def listed_keys(names: Iterable[str]) -> str:
    """The names in a message, ten at most."""
    shown = sorted(names)
    listed = ", ".join(shown[:10]) + (", …" if len(shown) > 10 else "")
    return f"key{'s' * (len(shown) != 1)} {listed}" if shown else "no keys"


def check_size(data: Mapping[str, bytes]) -> None:
    """A Secret with more keys could not be compared later, because the informer does not keep them."""
    if len(data) > MOST_KEYS:
        raise Rejected(
            Reason.INVALID_SECRET_VALUE, f"the Secret would have {len(data)} keys; at most {MOST_KEYS} are possible"
        )


def check_not_emptied(synced: SyncedSecret, data: Mapping[str, bytes], observed: Mapping[str, Any]) -> None:
    """A spec without data makes an empty Secret, as in the Go operator, but takes no key from one that has some."""
    count = len(observed["digests"])
    if count and not data and not synced.spec.allow_empty and not synced.spec.has_values:
        raise Rejected(
            Reason.INVALID_SPEC,
            f"spec has no value for any key, and Secret {synced.secret} has {count} key{'s' * (count != 1)}: "
            "the Secret stays as it is; set spec.allowEmpty if it may be empty",
        )


def check_type(kind: str | None, data: Mapping[str, bytes]) -> None:
    """Check the required keys of the type. Kubernetes would reject them with a less helpful message."""
    for alternatives in _REQUIRED_KEYS.get(kind or "", ()):
        if not any(key in data for key in alternatives):
            raise Rejected(
                Reason.INVALID_SECRET_VALUE, f"a Secret of type {kind} needs the key {' or '.join(alternatives)}"
            )
    for key in _JSON_KEYS.get(kind or "", ()):
        try:
            json.loads(data[key])
        except (ValueError, RecursionError):
            problem = f"a Secret of type {kind} needs JSON at the key {key}"
        else:
            continue
        raise Rejected(Reason.INVALID_SECRET_VALUE, problem)


def required_by_type(kind: str, present: AbstractSet[str], gone: AbstractSet[str]) -> set[str]:
    """Keys that cannot be removed together with the others that are to go."""
    return {
        key
        for alternatives in _REQUIRED_KEYS.get(kind, ())
        if not any(key in present - gone for key in alternatives)
        for key in gone & set(alternatives)
    }


def check_controller(synced: SyncedSecret, observed: list[dict[str, Any]]) -> None:
    """Reject a second controller. Kubernetes would, too, with a less helpful message."""
    if synced.spec.deletion_policy != "Delete":
        return
    for ref in observed:
        if ref.get("controller") and not is_synced_secret(ref):
            raise Rejected(
                Reason.CONFLICT,
                f"deletionPolicy: Delete is not possible: Secret {synced.secret} is controlled by {ref.get('kind')} "
                f"{ref.get('name')}; stop its operator and remove that owner reference, or set deletionPolicy: Retain",
            )


def is_synced_secret(ref: Mapping[str, Any]) -> bool:
    """Whether the owner reference is to a SyncedSecret."""
    return (ref.get("apiVersion"), ref.get("kind")) == (SYNCED_SECRETS.api_version, SYNCED_SECRETS.kind)
