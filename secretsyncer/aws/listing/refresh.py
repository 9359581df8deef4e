"""What change events name, described one by one, as long as there are not too many.

A flood of events must not delay an honest one, nor become thousands of calls. So there is an allowance of descriptions,
and what exceeds it is left to one listing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from secretsyncer.aws.api.service_api import ServiceApi
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.listing.pages import entry_of
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import Service
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

PER_SECOND, BURST = 10.0, 50.0
"""Secrets that events may have described: that many a second, and at once after some seconds without events."""

_AT_ONCE = 5
"""Concurrent calls: half of those that the operator has for itself."""


class Allowance:
    """A number that is used up, and grows again with time."""

    def __init__(self) -> None:
        self._left, self._at = BURST, float("-inf")

    def take(self, wanted: int) -> int:
        """How many of these are allowed now."""
        now = loop_time()
        self._left, self._at = min(BURST, self._left + PER_SECOND * (now - self._at)), now
        granted = min(wanted, int(self._left))
        self._left -= granted
        return granted


class Admission:
    """Which secrets may be described now. For the others, a listing comes `soon`."""

    def __init__(self, metrics: Metrics, service: Service, soon: asyncio.Event) -> None:
        self._metrics = metrics
        self._service = service
        self._soon = soon
        self._allowance = Allowance()

    def admit(self, ids: Sequence[str]) -> list[str]:
        """Those of these secrets, the first ones first, that may be refreshed now. A listing soon shows the others."""
        admitted = list(ids[: self._allowance.take(len(ids))])
        self._metrics.push_secrets.labels(self._service.name, "described").inc(len(admitted))
        if left := len(ids) - len(admitted):
            self._metrics.push_secrets.labels(self._service.name, "listed").inc(left)
            if not self._soon.is_set():
                log.warning("too many change events, listing instead", extra={"secrets": left})
            self._soon.set()
        return admitted


class Described(NamedTuple):
    """The secrets that exist, and the references to those that do not. What AWS did not tell is in neither."""

    entries: list[Entry]
    gone: list[SecretRef]

    def applied_to(self, old: Catalogue) -> Catalogue:
        """The catalogue with these entries, and without those that are gone."""
        changed = [entry for entry in self.entries if old.may_have(entry)]
        # A missing ARN may belong to a secret of the same name, in another region or from before.
        there = {entry.name for entry in changed}
        removed = {entry.name for ref in self.gone if (entry := old.find(ref))} - there
        return old.with_entries(changed, removed)


async def describe_all(api: ServiceApi, identity: Identity, region: str, ids: Collection[str]) -> Described:
    """Describe these secrets (names or ARNs)."""
    found = Described([], [])
    some = asyncio.Semaphore(_AT_ONCE)

    async def describe(ref: SecretRef) -> None:
        try:
            async with some:
                entry = entry_of(await api.describe(ref), api.service)
        except (AwsError, ValueError) as exc:
            if isinstance(exc, AwsError) and exc.failure.outcome is CallOutcome.NOT_FOUND:
                found.gone.append(ref)
            return
        if entry is None:
            found.gone.append(ref)
        elif entry.version_id:
            found.entries.append(entry)

    async with asyncio.TaskGroup() as group:
        for secret_id in ids:
            group.create_task(describe(SecretRef(identity, secret_id, region, service=api.service.name)))
    return found


def with_later_news(
    listed: Sequence[Entry], before: Mapping[str, Entry], now: Mapping[str, Entry]
) -> Sequence[Entry]:
    """What a listing shows, with what events told while it was read, unless a page shows something later.

    `before` and `now` are the entries that were known when the listing began, and when it ended.
    """
    if now is before:
        return listed
    entries = {entry.name: entry for entry in listed}
    for name, told in now.items():
        if told is not before.get(name) and _is_later(told, entries.get(name)):
            entries[name] = told
    for name in before.keys() - now.keys():
        if entries.get(name) == before[name]:
            del entries[name]
    return list(entries.values())


def _is_later(told: Entry, shown: Entry | None) -> bool:
    if shown is None or shown.last_changed is None or told.last_changed is None:
        return shown is None
    return told.last_changed > shown.last_changed
