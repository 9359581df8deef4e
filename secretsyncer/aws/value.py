"""The value of a secret or a parameter. Pure, so that rendering needs neither an SDK nor a client."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from secretsyncer.aws.services import SERVICES


@dataclass(frozen=True, slots=True)
class SecretValue:
    """One version of a secret or a parameter: text or bytes.

    `stages` are the staging labels that the version had. `repr` never shows the value.
    """

    name: str
    arn: str
    version_id: str
    text: str | None = field(repr=False)
    binary: bytes | None = field(repr=False)
    stages: tuple[str, ...] = ()
    service: str = "SecretsManager"

    @property
    def size(self) -> int:
        """Length of the value: text in characters, binary in bytes."""
        return len(self.text or self.binary or "")

    def answers(self, secret_id: str) -> bool:
        """Whether the id (name, full or partial ARN) means this secret."""
        if not secret_id.startswith("arn:"):
            return self.name == secret_id
        return secret_id in SERVICES[self.service].forms_of(self.arn)

    @property
    def title(self) -> str:
        """What it is and its name, in messages."""
        return f"{SERVICES[self.service].noun} {self.name}"


def size_of(values: Iterable[object]) -> int:
    """The size of those that are values, together."""
    return sum(value.size for value in values if isinstance(value, SecretValue))
