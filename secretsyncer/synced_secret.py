"""The SyncedSecret as users write it, and the checks that need nothing but itself.

`parse` turns the raw object of the informer into a `SyncedSecret`, or raises `Rejected(InvalidSpec)` with each
wrong field by its path. Field names are the Go operator's. The CRD's schema is lenient on purpose: what is
wrong here becomes a condition that its user can read.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from secretsyncer.errors import Reason, Rejected
from secretsyncer.expressions import jmespath, regexp
from secretsyncer.kube.objects import Key, key_of

FORBIDDEN_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Types that Kubernetes turns into credentials of its own (CVE-2026-42876 is a peer's lesson)."""
MIN_REFRESH = 10.0
MAX_REFRESH = 30 * 86_400.0

_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?[hms])+", re.ASCII)
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


def is_data_key(text: str) -> bool:
    """Whether Kubernetes accepts it as a key of a Secret (validation.IsConfigMapKey)."""
    return bool(_DATA_KEY.fullmatch(text)) and text not in {".", ".."} and not text.startswith("..")


class _Model(BaseModel):
    # Messages of these models go to statuses, so they never repeat what the user wrote as a value.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)


class SecretReference(_Model):
    """One AWS secret: its name, full ARN, or ARN without the random suffix; and which version of it."""

    name: str = Field(min_length=1, max_length=2048)
    region: str | None = None
    version_stage: str | None = Field(None, min_length=1, max_length=256)
    version_id: str | None = Field(None, min_length=32, max_length=64)
    decode: Literal["base64"] | None = None
    optional: bool = False


class ValueReference(SecretReference):
    """The whole value of an AWS secret."""

    default: str | None = Field(None, repr=False)


class SecretKeyReference(ValueReference):
    """One value of an AWS secret that holds a JSON object: a top-level key, or what a JMESPath finds."""

    key: str | None = Field(None, min_length=1)
    jmes_path: str | None = None

    @field_validator("jmes_path")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None:
            jmespath.check(value)
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.key is None) == (self.jmes_path is None):
            raise ValueError("needs exactly one of key and jmesPath")
        return self


class ValueFrom(_Model):
    """Where a value comes from: exactly one of the three."""

    template: str | None = Field(None, repr=False)
    secret_ref: ValueReference | None = None
    secret_key_ref: SecretKeyReference | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.template, self.secret_ref, self.secret_key_ref)) != 1:
            raise ValueError("needs exactly one of secretRef, secretKeyRef and template")
        return self


class DataItem(_Model):
    """One key of the Secret: a literal or a value from AWS."""

    name: str
    value: str | None = Field(None, repr=False)
    value_from: ValueFrom | None = None

    @field_validator("name")
    @classmethod
    def _key(cls, name: str) -> str:
        if not is_data_key(name):
            raise ValueError("a Secret's key has 1 to 253 of the characters a-z A-Z 0-9 - _ .")
        return name

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.value_from is None):
            raise ValueError("needs exactly one of value and valueFrom")
        return self


class FindName(_Model):
    """Secrets by name: a regular expression found anywhere in it (RE2 syntax), a prefix, or both."""

    regexp: str | None = Field(None, max_length=1000)
    prefix: str | None = None

    @field_validator("regexp")
    @classmethod
    def _regexp(cls, value: str | None) -> str | None:
        if value is not None:
            regexp.compile(value)
        return value


class Find(_Model):
    """Listed AWS secrets that match everything that is said here."""

    tag_key: str | None = Field(None, min_length=1)
    tags: dict[str, str] | None = None
    name: FindName | None = None
    merge: bool = False
    decode: Literal["base64"] | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.tag_key and not self.tags and not (self.name and (self.name.regexp or self.name.prefix)):
            raise ValueError("needs at least one of tagKey, tags, name.regexp and name.prefix")
        return self


class Rewrite(_Model):
    """A change of the keys that dataFrom gives: RE2 `source`, and `target` with $1 or ${1} for its groups."""

    source: str = Field(max_length=1000)
    target: str = Field(max_length=1000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        regexp.replacement(regexp.compile(self.source), self.target)
        return self


class DataFrom(_Model):
    """Whole JSON objects, and found secrets, whose keys all become keys of the Secret."""

    secret_ref: SecretReference | None = None
    secret_refs: tuple[SecretReference, ...] = ()
    find: Find | None = None
    rewrite: tuple[Rewrite, ...] = Field((), max_length=20)
    invalid_keys: Literal["Error", "Skip", "Replace"] | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.references and not self.find:
            raise ValueError("needs at least one of secretRef, secretRefs and find")
        return self

    @property
    def references(self) -> tuple[SecretReference, ...]:
        return (self.secret_ref, *self.secret_refs) if self.secret_ref else self.secret_refs


class Target(_Model):
    """The Secret, where it is not named like the SyncedSecret."""

    name: str | None = None

    @field_validator("name")
    @classmethod
    def _dns(cls, value: str | None) -> str | None:
        if value is not None and not (_DNS_NAME.fullmatch(value) and len(value) <= 253):
            raise ValueError("must be a name as Kubernetes has them: a-z 0-9 - . (RFC 1123)")
        return value


class SecretMetadata(_Model):
    """Labels and annotations for the Secret. The other fields are accepted, as ever, and ignored."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    name: str | None = None
    namespace: str | None = None
    creation_timestamp: Any = None


class SyncedSecretSpec(_Model):
    """The whole `spec`."""

    iam_role: str | None = Field(None, alias="IAMRole")
    aws_account_id: str | None = Field(None, alias="AWSAccountID")
    secret_metadata: SecretMetadata | None = None
    data_from: DataFrom | None = None
    data: tuple[DataItem, ...] | None = None
    deletion_policy: Literal["Retain", "Delete"] | None = None
    region: str | None = None
    external_id: str | None = Field(None, min_length=2, max_length=1224)
    role_session_name: str | None = Field(None, pattern=r"^[A-Za-z0-9_+=,.@-]{2,64}$")
    type: str | None = None
    immutable: bool | None = None
    recreate_on_type_change: bool = False
    target: Target | None = None
    adopt: bool | None = None
    suspend: bool = False
    refresh_interval: float | None = None

    @field_validator("refresh_interval", mode="before")
    @classmethod
    def _interval(cls, value: Any) -> float | None:
        return None if value is None else duration(value)

    @field_validator("type")
    @classmethod
    def _type(cls, value: str | None) -> str | None:
        if value in FORBIDDEN_TYPES:
            raise ValueError(f"{value} gives access to the cluster itself and cannot be synced")
        return value

    @field_validator("aws_account_id")
    @classmethod
    def _account(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"[0-9]{12}", value):
            raise ValueError("an AWS account id has 12 digits")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.iam_role and self.aws_account_id:
            raise ValueError("IAMRole and AWSAccountID exclude each other")
        if not self.data_from and not self.data:
            raise ValueError("has neither data nor dataFrom: there is nothing to sync")
        return self

    @property
    def items(self) -> tuple[DataItem, ...]:
        return self.data or ()

    @property
    def labels(self) -> dict[str, str]:
        return (self.secret_metadata and self.secret_metadata.labels) or {}

    @property
    def annotations(self) -> dict[str, str]:
        return (self.secret_metadata and self.secret_metadata.annotations) or {}


class SyncedSecret(NamedTuple):
    """One valid object, with the parts of its metadata that matter."""

    key: Key
    uid: str
    generation: int
    spec: SyncedSecretSpec

    @property
    def secret(self) -> Key:
        """The Secret that it is about."""
        name = self.spec.target and self.spec.target.name
        return Key(self.key.namespace, name) if name else self.key


def target_of(obj: dict[str, Any]) -> Key:
    """The Secret that a raw object asks for, whether the object is valid or not."""
    spec = obj.get("spec")
    target = spec.get("target") if isinstance(spec, dict) else None
    name = target.get("name") if isinstance(target, dict) else None
    key = key_of(obj)
    return Key(key.namespace, name) if isinstance(name, str) and name else key


def duration(value: Any) -> float:
    """Seconds of a number or of text like 30s, 5m, 1h30m. Raises ValueError under 10 seconds."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        parts = re.findall(r"([0-9.]+)([hms])", value)
        seconds = sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value  # an int of JSON may be too large for a float
    else:
        raise ValueError("must be a duration, like 30s, 5m or 1h30m")
    if not MIN_REFRESH <= seconds <= MAX_REFRESH:
        raise ValueError("must be at least 10s and at most 30 days (720h)")
    return float(seconds)


def parse(obj: dict[str, Any]) -> SyncedSecret:
    """The object, checked. Raises Rejected(InvalidSpec) that names every wrong field."""
    metadata = obj["metadata"]
    spec = obj.get("spec")
    try:
        if not isinstance(spec, dict | None):
            raise Rejected(Reason.INVALID_SPEC, "spec: must be an object")
        checked = SyncedSecretSpec.model_validate(spec or {})
    except ValidationError as exc:
        problems = "; ".join(_explain(error) for error in exc.errors(include_input=False, include_url=False))
        raise Rejected(Reason.INVALID_SPEC, problems) from None
    return SyncedSecret(key_of(obj), metadata.get("uid", ""), metadata.get("generation", 0), checked)


def _explain(error: Any) -> str:
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "no such field"
    return f"{path}: {message}"
