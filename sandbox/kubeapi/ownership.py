"""Who owns which field: `metadata.managedFields`, and server-side apply (KEP-555).

Every write is recorded: an update takes the fields that it changed from their other owners; an apply
owns what it says, shares what it says alike, conflicts where it says otherwise (unless forced), and
removes what it said before and says no more, unless somebody else owns it too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.kubeapi.errors import Cause, Json, apply_conflict, bad_request
from sandbox.kubeapi.fieldsets import (
    Fields,
    Path,
    from_fields_v1,
    is_granular,
    leaves,
    remove,
    steps,
    to_fields_v1,
    with_metadata,
)
from sandbox.kubeapi.metadata import timestamp


class Manager(NamedTuple):
    """One writer, as `managedFields` tells writers apart."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


class _Entry(NamedTuple):
    fields: Fields
    time: str


_Entries = dict[Manager, _Entry]


def record_update(old: Json | None, new: Json, manager: Manager, schema: Json) -> None:
    """Set the `managedFields` of `new`, which `manager` made out of `old`."""
    entries = _read(old) if old else {}
    before, after = leaves(old, schema) if old else {}, leaves(new, schema)
    changed = frozenset(path for path, value in after.items() if path not in before or before[path] != value)
    entries = {
        who: entry._replace(fields=(entry.fields & after.keys()) - changed) for who, entry in entries.items()
    }
    if changed:
        owned = entries[manager].fields if manager in entries else frozenset()
        entries[manager] = _Entry(owned | changed, timestamp())
    _write(new, entries)


def apply(live: Json | None, applied: Json, manager: Manager, schema: Json, *, force: bool) -> Json:
    """The object that an apply makes of the live one, with its `managedFields`.

    ApiError 409 where other managers own a field that would change, unless `force`.
    """
    if applied.get("metadata", {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    entries = _read(live) if live else {}
    if live and not entries:
        unknown = Manager("before-first-apply", "Update", manager.api_version)
        entries = {unknown: _Entry(frozenset(leaves(live, schema)), timestamp())}
    said = leaves(applied, schema)
    others = {who: entry for who, entry in entries.items() if who != manager}
    result = _without_dropped(live or {}, entries.get(manager), said, others, schema)
    result = dict(_merged(result, applied, with_metadata(schema)))
    changed = _differences(leaves(live or {}, schema), leaves(result, schema)) & said.keys()
    if not force:
        _refuse_conflicts(changed, others)
    kept = leaves(result, schema).keys()
    others = {who: entry._replace(fields=(entry.fields & kept) - changed) for who, entry in others.items()}
    before = entries.get(manager)
    same = before is not None and before.fields == said.keys() and not changed
    when = before.time if before and same else timestamp()
    _write(result, {**others, manager: _Entry(frozenset(said), when)})
    return result


def _without_dropped(
    live: Json, own: _Entry | None, said: Mapping[Path, Any], others: _Entries, schema: Json
) -> Json:
    result = copy.deepcopy(live)
    shared: frozenset[Path] = frozenset().union(*(entry.fields for entry in others.values()))
    dropped = (own.fields if own else frozenset()) - said.keys() - shared
    for path in sorted(dropped, key=_names_its_item):
        remove(result, path, with_metadata(schema))
    return result


def _names_its_item(path: Path) -> bool:
    """Whether a field is the key of its list item: those go last, as without them the item is not found."""
    return len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:])


def _refuse_conflicts(changed: frozenset[Path], others: _Entries) -> None:
    causes = [
        Cause(_dotted(path), "FieldManagerConflict", f'conflict with "{who.name}"{_using(who)}')
        for who, entry in others.items()
        for path in sorted(entry.fields & changed)
    ]
    if causes:
        raise apply_conflict(causes)


def _using(who: Manager) -> str:
    return f" using {who.api_version}" if who.operation == "Update" else ""


def _differences(before: Mapping[Path, Any], after: Mapping[Path, Any]) -> frozenset[Path]:
    return frozenset(path for path, value in after.items() if path not in before or before[path] != value)


def _merged(current: Any, applied: Any, schema: Json) -> Any:
    """The applied value over the current one, member by member where the schema is granular."""
    if isinstance(applied, dict) and isinstance(current, dict):
        inner = {step: child for step, _, child in steps({**current, **applied}, schema)}
        if not inner and (current or applied):
            return copy.deepcopy(applied)
        merged = dict(current)
        for key, value in applied.items():
            merged[key] = _merged(current.get(key), value, inner[f"f:{key}"])
        return merged
    if isinstance(applied, list) and isinstance(current, list) and is_granular(current + applied, schema):
        said = {step: (value, inner) for step, value, inner in steps(applied, schema)}
        items = {step: value for step, value, _ in steps(current, schema)}
        if len(said) == len(applied):  # else it repeats a key, which validation will tell
            items |= {step: _merged(items.get(step), value, inner) for step, (value, inner) in said.items()}
            return list(items.values())
    return copy.deepcopy(applied)


def _dotted(path: Path) -> str:
    """A path as messages show it: `.spec.items[name="a"].value`."""
    return "".join(_step_text(step) for step in path)


def _step_text(step: str) -> str:
    kind, text = step[:2], step[2:]
    if kind == "f:":
        return f".{text}"
    keys = json.loads(text) if kind == "k:" else {"": json.loads(text)}
    return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]"


def _read(obj: Json) -> _Entries:
    return {
        Manager(
            item.get("manager", ""),
            item.get("operation", ""),
            item.get("apiVersion", ""),
            item.get("subresource", ""),
        ): _Entry(from_fields_v1(item.get("fieldsV1") or {}), item.get("time", ""))
        for item in obj.get("metadata", {}).get("managedFields") or []
    }


def _write(obj: Json, entries: _Entries) -> None:
    recorded = []
    for who, entry in sorted(entries.items(), key=lambda item: (item[0].operation, item[1].time, item[0].name)):
        if not entry.fields:
            continue
        item = {
            "manager": who.name,
            "operation": who.operation,
            "apiVersion": who.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(entry.fields),
        }
        recorded.append({**item, "subresource": who.subresource} if who.subresource else item)
    obj["metadata"]["managedFields"] = recorded
    if not recorded:
        del obj["metadata"]["managedFields"]
