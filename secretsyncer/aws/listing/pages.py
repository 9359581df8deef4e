"""A complete listing of what a service has in an account, or a failure.

A missing page, a repeated token, endless pages and malformed entries are failures, because a secret that is missing in
a listing looks deleted. Secrets that are scheduled for deletion are reported apart. Secrets without a current version (during
their creation or a rotation) are reported by name; those that had a current version keep it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from sys import intern
from typing import Any, NamedTuple

from secretsyncer.aws.api.service_api import Page, ServiceApi
from secretsyncer.aws.arn import home_of
from secretsyncer.aws.failures import AwsError, Failure
from secretsyncer.aws.identity import Identity
from secretsyncer.aws.listing.catalogue import Deleted, Entry
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import SECRETS_MANAGER, Service
from secretsyncer.aws.services.service import Listed

log = logging.getLogger(__name__)

MAX_PAGES = 10_000
"""Maximum number of pages: twice AWS's quota of 500,000 secrets per region."""


class Listing(NamedTuple):
    """All secrets with a current version, the names of those without, and those that are scheduled for deletion."""

    entries: list[Entry]
    without_current: frozenset[str]
    deleted: Mapping[str, Deleted]


async def list_secrets(
    api: ServiceApi, identity: Identity, region: str, *, beat: Callable[[], None], old: Mapping[str, Entry]
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
        check_page(page, api.service)
        for raw in page.entries:
            listed = listed_of(raw, api.service)
            if listed.deleted:
                deleted |= deleted_by(listed)
                continue
            entry = entry_from(listed)
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
            raise broken("a page token was repeated", api.service)
        tokens.add(token)
    raise broken(f"no end after {MAX_PAGES} pages", api.service)


def check_page(page: Page, service: Service) -> None:
    """Raises AwsError for a page without a list, or whose token is none: it would be the last one."""
    if not isinstance(page.entries, list) or not isinstance(page.next_token, str):
        raise broken("a page is malformed", service)


def entry_of(raw: Mapping[str, Any], service: Service = SECRETS_MANAGER) -> Entry | None:
    """The entry; None if it is scheduled for deletion. Without a version if none is current."""
    found = listed_of(raw, service)
    return None if found.deleted else entry_from(found)


def listed_of(raw: Mapping[str, Any], service: Service) -> Listed:
    """An entry of a page, checked. Raises AwsError if it is malformed."""
    try:
        found = service.listed(raw)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise broken("an entry is malformed", service) from None
    if home_of(found.arn) is None:
        raise broken("an entry is malformed", service)
    return found


def entry_from(found: Listed) -> Entry:
    """The entry of the catalogue."""
    return Entry(
        intern(found.name), intern(found.arn), found.tags, found.version_id, found.last_changed, found.rotation
    )


def deleted_by(found: Listed) -> dict[str, Deleted]:
    """The secret that is scheduled for deletion, by its name; empty if AWS gives no date."""
    return {found.name: Deleted(found.arn, found.deletion_date)} if found.deletion_date else {}


def still_visible(entry: Entry, known: Entry | None) -> Entry | None:
    """The entry, with the version that was known if none is current; None if none is known either.

    During a rotation, a template must not lose a line, so the previous version stays visible.
    """
    if entry.version_id:
        return entry
    return replace(entry, version_id=known.version_id) if known and known.arn == entry.arn else None


def broken(why: str, service: Service) -> AwsError:
    """The failure of a listing that is not what it should be."""
    text = f"AWS's list of {service.kind}s is not complete: {why}"
    return AwsError(Failure(CallOutcome.UNREADABLE, text, service.lists))


def denial(exc: Exception, service: Service) -> str:
    """Why the service may not be listed, if that is why a listing failed, and if it can be read without one."""
    if isinstance(exc, AwsError) and exc.failure.outcome is CallOutcome.DENIED and service.reads_without_listing:
        return exc.failure.message
    return ""


def warn_of_skipped(listing: Listing, before: frozenset[str]) -> None:
    """Log what has no current version, if that is news."""
    names = listing.without_current
    if names and names != before:
        log.warning(
            "secrets without a current version skipped", extra={"count": len(names), "names": sorted(names)[:10]}
        )
