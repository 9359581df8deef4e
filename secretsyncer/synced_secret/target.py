"""The fields of a SyncedSecret's `spec` that are about the Secret itself: its name, labels and annotations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from secretsyncer.synced_secret.fields import Fields
from secretsyncer.synced_secret.formats import ObjectName
from secretsyncer.synced_secret.labels import Annotations, Labels


class Target(Fields):
    """The Secret to write."""

    name: ObjectName | None = None
    """Name of the Secret. Defaults to the name of this SyncedSecret. If several SyncedSecrets name the same Secret,
    the oldest one owns it, and the others get the reason Conflict."""


class SecretMetadata(Fields):
    """Metadata of the Secret."""

    labels: Labels | None = None
    """Labels of the Secret."""

    annotations: Annotations | None = None
    """Annotations of the Secret."""

    name: str | None = Field(None, max_length=253)
    """Ignored. Use target to name the Secret."""

    namespace: str | None = Field(None, max_length=253)
    """Ignored. The Secret is in the namespace of the SyncedSecret."""

    creation_timestamp: Annotated[
        Any, WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 64, "nullable": True})
    ] = None
    """Ignored."""
