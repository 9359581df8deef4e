"""Parameters from the file of `secretsyncer render`, in place of Parameter Store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.services import PARAMETER_STORE
from secretsyncer.aws.value import SecretValue
from secretsyncer.commands.file_fields import ACCOUNT, REGION, check_fields, content, moment, texts
from secretsyncer.errors import Reason, Rejected, SyncFailure

SECTION = "parameters"
"""The key of the file that has them, by their names."""
_FIELDS = {"value", "json", "version", "labels", "tags", "lastChanged", "listed"}
_CURRENT = ""


class FileParameters:
    """The parameters of a file. Each has its versions by label; the current one has none."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        """Raises ValueError that names the parameter and the field."""
        self._versions: dict[str, dict[str, SecretValue]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        entries = []
        for name, fields in section.items():
            try:
                entry = self._add(str(name), fields)
            except ValueError as exc:
                raise ValueError(f"{name}: {exc}") from None
            if fields.get("listed", True):
                entries.append(entry)
        self.catalogue = Catalogue(entries, region=REGION, listed_at=0.0, service=PARAMETER_STORE)

    def _add(self, name: str, fields: Any) -> Entry:
        check_fields(fields, _FIELDS)
        if PARAMETER_STORE.parse(name).account:
            raise ValueError("must be a name, not an ARN; references by ARN find it by its name")
        arn = f"arn:aws:ssm:{REGION}:{ACCOUNT.id}:parameter/{name.removeprefix('/')}"
        labels = fields.get("labels") or {}
        if not isinstance(labels, dict):
            raise ValueError("labels must be a map")  # noqa: TRY004 - a mistake in a file
        versions = {_CURRENT: _version(name, arn, fields, 1 + len(labels))}
        for number, (label, given) in enumerate(labels.items(), 1):
            check_fields(given, {"value", "json", "version"})
            versions[str(label)] = _version(name, arn, given, number)
        self._versions[name], self.tags[name] = versions, texts(fields.get("tags") or {})
        changed = moment(fields.get("lastChanged"))
        return Entry(name, arn, {}, versions[_CURRENT].version_id, changed)

    def get(self, ref: SecretRef) -> SecretValue | SyncFailure:
        """The value of a reference to a valid name or ARN."""
        names = PARAMETER_STORE.parse(ref.id).names
        versions = next((self._versions[name] for name in names if name in self._versions), None)
        if versions is None:
            return _missing(ref, "is not in the file of secrets")
        for label, value in versions.items():
            wanted = ref.version_id == value.version_id if ref.version_id else ref.stage == label
            if wanted:
                return value
        which = f"version {ref.version_id}" if ref.version_id else f"label {ref.stage}"
        return _missing(ref, f"has no {which} in the file of secrets")


def _version(name: str, arn: str, fields: Mapping[str, Any], number: int) -> SecretValue:
    text, _ = content(fields, ("value", "json"))
    version = fields.get("version", number)
    if not isinstance(version, int):
        raise ValueError("version must be a number")  # noqa: TRY004 - as above
    return SecretValue(name, arn, str(version), text, None, service=PARAMETER_STORE.name)


def _missing(ref: SecretRef, why: str) -> Rejected:
    return Rejected(Reason.SECRET_NOT_FOUND, f"{PARAMETER_STORE.noun} {ref.id} {why}")
