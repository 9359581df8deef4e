"""What is left of Secrets and SyncedSecrets when they would take too much memory together.

A stub has what decides whether there is anything to do, and for whom. What it lacks is read when a reconcile needs it. So
nothing is ever decided by what a stub lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from sys import getsizeof
from typing import Any

from secretsyncer.kube.objects import Object, packed, unpacked
from secretsyncer.kube.resources import SYNCED_SECRETS
from secretsyncer.kube.shelf import STUB, Limit
from secretsyncer.sync import held_keys
from secretsyncer.sync.held_keys import HELD
from secretsyncer.sync.marks import MARK_NAMES

MOST_OF_SECRETS = 32 << 20
MOST_OF_SPECS = 48 << 20
"""Bytes of all of them, by the informer; also during a list, beside what it replaces."""
ORDINARY = 4096
"""Bytes of a Secret that are not counted. An ordinary one takes less, and a quota limits how many there are."""
OWNERS = 8
"""Owner references of a Secret that a stub has: one is usual."""
LONGEST_NAME = 253
"""Characters of the name and of the uid of an object that exists. Those of an owner reference may have any length."""
SHORT = 8192
"""Bytes of the fields of a spec that a stub has, too: all of an ordinary spec."""
_FIRST = ("target", "suspend", "restart")
"""The fields that are needed without a reconcile. Pages show others."""
LONGEST_FIRST = 16384
"""Bytes of these fields that a stub has: those of 50 workloads with the longest names."""


def weight_of_secret(secret: Object) -> int:
    """About how many bytes the summary takes beyond that of an ordinary Secret."""
    if STUB in secret:
        return 0
    metadata = secret["metadata"]
    maps = [secret.get("digests"), metadata.get("labels"), metadata.get("annotations")]
    maps += metadata.get("ownerReferences") or []
    finalizers = metadata.get("finalizers") or []
    taken = sum(_bytes(values) for values in maps if values) + sum(map(getsizeof, finalizers))
    return max(0, taken - ORDINARY)


def _bytes(values: Mapping[str, Any]) -> int:
    return getsizeof(values) + sum(map(getsizeof, values)) + sum(map(getsizeof, values.values()))


def stub_of_secret(secret: Object) -> Object:
    """The Secret with its version, its mark, the SyncedSecrets that own it, and those that hold keys of it."""
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    held, crowded = held_keys.read(annotations), held_keys.is_crowded(annotations)
    # An entry with deletionPolicy: Delete is removed once its object is gone. If there are many entries, each is.
    holders: dict[str, Any] = {
        name: {"keys": []} | ({"deletionPolicy": "Delete"} if entry.delete or crowded else {})
        for name, entry in held.items()
    }
    owners = [
        {name: ref.get(name) for name in ("apiVersion", "kind", "name", "uid", "controller")}
        for ref in metadata.get("ownerReferences") or []
        if (ref.get("apiVersion"), ref.get("kind")) == (SYNCED_SECRETS.api_version, SYNCED_SECRETS.kind)
        and all(len(ref.get(name) or "") <= LONGEST_NAME for name in ("name", "uid"))
    ]
    return {
        **secret,
        "metadata": {
            **metadata,
            "labels": {k: v for k, v in (metadata.get("labels") or {}).items() if k in MARK_NAMES},
            "annotations": {HELD: json.dumps(holders)} if holders else {},
            "ownerReferences": owners[:OWNERS],
            "finalizers": [],
        },
        "digests": {},
        "whole": False,
        STUB: True,
    }


def weight_of_spec(obj: Object) -> int:
    """How many bytes the packed spec takes beyond those of its short fields."""
    return 0 if STUB in obj else max(0, getsizeof(obj.get("spec")) - SHORT)


def stub_of_object(obj: Object) -> Object:
    """The SyncedSecret without the longest fields of its spec."""
    spec = unpacked(obj.get("spec"))
    fields = spec if isinstance(spec, dict) else {}
    first = {name: field for name, field in fields.items() if name in _FIRST}
    others = {name: field for name, field in fields.items() if name not in _FIRST}
    return {**obj, "spec": packed(_shortest(first, LONGEST_FIRST) | _shortest(others, SHORT)), STUB: True}


def _shortest(fields: Object, most: int) -> Object:
    """The shortest of these fields, as many as take at most so many bytes together."""
    short: Object = {}
    for name in sorted(fields, key=lambda name: len(packed(fields[name]))):
        if len(packed({**short, name: fields[name]})) <= most:
            short[name] = fields[name]
    return short


SECRET_LIMIT = Limit(MOST_OF_SECRETS, weight_of_secret, stub_of_secret)
OBJECT_LIMIT = Limit(MOST_OF_SPECS, weight_of_spec, stub_of_object)
