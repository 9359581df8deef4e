"""Who reads which secret or parameter: the two keys of everything in this package. Pure values.

A value that was fetched with one `Identity` is never returned to another, so the identity is part of the key of every
cache, client and batch.
"""

from __future__ import annotations

from typing import NamedTuple

CURRENT = "AWSCURRENT"
"""The staging label of the current version."""


class Identity(NamedTuple):
    """A role, and the parameters for assuming it.

    `role` is a canonical role ARN. Empty means the operator's own credentials, without AssumeRole. Empty `external_id`
    and `session_name` mean the defaults of the operator.
    """

    role: str
    external_id: str = ""
    session_name: str = ""

    def __str__(self) -> str:
        return f"role {self.role}" if self.role else "the operator"


OPERATOR = Identity("")
"""The operator's own credentials."""


class SecretRef(NamedTuple):
    """One version of one secret or parameter, read by one identity.

    `id` is a name, a full or a partial ARN, as the user wrote it. Empty `region`: that of the ARN, or else of the
    operator. `stage` is a staging label, or the label of a parameter; empty: the current version. A `version_id` pins one
    version, which never changes. `service` is the name of the service (`services/`).
    """

    identity: Identity
    id: str
    region: str = ""
    version_id: str = ""
    stage: str = ""
    service: str = "SecretsManager"
