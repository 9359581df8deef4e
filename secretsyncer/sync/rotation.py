"""What is to be known of the AWS secrets in use: rotations that are overdue, expiry, scheduled deletion. Pure.

All of it is in the listing. The metrics show it for secrets that objects read, and for no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry

GRACE = 86_400.0
"""Seconds after which a rotation is overdue: a rotation window can be a day long."""


def rows(
    catalogue: Catalogue, refs: Iterable[SecretRef], *, expiry_tag: str, now: float
) -> dict[str, Mapping[str, float]]:
    """What is known of each secret, by its name: values by the end of the metric's name."""
    found: dict[str, Mapping[str, float]] = {}
    for ref in refs:
        with suppress(ValueError):
            entry, deleted = catalogue.find(ref), catalogue.deleted_of(ref)
            if entry and entry.name not in found:
                found[entry.name] = _values(entry, expiry_tag, now)
            elif deleted and not entry:
                name = deleted.arn.partition(":secret:")[2].rpartition("-")[0]
                found[name] = {"deletion_timestamp_seconds": deleted.date.timestamp()}
    return found


def _values(entry: Entry, expiry_tag: str, now: float) -> dict[str, float]:
    values: dict[str, float] = {}
    if entry.rotation and entry.rotation.last:
        values["last_rotated_timestamp_seconds"] = entry.rotation.last.timestamp()
    if entry.rotation and entry.rotation.due:
        values["rotation_overdue"] = float(entry.rotation.due.timestamp() + GRACE < now)
    expiry = _time(entry.tags.get(expiry_tag)) if expiry_tag else None
    if expiry is not None:
        values["expiry_timestamp_seconds"] = expiry
    return values


def _time(text: Any) -> float | None:
    """The Unix time of a date or a time in ISO 8601, in UTC unless it says otherwise; None if it is neither."""
    try:
        moment = datetime.fromisoformat(str(text).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
