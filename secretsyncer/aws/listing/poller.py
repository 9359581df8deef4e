"""Lists AWS's secrets, again and again, and says what has changed.

Each round: list everything as the search role (or the operator), replace `catalogue` by one assignment, report the
changes, then have the cache recheck what no listing shows, and report that. A failed listing keeps the old
entries, is tried again with backoff, and shows in `health` and the metrics; a round counts as over when the
interval has passed, listed or not, so that rechecks go on even where listing is not permitted.

Feeds the controller (`on_change`) and whoever reads `catalogue`. Decides nothing about objects.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection
from typing import Protocol

from secretsyncer.aws.api.secretsmanager import SecretsApi
from secretsyncer.aws.arn import Account, complete_role
from secretsyncer.aws.codes import Outcome
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Changes, diff
from secretsyncer.aws.listing.pages import Listing, entry_of, list_secrets
from secretsyncer.backoff import Backoff
from secretsyncer.errors import SettingsError, SyncFailure
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

_JITTER = 0.05
_BEAT = 15.0
"""Seconds between two beats while the poller sleeps."""

NO_CHANGES = Changes(frozenset(), frozenset(), frozenset(), frozenset())


class Operator(Protocol):
    """Who the operator is in AWS: `sessions.Sessions`."""

    async def account(self) -> Account:
        """The operator's account. Raises SyncFailure."""

    @property
    def region(self) -> str:
        """The operator's region."""


class Rechecker(Protocol):
    """What sees the secrets that no listing shows: `cache.SecretCache`."""

    async def recheck(self, refs: Collection[SecretRef], catalogue: Catalogue) -> set[SecretRef]:
        """Those of the references whose version or readability is not what it was."""


OnChange = Callable[[Catalogue, Catalogue, Changes, set[SecretRef]], None]
"""Called with (old catalogue, new catalogue, what the listing changed, references found changed by recheck).

Up to twice a round: for the listing, at once, with no references; then for the recheck, with no changes. The
first complete listing is reported even if there is nothing in it.
"""


class Poller:
    """Polls every `interval` seconds. `search_role` is a role's name or ARN, empty for the operator itself.

    `catalogue` is never None: before the first listing it is empty. `first_round` is set after the first attempt
    to list, whether it worked or not. `beat` is called at each page of a listing, and all the time between two.
    """

    def __init__(
        self,
        api: SecretsApi,
        operator: Operator,
        cache: Rechecker,
        metrics: Metrics,
        *,
        interval: float,
        search_role: str = "",
        referenced: Callable[[], Collection[SecretRef]],
        on_change: OnChange,
    ) -> None:
        self._api = api
        self._operator = operator
        self._cache = cache
        self._metrics = metrics
        self._interval = interval
        self._search_role = _checked(search_role)
        self._referenced = referenced
        self._on_change = on_change
        self.beat: Callable[[], None] = lambda: None
        self._backoff = Backoff(initial=min(5.0, interval), cap=interval, jitter=0.2)
        self._failures = 0
        self._failing: tuple[float, str] | None = None
        self._round_began = 0.0
        self._without_current: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self.catalogue = Catalogue()
        self.first_round = asyncio.Event()

    async def run(self) -> None:
        """Poll for ever."""
        async with asyncio.TaskGroup() as group:
            recheck: asyncio.Task[None] | None = None
            while True:
                self._wake.clear()
                new_round = await self._list_once()
                # Beside the loop: one role that hangs must not delay the next listing.
                if new_round and (recheck is None or recheck.done()):
                    recheck = group.create_task(self._recheck(self.catalogue))
                self.beat()
                await self._sleep()

    async def refresh(self, ids: Collection[str]) -> None:
        """Look at these secrets (names or ARNs of the listed account) now, out of turn, and report changes.

        What may not or cannot be looked at waits for the next listing.
        """
        try:
            identity = await self._identity()
        except SyncFailure:
            return
        changed, gone = [], []
        for secret_id in ids:
            ref = SecretRef(identity, secret_id, self._operator.region)
            try:
                entry = entry_of(await self._api.describe(ref))
            except (AwsError, ValueError) as exc:
                if isinstance(exc, AwsError) and exc.failure.outcome is Outcome.NOT_FOUND:
                    gone.append(ref)
                continue
            if entry is None:
                gone.append(ref)
            elif entry.version_id and (self.catalogue.account is None or self.catalogue.has_account(entry)):
                changed.append(entry)
        old = self.catalogue
        # An ARN that is gone may be that of a namesake: in another region, or the one that was here before.
        there = {entry.name for entry in changed}
        removed = {entry.name for ref in gone if (entry := old.find(ref))} - there
        self.catalogue = new = old.with_entries(changed, removed)
        if changes := diff(old, new):
            self._on_change(old, new, changes, set())

    def wake(self) -> None:
        """Poll now, or once more if a poll is under way."""
        self._wake.set()

    def health(self) -> str | None:
        """What is wrong with the listing, in one line; None while all is well."""
        if self._failing is None:
            return None if self.catalogue.listed_at is not None else "AWS has not been listed yet"
        since, message = self._failing
        age = f"for {_now() - since:.0f} s" if self.catalogue.listed_at is not None else "since the start"
        return f"listing AWS has failed {age}: {message}"

    async def poll_once(self) -> bool:
        """One listing, its report and the recheck; whether the listing worked."""
        if await self._list_once():
            await self._recheck(self.catalogue)
        return self._failing is None

    async def _list_once(self) -> bool:
        """One listing and its report; whether a new round has begun."""
        old = self.catalogue
        started = _now()
        try:
            identity = await self._identity()
            region = self._operator.region
            listing = await list_secrets(self._api, identity, region, beat=self.beat, old=old.entries)
            own_account = not identity.role or await self._lists_own_account(listing)
        except (AwsError, SyncFailure) as exc:
            new = self._failed(old, exc)
        else:
            new = self._listed(old, listing, own_account=own_account)
        self._metrics.poll_seconds.observe(_now() - started)
        self.catalogue = new
        self.first_round.set()
        changes = diff(old, new)
        if changes or (old.listed_at is None and new.listed_at is not None):
            self._on_change(old, new, changes, set())
        return new.round > old.round

    async def _recheck(self, catalogue: Catalogue) -> None:
        changed = await self._cache.recheck(self._referenced(), catalogue)
        if changed:
            self._on_change(catalogue, catalogue, NO_CHANGES, changed)

    def _listed(self, old: Catalogue, listing: Listing, *, own_account: bool) -> Catalogue:
        if self._failing is not None:
            log.info("listing AWS works again", extra={"failures": self._failures})
        self._failing, self._failures = None, 0
        self._round_began = _now()
        self._note_without_current(listing.without_current)
        self._metrics.polls.labels("success").inc()
        self._metrics.catalogue_secrets.set(len(listing.entries))
        self._metrics.catalogue_timestamp.set(time.time())
        return Catalogue(
            listing.entries,
            region=self._operator.region,
            round=old.round + 1,
            listed_at=time.time(),
            own_account=own_account,
        )

    def _failed(self, old: Catalogue, exc: AwsError | SyncFailure) -> Catalogue:
        """The old entries; in a new round, if the interval has passed since the last one began."""
        now = _now()
        error = exc.failure.error() if isinstance(exc, AwsError) else exc
        self._failures += 1
        self._failing = (self._failing[0] if self._failing else now, error.message)
        self._metrics.polls.labels("failure").inc()
        log.warning("listing AWS failed", extra={"failures": self._failures, "error": error.message})
        if old.round and now - self._round_began < self._interval * (1 - _JITTER):
            return old
        self._round_began = now
        return old.at_round(old.round + 1)

    async def _identity(self) -> Identity:
        if not self._search_role:
            return Identity("")
        if self._search_role.startswith("arn:"):
            return Identity(self._search_role)
        return Identity(complete_role(self._search_role, await self._operator.account()))

    async def _lists_own_account(self, listing: Listing) -> bool:
        """Whether the search role lists the account that the operator itself belongs to."""
        listed = Catalogue(listing.entries).account
        try:
            return listed is not None and listed == await self._operator.account()
        except SyncFailure:
            return False  # not known: then the operator's own references are asked of AWS

    def _note_without_current(self, names: frozenset[str]) -> None:
        if names != self._without_current and names:
            log.warning(
                "secrets without a current version",
                extra={"count": len(names), "names": sorted(names)[:10]},
            )
        self._without_current = names

    async def _sleep(self) -> None:
        """Until the next round is due or somebody wakes us; the heart beats meanwhile."""
        spread = 1 + _JITTER * (2 * random.random() - 1)  # noqa: S311 - spreads load, hides nothing
        wait = self._backoff.delay(self._failures) if self._failures else self._interval * spread
        due = _now() + wait
        while not self._wake.is_set() and (left := due - _now()) > 0:
            try:
                async with asyncio.timeout(min(left, _BEAT)):
                    await self._wake.wait()
            except TimeoutError:
                self.beat()


def _checked(search_role: str) -> str:
    try:
        if search_role:
            complete_role(search_role, Account("aws", "000000000000"))
    except ValueError as exc:
        raise SettingsError(f"POLL_DEFAULT_SEARCH_ROLE: {exc}") from None
    return search_role


def _now() -> float:
    return asyncio.get_running_loop().time()
