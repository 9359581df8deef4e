"""AWS secrets and parameters from a file, in place of the operator's cache, for rendering without AWS."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from secretsyncer.aws.identity import CURRENT, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.listing.listings import AllListings, Listings
from secretsyncer.aws.regions import REGIONS, Regions
from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER, SERVICES
from secretsyncer.aws.services.secretsmanager import looks_random, parse_secret_id, possible_names
from secretsyncer.aws.value import SecretValue
from secretsyncer.commands import manifests
from secretsyncer.commands.file_fields import ACCOUNT, REGION, check_fields, content, moment, texts
from secretsyncer.commands.parameters_file import SECTION, FileParameters
from secretsyncer.errors import Reason, Rejected, SettingsError, SyncFailure

_CONTENT = ("value", "json", "binary")
_FIELDS = {*_CONTENT, "tags", "versionId", "lastChanged", "listed", "stages"}


class FileSecrets:
    """The secrets of a file. Every role may read all of them.

    `secrets` has each secret's versions by stage.
    """

    def __init__(
        self,
        secrets: Mapping[str, Mapping[str, SecretValue]],
        catalogue: Catalogue,
        tags: Mapping[str, dict[str, str]],
        parameters: FileParameters,
        regions: Regions = REGIONS,
    ) -> None:
        self.catalogue = catalogue
        self.listings = AllListings([catalogue, parameters.catalogue])
        self._parameters = parameters
        self._secrets = secrets
        self._tags = tags
        self._regions = regions

    @classmethod
    def load(cls, path: Path, regions: Regions = REGIONS) -> FileSecrets:
        """Raises SettingsError that names the file, the secret and the field."""
        secrets, entries, tags = {}, [], {}
        given = manifests.load_secrets(path)
        try:
            parameters = FileParameters(given.pop(SECTION) if _has_section(given) else {})
        except ValueError as exc:
            raise SettingsError(f"{path}: {SECTION}: {exc}") from None
        for name, fields in given.items():
            try:
                versions, entry = _secret(str(name), fields)
            except ValueError as exc:
                raise SettingsError(f"{path}: {name}: {exc}") from None
            secrets[entry.name], tags[entry.name] = versions, dict(entry.tags)
            if fields.get("listed", True):
                entries.append(entry)
        return cls(secrets, Catalogue(entries, region=REGION, listed_at=0.0), tags, parameters, regions)

    async def get_many(
        self,
        refs: Collection[SecretRef],
        listings: Listings,  # noqa: ARG002 - a ValueSource
        *,
        max_size: int | None = None,  # noqa: ARG002 - all values are in memory already
    ) -> dict[SecretRef, SecretValue | SyncFailure]:
        return {ref: self._get(ref) for ref in refs}

    async def likely(
        self,
        refs: Collection[SecretRef],
        listings: Listings,  # noqa: ARG002 - a ValueSource
    ) -> dict[SecretRef, SecretValue]:
        return {ref: value for ref in refs if isinstance(value := self._get(ref), SecretValue)}

    async def tags(
        self,
        refs: Collection[SecretRef],
        listings: Listings,  # noqa: ARG002 - a ValueSource
    ) -> dict[SecretRef, Mapping[str, str] | SyncFailure]:
        found = {ref: self._get(ref) for ref in refs}
        tags = {SECRETS_MANAGER.name: self._tags, PARAMETER_STORE.name: self._parameters.tags}
        return {ref: v if isinstance(v, SyncFailure) else tags[v.service][v.name] for ref, v in found.items()}

    def _get(self, ref: SecretRef) -> SecretValue | SyncFailure:
        try:
            secret = SERVICES[ref.service].parse(ref.id)
            self._regions.of(ref)
        except ValueError as exc:
            return Rejected(Reason.INVALID_SPEC, str(exc))
        if ref.service == PARAMETER_STORE.name:
            return self._parameters.get(ref)
        whole, *stripped = possible_names(ref.id)
        names = (whole, *stripped) if looks_random(secret.suffix) else (whole,)
        versions = next((self._secrets[name] for name in names if name in self._secrets), None)
        if versions is None:
            return Rejected(Reason.SECRET_NOT_FOUND, f"AWS secret {ref.id} is not in the file of secrets")
        wanted = ref.stage or ("" if ref.version_id else CURRENT)
        for stage, value in versions.items():
            if wanted in {"", stage} and ref.version_id in {"", value.version_id}:
                return value
        which = f"versionId {ref.version_id}" if ref.version_id else f"versionStage {ref.stage}"
        return Rejected(Reason.SECRET_NOT_FOUND, f"AWS secret {ref.id} has no {which} in the file of secrets")


def _has_section(given: Mapping[str, Any]) -> bool:
    """Whether the key is the section of parameters, and not an AWS secret with that name."""
    section = given.get(SECTION)
    return isinstance(section, dict) and not section.keys() <= _FIELDS


def _secret(name: str, fields: Any) -> tuple[dict[str, SecretValue], Entry]:
    """The versions by stage, and what a listing shows."""
    check_fields(fields, _FIELDS)
    if parse_secret_id(name).account:
        raise ValueError("must be a name, not an ARN; references by ARN find it by its name")
    stages = fields.get("stages") or {}
    if not isinstance(stages, dict) or CURRENT in stages:
        raise ValueError(f"stages must be a map of other stages than {CURRENT}, which the secret itself is")
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT.id}:secret:{name}-000000"
    versions = {CURRENT: _version(name, arn, fields, 0)}
    for number, (stage, given) in enumerate(stages.items(), 1):
        try:
            check_fields(given, {*_CONTENT, "versionId"})
            versions[str(stage)] = _version(name, arn, given, number)
        except ValueError as exc:
            raise ValueError(f"stages.{stage}: {exc}") from None
    entry = Entry(
        name, arn, texts(fields.get("tags") or {}), versions[CURRENT].version_id, moment(fields.get("lastChanged"))
    )
    return versions, entry


def _version(name: str, arn: str, fields: Mapping[str, Any], number: int) -> SecretValue:
    return SecretValue(name, arn, str(fields.get("versionId", UUID(int=number))), *content(fields, _CONTENT))
