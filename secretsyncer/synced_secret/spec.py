"""The fields of a SyncedSecret's `spec`, with their limits and descriptions.

Field names are the Go operator's. The class of an object and the text under a field are what `kubectl explain`
shows. What one object can tell by itself is refused by the API server, too, by rules that are generated from here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from secretsyncer.synced_secret.fields import Fields, Rule, advised, at_least_one_of, at_most_one_of, exactly_one_of
from secretsyncer.synced_secret.find import Find, FindName, Rewrite
from secretsyncer.synced_secret.formats import (
    MOST_ITEMS,
    AccountID,
    DataKey,
    Duration,
    Literally,
    Region,
    RoleReference,
    SecretType,
    SessionName,
)
from secretsyncer.synced_secret.parameters import ParameterReference, Parameters
from secretsyncer.synced_secret.references import SecretKeyReference, SecretReference, ValueReference
from secretsyncer.synced_secret.restart import ShortRestart
from secretsyncer.synced_secret.target import NOT_WITH_MERGE, SecretMetadata, Target

__all__ = [
    "AnyReference",
    "AnyValueReference",
    "DataFrom",
    "DataItem",
    "Find",
    "FindName",
    "Keys",
    "ParameterReference",
    "Parameters",
    "Search",
    "SecretKeyReference",
    "SecretReference",
    "SyncedSecretSpec",
    "ValueFrom",
    "ValueReference",
]


AnyReference = SecretReference | ParameterReference | Parameters
"""What names one AWS secret or parameter."""
AnyValueReference = ValueReference | ParameterReference
"""The same, for one value."""
Search = Find | Parameters
"""What selects from a listing: AWS secrets, or parameters below a path."""


class ValueFrom(Fields):
    """Source of a value."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of(
            *("secretRef", "secretKeyRef", "parameterRef", "template"), tolerated=("secretRef", "secretKeyRef")
        ),
    )

    secret_ref: ValueReference | None = None
    """Selects the whole value of an AWS secret, text or binary."""

    secret_key_ref: SecretKeyReference | None = None
    """Selects one value of an AWS secret that holds a JSON object. Numbers keep their digits, and objects and lists
    become compact JSON. A value that is missing or null is an error, unless optional or default is set."""

    parameter_ref: ParameterReference | None = None
    """Selects the value of a parameter in AWS Systems Manager Parameter Store, or one value in it."""

    template: str | None = Field(None, max_length=256 << 10, repr=False)
    """Go template (text/template) whose output is the value. .Data has the keys of this object as text, except those
    that templates make. .Secrets maps the name of each listed AWS secret to its Tags, CurrentVersionID and UpdatedAt.
    filterByTagKey selects secrets by tag. getSecretValue, getSecretValueMap and getSecretKey read a secret with the role
    of this object: as text, as a map, and one key as text. getParameter and getParameters do the same with a parameter,
    and with all below a path."""

    @property
    def reference(self) -> AnyValueReference | None:
        return self.secret_key_ref or self.secret_ref or self.parameter_ref


class DataItem(Fields):
    """One key of the Secret."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one_of("templateOnly", "valueFrom.template"),
        advised(exactly_one_of("value", "valueFrom"), "valueFrom takes precedence over value"),
    )

    name: DataKey
    """Key in the Secret."""

    value: Literally | None = Field(None, repr=False)
    """Literal value. Anyone who can read this SyncedSecret can read it, so it is no place for confidential data."""

    value_from: ValueFrom | None = None
    """Source of the value."""

    template_only: bool = False
    """If true, the key is not in the Secret. Templates see it in .Data. Defaults to false."""

    @property
    def template(self) -> str | None:
        return self.value_from.template if self.value_from else None

    @property
    def reference(self) -> AnyValueReference | None:
        return self.value_from.reference if self.value_from else None

    @property
    def has_source(self) -> bool:
        """Whether valueFrom says where the value comes from. An empty one says nothing, as in the Go operator."""
        return self.reference is not None or self.template is not None


class Keys(Fields):
    """AWS secrets whose keys are copied to the Secret, after the entries before it. A later key takes precedence."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("secretRef", "parameters", "find"),)

    secret_ref: SecretReference | None = None
    """AWS secret that holds a JSON object. All its top-level keys are copied."""

    parameters: tuple[Parameters, ...] | None = Field(None, max_length=100)
    """Parameters of AWS Systems Manager Parameter Store, applied in order, after secretRef and before find."""

    find: Find | None = None
    """Finds AWS secrets among those that the operator lists. A secret must meet all criteria. Each secret becomes one
    key with the name of the secret and its whole value. Use rewrite to shorten the names."""

    rewrite: tuple[Rewrite, ...] = Field((), max_length=20)
    """Rules that change these keys, applied in order."""

    invalid_keys: Literal["Error", "Skip", "Replace", "Unicode"] | None = None
    """What to do with a key that a Secret cannot have. Error fails the sync, and Skip omits the key. Replace puts
    an underscore in place of each invalid character, and Unicode its code point, as in _U0020_; both omit an empty key.
    Defaults to Error."""

    template_only: bool = False
    """If true, these keys are not in the Secret. Templates see them in .Data. Defaults to false."""

    @property
    def references(self) -> tuple[SecretReference, ...]:
        return (self.secret_ref,) if self.secret_ref else ()

    @property
    def searches(self) -> tuple[Search, ...]:
        """What it finds in listings, in order."""
        paths = (entry for entry in self.parameters or () if entry.path is not None)
        return (*paths, self.find) if self.find else tuple(paths)


class DataFrom(Keys):
    """AWS secrets and parameters whose keys are all copied to the Secret."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_least_one_of("secretRef", "secretRefs", "parameters", "find", "entries"),
        *(
            at_most_one_of("entries", name)
            for name in ("secretRef", "secretRefs", "parameters", "find", "rewrite", "invalidKeys")
        ),
    )

    secret_refs: tuple[SecretReference, ...] = Field((), max_length=MOST_ITEMS)
    """AWS secrets that hold JSON objects. If several have the same key, the last one takes precedence."""

    entries: tuple[Keys, ...] = Field((), max_length=100)
    """Secrets with their own rewrite and invalidKeys, in place of the other fields. They are applied in order, and a
    later key takes precedence."""

    @property
    def references(self) -> tuple[SecretReference, ...]:
        return (*super().references, *self.secret_refs)

    @property
    def parts(self) -> tuple[Keys, ...]:
        """What is read and renamed by itself, in order."""
        return self.entries or (self,)


class SyncedSecretSpec(Fields):
    """Desired content of the Secret, and how it is read from AWS."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one_of("IAMRole", "AWSAccountID"),
        advised(at_least_one_of("data", "dataFrom"), "without data and dataFrom, the Secret has no keys"),
        NOT_WITH_MERGE,
    )

    iam_role: RoleReference | None = Field(None, alias="IAMRole")
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
    """The Secret to write: its name, if it is not that of this SyncedSecret, and whether it is replaced or filled."""

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

    null_values: Literal["Error", "Empty"] | None = None
    """What null in a JSON object is for secretKeyRef and dataFrom. Error fails the sync, unless optional or default is
    set. Empty is an empty text. jmesPath finds no null. Defaults to Error."""

    adopt: bool | None = None
    """Whether to take over an existing Secret that the operator does not manage, and remove its other keys. Defaults to
    the operator's setting ADOPT_EXISTING, which never removes a key."""

    restart: ShortRestart | None = None
    """Workloads to restart when the Secret has changed. The operator needs permissions for it: see docs/restarts.md. As
    JSON, it has at most 7000 bytes."""

    suspend: bool = False
    """If true, syncing stops, and the Secret stays as it is. Defaults to false."""

    refresh_interval: Duration | None = None
    """How often to read this object's secrets from AWS, at least 10s and at most 720h. By default they are read when the
    operator lists AWS and finds a change, which needs fewer calls."""

    @property
    def merges(self) -> bool:
        return self.target is not None and self.target.merges

    @property
    def creates(self) -> bool:
        return self.target is None or self.target.creates

    @property
    def parts(self) -> tuple[Keys, ...]:
        return self.data_from.parts if self.data_from else ()

    @property
    def has_values(self) -> bool:
        return bool(self.parts) or any(item.value is not None or item.has_source for item in self.items)

    @property
    def items(self) -> tuple[DataItem, ...]:
        return self.data or ()

    @property
    def labels(self) -> dict[str, str]:
        return (self.secret_metadata and self.secret_metadata.labels) or {}

    @property
    def annotations(self) -> dict[str, str]:
        return (self.secret_metadata and self.secret_metadata.annotations) or {}
