"""AWS secrets from a file, in place of the operator's cache, for rendering without AWS."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from secretsyncer.aws.arn import Account
from secretsyncer.aws.identity import CURRENT, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.aws.regions import REGIONS, Regions
from secretsyncer.aws.services.secretsmanager import looks_random, parse_secret_id, possible_names
from secretsyncer.aws.value import SecretValue
from secretsyncer.commands import manifests
from secretsyncer.errors import Reason, Rejected, SettingsError, SyncFailure

ACCOUNT = Account("aws", "000000000000")
"""The account of roles without an ARN."""
_REGION = "us-east-1"
_CONTENT = {"value", "json", "binary"}
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
        regions: Regions = REGIONS,
    ) -> None:
        self.catalogue = catalogue
        self._secrets = secrets
        self._tags = tags
        self._regions = regions

    @classmethod
    def load(cls, path: Path, regions: Regions = REGIONS) -> FileSecrets:
        """Raises SettingsError that names the file, the secret and the field."""
        secrets, entries, tags = {}, [], {}
        for name, fields in manifests.load_one(path).items():
            try:
                versions, entry = _secret(str(name), fields)
            except ValueError as exc:
                raise SettingsError(f"{path}: {name}: {exc}") from None
            secrets[entry.name], tags[entry.name] = versions, dict(entry.tags)
            if fields.get("listed", True):
                entries.append(entry)
        return cls(secrets, Catalogue(entries, region=_REGION, listed_at=0.0), tags, regions)

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
        return {ref: v if isinstance(v, SyncFailure) else self._tags[v.name] for ref, v in found.items()}

    def _get(self, ref: SecretRef) -> SecretValue | SyncFailure:
        try:
            secret = parse_secret_id(ref.id)
            self._regions.of(ref)
        except ValueError as exc:
            return Rejected(Reason.INVALID_SPEC, str(exc))
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


def _secret(name: str, fields: Any) -> tuple[dict[str, SecretValue], Entry]:
    """The versions by stage, and what a listing shows."""
    _check_fields(fields, _FIELDS)
    if parse_secret_id(name).account:
        raise ValueError("must be a name, not an ARN; references by ARN find it by its name")
    tags = fields.get("tags") or {}
    if not isinstance(tags, dict):
        raise ValueError("tags must be a map of keys to values")  # noqa: TRY004 - a mistake in a file
    stages = fields.get("stages") or {}
    if not isinstance(stages, dict) or CURRENT in stages:
        raise ValueError(f"stages must be a map of other stages than {CURRENT}, which the secret itself is")
    arn = f"arn:aws:secretsmanager:{_REGION}:{ACCOUNT.id}:secret:{name}-000000"
    versions = {CURRENT: _version(name, arn, fields, 0)}
    for number, (stage, content) in enumerate(stages.items(), 1):
        try:
            _check_fields(content, {*_CONTENT, "versionId"})
            versions[str(stage)] = _version(name, arn, content, number)
        except ValueError as exc:
            raise ValueError(f"stages.{stage}: {exc}") from None
    texts = {str(key): str(value) for key, value in tags.items()}
    entry = Entry(name, arn, texts, versions[CURRENT].version_id, _moment(fields.get("lastChanged")))
    return versions, entry


def _check_fields(fields: Any, known: set[str]) -> None:
    if not isinstance(fields, dict) or not fields.keys() <= known:
        raise ValueError(f"must be an object with some of {', '.join(sorted(known))}")


def _version(name: str, arn: str, fields: Mapping[str, Any], number: int) -> SecretValue:
    return SecretValue(name, arn, str(fields.get("versionId", UUID(int=number))), *_content(fields))


def _content(fields: Mapping[str, Any]) -> tuple[str | None, bytes | None]:
    """The value as text or as bytes."""
    if sum(part in fields for part in ("value", "json", "binary")) != 1:
        raise ValueError("needs exactly one of value, json and binary")
    if "json" in fields:
        return json.dumps(fields["json"], ensure_ascii=False), None
    if "binary" in fields:
        try:
            return None, base64.b64decode("".join(fields["binary"].split()), validate=True)
        except (AttributeError, ValueError):
            raise ValueError("binary must be base64") from None
    if not isinstance(fields["value"], str):
        raise ValueError("value must be text; use json for an object, or quote it")  # noqa: TRY004 - as above
    return fields["value"], None


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("lastChanged must be a date, like 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
