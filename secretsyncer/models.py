"""The SyncedSecret as users write it, and the checks that need nothing but itself.

`parse` turns the raw object of the informer into a `SyncedSecret`, or raises `Rejected(InvalidSpec)` with each
wrong field by its path. Field names are the Go operator's. The CRD's schema is lenient on purpose: what is
wrong here becomes a condition that its user can read.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from secretsyncer.errors import Reason, Rejected

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


class Key(NamedTuple):
    """Names one namespaced object: what the queue holds and the stores are keyed by."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(obj: dict[str, Any]) -> Key:
    """The key of a raw Kubernetes object; the namespace is empty for cluster-scoped ones."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def is_data_key(text: str) -> bool:
    """Whether Kubernetes accepts it as a key of a Secret (validation.IsConfigMapKey)."""
    return bool(_DATA_KEY.fullmatch(text)) and text not in {".", ".."} and not text.startswith("..")


class _Model(BaseModel):
    # Messages of these models go to statuses, so they never repeat what the user wrote as a value.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)


class SecretReference(_Model):
    """One AWS secret: its name, full ARN, or ARN without the random suffix."""

    name: str = Field(min_length=1, max_length=2048)


class SecretKeyReference(SecretReference):
    """One key of an AWS secret that holds a JSON object."""

    key: str = Field(min_length=1)


class ValueFrom(_Model):
    """Where a value comes from: exactly one of the three."""

    template: str | None = Field(None, repr=False)
    secret_ref: SecretReference | None = None
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


class DataFrom(_Model):
    """A JSON object in AWS whose top-level keys all become keys of the Secret."""

    secret_ref: SecretReference


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
        twice = sorted(name for name, count in Counter(item.name for item in self.items).items() if count > 1)
        if twice:
            raise ValueError(f"data has these names twice: {', '.join(twice)}")
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
