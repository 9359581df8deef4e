"""`secretsyncer render`: the Secrets that manifests would give, from a file of AWS secrets, without any cluster.

The same parsing, gate and rendering as the operator's; only the values come from a file. Namespaces among the
manifests bring their annotations, so that the gate can be tried too; a namespace that is not there has none.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import yaml

from secretsyncer.aws.arn import Account, parse_secret_id
from secretsyncer.aws.identity import CURRENT, SecretRef
from secretsyncer.aws.listing.catalogue import Catalogue, Entry
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SettingsError, SyncFailure
from secretsyncer.kube.objects import Key, key_of
from secretsyncer.sync import secret_plan
from secretsyncer.sync.authorize import Rules, authorize
from secretsyncer.sync.content import render_content
from secretsyncer.sync.fetch import Reader
from secretsyncer.synced_secret import parse

ACCOUNT = Account("aws", "000000000000")
"""The account that bare role names belong to, offline."""
_REGION = "us-east-1"
_KIND = "SyncedSecret"
_CONTENT = {"value", "json", "binary"}
_FIELDS = {*_CONTENT, "tags", "versionId", "lastChanged", "listed", "stages"}


@dataclass(frozen=True, slots=True)
class Result:
    """One SyncedSecret: its Secret, or why there is none."""

    label: str
    secret: dict[str, Any] | None = field(repr=False)
    problem: str = ""


class FileSecrets:
    """AWS secrets from a file; a source of values like the operator's cache. All roles may read all of it.

    `secrets` has each secret's versions by stage.
    """

    def __init__(
        self,
        secrets: Mapping[str, Mapping[str, SecretValue]],
        catalogue: Catalogue,
        tags: Mapping[str, dict[str, str]],
    ) -> None:
        self.catalogue = catalogue
        self._secrets = secrets
        self._tags = tags

    @classmethod
    def load(cls, path: Path) -> FileSecrets:
        """Raises SettingsError that names the file, the secret and the field."""
        secrets, entries, tags = {}, [], {}
        for name, fields in _load_one(path).items():
            try:
                versions, entry = _secret(str(name), fields)
            except ValueError as exc:
                raise SettingsError(f"{path}: {name}: {exc}") from None
            secrets[entry.name], tags[entry.name] = versions, dict(entry.tags)
            if fields.get("listed", True):
                entries.append(entry)
        return cls(secrets, Catalogue(entries, region=_REGION, listed_at=0.0), tags)

    def known(self, ref: SecretRef, catalogue: Catalogue) -> tuple[str, str] | None:  # noqa: ARG002 - a ValueSource
        return None

    def invalidate(self, ids: Collection[str]) -> None:
        """A file does not change while it is rendered."""

    async def get_many(
        self,
        refs: Collection[SecretRef],
        catalogue: Catalogue,  # noqa: ARG002 - a ValueSource
    ) -> dict[SecretRef, SecretValue | SyncFailure]:
        return {ref: self._get(ref) for ref in refs}

    async def tags(
        self,
        refs: Collection[SecretRef],
        catalogue: Catalogue,  # noqa: ARG002 - a ValueSource
    ) -> dict[SecretRef, Mapping[str, str] | SyncFailure]:
        found = {ref: self._get(ref) for ref in refs}
        return {ref: v if isinstance(v, SyncFailure) else self._tags[v.name] for ref, v in found.items()}

    def _get(self, ref: SecretRef) -> SecretValue | SyncFailure:
        try:
            name = parse_secret_id(ref.id).name
        except ValueError as exc:
            return Rejected(Reason.INVALID_SPEC, str(exc))
        versions = self._secrets.get(name)
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
        try:
            return json.dumps(fields["json"], ensure_ascii=False), None
        except (TypeError, ValueError, RecursionError):
            raise ValueError("json must be JSON; put quotes around dates") from None
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
        moment = datetime.fromisoformat(value if isinstance(value, str) else value.isoformat())
    except (AttributeError, ValueError):
        raise ValueError("lastChanged must be a date, like 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def load_manifests(paths: list[Path]) -> list[dict[str, Any]]:
    """Every object of the files, of folders' files, and of `List`s. Raises SettingsError with file and position."""
    return [obj for path in paths for file in _files(path) for obj in _objects(file)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        return sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml", ".json"})
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from None


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    for document in _load(path):
        items = [document]
        if str(document.get("kind", "")).endswith("List"):
            items = document.get("items") or []
            if not isinstance(items, list):
                raise SettingsError(f"{path}: items must be a list")
        for obj in items:
            _check(path, obj)
            yield obj


def _check(path: Path, obj: Any) -> None:
    """What the API server would have checked of an object's metadata."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if metadata is None or not isinstance(name, str) or not name:
        raise SettingsError(f"{path}: an object without metadata.name")
    if not isinstance(metadata.get("namespace"), str | None):
        raise SettingsError(f"{path}: {name}: metadata.namespace must be text")
    for part in ("annotations", "labels"):
        texts = metadata.get(part) or {}
        if not isinstance(texts, dict) or not all(isinstance(t, str) for pair in texts.items() for t in pair):
            raise SettingsError(
                f"{path}: {name}: metadata.{part} must be a map of texts; put quotes around a list or a number"
            )


def _load(path: Path) -> list[Any]:
    try:
        documents = _documents(sys.stdin.read() if str(path) == "-" else path.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{path}{where}: not valid YAML or JSON") from None
    if not all(isinstance(document, dict) for document in documents):
        raise SettingsError(f"{path}: must hold objects")
    return documents


def _documents(text: str) -> list[Any]:
    """As JSON where it is JSON: YAML's parser takes neither its tabs nor all of its escapes."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        return [document for document in yaml.safe_load_all(text) if document is not None]


def _load_one(path: Path) -> dict[str, Any]:
    documents = _load(path)
    if len(documents) > 1:
        raise SettingsError(f"{path}: must be one document")
    return documents[0] if documents else {}


class Renderer(NamedTuple):
    """Where values come from, and what decides over access to them."""

    reader: Reader
    catalogue: Catalogue
    account: Account | None
    rules: Rules


async def render_all(objects: list[dict[str, Any]], renderer: Renderer) -> list[Result]:
    """A result for each SyncedSecret, in order."""
    namespaces = {obj["metadata"]["name"]: obj for obj in objects if obj.get("kind") == "Namespace"}
    return [await _render(obj, namespaces, renderer) for obj in synced_secrets(objects)]


def synced_secrets(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The SyncedSecrets among the objects; those without a namespace are in `default`, as for kubectl."""
    wanted = [obj for obj in objects if obj.get("kind") == _KIND]
    for obj in wanted:
        obj["metadata"]["namespace"] = obj["metadata"].get("namespace") or "default"
    return wanted


async def _render(obj: dict[str, Any], namespaces: Mapping[str, dict[str, Any]], renderer: Renderer) -> Result:
    key: Key = key_of(obj)
    try:
        synced = parse(obj)
        grant = authorize(
            synced.spec,
            namespaces.get(key.namespace, {"metadata": {"name": key.namespace}}),
            renderer.account,
            annotation=renderer.rules.annotation,
            require_annotation=renderer.rules.require_annotation,
        )
        content = await render_content(renderer.reader, grant, synced.spec, renderer.catalogue)
        step = secret_plan.plan(synced, content.data, None, adopt=True)
    except SyncFailure as failure:
        return Result(str(key), None, f"{failure.reason}: {failure.message}")
    assert isinstance(step, secret_plan.Create)  # noqa: S101 - nothing is observed offline
    return Result(str(key), step.body)
