"""A complete listing of the secrets of an account, or a failure.

A missing page, a repeated token, endless pages and malformed entries are failures, because a secret that is missing in
a listing looks deleted. Secrets that are scheduled for deletion are reported apart. Secrets without a current version (during
their creation or a rotation) are reported by name; those that had a current version keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Any, NamedTuple

from secretsyncer.aws.api.secretsmanager import SecretsApi, tags_of
from secretsyncer.aws.arn import home_of
from secretsyncer.aws.codes import CallOutcome
from secretsyncer.aws.failures import AwsError, Failure
from secretsyncer.aws.identity import CURRENT, Identity
from secretsyncer.aws.listing.catalogue import Deleted, Entry, Rotation

MAX_PAGES = 10_000
"""Maximum number of pages: twice AWS's quota of 500,000 secrets per region."""

LONGEST_ROTATION = 10_000
"""Days; AWS allows 1,000."""


class Listing(NamedTuple):
    """All secrets with a current version, the names of those without, and those that are scheduled for deletion."""

    entries: list[Entry]
    without_current: frozenset[str]
    deleted: Mapping[str, Deleted]


async def list_secrets(
    api: SecretsApi, identity: Identity, region: str, *, beat: Callable[[], None], old: Mapping[str, Entry]
) -> Listing:
    """List everything. Calls `beat` for each page. Unchanged entries are the old objects.

    Raises AwsError if the listing is not complete.
    """
    found: dict[str, Entry] = {}
    without: set[str] = set()
    tokens: set[str] = set()
    deleted: dict[str, Deleted] = {}
    token = ""
    for _ in range(MAX_PAGES):
        page = await api.list_page(identity, region, token)
        beat()
        if not isinstance(page.entries, list) or not isinstance(page.next_token, str):
            raise broken("a page is malformed")
        for raw in page.entries:
            entry = entry_of(raw)
            if entry is None:
                deleted |= deleted_of(raw)
                continue
            known = old.get(entry.name)
            if not entry.version_id:
                without.add(entry.name)
            visible = still_visible(entry, known)
            if visible is not None:
                found[entry.name] = known if known is not None and known == visible else visible
        token = page.next_token
        if not token:
            return Listing(list(found.values()), frozenset(without), deleted)
        if token in tokens:
            raise broken("a page token was repeated")
        tokens.add(token)
    raise broken(f"no end after {MAX_PAGES} pages")


def entry_of(raw: Mapping[str, Any]) -> Entry | None:
    """The entry; None if it is scheduled for deletion. Without a version if none is current."""
    try:
        if raw.get("DeletedDate"):
            return None
        name, arn = intern(_text(raw["Name"])), intern(arn_of(raw))
        return Entry(name, arn, _tags(raw), _current(raw), date_of(raw), _rotation(raw))
    except (AttributeError, KeyError, TypeError):
        raise broken("an entry is malformed") from None


def still_visible(entry: Entry, known: Entry | None) -> Entry | None:
    """The entry, with the version that was known if none is current; None if none is known either.

    During a rotation, a template must not lose a line, so the previous version stays visible.
    """
    if entry.version_id:
        return entry
    return replace(entry, version_id=known.version_id) if known and known.arn == entry.arn else None


def deleted_of(raw: Mapping[str, Any]) -> dict[str, Deleted]:
    """The secret that is scheduled for deletion, by its name; empty if its date is not one."""
    date = date_of(raw, "DeletedDate")
    return {str(raw.get("Name")): Deleted(arn_of(raw), date)} if date else {}


def date_of(raw: Mapping[str, Any], field: str = "LastChangedDate") -> datetime | None:
    """A date of the entry, always with a time zone, because only such dates can be compared."""
    date = raw.get(field)
    if not isinstance(date, datetime):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _rotation(raw: Mapping[str, Any]) -> Rotation | None:
    """None for a secret that has never been rotated, and is not going to be."""
    last, due = date_of(raw, "LastRotatedDate"), None
    if raw.get("RotationEnabled") is True:
        rules = raw.get("RotationRules")
        days = rules.get("AutomaticallyAfterDays") if isinstance(rules, dict) else None
        due = date_of(raw, "NextRotationDate")
        if due is None and last and isinstance(days, int) and 0 < days <= LONGEST_ROTATION:
            due = last + timedelta(days=days)
    return Rotation(last, due) if last or due else None


def arn_of(raw: Mapping[str, Any]) -> str:
    """The ARN. Raises AwsError if it is missing or malformed."""
    arn = raw.get("ARN")
    if not isinstance(arn, str) or home_of(arn) is None:
        raise broken("an entry is malformed")
    return arn


def _tags(raw: Mapping[str, Any]) -> dict[str, str]:
    tags = tags_of(raw)
    if not all(isinstance(value, str) for value in tags.values()):
        raise TypeError("a tag")
    return tags


def _current(raw: Mapping[str, Any]) -> str:
    versions = raw.get("SecretVersionsToStages") or {}
    current = [_text(version) for version, stages in versions.items() if CURRENT in _list(stages)]
    return min(current, default="")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(type(value).__name__)
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def broken(why: str) -> AwsError:
    """The failure of a listing that is not what it should be."""
    return AwsError(Failure(CallOutcome.UNREADABLE, f"AWS's list of secrets is not complete: {why}", "ListSecrets"))
