"""The fields of a SyncedSecret's `status`, with their limits and descriptions. `sync/status.py` writes them.

These models are only for the schemas. The operator patches a status as JSON, and keeps fields that others have written.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from secretsyncer.synced_secret.fields import Fields

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Generation = Annotated[int, Field(json_schema_extra={"format": "int64"})]
Revision = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class SourceVersion(Fields):
    """An AWS secret or a parameter, and the version of it that was read."""

    service: Literal["SecretsManager", "ParameterStore"] | None = None
    """Service of AWS that has it."""

    name: str | None = Field(None, max_length=2048)
    """Name of the AWS secret or parameter."""

    arn: str | None = Field(None, max_length=2048)
    """ARN of the AWS secret or parameter."""

    version_id: str | None = Field(None, alias="versionID", max_length=64)
    """ID of the version that was read; of a parameter, its number."""


class Condition(Fields):
    """One aspect of the state of a SyncedSecret, in the form of metav1.Condition."""

    type: str = Field(max_length=316)
    """Type of the condition, such as Ready."""

    status: Literal["True", "False", "Unknown"]
    """Status of the condition: True, False or Unknown."""

    observed_generation: Generation | None = Field(None, ge=0)
    """The metadata.generation that the condition was set for."""

    last_transition_time: Time
    """Time when the status of the condition last changed."""

    reason: str = Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    """Reason for the status, as one word that programs can rely on."""

    message: str = Field(max_length=32768)
    """Reason for the status, in words. It names the AWS secret, key, role or place in a template, and never contains
    a value."""


class RestartedWorkload(Fields):
    """The last restart of a workload."""

    kind: str = Field(max_length=63)
    """Kind of the workload."""

    name: str = Field(max_length=253)
    """Name of the workload."""

    revision: Revision
    """The revision that it was restarted for."""

    time: Time
    """Time of the restart. The workload has the same time, in its annotation or in restartAt."""

    pending: bool | None = None
    """True before the restart, and until it is confirmed."""


class SyncedSecretStatus(Fields):
    """Observed state of the SyncedSecret. It never contains values of secrets. Written by the operator."""

    observed_generation: Generation | None = None
    """The metadata.generation that was last processed."""

    current_version_id: str | None = Field(None, alias="currentVersionID", max_length=256)
    """ID of the AWS secret's version that the Secret was made from. If it was made from several AWS secrets, a digest
    of their names and version IDs, which are listed in sources."""

    generated_secret_hash: str | None = Field(None, max_length=256)
    """Digest of the generation and of the names and version IDs of the AWS secrets that were read. It is not computed
    from values, so values cannot be guessed from it."""

    last_sync_time: Time | None = None
    """Time when the Secret was last written, or found to be up to date after a change."""

    sources: tuple[SourceVersion, ...] | None = Field(None, max_length=100)
    """AWS secrets and parameters that the Secret was made from. Long lists are cut."""

    revision: Revision | None = None
    """With spec.restart, how many times the data of the Secret have changed since. The creation of the Secret, changes of
    its metadata, and repairs to the same data do not count."""

    next_revision: Revision | None = None
    """The revision that the Secret gets when it is created again. It is set before a Secret is deleted that cannot be
    changed, so that its restarts are not forgotten."""

    revision_time: Time | None = None
    """Time when the revision last grew."""

    restarted_revision: Revision | None = None
    """The revision that all workloads were restarted for. Restarts are due while it is behind revision."""

    restarts: tuple[RestartedWorkload, ...] | None = Field(None, max_length=200)
    """Workloads that were restarted."""

    conditions: tuple[Condition, ...] | None = Field(
        None,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Conditions of the SyncedSecret. Ready shows whether the Secret has the content that the spec asks for. Its
    reason is Synced, or one of Suspended, InvalidSpec, RoleNotAllowed, AccessDenied, SecretNotFound,
    InvalidSecretValue, TemplateError, Conflict, SecretMissing, AWSUnavailable, KubernetesError and AdmissionDenied. With
    spec.restart, Restarted shows whether all workloads were restarted that have to be."""
