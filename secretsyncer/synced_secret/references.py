"""References to AWS secrets of Secrets Manager: to a whole secret, to its value, and to one value in it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from secretsyncer.aws.services import SECRETS_MANAGER
from secretsyncer.synced_secret.fields import Fields, Rule, exactly_one_of
from secretsyncer.synced_secret.formats import JMESPath, Literally, Path, Region, SecretID


class SecretReference(Fields):
    """An AWS secret that holds a JSON object."""

    service: ClassVar[str] = SECRETS_MANAGER.name

    name: SecretID
    """Name or ARN of the AWS secret. The random suffix of an ARN may be omitted."""

    region: Region | None = None
    """AWS region of the secret. Defaults to the region in the ARN, spec.region, or the operator's region, in this
    order."""

    version_stage: str | None = Field(None, min_length=1, max_length=256)
    """Staging label of the version to read, for example AWSPREVIOUS or AWSPENDING. Defaults to AWSCURRENT."""

    version_id: str | None = Field(None, min_length=32, max_length=64)
    """ID of the version to read. A pinned version is read once, and later versions are ignored."""

    decode: Literal["base64", "base64url", "auto"] | None = None
    """Decoding of the value before it is stored in the Secret. base64 and base64url are for bytes that are stored in AWS
    as such text. auto decodes what is one of them, and leaves everything else as it is."""

    optional: bool = False
    """If true, the reference is omitted while the AWS secret, or the key that it names, does not exist. In dataFrom, a key
    that is null is an error. Denied access is an error, unless the operator's list of AWS secrets shows that there is no
    such secret. Defaults to false."""

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"{SECRETS_MANAGER.noun} {self.name}"


class ValueReference(SecretReference):
    """The whole value of an AWS secret."""

    default: Literally | None = Field(None, repr=False)
    """Value to use while the AWS secret, or the key in it, does not exist. Anyone who can read this SyncedSecret can
    read it."""


class SecretKeyReference(ValueReference):
    """One value of an AWS secret that holds a JSON object."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("key", "path", "jmesPath"),)

    key: str | None = Field(None, min_length=1, max_length=4096)
    """Top-level key of the JSON object."""

    path: Path | None = None
    """Names of keys and numbers of list elements, separated by dots, for example database.users.0.password. A top-level
    key that has the whole text as its name takes precedence. A backslash takes the next character as it is."""

    jmes_path: JMESPath | None = None
    """JMESPath expression that selects a value in the JSON object, for example database.users[0].password.
    Multi-selects and map() are not supported."""
