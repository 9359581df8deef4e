"""Lists AWS's secrets at an interval, and reports what has changed.

Each round lists everything as the search role (or the operator), replaces `catalogue` by one assignment, and reports
the changes. Then the cache rechecks the secrets that are not listed, and the poller reports these changes. A failed
listing keeps the old entries, is retried with backoff, and shows in `health` and the metrics. A round ends when the
interval has passed, listed or not, so rechecks continue even if listing is not allowed. Between two rounds, and while a
long listing is read, the poller looks for recent changes, and reports them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from math import inf

from prometheus_async import aio

from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.aws.listing.changes import NO_CHANGES, ChangeHandler, Changes, diff
from secretsyncer.aws.listing.confirmation import Confirmation, InUse, Lister
from secretsyncer.aws.listing.outlook import Outlook, calls_per_day
from secretsyncer.aws.listing.pages import Listing, denial, list_secrets, warn_of_skipped
from secretsyncer.aws.listing.recent import RecentChanges
from secretsyncer.aws.listing.refresh import Admission, describe_all, with_later_news
from secretsyncer.aws.listing.searcher import Operator, Searcher
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.backoff import Backoff
from secretsyncer.errors import Reason, SyncFailure, Unavailable
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

_JITTER = 0.05
_BEAT = 15.0
"""Seconds between two beats while the poller sleeps, and most seconds of a look while a listing is read."""
_APART = 5.0
"""Seconds between two listings that events ask for, and how many times the duration of one must pass."""
_RESOLUTION = 0.001
"""Seconds below which a wait is over: a clock need not move for less."""


class Poller:
    """Polls every `interval` seconds, and looks for recent changes every `changes_interval` in between (0: never).

    `search_role` is the name or ARN of a role; empty: the operator itself. `catalogue` is empty before the first listing.
    `first_round` is set after the first attempt to list, even if it failed. `referenced` returns all references in use,
    for the recheck. `in_use` returns what objects were made from: a listing that lacks a lot of it is not believed until
    it is confirmed. While nothing is `needed`, nothing is listed; `soon` ends that.
    """

    def __init__(
        self,
        api: ServiceApi,
        operator: Operator,
        cache: SecretCache,
        metrics: Metrics,
        *,
        interval: float,
        changes_interval: float = 0,
        search_role: str = "",
        referenced: Callable[[], Collection[SecretRef]] = tuple,
        in_use: InUse = lambda _region: (),
        needed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._api = api
        self._cache = cache
        self._metrics = metrics
        metrics.poll_interval.set(interval)
        self._seconds = metrics.poll_seconds.labels(api.service.name)
        self._interval = interval
        self._searcher = Searcher(operator, search_role)
        self.service = api.service
        self._referenced = referenced
        self.needed = needed
        self._handlers: list[ChangeHandler] = []
        self._confirmation = Confirmation(api, in_use, interval)
        self._changes_interval = changes_interval if api.service.lists_recent_changes else 0
        self._recent = RecentChanges(api, metrics, self._changes_interval)
        self._backoff = Backoff(initial=min(5.0, interval), cap=interval, jitter=0.2)
        self._failures = 0
        self._failing: tuple[float, str] | None = None
        self._round_began = self._began = 0.0
        self._due: float | None = None
        self._soon = asyncio.Event()
        self.admit = Admission(metrics, api.service, self._soon).admit
        self.catalogue = Catalogue(service=api.service)
        self.first_round = asyncio.Event()

    def add_handler(self, handler: ChangeHandler) -> None:
        """Call it for each change from now on."""
        self._handlers.append(handler)

    async def run(self, beat: Callable[[], None]) -> None:
        """Poll for ever. Calls `beat` at each page of a listing, and at least every `_BEAT` seconds between two."""
        async with asyncio.TaskGroup() as group:
            recheck: asyncio.Task[None] | None = None
            while True:
                await self._until_needed(beat)
                new_round = await self._list_once(beat)
                # Concurrently, because a role that hangs must not delay the next listing.
                if new_round and (recheck is None or recheck.done()):
                    recheck = group.create_task(self._recheck(self.catalogue))
                beat()
                await self._until_due(beat)

    def soon(self) -> None:
        """List soon, because an object may need it."""
        self._soon.set()

    async def _until_needed(self, beat: Callable[[], None]) -> None:
        """Wait for the first object that needs a listing. Meanwhile there is none."""
        self._soon.clear()  # what asked for a listing gets the next one
        if self.needed():
            return
        old = self.catalogue
        if old.listed_at is not None or self._failing is not None:
            self.catalogue = Catalogue(round=old.round, service=self.service)
            self._failing, self._failures = None, 0
            self._metrics.forget_catalogue(self.service.name)
        self.first_round.set()
        while not self.needed():
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT):
                    await self._soon.wait()
            self._soon.clear()
            beat()

    async def refresh(self, ids: Collection[str]) -> None:
        """Describe these secrets (names or ARNs of the listed account) now, and report changes.

        A secret that cannot be described waits for the next listing.
        """
        try:
            identity = await self._searcher.identity()
        except SyncFailure:
            return
        described = await describe_all(self._api, identity, self._searcher.region, ids)
        old = self.catalogue
        self.catalogue = new = described.applied_to(old)
        if changes := diff(old, new):
            self._report(old, new, changes, set())

    def health(self) -> str | None:
        """What is wrong with the listing, in one line; None while it works."""
        if self._failing is None:
            return "AWS has not been listed yet" if self.catalogue.listed_at is None and self.needed() else None
        since, message = self._failing
        age = f"for {loop_time() - since:.0f} s" if self.catalogue.listed_at is not None else "since the start"
        return f"listing AWS has failed {age}: {message}"

    def outlook(self) -> Outlook:
        """The listing, for people."""
        known = self.catalogue
        return Outlook(
            *(self.service.title, self.service.lists),
            self._searcher.region,
            str(self._searcher),
            len(known.entries),
            known.listed_at,
            self._due,
            self.health() if self._failing else None,
            calls_per_day(len(known.entries), self.service, self._interval, self._changes_interval),
        )

    async def poll_once(self) -> bool:
        """One listing, its report and the recheck; whether the listing succeeded."""
        if await self._list_once(lambda: None):
            await self._recheck(self.catalogue)
        return self._failing is None

    async def _list_once(self, beat: Callable[[], None]) -> bool:
        """One listing and its report; whether a new round has begun. Meanwhile, recent changes are looked for."""
        self._began = loop_time()
        async with asyncio.TaskGroup() as group:
            looks = group.create_task(self._look_meanwhile())
            new = await aio.time(self._seconds, self._list(self.catalogue, beat))
            looks.cancel()
        old, self.catalogue = self.catalogue, new
        self.first_round.set()
        if (changes := diff(old, new)) or (old.listed_at is None and new.listed_at is not None):
            self._report(old, new, changes, set())
        return new.round > old.round

    async def _list(self, old: Catalogue, beat: Callable[[], None]) -> Catalogue:
        try:
            identity, region = await self._searcher.identity(), self._searcher.region
            list_all = partial(list_secrets, self._api, identity, region, beat=beat, old=old.entries)
            listing = await list_all()
            lister = Lister(identity, await self._searcher.account(identity), region)
            verdict = await self._confirmation.check(listing, old, lister, list_all)
            own_account = await self._searcher.lists_own_account(identity, verdict.listing)
        except (AwsError, SyncFailure) as exc:
            return self._failed(exc)
        if verdict.doubt:
            return self._failed(Unavailable(Reason.AWS_UNAVAILABLE, verdict.doubt), doubt=verdict.doubt)
        return self._listed(old, verdict.listing, own_account=own_account)

    async def _recheck(self, catalogue: Catalogue) -> None:
        if changed := await self._cache.recheck(self._referenced(), catalogue):
            self._report(catalogue, catalogue, NO_CHANGES, changed)

    def _report(self, old: Catalogue, new: Catalogue, changes: Changes, changed_refs: set[SecretRef]) -> None:
        for handler in self._handlers:
            handler(old, new, changes, changed_refs)

    def _listed(self, old: Catalogue, listing: Listing, *, own_account: bool) -> Catalogue:
        if self._failing is not None:
            log.info("listing recovered", extra={"failures": self._failures})
        self._failing, self._failures = None, 0
        self._round_began = loop_time()
        warn_of_skipped(listing, old.without_current)
        name = self.service.name
        self._metrics.polls.labels(name, "success").inc()
        self._metrics.catalogue_secrets.labels(name).set(len(listing.entries))
        self._metrics.catalogue_timestamp.labels(name).set(time.time())
        return Catalogue(
            with_later_news(listing.entries, old.entries, self.catalogue.entries),
            region=self._searcher.region,
            round=old.round + 1,
            listed_at=time.time(),
            own_account=own_account,
            without_current=listing.without_current,
            service=old.service,
            deleted={**listing.deleted, **dict(self.catalogue.deleted.items() - old.deleted.items())},
        )

    def _failed(self, exc: AwsError | SyncFailure, doubt: str | None = None) -> Catalogue:
        """The known entries, in a new round if the interval has passed since the last one began."""
        old, now = self.catalogue, loop_time()
        error = exc.failure.error() if isinstance(exc, AwsError) else exc
        if denied := denial(exc, self.service) or old.denied:
            self._metrics.forget_catalogue(self.service.name)
        self._failures += 1
        self._failing = (self._failing[0] if self._failing else now, error.message)
        self._metrics.polls.labels(self.service.name, "failure").inc()
        log.warning("listing failed", extra={"failures": self._failures, "error": error.message})
        if old.round and now - self._round_began < self._interval * (1 - _JITTER):
            same = doubt is None and denied == old.denied and not old.awaited
            return old if same else old.at_round(old.round, doubt, denied=denied)
        self._round_began = now
        return old.at_round(old.round + 1, doubt, denied=denied)

    async def _until_due(self, beat: Callable[[], None]) -> None:
        """Look for recent changes until the next round is due, or soon if a listing is asked for."""
        spread = 1 + _JITTER * (2 * random.random() - 1)  # noqa: S311 - spreads load, hides nothing
        wait = self._backoff.delay(self._failures) if self._failures else self._interval * spread
        now = loop_time()
        self._due = due = now + wait
        soon = due if self._failures else min(due, now + max(_APART, _APART * (now - self._began)))
        self._recent.postpone()
        while (left := (soon if self._soon.is_set() else due) - loop_time()) > _RESOLUTION:
            look_in = min(self._look_in(), left)
            if look_in <= _RESOLUTION:
                await self._look(beat, within=left)
            elif self._soon.is_set():
                await asyncio.sleep(min(left, _BEAT, look_in))
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _BEAT, look_in)):
                        await self._soon.wait()
            beat()
        self._soon.clear()

    def _look_in(self) -> float:
        """Seconds until the next look."""
        return self._recent.due_in() if not self._failing and self.catalogue.listed_at is not None else inf

    async def _look_meanwhile(self) -> None:
        """Look for recent changes until this is cancelled. Only the listing itself shows that it makes progress."""
        while True:
            await asyncio.sleep(min(self._look_in(), _BEAT))
            if self._look_in() <= _RESOLUTION:
                await self._look(lambda: None, within=_BEAT)

    async def _look(self, beat: Callable[[], None], *, within: float) -> None:
        """Look for recent changes and report them. If there are too many, a listing comes soon."""
        try:
            async with asyncio.timeout(within):
                identity = await self._searcher.identity()
                found = await self._recent.look(identity, self._searcher.region, self.catalogue, beat=beat)
        except (TimeoutError, SyncFailure):
            return
        old = self.catalogue
        if found.changed or found.removed:
            self.catalogue = old.with_entries(found.changed, found.removed, found.deleted)
        changes = diff(old, self.catalogue)
        behind = self._recent.behind(changes.updated | changes.added, self.catalogue, self._cache)
        if changes or behind:
            self._report(old, self.catalogue, changes._replace(updated=changes.updated | behind), set())
        if not found.complete:
            self._soon.set()
