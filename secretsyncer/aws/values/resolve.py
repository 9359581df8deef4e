"""Resolves references with one catalogue: what to ask AWS for, the entry in the catalogue, and what a denial means."""

from __future__ import annotations

from datetime import UTC
from typing import NamedTuple

from secretsyncer.aws.codes import INVALID_REQUEST
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import CURRENT, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.regions import Regions
from secretsyncer.aws.services import SERVICES, Service
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unlisted

_DENIALS = {"AccessDeniedException", "AccessDenied"}
"""Codes of a policy. Other denials, like those of a key, a region or a proxy, say nothing about whether the secret exists."""
_KMS = "Access to KMS is not allowed"


class Lookup(NamedTuple):
    """A resolved reference.

    `key` is what AWS is asked for, with its region. `entry` is the entry in the catalogue, if there is one. `arn` is the
    full ARN that the response must have, if the user gave one but AWS is called with the name.
    """

    key: SecretRef
    entry: Entry | None = None
    arn: str = ""

    def by_arn(self) -> Lookup:
        """The same by ARN, because AWS now has another secret with that name."""
        return Lookup(self.key._replace(id=self.arn))

    def tag_key(self, ref: SecretRef) -> SecretRef:
        """What AWS is asked for the tags: all versions of a secret share them."""
        return self.key._replace(id=ref.id, version_id="", stage="")


class Resolver:
    """Resolves each reference once per catalogue. `region` is for references without one."""

    def __init__(self, region: str, regions: Regions) -> None:
        self._region = region
        self._regions = regions
        self._lookups: dict[SecretRef, Lookup] = {}
        self.latest = Catalogue()

    def lookup(self, ref: SecretRef, catalogue: Catalogue) -> Lookup:
        """Resolve this reference. Raises ValueError if it is invalid."""
        if catalogue is not self.latest and catalogue.round >= self.latest.round:
            self.latest, self._lookups = catalogue, {}
        lookup = self._lookups.get(ref) if catalogue is self.latest else None
        if lookup is None:
            lookup = self._resolve(ref, catalogue)
            if catalogue is self.latest:
                self._lookups[ref] = lookup
        return lookup

    def _resolve(self, ref: SecretRef, catalogue: Catalogue) -> Lookup:
        service = SERVICES[ref.service]
        secret = service.parse(ref.id)
        region = self._regions.of(ref) or self._region
        stage = "" if ref.stage == CURRENT and not ref.version_id else ref.stage
        if ref.version_id and service.repeats_versions:
            return Lookup(ref._replace(region=region, stage=stage), catalogue.find(ref))
        entry = None if ref.version_id or stage else catalogue.find(ref)
        if entry is not None and catalogue.is_home(ref.identity):
            key = SecretRef(ref.identity, entry.name, region, service=ref.service)
            return Lookup(key, entry, ref.id if secret.exact else "")
        return Lookup(ref._replace(region=region, stage=stage), entry)


def failure_of(ref: SecretRef, failure: Failure, catalogue: Catalogue) -> SyncFailure:
    """The failure as an exception. AWS denies what does not exist to a role that may read only what it names."""
    service = SERVICES[ref.service]
    if failure.code == INVALID_REQUEST and failure.outcome is CallOutcome.NOT_FOUND:
        deleted = catalogue.deleted_of(ref)
        date = (
            f". AWS gives {deleted.date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} as the date of its deletion"
            if deleted
            else ""
        )
        return failure._replace(message=f"{failure.message}{date}").error()
    error = failure.error()
    if (
        failure.code in _DENIALS
        and _KMS not in failure.message
        and failure.operation in service.reads
        and catalogue.lacks(ref)
    ):
        return Unlisted(
            error.reason, f"{error.message}. The list of {service.noun}s does not show it: does it exist?"
        )
    return error


def is_denied(result: object) -> bool:
    """Whether AWS denied the read."""
    return isinstance(result, Rejected) and result.reason is Reason.ACCESS_DENIED


def too_many_denied(number: int, service: Service) -> Rejected:
    """The result for what of an object is not read any more."""
    return Rejected(
        Reason.ACCESS_DENIED,
        f"AWS denied {number} {service.noun}s of this object, so its other {service.noun}s are not read. Remove those that "
        "the role may not read, or allow it to read them",
    )
