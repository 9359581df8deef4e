"""The annotation that remembers which object has put which keys into a Secret that objects fill together. Pure.

    {"web": {"keys": ["password", "user"], "deletionPolicy": "Delete"}}

Objects are known by their names, as they are in the namespace of the Secret. An object that is recreated goes on with its
keys, also if they were retained: it is remembered as long as there is room. Whoever may write the Secret can also write
the annotation, so it decides only about keys of this very Secret. One that cannot be read says nothing.

Server-side apply with one field manager for each object would record the same. The operator does not use it:

- Drift could not be corrected. A key that another client has changed is a conflict, and `force`, which ends it, would also
  take over the keys of others.
- Two objects that want the same value of a key would both own it, and which one is older would not matter.
- The fields' managers do not say what is to happen after an object is gone. Backups, and clients that send
  `managedFields: [{}]`, remove them. Annotations survive both.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from secretsyncer.sync.marks import OWN_GROUP
from secretsyncer.synced_secret import is_object_name

HELD = f"{OWN_GROUP}keys"
LONGEST = 64 << 10
"""Characters of the annotation. All annotations of a Secret may have 256 KiB."""
MOST_HOLDERS = 32
"""Objects that fill one Secret. A forged annotation makes the operator look for as many."""
LONGEST_NAMES = 4096
"""Characters of their names together, which are kept of each Secret in any case."""
_DELETE = "Delete"


class Held(NamedTuple):
    """The keys of one object, and whether they go with it."""

    keys: frozenset[str]
    delete: bool = False
    uid: str = ""
    """That of the object, if the Secret has its revision: a successor with the same name begins to count again."""


NOTHING = Held(frozenset())


def read(annotations: Mapping[str, str]) -> dict[str, Held]:
    """The keys by the name of their object; none if the annotation is missing or cannot be read."""
    text = annotations.get(HELD, "")
    if not text or len(text) > LONGEST:
        return {}
    try:
        noted: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(noted, dict) or are_too_many(noted):
        return {}
    # A name goes into a selector, and other characters would mean another thing there.
    return {name: held for name, entry in noted.items() if is_object_name(name) and (held := _held(entry))}


def are_too_many(names: Collection[str]) -> bool:
    """Whether these objects are too many, or their names too long, for one Secret."""
    return _are_over(names, MOST_HOLDERS, LONGEST_NAMES)


def _are_over(names: Collection[str], most: int, longest: int) -> bool:
    return len(names) > most or sum(map(len, names)) > longest


def _held(entry: Any) -> Held | None:
    keys = entry.get("keys") if isinstance(entry, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return None
    uid = entry.get("uid")
    return Held(frozenset(keys), entry.get("deletionPolicy") == _DELETE, uid if isinstance(uid, str) else "")


def is_crowded(annotations: Mapping[str, str]) -> bool:
    """Whether there is little room left, so that objects that are gone are not remembered any more."""
    text, names = annotations.get(HELD, ""), read(annotations)
    return len(text) > LONGEST // 2 or _are_over(names, MOST_HOLDERS // 2, LONGEST_NAMES // 2)


def written(held: Mapping[str, Held]) -> str | None:
    """The annotation; None if there is nothing to remember."""
    noted = {
        name: {
            "keys": sorted(keys),
            **({"deletionPolicy": _DELETE} if delete else {}),
            **({"uid": uid} if uid else {}),
        }
        for name, (keys, delete, uid) in sorted(held.items())
        if keys or uid
    }
    return json.dumps(noted, separators=(",", ":")) if noted else None
