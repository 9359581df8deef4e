"""Confirms a listing that lacks many secrets before it is used.

A wrong region, a broken proxy or a changed permission can make a listing empty or incomplete. Such a listing would empty
the results of templates and `find`. A listing is suspicious if it lacks everything, half of the previous listing, or a
large share of the AWS secrets that objects were made from. It is used after two checks: a second complete listing lacks
the same, and DescribeSecret finds none of a sample of the missing secrets. If DescribeSecret is not permitted, or only the
listing itself can describe, a listing of a later round must lack the same. Until then, the old entries stay.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import NamedTuple

from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.arn import Account, home_of
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.pages import Listing, entry_of
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import service_of_arn
from secretsyncer.loops import loop_time

log = logging.getLogger(__name__)

SHARE_IN_USE = 0.2
"""Share of the secrets in use that a listing may lack, and still be believed at once."""
SHARE_LISTED = 0.5
"""Share of the secrets listed before that a listing may lack."""
FEW_IN_USE = 3
FEW_LISTED = 10
"""What a listing may always lack, unless that is everything."""
SAMPLE = 5
"""Missing secrets that are described."""

InUse = Callable[[str], Iterable[str]]
"""The ARNs that objects were made from, and that a listing of this region should show."""


class Lister(NamedTuple):
    """Who lists, and what: the account, None while it is not known, and the region."""

    identity: Identity
    account: Account | None
    region: str


class Verdict(NamedTuple):
    """The listing to use, or why none is believed."""

    listing: Listing
    doubt: str = ""


class Confirmation:
    """Confirms listings. `interval`: seconds between two rounds."""

    def __init__(self, api: ServiceApi, in_use: InUse, interval: float) -> None:
        self._api = api
        self._service = api.service
        self._in_use = in_use
        self._interval = interval
        self._gone: frozenset[str] = frozenset()
        self._since: float | None = None

    async def check(
        self, listing: Listing, old: Catalogue, lister: Lister, list_again: Callable[[], Awaitable[Listing]]
    ) -> Verdict:
        """Whether to believe the listing. Raises AwsError if the second listing fails."""
        if not self._lost(listing, old, lister):
            return self._believed(listing)
        listing = await list_again()
        lost = self._lost(listing, old, lister)
        if not lost:
            return self._believed(listing)
        there = [await self._exists(lister.identity, arn) for arn in sorted(lost)[:SAMPLE]]
        self._since = loop_time() if self._since is None else self._since
        doubt = f"the listing lacks {len(lost)} {self._service.noun}s that were there before"
        if True in there:
            advice = "check AWS_REGION, the role that lists, and proxies"
            return Verdict(
                listing,
                f"{doubt}, and {self._service.describes} finds {there.count(True)} of {len(there)}: {advice}",
            )
        if False not in there and loop_time() - self._since < self._interval * 0.9:
            return Verdict(listing, f"{doubt}; the listing of the next round has to confirm that")
        log.warning("missing secrets confirmed", extra={"count": len(lost), "described": there.count(False)})
        self._gone |= {name for arn in lost for name in self._names(arn)}
        return self._believed(listing)

    def _believed(self, listing: Listing) -> Verdict:
        self._since = None
        self._gone -= {entry.name for entry in listing.entries}
        return Verdict(listing)

    def _lost(self, listing: Listing, old: Catalogue, lister: Lister) -> Collection[str]:
        """The ARNs that are missing, if they are too many to believe it."""
        names = {entry.name for entry in listing.entries} | listing.without_current
        removed = {entry.arn for name, entry in old.entries.items() if name not in names}
        if old.listed_at is not None and not removed:
            return ()
        used = {
            arn
            for arn in self._in_use(lister.region)
            if service_of_arn(arn) is self._service
            and self._gone.isdisjoint(self._names(arn))
            and _is_of(arn, lister.account)
        }
        lost = {arn for arn in used if names.isdisjoint(self._names(arn))}
        if lost and (len(lost) == len(used) or len(lost) >= max(FEW_IN_USE, SHARE_IN_USE * len(used))):
            return lost
        if removed and (not names or len(removed) >= max(FEW_LISTED, SHARE_LISTED * len(old.entries))):
            return removed
        return ()

    def _names(self, arn: str) -> tuple[str, ...]:
        """The names under which the listing would show it; none for a text in a status that is no ARN."""
        try:
            return self._service.parse(arn).names
        except ValueError:
            return ()

    async def _exists(self, identity: Identity, arn: str) -> bool | None:
        """Whether AWS has the secret, in its own region; None if it does not tell."""
        home = home_of(arn)
        ref = SecretRef(identity, arn, home[1] if home else "", service=self._service.name)
        try:
            entry = entry_of(await self._api.describe(ref), self._service)
        except AwsError as exc:
            is_witness = self._service.describes != self._service.lists
            return False if exc.failure.outcome is CallOutcome.NOT_FOUND and is_witness else None
        return entry is not None and bool(entry.version_id)


def _is_of(arn: str, account: Account | None) -> bool:
    home = home_of(arn)
    return home is not None and (account is None or home[0] == account)
