"""One pass for one object: fetch, authorize, render, apply, report.

A pass is level-triggered: it looks at what is, never at what happened, so it may run too often or too late without
harm. It returns an `Outcome` or raises a SyncFailure (which its status then shows already), and knows no queue. An
object whose inputs are those of its last pass, and whose Secret is as that pass left it, is in step: a comparison
in memory, no call to AWS or Kubernetes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from secretsyncer.aws.arn import Account
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key, Object
from secretsyncer.sync.apply import Store, Writer
from secretsyncer.sync.authorize import Grant, Rules, authorize
from secretsyncer.sync.content import Content, render_content
from secretsyncer.sync.dependencies import Dependencies, digest_of
from secretsyncer.sync.fetch import Reader, ValueSource, ref_of
from secretsyncer.sync.refresh import Refreshes
from secretsyncer.sync.render import references, templates
from secretsyncer.sync.report import Reporter
from secretsyncer.synced_secret import SyncedSecret, parse

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a pass ended. `result` is a label of `secretsyncer_reconciles_total`.

    `refresh_after`: seconds after which the object wants its sources read again, if it says so.
    """

    result: Literal["changed", "unchanged", "gone"]
    reason: Reason = Reason.SYNCED
    refresh_after: float | None = None


class Index(Protocol):
    """Where dependencies are noted; `dependencies.DependencyIndex` is it."""

    def note(self, key: Key, dependencies: Dependencies) -> None: ...

    def drop(self, key: Key) -> None: ...


class Operator(Protocol):
    """Who the operator is in AWS; `aws.sessions.Sessions` knows."""

    @property
    def known_account(self) -> Account | None: ...

    async def account(self) -> Account: ...


class Claims(Protocol):
    """Who has which Secret; `targets.Targets` knows."""

    def owner(self, secret: Key) -> Key | None: ...


class Namespaces(Protocol):
    """What is wanted of the informer of namespaces."""

    def get(self, key: Key) -> Object | None: ...


@dataclass(slots=True)
class Record:
    """What the last pass over an object knew. `in_step` is False from the start of a pass until it finds or puts it so.

    `namespace` is the raw object that the grant was given for.
    """

    synced: SyncedSecret
    namespace: Object | None = None
    grant: Grant | None = None
    in_step: bool = False
    versions: Mapping[SecretRef, tuple[str, str]] = field(default_factory=dict)
    digests: Mapping[Filter | None, str] = field(default_factory=dict)
    secret_version: str = ""
    template_reads: frozenset[str] = frozenset()


class Subject(NamedTuple):
    """The object of a pass, as the stores show it at its start."""

    obj: Object
    synced: SyncedSecret
    namespace: Object
    catalogue: Catalogue


class Reconciler:
    """Runs passes. One per process; passes for different keys may run side by side."""

    def __init__(
        self,
        *,
        objects: Store,
        namespaces: Namespaces,
        secrets: Store,
        catalogue: Callable[[], Catalogue],
        values: ValueSource,
        reader: Reader,
        writer: Writer,
        index: Index,
        claims: Claims,
        reporter: Reporter,
        operator: Operator,
        rules: Rules,
    ) -> None:
        self._objects = objects
        self._namespaces = namespaces
        self._secrets = secrets
        self._catalogue = catalogue
        self._values = values
        self._reader = reader
        self._writer = writer
        self._index = index
        self._claims = claims
        self._reporter = reporter
        self._operator = operator
        self._rules = rules
        self._records: dict[Key, Record] = {}
        self._refreshes = Refreshes()

    def glance(self, key: Key) -> Outcome | None:
        """The outcome for an object that is in step, at once; None where only a pass can tell. Never raises.

        This is what a resync costs for all that has not changed, so it compares what is at hand and no more.
        """
        record, obj = self._records.get(key), self._objects.get(key)
        if record is None or obj is None or not record.in_step:
            return None
        synced = record.synced
        unchanged = (
            _is_of(synced, obj)
            and record.namespace is self._namespaces.get(Key("", key.namespace))
            and record.grant is not None
            and not record.grant.tag  # tags may have to be asked for
            and self._claims.owner(synced.secret) == key
            and not self._refreshes.is_due(obj, synced)
            and self._is_unchanged(record, self._catalogue())
        )
        return Outcome("unchanged", refresh_after=synced.spec.refresh_interval) if unchanged else None

    async def reconcile(self, key: Key) -> Outcome:
        """One pass. Raises Rejected or Unavailable, after its status says so."""
        found = self._fetch(key)
        if found is None:
            return Outcome("gone")
        obj, namespace = found
        try:
            subject = Subject(obj, self._parse(key, obj), namespace, self._catalogue())
            record = self._records[key]
            was_in_step, record.in_step = record.in_step, False
            if subject.synced.spec.suspend:
                news = await self._reporter.suspended(obj, subject.synced)
                return Outcome("changed" if news else "unchanged", Reason.SUSPENDED)
            self._check_claim(subject.synced)
            grant = self._authorize(subject, await self._account())
            self._refresh(subject)
            refresh_after = subject.synced.spec.refresh_interval
            if was_in_step and await self._still_in_step(subject, grant):
                return Outcome("unchanged", refresh_after=refresh_after)
            content = await self._render(subject, grant)
            if not self._writer.is_current(obj):
                return Outcome("gone")  # meanwhile; one made anew in its place has a pass of its own
            written = await self._writer.write_secret(subject.synced, content.data)
        except SyncFailure as failure:
            await self._reporter.failed(obj, failure)
            raise
        news = await self._reporter.synced(obj, subject.synced, content, written.action)
        self._remember(subject, grant, content, written.version)
        return Outcome("changed" if written.action or news else "unchanged", refresh_after=refresh_after)

    def wanted(self, keys: Iterable[Key]) -> set[SecretRef]:
        """What passes over these keys would read, as far as it can be told and is granted: for prefetching."""
        refs: set[SecretRef] = set()
        for key in keys:
            try:
                found = self._fetch(key)
                if found is None:
                    continue
                subject = Subject(found[0], self._parse(key, found[0]), found[1], self._catalogue())
                grant = self._authorize(subject, self._operator.known_account)
            except SyncFailure:
                continue
            # Tags are asked for by the pass itself, and a suspended object reads nothing.
            if not grant.tag and not subject.synced.spec.suspend:
                reads = self._records[key].template_reads
                refs.update(ref_of(grant, reference) for reference in references(subject.synced.spec))
                refs.update(grant.ref(i) for i in reads)
        return refs

    def is_own_write(self, key: Key, secret: Object | None) -> bool:
        """Whether this state of the Secret is the one that the last pass left."""
        record = self._records.get(key)
        version = secret["metadata"]["resourceVersion"] if secret else None
        return record is not None and record.in_step and record.secret_version == version

    # fetch

    def _fetch(self, key: Key) -> tuple[Object, Object] | None:
        """The object and its namespace; None if it is gone or going."""
        obj = self._objects.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self._records.pop(key, None)
            self._refreshes.forget(key)
            self._index.drop(key)
            return None
        namespace = self._namespaces.get(Key("", key.namespace))
        if namespace is None:
            # Neither allowed nor denied, and nothing for a status: the informer will show it in a moment.
            raise Unavailable(Reason.KUBERNETES_ERROR, f"namespace {key.namespace} has not been seen yet")
        return (obj, namespace) if not namespace["metadata"].get("deletionTimestamp") else None

    def _parse(self, key: Key, obj: Object) -> SyncedSecret:
        """The object's spec, checked once a generation; a recreated object starts afresh."""
        record = self._records.get(key)
        if record is None or not _is_of(record.synced, obj):
            self._index.drop(key)
            self._records.pop(key, None)
            record = self._records[key] = Record(parse(obj))
        return record.synced

    def _check_claim(self, synced: SyncedSecret) -> None:
        owner = self._claims.owner(synced.secret)
        if owner is not None and owner != synced.key:
            raise Rejected(
                Reason.CONFLICT,
                f"Secret {synced.secret.name} is already the target of the older SyncedSecret {owner.name}",
            )

    def _refresh(self, subject: Subject) -> None:
        """Have the sources read from AWS again if the object's annotation or interval asks for it."""
        obj, synced = subject.obj, subject.synced
        if self._refreshes.is_due(obj, synced) and self._refreshes.note(obj, synced):
            read = {ref.id for ref in self._records[synced.key].versions}
            self._values.invalidate(read.union(reference.name for reference in references(synced.spec)))

    # authorize

    async def _account(self) -> Account | None:
        """The operator's account; None while STS does not tell, which only some specs mind."""
        if self._operator.known_account is None:
            with suppress(SyncFailure):
                return await self._operator.account()
        return self._operator.known_account

    def _authorize(self, subject: Subject, account: Account | None) -> Grant:
        return authorize(
            subject.synced.spec,
            subject.namespace,
            account,
            annotation=self._rules.annotation,
            require_annotation=self._rules.require_annotation,
        )

    # render

    async def _still_in_step(self, subject: Subject, grant: Grant) -> bool:
        """Whether nothing that the last pass saw has changed since."""
        record, catalogue = self._records[subject.synced.key], subject.catalogue
        if (
            record.grant == grant
            and self._is_unchanged(record, catalogue)
            and not await self._reader.refusals(grant, record.versions.keys(), catalogue)
        ):
            record.namespace, record.in_step = subject.namespace, True
        return record.in_step

    def _is_unchanged(self, record: Record, catalogue: Catalogue) -> bool:
        """Whether the Secret and what it was rendered from are as the last pass left them."""
        secret = self._secrets.get(record.synced.secret)
        return (
            secret is not None
            and secret["metadata"]["resourceVersion"] == record.secret_version
            and all(self._values.known(ref, catalogue) == version for ref, version in record.versions.items())
            and all(digest_of(what, catalogue) == digest for what, digest in record.digests.items())
        )

    async def _render(self, subject: Subject, grant: Grant) -> Content:
        """The data, from what may be read. Dependencies are noted first: a failure waits for their change."""
        key, spec = subject.synced.key, subject.synced.spec
        record = self._records[key]
        for warning in grant.warnings:
            log.warning("entry skipped", extra={"annotation": warning})
        refs = frozenset(ref_of(grant, reference) for reference in references(spec))
        # What a template or a search reads is not known until it has run: until then it may be anything.
        looks_around = bool(templates(spec)) or bool(spec.data_from and spec.data_from.find)
        self._index.note(key, Dependencies(refs, whole_catalogue=looks_around))
        return await render_content(self._reader, grant, spec, subject.catalogue, expected=record.template_reads)

    # apply is `Writer.write_secret`, report is `Reporter`; what the next pass compares with

    def _remember(self, subject: Subject, grant: Grant, content: Content, secret_version: str) -> None:
        key, dependencies = subject.synced.key, content.dependencies
        record = self._records.get(key)
        if record is None or record.synced is not subject.synced:
            return  # deleted or made anew meanwhile
        record.namespace, record.grant = subject.namespace, grant
        record.versions = {ref: (source.arn, source.version_id) for ref, source in content.read.items()}
        record.digests = {what: digest_of(what, subject.catalogue) for what in dependencies.selections}
        record.secret_version = secret_version
        record.template_reads = content.template_reads
        record.in_step = content.complete
        self._index.note(key, dependencies)


def _is_of(synced: SyncedSecret, obj: Object) -> bool:
    """Whether the object still says what was parsed, and is neither going nor another of its name."""
    metadata = obj["metadata"]
    return (
        synced.generation == metadata.get("generation")
        and synced.uid == metadata.get("uid")
        and not metadata.get("deletionTimestamp")
    )
