"""The value of a secret. Pure, so that rendering needs neither an SDK nor a client."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from secretsyncer.aws.arn import without_suffix


@dataclass(frozen=True, slots=True)
class SecretValue:
    """One version of a secret: text or bytes.

    `stages` are the staging labels that the version had. `repr` never shows the value.
    """

    name: str
    arn: str
    version_id: str
    text: str | None = field(repr=False)
    binary: bytes | None = field(repr=False)
    stages: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Length of the value: text in characters, binary in bytes."""
        return len(self.text or self.binary or "")

    def answers(self, secret_id: str) -> bool:
        """Whether the id (name, full or partial ARN) means this secret."""
        if not secret_id.startswith("arn:"):
            return self.name == secret_id
        return secret_id in {self.arn, without_suffix(self.arn)}


def size_of(values: Iterable[object]) -> int:
    """The size of those that are values, together."""
    return sum(value.size for value in values if isinstance(value, SecretValue))
