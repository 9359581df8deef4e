"""The fields of a SyncedSecret's `spec` that are about the Secret itself: its name, labels and annotations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from secretsyncer.synced_secret.fields import Fields, Rule, not_empty
from secretsyncer.synced_secret.formats import ObjectName
from secretsyncer.synced_secret.labels import Annotations, Labels


class Target(Fields):
    """The Secret to write."""

    name: ObjectName | None = None
    """Name of the Secret. Defaults to the name of this SyncedSecret. If several SyncedSecrets name the same Secret,
    the oldest one owns it, and the others get the reason Conflict, unless all of them have the policy Merge."""

    policy: Literal["Replace", "Merge"] | None = None
    """Replace makes the data of the Secret exactly what this SyncedSecret asks for. Merge writes only these keys into a
    Secret that belongs to somebody else: its other keys, type, labels, annotations and owners stay. Of two
    SyncedSecrets that want the same key, the older one writes it. A key that no SyncedSecret has written is taken over
    only with adopt: true. deletionPolicy: Delete removes the keys, not the Secret. Defaults to Replace."""

    create: bool | None = None
    """Whether to create the Secret if it does not exist. Otherwise the reason is SecretMissing until it does. Defaults to
    true with Replace, and to false with Merge."""

    @property
    def merges(self) -> bool:
        """Whether the object fills some keys of the Secret."""
        return self.policy == "Merge"

    @property
    def creates(self) -> bool:
        """Whether the Secret is created if it does not exist."""
        return not self.merges if self.create is None else self.create


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


def _changes_more_than_keys(spec: Any) -> bool:
    return bool(spec.labels or spec.annotations or spec.immutable or spec.recreate_on_type_change)


_MERGE: dict[str, Any] = {
    "required": ["target"],
    "properties": {"target": {"required": ["policy"], "properties": {"policy": {"const": "Merge"}}}},
}
_MORE_THAN_KEYS = ("secretMetadata.labels", "secretMetadata.annotations", "immutable", "recreateOnTypeChange")
_SCHEMA = {"not": {**_MERGE, "anyOf": [not_empty(path) for path in _MORE_THAN_KEYS]}}
NOT_WITH_MERGE = Rule(
    "secretMetadata, immutable and recreateOnTypeChange are not possible with target.policy: Merge",
    lambda spec: not (spec.merges and _changes_more_than_keys(spec)),
    _SCHEMA,
    _SCHEMA,
)
"""What would change more than some keys of a Secret of somebody else."""
