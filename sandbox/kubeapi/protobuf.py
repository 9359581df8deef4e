"""Reading the protobuf that kubectl sends for built-in kinds: `kubectl create secret`, `auth can-i`.

Newer kubectl has its typed clients send protobuf and cannot be talked out of it; answers may be JSON.
Only the few kinds that it makes by itself are known here. Field numbers are those of the
`generated.proto` files of k8s.io/api; the envelope is `k8s.io/apimachinery/pkg/runtime`'s `Unknown`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from sandbox.kubeapi.errors import Json

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

_Field = tuple[str, Any]
"""JSON name, and type: str, bytes, bool, int, dict (texts by name), a table of fields, or a list of one type."""
_Table = dict[int, _Field]

_BYTES_BY_NAME = object()

_META: _Field = (
    "metadata",
    {
        1: ("name", str),
        2: ("generateName", str),
        3: ("namespace", str),
        11: ("labels", dict),
        12: ("annotations", dict),
    },
)
_RULE: _Table = {
    1: ("verbs", [str]),
    2: ("apiGroups", [str]),
    3: ("resources", [str]),
    4: ("resourceNames", [str]),
    5: ("nonResourceURLs", [str]),
}
_SUBJECT: _Table = {1: ("kind", str), 2: ("apiGroup", str), 3: ("name", str), 4: ("namespace", str)}
_ROLE_REF: _Table = {1: ("apiGroup", str), 2: ("kind", str), 3: ("name", str)}
_ROLE: _Table = {1: _META, 2: ("rules", [_RULE])}
_BINDING: _Table = {1: _META, 2: ("subjects", [_SUBJECT]), 3: ("roleRef", _ROLE_REF)}
_RESOURCE: _Table = dict(
    enumerate(
        [(name, str) for name in ("namespace", "verb", "group", "version", "resource", "subresource", "name")],
        start=1,
    )
)
_ACCESS: _Table = {
    1: ("resourceAttributes", _RESOURCE),
    2: ("nonResourceAttributes", {1: ("path", str), 2: ("verb", str)}),
}
_KINDS: dict[str, _Table] = {
    "Secret": {
        1: _META,
        2: ("data", _BYTES_BY_NAME),
        3: ("type", str),
        4: ("stringData", dict),
        5: ("immutable", bool),
    },
    "ConfigMap": {1: _META, 2: ("data", dict), 3: ("binaryData", _BYTES_BY_NAME), 4: ("immutable", bool)},
    "Namespace": {1: _META},
    "ServiceAccount": {1: _META},
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "SelfSubjectAccessReview": {1: _META, 2: ("spec", _ACCESS)},
    "SelfSubjectRulesReview": {1: _META, 2: ("spec", {1: ("namespace", str)})},
}


def decode(body: bytes) -> Json:
    """The object in a body. ValueError for what is not such an object, KeyError for an unknown kind."""
    if not body.startswith(_MAGIC):
        raise ValueError("it does not begin as a Kubernetes object does")
    envelope: _Table = {1: ("type", {1: ("apiVersion", str), 2: ("kind", str)}), 2: ("raw", bytes)}
    unknown = _message(body[len(_MAGIC) :], envelope)
    kind = unknown["type"]["kind"]
    return {**unknown["type"], **_message(unknown.get("raw", b""), _KINDS[kind])}


def _message(data: bytes, table: _Table) -> Json:
    """The known fields of a message."""
    obj: Json = {}
    for number, value in _fields(data):
        if number not in table:
            continue
        name, kind = table[number]
        if isinstance(kind, list):
            obj.setdefault(name, []).append(_value(value, kind[0]))
        elif kind is dict or kind is _BYTES_BY_NAME:
            key, item = _entry(value)
            text = base64.b64encode(item).decode() if kind is _BYTES_BY_NAME else item.decode()
            obj.setdefault(name, {})[key] = text
        elif (read := _value(value, kind)) != "":  # which Go writes for what is not set
            obj[name] = read
    return obj


def _value(value: bytes | int, kind: Any) -> Any:
    if isinstance(value, int):
        return bool(value) if kind is bool else value
    if isinstance(kind, dict):
        return _message(value, kind)
    return value if kind is bytes else value.decode()


def _entry(value: bytes | int) -> tuple[str, bytes]:
    """Key and value of an entry of a map."""
    if isinstance(value, int):
        raise ValueError("an entry of a map is a message")  # noqa: TRY004 - of data, not of an argument
    parts = dict(_fields(value))
    key, item = parts.get(1, b""), parts.get(2, b"")
    if isinstance(key, int) or isinstance(item, int):
        raise ValueError("maps have texts as keys, and texts or bytes as values")  # noqa: TRY004 - as above
    return key.decode(), item


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and raw value of each field on the wire."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("it is cut off")
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire} is not used by these kinds")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
    raise ValueError("it is cut off")
