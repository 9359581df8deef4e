"""References to parameters of AWS Systems Manager Parameter Store: to one parameter, and to all below a path."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from secretsyncer.aws.services import PARAMETER_STORE
from secretsyncer.synced_secret.fields import Fields, Rule, at_most_one_of, exactly_one_of
from secretsyncer.synced_secret.formats import (
    JMESPath,
    Literally,
    ParameterID,
    ParameterLabel,
    ParameterPath,
    Region,
)


class _OneVersion(Fields):
    """What a reference to one parameter may say about its version."""

    service: ClassVar[str] = PARAMETER_STORE.name

    version: int | None = Field(None, ge=1)
    """Number of the version to read. A pinned version is read once, and later versions are ignored. Defaults to the
    current version."""

    label: ParameterLabel | None = None
    """Label of the version to read. A label can move without a new version, so the parameter is read each time the
    operator lists AWS."""

    region: Region | None = None
    """AWS region of the parameter. Defaults to the region in the ARN, spec.region, or the operator's region, in this
    order."""

    optional: bool = False
    """If true, the reference is omitted while it finds nothing: the parameter, its key, or all below a path. Denied access
    is an error, unless the operator's list of parameters shows that there is no such parameter. Defaults to false."""

    @property
    def version_id(self) -> str | None:
        return str(self.version) if self.version else None

    @property
    def version_stage(self) -> str | None:
        return self.label


class ParameterReference(_OneVersion):
    """The value of a parameter in AWS Systems Manager Parameter Store, or one value in it."""

    rules: ClassVar[tuple[Rule, ...]] = (at_most_one_of("version", "label"), at_most_one_of("key", "jmesPath"))

    name: ParameterID
    """Name or ARN of the parameter. One that another account shares needs the ARN. A StringList is text with commas."""

    key: str | None = Field(None, min_length=1, max_length=4096)
    """Top-level key of the JSON object that the parameter holds. By default the value is the whole text."""

    jmes_path: JMESPath | None = None
    """JMESPath expression that selects a value in the JSON object, for example database.users[0].password.
    Multi-selects and map() are not supported."""

    decode: Literal["base64", "base64url", "auto"] | None = None
    """Decoding of the value before it is stored in the Secret, as for AWS secrets."""

    default: Literally | None = Field(None, repr=False)
    """Value to use while the parameter, or the key in it, does not exist. Anyone who can read this SyncedSecret can read
    it."""

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"{PARAMETER_STORE.noun} {self.name}"


class Parameters(_OneVersion):
    """Parameters whose values are copied to the Secret: all below a path, or the keys of one that holds a JSON object."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("path", "name"),
        at_most_one_of("version", "label"),
        *(at_most_one_of("path", name) for name in ("version", "label", "region")),
        at_most_one_of("name", "merge"),
    )

    path: ParameterPath | None = None
    """Path of parameters, for example /app/prod/. Each parameter below it that the operator lists becomes one key, with
    the rest of its name and its whole value. Use rewrite or invalidKeys for names of several levels."""

    recursive: bool = True
    """If false, only parameters directly below the path are taken. Defaults to true."""

    merge: bool = False
    """If true, each parameter below the path must hold a JSON object, and its keys are copied to the Secret. The
    parameters are taken in the order of their names, and a later one takes precedence. Defaults to false."""

    name: ParameterID | None = None
    """Name or ARN of one parameter that holds a JSON object. All its top-level keys are copied."""

    decode: Literal["base64", "base64url", "auto"] | None = None
    """Decoding of the values before they are stored in the Secret, as for AWS secrets."""

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"{PARAMETER_STORE.noun} {self.name}"

    @property
    def folder(self) -> str:
        """What the names below the path begin with."""
        path = self.path or ""
        return path if path.endswith("/") else f"{path}/"
