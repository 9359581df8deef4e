"""The inputs and results of the last reconcile of an object, and whether anything has changed since.

If nothing has changed, the object is in step: its resync is a comparison in memory, without a call to AWS or Kubernetes.
In doubt, the object is reconciled, which does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.services import SERVICES
from secretsyncer.backoff import Backoff
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.kube.objects import Key, Object, unpacked_with
from secretsyncer.kube.shelf import is_stub
from secretsyncer.sync.budget import Exhausted, Version
from secretsyncer.sync.content import Content
from secretsyncer.sync.dependencies import digest_of, listing_remarks
from secretsyncer.sync.last_good import LastGood, Selected
from secretsyncer.sync.observed import access
from secretsyncer.sync.status import SOURCES_LIMIT, sources_of
from secretsyncer.synced_secret import SyncedSecret, parse

_NONE: Mapping[Any, Any] = MappingProxyType({})
"""An empty mapping that all records share."""
_AGAIN = Backoff(initial=120.0, cap=2400.0)
"""When an object that used too much is tried again although nothing has changed that can be compared."""


class GivenUp(NamedTuple):
    """A reconcile that used too much, and what it was made from."""

    reason: Reason
    message: str
    read: Mapping[SecretRef, Version | None]
    namespace: tuple[Any, ...]
    listing: str | None
    """Digest of the listings, if the object looks at them."""
    times: int
    """How often it has been so in a row."""
    until: float
    """When it is tried again in any case: a change of what is neither kept nor listed, or could not be read, is not
    noticed, and the time that a reconcile takes is not always the same.
    """


@dataclass(slots=True)
class Record:
    """The last reconcile of one object. Not its spec, which is parsed again when it is needed: it would be 3 KiB.

    `in_step` is False from the start of a reconcile until it has succeeded. `namespace` has the fields of the namespace
    that decided about access.
    """

    key: Key
    uid: str
    generation: int
    secret: Key
    refresh_interval: float | None
    in_step: bool = False
    namespace: tuple[Any, ...] = ()
    versions: Mapping[SecretRef, Version] = field(default_factory=dict)
    digests: Mapping[Filter | None, str] = field(default_factory=dict)
    secret_version: str = ""
    template_reads: frozenset[str] = frozenset()
    left: frozenset[Key] = frozenset()
    """The Secrets that the object named before, if it has not given them up yet."""
    selected: Mapping[str, Selected] | None = None
    remarks: tuple[str, ...] = ()
    """What the condition says about the listings."""
    given_up: GivenUp | None = None
    refreshed: set[SecretRef] | None = None
    """What was to be read again on demand, until a reconcile has read it."""

    def last_good(self, obj: Object) -> LastGood:
        """From this record; for the first reconcile of the object, or if it has little, from the status."""
        if self.selected is None:
            sources = sources_of(unpacked_with(obj.get("status"), b"sources") or {}, self.generation)
            return LastGood(sources, complete=len(sources) < SOURCES_LIMIT)
        return LastGood(frozenset(arn for arn, _ in self.versions.values()), self.selected)

    def is_of(self, obj: Object) -> bool:
        """Whether this very object was parsed, in this generation, and is not being deleted."""
        metadata = obj["metadata"]
        return (
            self.generation == metadata.get("generation")
            and self.uid == metadata.get("uid")
            and not metadata.get("deletionTimestamp")
        )

    def keep(
        self, content: Content, listings: Listings, namespace: Object, *, secret_version: str, in_step: bool
    ) -> None:
        """Record the inputs of a successful reconcile and the resulting version of the Secret."""
        self.namespace = _access_fields(namespace)
        self.versions = {ref: (source.arn, source.version_id) for ref, source in content.read.items()}
        self.digests = {what: digest_of(what, listings) for what in content.dependencies.selections} or _NONE
        self.secret_version = secret_version
        self.template_reads = content.template_reads
        self.selected = content.selected or _NONE
        self.remarks = content.remarks
        self.given_up = None
        self.in_step = in_step

    def keep_little(self) -> None:
        """Of a successful reconcile whose inputs are too many to be recorded: the next one reads them again."""
        self.versions = self.digests = _NONE
        self.selected, self.template_reads, self.in_step, self.given_up = None, frozenset(), False, None

    def give_up(
        self, failure: Exhausted, listings: Listings | None, namespace: Object, *, kept: bool, now: float
    ) -> None:
        """The object uses too much. It will most likely do so again, until one of its inputs changes.

        `listings`: None if the object does not depend on all of them. `kept`: whether what it read may be kept. The
        failure itself is not kept: its frames hold values.
        """
        listing = _digest(listings) if listings else None
        fields = _access_fields(namespace)
        times = self.given_up.times + 1 if self.given_up else 1
        read, until = failure.read if kept else _NONE, now + _AGAIN.delay(times)
        self.given_up = GivenUp(failure.reason, failure.message, read, fields, listing, times, until)

    def gave_up(
        self,
        namespace: Object,
        listings: Listings,
        known: Callable[[SecretRef, Listings], Version | None],
        *,
        now: float,
    ) -> Rejected | None:
        """The failure of the last reconcile, if it used too much and would again."""
        given_up = self.given_up
        if (
            given_up is None
            or now >= given_up.until
            or given_up.namespace != _access_fields(namespace)
            or given_up.listing not in {None, _digest(listings)}
            or any(known(ref, listings) != version for ref, version in given_up.read.items())
        ):
            return None
        return Rejected(given_up.reason, given_up.message)

    def is_current(
        self,
        namespace: Object | None,
        secret: Object | None,
        listings: Listings,
        known: Callable[[SecretRef, Listings], Version | None],
    ) -> bool:
        """Whether the namespace, the Secret and its inputs are unchanged.

        `known` returns the current version of a reference; None if only AWS knows.
        """
        return (
            self.in_step
            and namespace is not None
            and self.namespace == _access_fields(namespace)
            and secret is not None
            and self.secret_version == secret["metadata"]["resourceVersion"]
            and all(known(ref, listings) == version for ref, version in self.versions.items())
            and all(digest_of(what, listings) == digest for what, digest in self.digests.items())
            and self.remarks == listing_remarks(self.versions, listings)
        )


class Records:
    """Records by key."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self._refused: dict[Key, _Refused] = {}

    def get(self, key: Key) -> Record | None:
        return self._records.get(key)

    def parse(
        self, key: Key, obj: Object, parse: Callable[[Object], SyncedSecret] = parse
    ) -> tuple[Record, SyncedSecret]:
        """The object, and its record: a new one for each generation and for a recreated object.

        Raises Rejected if its spec is invalid, also without parsing it again. What else `parse` raises changes nothing.
        """
        if is_stub(obj):
            raise Unavailable(Reason.KUBERNETES_ERROR, "spec: has to be read first")
        record = self._records.get(key)
        if record is not None and record.is_of(obj):
            return record, parse(obj)
        synced = self._parse(key, obj, parse)
        before = self._records.pop(key, None)
        record = Record(key, synced.uid, synced.generation, synced.secret, synced.refresh_interval)
        self._records[key] = record
        if before is not None and before.uid == record.uid:
            record.refreshed = before.refreshed
            record.left = (before.left | {before.secret}) - {record.secret}
        return record, synced

    def _parse(self, key: Key, obj: Object, parse: Callable[[Object], SyncedSecret]) -> SyncedSecret:
        metadata = obj["metadata"]
        version = metadata.get("uid"), metadata.get("generation")
        refused = self._refused.pop(key, None)
        if refused is None or refused.version != version:
            try:
                return parse(obj)
            except Rejected as failure:
                refused = _Refused(version, failure.reason, failure.message)
        if record := self._records.get(key):
            record.keep_little()  # but what the object has left, and what was to be read again
        self._refused[key] = refused
        raise Rejected(refused.reason, refused.message)

    def drop(self, key: Key) -> None:
        """The object is gone."""
        self._records.pop(key, None)
        self._refused.pop(key, None)


class _Refused(NamedTuple):
    """Why the spec of an object is invalid, and of which uid and generation it was."""

    version: tuple[Any, Any]
    reason: Reason
    message: str


def _digest(listings: Listings) -> str:
    return " ".join(listings.of(service).digest() for service in SERVICES)


def _access_fields(namespace: Object) -> tuple[Any, ...]:
    return *access(namespace), namespace["metadata"].get("deletionTimestamp")
