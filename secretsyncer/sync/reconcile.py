"""Reconciles one object: fetch, authorize, render, apply, report.

A reconcile looks at the current state, not at events: a needless or late one does no harm. It returns an `Outcome` or raises
a SyncFailure, which the status then shows already. `in_step` finds at once whether anything has changed since the last one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import takewhile
from typing import Literal, NamedTuple

from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.values.sources import Sources
from secretsyncer.errors import Reason, SyncFailure, Unavailable
from secretsyncer.expressions.patience import OutOfPatience
from secretsyncer.kube.objects import Key, Object
from secretsyncer.kube.shelf import is_stub
from secretsyncer.sync.apply import Writer
from secretsyncer.sync.authorize import Grant, Rules
from secretsyncer.sync.budget import Exhausted, LongWork
from secretsyncer.sync.content import Content, ContentRenderer
from secretsyncer.sync.dependencies import Dependencies, DependencyIndex, below
from secretsyncer.sync.fetch import ref_of
from secretsyncer.sync.gate import Gate
from secretsyncer.sync.owners import Owners
from secretsyncer.sync.parsing import Parse, Parser, at_once
from secretsyncer.sync.prefetch import LONGEST, foreseen
from secretsyncer.sync.records import Record, Records
from secretsyncer.sync.refresh import Refreshes
from secretsyncer.sync.releases import Releases
from secretsyncer.sync.render import finds, references, templates
from secretsyncer.sync.report import Reporter
from secretsyncer.sync.status import reported_of
from secretsyncer.sync.stores import Stores
from secretsyncer.synced_secret import SyncedSecret

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a reconcile ended. `result` is a label of `secretsyncer_reconciles_total`.

    `reason` is that of the condition; None if nothing was found out about it. `refresh_after`: seconds until the next read
    on demand, if the spec has a refreshInterval.
    """

    result: Literal["changed", "unchanged", "gone"]
    reason: Reason | None = Reason.SYNCED
    refresh_after: float | None = None


class Reconciler:
    """Reconciles objects. One per process; different keys may be reconciled at the same time."""

    def __init__(
        self,
        stores: Stores,
        index: DependencyIndex,
        owners: Owners,
        *,
        listings: Callable[[], Listings],
        values: Sources,
        contents: ContentRenderer,
        writer: Writer,
        reporter: Reporter,
        releases: Releases,
        operator: Sessions,
        rules: Rules,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._index = index
        self._owners = owners
        self._listings = listings
        self._values = values
        self._contents = contents
        self._writer = writer
        self._reporter = reporter
        self._releases = releases
        self._gate = Gate(stores, operator, rules)
        self._records = Records()
        self._clock = clock
        self._refreshes = Refreshes(clock)
        self._parser = Parser()
        self.gathered = values.gathered

    def in_step(self, key: Key) -> Outcome | None:
        """The outcome for an object of which nothing has changed; None if it has to be reconciled.

        Most resyncs, and the watch events of our own writes, need no more than this comparison in memory.
        """
        record, obj = self._records.get(key), self._stores.objects.get(key)
        if record is None or not record.in_step or obj is None or not record.is_of(obj):
            return None
        unchanged = (
            record.is_current(
                self._stores.namespaces.get(Key("", key.namespace)),
                self._stores.secrets.get(record.secret),
                self._listings(),
                self._values.known,
            )
            and self._owners.rival(record.secret, key) is None
            and not self._refreshes.is_due(obj, record)
            and self._reporter.is_current(obj)
        )
        return Outcome("unchanged", refresh_after=self._refreshes.due_in(obj, record)) if unchanged else None

    def knows(self, key: Key, secret: Key) -> bool:
        """Whether the Secret is in the version that the last reconcile has written or found, so that no event tells more."""
        record, present = self._records.get(key), self._stores.secrets.get(secret)
        return (
            record is not None
            and present is not None
            and record.secret == secret
            and record.secret_version == present["metadata"]["resourceVersion"]
        )

    async def reconcile(self, key: Key, long_work: LongWork | None = None) -> Outcome:
        """Reconcile one object. Raises Rejected or Unavailable, after its status says so; Awaited and TakesLong without."""
        long_work = long_work or LongWork()
        found = self._fetch(key)
        if found is None:
            await self._releases.gone(key)
            return Outcome("gone")
        obj, namespace = found
        try:
            if (whole := await self._writer.whole(obj)) is None:
                return Outcome("gone")  # which the watch is about to show
            obj = whole
            record, synced = await self._parsed(key, obj, long_work)
            record.in_step = False
            if synced.spec.suspend:
                status_changed = await self._reporter.suspended(obj, synced)
                return Outcome("changed" if status_changed else "unchanged", Reason.SUSPENDED)
            self._owners.check(synced.secret, key)
            listings = self._listings()
            grant = await self._gate.grant(synced, namespace, long_work)
            again = self._refresh(obj, record, synced, grant)
            render = partial(
                self._render, obj, namespace, record, synced, grant=grant, listings=listings, long_work=long_work
            )
            content = await render()
            record.refreshed = None  # a reconcile that begins again reads what is now out of date
            if again is not None and (more := content.read.keys() - again):  # which was not known before
                self._values.invalidate(more, grant.identity)
                content = await render()
            if not self._writer.is_current(obj):
                return Outcome("gone")  # meanwhile; a recreated object is reconciled for itself
            written = await self._writer.write_secret(
                synced,
                content.data,
                reported=reported_of(obj),
                announce=self._reporter.recreating,
                peers=self._owners.peers(synced.secret, key),
                is_still_wanted=partial(self._is_still_granted, record, synced, grant),
            )
            if not written:
                return Outcome("unchanged", None)  # edited meanwhile, and queued again for that
            record.secret_version = written.version  # which the watch may show before the status is written
            record.left = await self._releases.leave(synced, record.left)
        except SyncFailure as failure:
            await self._reporter.failed(obj, failure)
            raise
        status_changed = await self._reporter.synced(
            obj, synced, content, written.action, revision=written.revision
        )
        if self._index.note(key, content.dependencies):
            # Only AWS can tell whether tags still grant access, and whether what was missing still is.
            in_step = content.complete and not grant.tag and not record.left
            record.keep(content, listings, namespace, secret_version=written.version, in_step=in_step)
        else:
            record.keep_little()
        done: Literal["changed", "unchanged"] = "changed" if written.action or status_changed else "unchanged"
        return Outcome(done, refresh_after=self._refreshes.due_in(obj, synced))

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Start to fetch, in their order, the values of those objects that are known, allowed and quickly parsed."""
        until = time.thread_time() + LONGEST
        in_time = takewhile(lambda _: time.thread_time() < until, keys)
        refs = dict.fromkeys(ref for key in in_time for ref in self._will_read(key))
        self._values.prefetch(refs, self._listings())

    def _will_read(self, key: Key) -> set[SecretRef]:
        try:
            found = self._fetch(key)
            if found is None or is_stub(found[0]):
                return set()
            record, synced = self._parse(key, found[0])
            grant = self._gate.authorize(synced, found[1])
            # The reconcile itself reads tags, and a suspended object reads nothing.
            if grant.tag or synced.spec.suspend:
                return set()
            return foreseen(synced.spec, grant, self._listings(), record.template_reads)
        except Exception:  # noqa: BLE001 - its reconcile tells what it is, and the others must not wait for that
            return set()

    def _fetch(self, key: Key) -> tuple[Object, Object] | None:
        """The object and its namespace; None if it is gone or being deleted."""
        obj = self._stores.objects.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self._records.drop(key)
            self._refreshes.forget(key)
            self._reporter.forget(key)
            self._writer.forget(key)
            self._index.drop(key)
            return None
        namespace = self._stores.namespaces.get(Key("", key.namespace))
        if namespace is None:
            # Neither allowed nor denied, and not reported in the status: the informer will have it in a moment.
            raise Unavailable(Reason.KUBERNETES_ERROR, f"namespace {key.namespace} is not known")
        return (obj, namespace) if not namespace["metadata"].get("deletionTimestamp") else None

    async def _parsed(self, key: Key, obj: Object, long_work: LongWork) -> tuple[Record, SyncedSecret]:
        try:
            return self._parse(key, obj)
        except OutOfPatience:
            long_work.begin()
            return self._parse(key, obj, await self._parser.in_a_thread(obj))

    def _parse(self, key: Key, obj: Object, parse: Parse = at_once) -> tuple[Record, SyncedSecret]:
        record = self._records.get(key)
        if record is None or not record.is_of(obj):
            self._index.drop(key)
            if record:
                record.left = self._releases.owned(record.left, record.uid)
        parsed, synced = self._records.parse(key, obj, parse)
        if record is None:
            parsed.left = self._releases.left_before_start(synced)
        return parsed, synced

    def _refresh(self, obj: Object, record: Record, synced: SyncedSecret, grant: Grant) -> set[SecretRef] | None:
        """Read the sources again if the annotation or the interval requires it: those that are known, or None."""
        if not (self._refreshes.is_due(obj, synced) and self._refreshes.note(obj, synced)):
            return record.refreshed  # by a reconcile that failed, or began again
        named = {*record.versions, *(ref_of(grant, reference) for reference in references(synced.spec))}
        if record.given_up is not None:
            named |= record.given_up.read.keys()
            record.given_up = None
        self._values.invalidate(named, grant.identity)
        record.refreshed = named
        return named

    def _is_still_granted(self, record: Record, synced: SyncedSecret, grant: Grant) -> bool:
        """Whether the object and its namespace are still those that the grant was given for: rendering can take long.

        False if the object was edited meanwhile. Raises Rejected if access was withdrawn.
        """
        found = self._fetch(synced.key)
        if found is None or not record.is_of(found[0]) or not self._owners.knows(synced):
            return False
        now = self._gate.authorize(synced, found[1])
        return now.identity == grant.identity and now.tag == grant.tag

    async def _render(
        self,
        obj: Object,
        namespace: Object,
        record: Record,
        synced: SyncedSecret,
        *,
        grant: Grant,
        listings: Listings,
        long_work: LongWork,
    ) -> Content:
        """The content. Dependencies are recorded first, so that after a failure, a change of one is noticed."""
        gave_up = record.gave_up(namespace, listings, self._values.known, now=self._clock())
        if gave_up is not None:
            raise gave_up
        spec = synced.spec
        for warning in grant.warnings:
            log.warning("annotation entry skipped", extra={"error": warning})
        refs = frozenset(ref_of(grant, reference) for reference in references(spec))
        # Unknown until rendered, so it depends on all that is listed until then.
        reads_unknown = bool(templates(spec) or finds(spec))
        paths = frozenset([below("")] if reads_unknown else [])
        self._index.note(synced.key, Dependencies(refs, paths, whole_catalogue=reads_unknown))
        try:
            return await self._contents.render(
                grant,
                spec,
                listings,
                expected=record.template_reads,
                last_good=record.last_good(obj),
                namespace=synced.key.namespace,
                long_work=long_work,
            )
        except Exhausted as failure:
            read = Dependencies(refs | failure.read.keys(), paths, whole_catalogue=reads_unknown)
            kept = self._index.note(synced.key, read)
            looks_at = listings if reads_unknown or not kept else None
            record.give_up(failure, looks_at, namespace, kept=kept, now=self._clock())
            raise
