"""A complete listing of an account's secrets, or a failure: never half of one.

ListSecrets comes in pages. A page that cannot be had, a token that comes back, pages without end and entries
that are not AWS's are failures, because a listing that misses a secret looks like its deletion. Entries that
are scheduled for deletion are left out. Secrets without a current version (in the middle of their making, or of
a rotation) are named, so that somebody can look after them; those that had one before keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from secretsyncer.aws.api.secretsmanager import SecretsApi, tags_of
from secretsyncer.aws.codes import CallOutcome
from secretsyncer.aws.failures import AwsError, Failure
from secretsyncer.aws.identity import CURRENT, Identity
from secretsyncer.aws.listing.catalogue import Entry

MAX_PAGES = 10_000
"""Pages after which a listing is given up: twice AWS's quota of 500,000 secrets in a region."""


class Listing(NamedTuple):
    """All secrets with a current version, and the names of those without."""

    entries: list[Entry]
    without_current: frozenset[str]


async def list_secrets(
    api: SecretsApi, identity: Identity, region: str, *, beat: Callable[[], None], old: Mapping[str, Entry]
) -> Listing:
    """List everything; `beat` is called at each page. Entries equal to an old one are the old object.

    Raises AwsError, and then nothing of the listing may be used.
    """
    found: dict[str, Entry] = {}
    without: set[str] = set()
    tokens: set[str] = set()
    token = ""
    for _ in range(MAX_PAGES):
        page = await api.list_page(identity, region, token)
        beat()
        for raw in page.entries:
            entry = entry_of(raw)
            if entry is None:
                continue
            known = old.get(entry.name)
            if not entry.version_id:
                without.add(entry.name)
                if known is None or known.arn != entry.arn:
                    continue
                # In the middle of a rotation a template must not lose a line: what was current stays in sight.
                entry = replace(entry, version_id=known.version_id)
            found[entry.name] = known if known is not None and known == entry else entry
        token = page.next_token
        if not token:
            return Listing(list(found.values()), frozenset(without))
        if token in tokens:
            raise _broken("a page's token came back")
        tokens.add(token)
    raise _broken(f"no end after {MAX_PAGES} pages")


def entry_of(raw: Mapping[str, Any]) -> Entry | None:
    """The entry, None if it is scheduled for deletion; without a version if none is current."""
    try:
        if raw.get("DeletedDate"):
            return None
        changed = raw.get("LastChangedDate")
        date = changed if isinstance(changed, datetime) else None
        return Entry(str(raw["Name"]), str(raw["ARN"]), tags_of(raw), _current(raw), date)
    except (AttributeError, KeyError, TypeError):
        raise _broken("an entry is not one") from None


def _current(raw: Mapping[str, Any]) -> str:
    versions = raw.get("SecretVersionsToStages") or {}
    return min((version for version, stages in versions.items() if CURRENT in stages), default="")


def _broken(why: str) -> AwsError:
    return AwsError(Failure(CallOutcome.UNREADABLE, f"AWS's list of secrets is not complete: {why}", "ListSecrets"))
