"""The fields of a SyncedSecret's `spec`, with their limits and descriptions.

Field names are the Go operator's. The class of an object and the text under a field are what `kubectl explain`
shows. The CRD enforces only types and sizes, so that most errors become a condition that users can read.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from secretsyncer.expressions import regexp
from secretsyncer.synced_secret.fields import Fields, Rule, at_least_one_of, at_most_one_of, exactly_one_of
from secretsyncer.synced_secret.formats import (
    EXPRESSION_LIMIT,
    MOST_ITEMS,
    AccountID,
    DataKey,
    Duration,
    JMESPath,
    Literally,
    Region,
    RegularExpression,
    SecretType,
    SessionName,
    TagKey,
    TagValue,
)
from secretsyncer.synced_secret.target import SecretMetadata, Target


class SecretReference(Fields):
    """An AWS secret that holds a JSON object."""

    name: str = Field(min_length=1, max_length=2048)
    """Name or ARN of the AWS secret. The random suffix of an ARN may be omitted."""

    region: Region | None = None
    """AWS region of the secret. Defaults to the region in the ARN, spec.region, or the operator's region, in this
    order."""

    version_stage: str | None = Field(None, min_length=1, max_length=256)
    """Staging label of the version to read, for example AWSPREVIOUS or AWSPENDING. Defaults to AWSCURRENT."""

    version_id: str | None = Field(None, min_length=32, max_length=64)
    """ID of the version to read. A pinned version is read once, and later versions are ignored."""

    decode: Literal["base64"] | None = None
    """Decoding of the value before it is stored in the Secret. base64 is for bytes that are stored in AWS as base64
    text."""

    optional: bool = False
    """If true, the reference is omitted while the AWS secret, or the key that it names, does not exist. In dataFrom, a key
    that is null is an error. Denied access is an error, unless the operator's list of AWS secrets shows that there is no
    such secret. Defaults to false."""


class ValueReference(SecretReference):
    """The whole value of an AWS secret."""

    default: Literally | None = Field(None, repr=False)
    """Value to use while the AWS secret, or the key in it, does not exist. Anyone who can read this SyncedSecret can
    read it."""


class SecretKeyReference(ValueReference):
    """One value of an AWS secret that holds a JSON object."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("key", "jmesPath"),)

    key: str | None = Field(None, min_length=1, max_length=4096)
    """Top-level key of the JSON object."""

    jmes_path: JMESPath | None = None
    """JMESPath expression that selects a value in the JSON object, for example database.users[0].password.
    Multi-selects and map() are not supported."""


class ValueFrom(Fields):
    """Source of a value."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("secretRef", "secretKeyRef", "template"),)

    secret_ref: ValueReference | None = None
    """Selects the whole value of an AWS secret, text or binary."""

    secret_key_ref: SecretKeyReference | None = None
    """Selects one value of an AWS secret that holds a JSON object. Numbers keep their digits, and objects and lists
    become compact JSON. A value that is missing or null is an error, unless optional or default is set."""

    template: str | None = Field(None, max_length=256 << 10, repr=False)
    """Go template (text/template) whose output is the value. .Secrets maps the name of each listed AWS secret to its
    Tags, CurrentVersionID and UpdatedAt. filterByTagKey selects secrets by tag. getSecretValue and getSecretValueMap
    read a secret with the role of this object, as text and as a map."""


class DataItem(Fields):
    """One key of the Secret."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("value", "valueFrom"),)

    name: DataKey
    """Key in the Secret."""

    value: Literally | None = Field(None, repr=False)
    """Literal value. Anyone who can read this SyncedSecret can read it, so it is no place for confidential data."""

    value_from: ValueFrom | None = None
    """Source of the value."""


class FindName(Fields):
    """Criteria for the name of an AWS secret."""

    regexp: RegularExpression | None = None
    """Regular expression (RE2 syntax) that matches a part of the name. Use ^ and $ to match the whole name."""

    prefix: str | None = Field(None, max_length=512)
    """Text that the name begins with."""


class Find(Fields):
    """Criteria for AWS secrets. A secret must meet all of them."""

    rules: ClassVar[tuple[Rule, ...]] = (at_least_one_of("tagKey", "tags", "name.regexp", "name.prefix"),)

    tag_key: TagKey | None = Field(None, min_length=1)
    """Selects secrets that have this tag, whatever its value."""

    tags: dict[TagKey, TagValue] | None = Field(None, max_length=50)
    """Selects secrets that have all of these tags, with these values."""

    name: FindName | None = None
    """Selects secrets by name."""

    merge: bool = False
    """If true, each secret must hold a JSON object, and its keys are copied to the Secret. The secrets are taken in
    the order of their names, and a later one takes precedence. Defaults to false."""

    decode: Literal["base64"] | None = None
    """Decoding of the values before they are stored in the Secret."""


class Rewrite(Fields):
    """A rule that changes keys."""

    source: RegularExpression
    """Regular expression (RE2 syntax). Every match in the key is replaced."""

    target: str = Field(max_length=EXPRESSION_LIMIT)
    """Replacement. $1 or ${1} stands for the text of the first group, and $$ for a dollar sign."""

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        regexp.replacement(regexp.compile(self.source), self.target)
        return self


class DataFrom(Fields):
    """AWS secrets whose keys are all copied to the Secret."""

    rules: ClassVar[tuple[Rule, ...]] = (at_least_one_of("secretRef", "secretRefs", "find"),)

    secret_ref: SecretReference | None = None
    """AWS secret that holds a JSON object. All its top-level keys are copied."""

    secret_refs: tuple[SecretReference, ...] = Field((), max_length=MOST_ITEMS)
    """AWS secrets that hold JSON objects. If several have the same key, the last one takes precedence."""

    find: Find | None = None
    """Finds AWS secrets among those that the operator lists. A secret must meet all criteria. Each secret becomes one
    key with the name of the secret and its whole value. Use rewrite to shorten the names."""

    rewrite: tuple[Rewrite, ...] = Field((), max_length=20)
    """Rules that change the keys from dataFrom, applied in order."""

    invalid_keys: Literal["Error", "Skip", "Replace"] | None = None
    """What to do with a key that a Secret cannot have. Error fails the sync, Skip omits the key, and Replace puts an
    underscore in place of each invalid character. Defaults to Error."""

    @property
    def references(self) -> tuple[SecretReference, ...]:
        return (self.secret_ref, *self.secret_refs) if self.secret_ref else self.secret_refs


class SyncedSecretSpec(Fields):
    """Desired content of the Secret, and how it is read from AWS."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one_of("IAMRole", "AWSAccountID"),
        at_least_one_of("data", "dataFrom"),
    )

    iam_role: str | None = Field(None, alias="IAMRole", max_length=2048)
    """IAM role that the operator assumes to read from AWS: a role name, completed with the operator's AWS account, or
    a role ARN. If empty, the operator's own credentials are used. The namespace's annotation
    iam.amazonaws.com/allowed-roles, a JSON list of role names and ARNs, limits the roles that may be used in it."""

    aws_account_id: AccountID | None = Field(None, alias="AWSAccountID")
    """ID of an AWS account, in quotes. The operator assumes the role secret-syncer of that account, in place
    of IAMRole. Each AWS secret must then have the tag k8s.contentful.com/namespace_type/<type> with the value 1, where
    <type> is the value of the namespace's label k8s.contentful.com/namespace-type."""

    region: Region | None = None
    """AWS region of the secrets. Defaults to the operator's region."""

    external_id: str | None = Field(None, min_length=2, max_length=1224)
    """External ID to pass when the role is assumed, if its trust policy requires one. Defaults to the operator's
    setting ROLE_EXTERNAL_ID."""

    role_session_name: SessionName | None = None
    """Session name to use when the role is assumed. It is shown in CloudTrail. Defaults to the operator's setting
    ROLE_SESSION_NAME."""

    data_from: DataFrom | None = None
    """AWS secrets whose keys are all copied to the Secret. It is applied before data, and data takes precedence if
    both have the same key."""

    data: tuple[DataItem, ...] | None = Field(None, max_length=MOST_ITEMS)
    """Keys of the Secret, one by one. If several have the same name, the last one takes precedence."""

    target: Target | None = None
    """The Secret to write, if its name is not that of this SyncedSecret."""

    type: SecretType | None = None
    """Type of the Secret, for example kubernetes.io/tls. The keys that the type requires are checked before the Secret
    is written. Types that grant access to the cluster itself, kubernetes.io/service-account-token and
    bootstrap.kubernetes.io/token, are not allowed. Defaults to Opaque for a new Secret, and to the current type for
    an existing one."""

    immutable: bool | None = None
    """If true, the Secret is immutable. When its data changes in AWS, it must be deleted and created again, which
    recreateOnTypeChange allows."""

    recreate_on_type_change: bool = False
    """If true, the operator deletes the Secret and creates it again when it cannot be updated, because its type
    differs or because it is immutable. Otherwise the sync fails with the reason Conflict. Defaults to false."""

    secret_metadata: SecretMetadata | None = None
    """Labels and annotations of the Secret. Those that are set by others are kept. Those that are removed here are
    removed from the Secret."""

    deletion_policy: Literal["Retain", "Delete"] | None = None
    """What happens to the Secret when this SyncedSecret is deleted. Retain keeps it. Delete makes this SyncedSecret
    its owner, so that Kubernetes deletes it too. Defaults to Retain."""

    allow_empty: bool = False
    """If true, the Secret may have no key, and find, filters and .Secrets may select no AWS secret. Otherwise the sync
    fails in these cases, and the Secret stays as it is. Defaults to false."""

    adopt: bool | None = None
    """Whether to take over an existing Secret that the operator does not manage. Defaults to the operator's setting
    ADOPT_EXISTING."""

    suspend: bool = False
    """If true, syncing stops, and the Secret stays as it is. Defaults to false."""

    refresh_interval: Duration | None = None
    """How often to read this object's secrets from AWS, at least 10s and at most 720h. By default they are read when the
    operator lists AWS and finds a change, which needs fewer calls."""

    @property
    def items(self) -> tuple[DataItem, ...]:
        return self.data or ()

    @property
    def labels(self) -> dict[str, str]:
        return (self.secret_metadata and self.secret_metadata.labels) or {}

    @property
    def annotations(self) -> dict[str, str]:
        return (self.secret_metadata and self.secret_metadata.annotations) or {}
