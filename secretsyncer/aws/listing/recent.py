"""What has changed lately: the first pages of a listing that AWS sorts by the date of the last change.

A full listing of 10,000 secrets takes 100 calls. One call shows the 100 secrets that changed last, so changes are found
within seconds between two full listings. Pages are read until they are older than the latest change that is known,
less `OVERLAP`, because a change can become visible late. Once that change has been known for as long, nothing older can
become visible, and one page is enough. Dates are compared with each other only, never with a clock of this machine.

The full listing stays the truth about what no longer exists. A secret that is scheduled for deletion is shown as such,
and removed at once.

`SortBy` is newer than some endpoints. One that refuses it, or returns another order, is asked again an hour later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import inf
from typing import NamedTuple

from secretsyncer.aws.api.service_api import Page, ServiceApi
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import Identity
from secretsyncer.aws.listing.catalogue import Catalogue, Deleted, Entry
from secretsyncer.aws.listing.pages import check_page, deleted_by, entry_from, listed_of, still_visible
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services.service import Listed
from secretsyncer.aws.values.cache import SecretCache
from secretsyncer.backoff import Backoff
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=10)
"""Twice the five minutes for which ListSecrets "might not reflect changes" (API reference, ListSecrets)."""
MAX_PAGES = 10
"""Pages of one look. If the last of them still shows something new, a full listing is due."""
UNSUPPORTED_FOR = 3600.0
"""Seconds until an endpoint that does not sort is asked again."""
BEHIND_FOR = 300.0
"""Seconds for which a value of another version than the listed one is read again: reads can be behind as well."""
_LONGEST_BACKOFF = 300.0
_DISORDER = 0.25
"""Share of neighbours in the wrong order above which a page is not sorted. Late changes may put a few out of place."""


class Found(NamedTuple):
    """What a look has found: entries to put into the catalogue, and names to remove from it.

    `deleted` are those of them that are scheduled for deletion. `complete`: the pages reached back to what was known.
    """

    changed: list[Entry]
    removed: list[str]
    deleted: Mapping[str, Deleted] = {}
    complete: bool = True


NOTHING = Found([], [])


class _NotSortedError(Exception):
    """The endpoint ignores SortBy."""


class RecentChanges:
    """Looks for changes every `interval` seconds; 0: never."""

    def __init__(self, api: ServiceApi, metrics: Metrics, interval: float) -> None:
        self._api = api
        self._metrics = metrics
        self._interval = interval
        self._backoff = Backoff(initial=interval, cap=max(interval, _LONGEST_BACKOFF), jitter=0.2)
        self._failures = 0
        self._due = 0.0
        self._updated: dict[str, float] = {}
        self._newest: datetime | None = None
        self._newest_since = 0.0

    def due_in(self) -> float:
        """Seconds until the next look."""
        return max(self._due - loop_time(), 0.0) if self._interval else inf

    def postpone(self) -> None:
        """A full listing was just made: the next look is due one interval later."""
        self._due = max(self._due, loop_time() + self._interval)

    async def look(self, identity: Identity, region: str, known: Catalogue, *, beat: Callable[[], None]) -> Found:
        """What differs from `known` and is not older; nothing if AWS does not tell. Calls `beat` for each page."""
        self._due = loop_time() + self._interval
        try:
            found = await self._list(identity, region, known, beat)
        except _NotSortedError:
            return self._unsupported("the answer is not sorted by date")
        except AwsError as exc:
            if exc.failure.outcome is CallOutcome.INVALID:
                return self._unsupported(exc.failure.message)
            return self._failed(exc.failure.message)
        if self._failures:
            log.info("listing of recent changes recovered", extra={"failures": self._failures})
        self._failures = 0
        self._metrics.change_polls.labels("success").inc()
        return found

    def behind(self, changed: Iterable[str], catalogue: Catalogue, values: SecretCache) -> set[str]:
        """The names of new and updated secrets whose value is that of another version. The cache fetches them again.

        A new one may have been read before it was listed.
        AWS may return an old value for a while after it lists the new version, so this continues for `BEHIND_FOR`.
        """
        now = loop_time()
        self._updated = {name: until for name, until in self._updated.items() if until > now}
        self._updated |= dict.fromkeys(changed, now + BEHIND_FOR)
        entries = [entry for name in self._updated if (entry := catalogue.entries.get(name))]
        arns = values.expire_others({entry.arn: entry.version_id for entry in entries})
        return {entry.name for entry in entries if entry.arn in arns}

    async def _list(self, identity: Identity, region: str, known: Catalogue, beat: Callable[[], None]) -> Found:
        newest, found, token = known.newest, NOTHING, ""
        overlap = self._overlap(newest)
        for _ in range(MAX_PAGES):
            page = await self._api.list_page(identity, region, token, latest_first=True)
            beat()
            listed = self._listed(page)
            dates = _dates(listed)
            news = _news(listed, known)
            found = Found(
                [*found.changed, *news.changed],
                [*found.removed, *news.removed],
                {**found.deleted, **news.deleted},
            )
            token = page.next_token
            if not token or not dates or newest is None or newest - dates[-1] > overlap:
                return found
        return found._replace(complete=not (news.changed or news.removed))

    def _overlap(self, newest: datetime | None) -> timedelta:
        """How much older than the latest known change a page must be for the look to end."""
        now = loop_time()
        if newest != self._newest:
            self._newest, self._newest_since = newest, now
        return OVERLAP if now - self._newest_since <= OVERLAP.total_seconds() else timedelta(0)

    def _listed(self, page: Page) -> list[Listed]:
        """The entries of a page. Raises AwsError if it is none."""
        check_page(page, self._api.service)
        return [listed_of(raw, self._api.service) for raw in page.entries]

    def _failed(self, error: str) -> Found:
        self._failures += 1
        self._due = loop_time() + self._backoff.delay(self._failures)
        self._metrics.change_polls.labels("failure").inc()
        log.warning("listing of recent changes failed", extra={"failures": self._failures, "error": error})
        return NOTHING

    def _unsupported(self, error: str) -> Found:
        self._due = loop_time() + UNSUPPORTED_FOR
        self._metrics.change_polls.labels("unsupported").inc()
        log.info("listing of recent changes not supported", extra={"error": error})
        return NOTHING


def _news(page: Sequence[Listed], known: Catalogue) -> Found:
    deleted: dict[str, Deleted] = {}
    found = Found([], [], deleted)
    for listed in page:
        was, date = known.entries.get(listed.name), listed.last_changed
        if was is not None and was.last_changed is not None and date is not None and date < was.last_changed:
            continue  # older news
        if listed.deleted:
            if was is not None and was.arn == listed.arn:
                found.removed.append(was.name)
                deleted |= deleted_by(listed)
        elif (visible := still_visible(entry_from(listed), was)) and visible != was and known.may_have(visible):
            found.changed.append(visible)
    return found


def _dates(page: Sequence[Listed]) -> list[datetime]:
    """The dates of a page. Raises _NotSortedError."""
    dates = [date for listed in page if (date := listed.last_changed)]
    ascending = sum(sooner < later for sooner, later in pairwise(dates))
    if len(dates) < len(page) or ascending > _DISORDER * max(len(dates) - 1, 0):
        raise _NotSortedError
    return dates
