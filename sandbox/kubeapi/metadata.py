"""`ObjectMeta`: the fields of clients, the fields of the server, and what is refused.

Follows `k8s.io/apimachinery/pkg/api/validation`. Unknown and empty fields are dropped, also from custom resources, as
the typed metadata of the real server does.
"""

from __future__ import annotations

import random
import re
import uuid
from datetime import UTC, datetime

from sandbox.kubeapi.errors import Cause, DecodeError, Json, may_not, required, too_long, wrong
from sandbox.kubeapi.resources import Resource

SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_TEXTS = (
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
)
_NUMBERS = ("deletionGracePeriodSeconds", "generation")
_MAPS = ("labels", "annotations")
_LISTS = ("finalizers", "ownerReferences")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_ANNOTATIONS_LIMIT = 256 * 1024

_REGEX = "regex used for validation is"
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    f"start and end with an alphanumeric character (e.g. 'example.com', {_REGEX} '{_SUBDOMAIN.pattern}')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
    f"end with an alphanumeric character (e.g. 'my-name',  or '123-abc', {_REGEX} '{_LABEL.pattern}')"
)
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', {_REGEX} '{_QUALIFIED.pattern}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    f"{_REGEX} '({_QUALIFIED.pattern})?')"
)


def timestamp() -> str:
    """Now, as `metav1.Time`: UTC in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clean(obj: Json, resource: Resource) -> None:
    """Keep the fields of `ObjectMeta` that are not empty. DecodeError for a field of a wrong type."""
    given = {} if obj.get("metadata") is None else obj["metadata"]
    if not isinstance(given, dict):
        raise DecodeError(resource.kind, resource.version, "ObjectMeta is not an object")
    kept: Json = {}
    for fields, kind in ((_TEXTS, str), (_NUMBERS, int), (_MAPS, dict), (_LISTS, list)):
        for field in fields:
            value = given.get(field)
            if value is not None and not isinstance(value, kind):
                raise DecodeError(resource.kind, resource.version, f"ObjectMeta.{field} is not a {kind.__name__}")
            if value:
                kept[field] = value
    for field in _MAPS:
        for key, value in kept.get(field, {}).items():
            if value is None:
                kept[field][key] = ""
            elif not isinstance(value, str):
                raise DecodeError(resource.kind, resource.version, f"ObjectMeta.{field}.{key} is not a string")
    obj["metadata"] = kept


def begin(obj: Json) -> None:
    """Set the metadata of a new object: name, uid, creation timestamp."""
    metadata = obj["metadata"]
    for field in SERVER_OWNED:
        metadata.pop(field, None)
    if not metadata.get("name") and (prefix := metadata.get("generateName")):
        suffix = random.choices("bcdfghjklmnpqrstvwxz2456789", k=5)  # noqa: S311 - a name, not a secret
        metadata["name"] = prefix[:58] + "".join(suffix)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp()


def carry_over(new: Json, old: Json) -> None:
    """Copy the server-owned metadata of the old object into its replacement."""
    for field in SERVER_OWNED:
        new["metadata"].pop(field, None)
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]


def wrong_metadata(new: Json, old: Json | None, resource: Resource) -> list[Cause]:
    """What is wrong with the metadata of a new object, or of an update of `old`."""
    metadata = new["metadata"]
    causes = _wrong_name(metadata.get("name", ""), resource) if old is None else _changed(metadata, old["metadata"])
    for key, value in metadata.get("labels", {}).items():
        causes += _wrong_key("metadata.labels", key)
        if len(value) > 63 or (value and not _QUALIFIED.fullmatch(value)):
            causes.append(wrong("metadata.labels", value, _VALUE_RULE))
    annotations = metadata.get("annotations", {})
    for key in annotations:
        causes += _wrong_key("metadata.annotations", key)
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        causes.append(too_long("metadata.annotations", f"must have at most {_ANNOTATIONS_LIMIT} bytes"))
    for owner in metadata.get("ownerReferences", []):
        empty = [field for field in ("apiVersion", "kind", "name", "uid") if not owner.get(field)]
        causes += [wrong(f"metadata.ownerReferences.{field}", "", "must not be empty") for field in empty]
    for finalizer in metadata.get("finalizers", []):
        causes += _wrong_key("metadata.finalizers", finalizer)
    return causes


def _changed(new: Json, old: Json) -> list[Cause]:
    causes = [
        wrong(f"metadata.{field}", new.get(field, ""), "field is immutable")
        for field in ("name", "namespace")
        if new.get(field) != old.get(field)
    ]
    added = set(new.get("finalizers", [])) - set(old.get("finalizers", []))
    if added and old.get("deletionTimestamp"):
        why = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
        causes.append(may_not("metadata.finalizers", why))
    return causes


def _wrong_name(name: str, resource: Resource) -> list[Cause]:
    field = "metadata.name"
    if not name:
        return [required(field, "name or generateName is required")]
    if resource.key == "namespaces":
        ok = len(name) <= 63 and _LABEL.fullmatch(name)
        return [] if ok else [wrong(field, name, LABEL_RULE)]
    ok = len(name) <= 253 and _SUBDOMAIN.fullmatch(name)
    return [] if ok else [wrong(field, name, SUBDOMAIN_RULE)]


def _wrong_key(field: str, key: str) -> list[Cause]:
    """The rule for qualified names: an optional DNS prefix, `/`, and up to 63 characters."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (prefix and len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix.lower())):
        return [wrong(field, key, f"prefix part {SUBDOMAIN_RULE}")]
    if not name or len(name) > 63 or not _QUALIFIED.fullmatch(name):
        return [wrong(field, key, _KEY_RULE)]
    return []
