"""The write that a Secret of somebody else needs, of which an object fills some keys (`target.policy: Merge`). Pure.

Other keys, the type, labels, annotations and owners stay. `held_keys` says whose keys are whose. Of two objects that want
the same key, the older one gets it, whoever has written it first, so the result does not depend on the order of events. A
key that no object has written is taken over only if the object itself says `adopt: true`.

The Secret gets the operator's mark with another value, so that it is watched. It is read on demand before that.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from typing import Any

from secretsyncer.errors import Reason, Rejected
from secretsyncer.sync import held_keys
from secretsyncer.sync.held_keys import HELD, LONGEST, LONGEST_NAMES, MOST_HOLDERS, NOTHING, Held
from secretsyncer.sync.marks import MARK, OLD_MARK, SOME_KEYS, has_old_mark, is_managed
from secretsyncer.sync.observed import digest
from secretsyncer.sync.owners import NOBODY, Peers
from secretsyncer.sync.revision import Revision, annotation
from secretsyncer.sync.secret_plan import Create, Patch, managed_before
from secretsyncer.sync.secret_rules import (
    check_creation,
    check_not_emptied,
    check_observed,
    check_size,
    check_type,
    is_synced_secret,
    listed_keys,
    required_by_type,
)
from secretsyncer.synced_secret import SyncedSecret


def plan_merge(
    synced: SyncedSecret,
    data: Mapping[str, bytes],
    observed: dict[str, Any] | None,
    *,
    peers: Peers = NOBODY,
    known: frozenset[str] = frozenset(),
    revision: Revision | None = None,
) -> Create | Patch | None:
    """The write that puts the object's keys into the Secret; None if they are there.

    `known`: keys that this process has written for the object, which are its own even if somebody removes the annotation.
    `revision` is that of the object's data. Raises Rejected(SecretMissing) if there is no Secret, and Rejected(Conflict) if
    a key belongs to somebody else.
    """
    check_size(data)
    if observed is None:
        check_creation(synced)
        check_type(synced.spec.type, data)
        return creation(synced, data, revision)
    check_observed(synced, observed)
    state = _State(synced, observed, known)
    _check_type_stays(synced, observed)
    _check_keys(synced, data, state, peers)
    check_not_emptied(synced, data, {"digests": state.own & observed["digests"].keys()})
    check_size({**observed["digests"], **data})
    changes = _changes(data, state, peers)
    if changes and observed["immutable"]:
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} is immutable, and its {listed_keys(changes)} would have to change; "
            "policy Merge recreates no Secret: ask its owner",
        )
    metadata = _metadata(synced, data, state, revision)
    if not changes and not metadata:
        return None
    body: dict[str, Any] = {"metadata": {**metadata, "resourceVersion": observed["metadata"]["resourceVersion"]}}
    if changes:
        body["data"] = changes
    return Patch(body, tuple(sorted(changes)))


def part_of(
    synced: SyncedSecret, data: Mapping[str, bytes], observed: dict[str, Any], *, known: frozenset[str]
) -> tuple[dict[str, Any], bool]:
    """The Secret as if it had only the object's keys, and whether some were its own before this write."""
    held = held_keys.read(observed["metadata"]["annotations"])
    keys = held.get(synced.key.name, NOTHING).keys | known
    digests = {key: found for key, found in observed["digests"].items() if key in keys or key in data}
    return {**observed, "digests": digests}, bool(keys)


def creation(synced: SyncedSecret, data: Mapping[str, bytes], revision: Revision | None = None) -> Create:
    """The Secret with nothing but the object's keys."""
    metadata: dict[str, Any] = {
        "name": synced.secret.name,
        "namespace": synced.secret.namespace,
        "labels": {MARK: SOME_KEYS},
    }
    annotations = _revisions(synced, revision)
    if text := _text(synced, {synced.key.name: _own(synced, data, revision)}):
        annotations[HELD] = text
    if annotations:
        metadata["annotations"] = annotations
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": synced.spec.type or "Opaque"}
    return Create({**body, "data": {key: _encoded(value) for key, value in data.items()}})


def plan_release(observed: Mapping[str, Any], names: Collection[str], *, delete: bool | None) -> Patch | None:
    """The write after which the Secret has nothing of these objects any more; None if it has nothing.

    With `delete`, their keys go, unless another object has them, too, or the type of the Secret requires them; None: as
    the annotation says of each. Without other objects, the mark goes as well.
    """
    held = held_keys.read(observed["metadata"]["annotations"])
    left_by = [held.pop(name) for name in names if name in held]
    if not left_by:
        return None
    goes = [entry.delete if delete is None else delete for entry in left_by]
    mine = frozenset[str]().union(*(entry.keys for entry, go in zip(left_by, goes, strict=True) if go))
    others = frozenset().union(*(entry.keys for entry in held.values()))
    present = observed["digests"].keys()
    gone = (mine - others) & present if not observed["immutable"] else frozenset()
    gone -= required_by_type(observed["type"], present, gone)
    left = held_keys.written(held)
    annotations = observed["metadata"]["annotations"]
    revisions = [name for entry in left_by if (name := annotation(entry.uid)) in annotations]
    metadata: dict[str, Any] = {
        "annotations": {HELD: left, **dict.fromkeys(revisions)},
        "resourceVersion": observed["metadata"]["resourceVersion"],
    }
    if left is None and observed["metadata"]["labels"].get(MARK) == SOME_KEYS:
        metadata["labels"] = {MARK: None}
    body: dict[str, Any] = {"metadata": metadata}
    if gone:
        body["data"] = dict.fromkeys(gone)
    return Patch(body, tuple(sorted(gone)))


class _State:
    """Whose keys are whose. `free`: keys of a Secret that was the operator's as a whole belong to no object."""

    def __init__(self, synced: SyncedSecret, observed: dict[str, Any], known: frozenset[str]) -> None:
        self.metadata = observed["metadata"]
        self.digests: Mapping[str, bytes] = observed["digests"]
        self.was_whole = is_managed(observed)
        self.held = {} if self.was_whole else held_keys.read(self.metadata["annotations"])
        self.mine = self.held.pop(synced.key.name, NOTHING)
        self.own = self.mine.keys | known
        self.free = self.digests.keys() if self.was_whole else frozenset()

    def held_by(self, names: frozenset[str]) -> frozenset[str]:
        return frozenset().union(*(held.keys for name, held in self.held.items() if name in names))


def _check_type_stays(synced: SyncedSecret, observed: Mapping[str, Any]) -> None:
    if synced.spec.type and observed["type"] != synced.spec.type:
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} has the type {observed['type']}, and spec.type is {synced.spec.type}; "
            "policy Merge changes no type: remove spec.type",
        )


def _check_keys(synced: SyncedSecret, data: Mapping[str, bytes], state: _State, peers: Peers) -> None:
    for name, held in sorted(state.held.items()):
        contested = held.keys & data.keys()
        if contested and name in peers.older:
            raise Rejected(
                Reason.CONFLICT,
                f"Secret {synced.secret}: the older SyncedSecret {name} writes its {listed_keys(contested)}; "
                "choose other keys, or remove them from one of the objects",
            )
    taken = (data.keys() & state.digests.keys()) - state.own - state.free - state.held_by(peers.younger)
    if taken and not synced.spec.adopt:
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret} has the {listed_keys(taken)} already, written by no SyncedSecret that exists; "
            "choose other keys, or set spec.adopt: true to take them over",
        )


def _changes(data: Mapping[str, bytes], state: _State, peers: Peers) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    for key, value in data.items():
        encoded = _encoded(value)
        if state.digests.get(key) != digest(encoded):
            changes[key] = encoded
    dropped = (state.own & state.digests.keys()) - data.keys() - state.held_by(peers.older | peers.younger)
    return {**changes, **dict.fromkeys(dropped)}


def _metadata(
    synced: SyncedSecret, data: Mapping[str, bytes], state: _State, revision: Revision | None
) -> dict[str, Any]:
    held = {name: entry._replace(keys=entry.keys - data.keys()) for name, entry in state.held.items()}
    text = _text(synced, {**held, synced.key.name: _own(synced, data, revision)})
    labels, annotations = state.metadata["labels"], state.metadata["annotations"]
    changes: dict[str, dict[str, str | None]] = {"labels": {}, "annotations": {}}
    revisions = _revisions(synced, revision)
    stale = {annotation(uid) for uid in (state.mine.uid, synced.uid)} & annotations.keys() - revisions.keys()
    wanted = {HELD: text, **dict.fromkeys(stale), **revisions}
    changes["annotations"] = {name: now for name, now in wanted.items() if now != annotations.get(name)}
    if labels.get(MARK) != SOME_KEYS:
        changes["labels"][MARK] = SOME_KEYS
    if has_old_mark(labels):
        changes["labels"][OLD_MARK] = None
    made: dict[str, Any] = {}
    if state.was_whole:  # what was ours as long as the Secret was
        for part, names in managed_before(annotations).items():
            gone = [name for name in names if name in state.metadata[part] and name not in {MARK, *wanted}]
            changes[part].update(dict.fromkeys(gone))
        owners = state.metadata["ownerReferences"]
        others = [ref for ref in owners if not is_synced_secret(ref)]
        made = {"ownerReferences": others} if others != owners else {}
    return {**made, **{part: names for part, names in changes.items() if names}}


def _own(synced: SyncedSecret, data: Mapping[str, bytes], revision: Revision | None) -> Held:
    return Held(frozenset(data), synced.spec.deletion_policy == "Delete", synced.uid if revision else "")


def _revisions(synced: SyncedSecret, revision: Revision | None) -> dict[str, str]:
    """The annotation with the object's revision, if it counts any."""
    return {annotation(synced.uid): revision.text()} if revision else {}


def _text(synced: SyncedSecret, held: Mapping[str, Held]) -> str | None:
    text = held_keys.written(held)
    if text is not None and (len(text) > LONGEST or held_keys.are_too_many(held)):
        raise Rejected(
            Reason.CONFLICT,
            f"Secret {synced.secret}: its annotation {HELD} would have {len(text)} characters and {len(held)} objects; at "
            f"most {LONGEST} characters, and {MOST_HOLDERS} objects with {LONGEST_NAMES} characters in their names, are "
            "possible; put fewer keys into it, or the keys of fewer objects",
        )
    return text


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()
