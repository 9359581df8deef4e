"""As whom AWS is asked, and for what: the two keys of everything in this package. Pure values.

A value fetched under one `Identity` is never handed out under another, so every cache, client and batch is
keyed by it.
"""

from __future__ import annotations

from typing import NamedTuple

CURRENT = "AWSCURRENT"
"""The staging label of the version that is in force."""


class Identity(NamedTuple):
    """A role, and how it is assumed.

    `role` is a canonical role ARN; empty means the operator's own credentials, without assuming anything.
    Empty `external_id` and `session_name` mean the operator's defaults.
    """

    role: str
    external_id: str = ""
    session_name: str = ""

    def __str__(self) -> str:
        return f"role {self.role}" if self.role else "the operator"


OPERATOR = Identity("")
"""The operator's own credentials."""


class SecretRef(NamedTuple):
    """One version of one secret, as one identity asks for it.

    `id` is a name, a full or a partial ARN, as the user wrote it. Empty `region`: that of the ARN, else the
    operator's. Empty `stage`: AWSCURRENT. A `version_id` pins one version, which never changes.
    """

    identity: Identity
    id: str
    region: str = ""
    version_id: str = ""
    stage: str = ""
