"""The value of a secret, as AWS gave it. Pure: the rules that render it need neither an SDK nor a client."""

from __future__ import annotations

from dataclasses import dataclass, field

from secretsyncer.aws.arn import without_suffix


@dataclass(frozen=True, slots=True)
class SecretValue:
    """One version of a secret, as AWS gave it: either text or bytes.

    `stages` are the labels that the version carried then. The representation never shows the value.
    """

    name: str
    arn: str
    version_id: str
    text: str | None = field(repr=False)
    binary: bytes | None = field(repr=False)
    stages: tuple[str, ...] = ()

    def answers(self, secret_id: str) -> bool:
        """Whether a question for this id (name, full or partial ARN) is answered by this secret."""
        if not secret_id.startswith("arn:"):
            return self.name == secret_id
        return secret_id in {self.arn, without_suffix(self.arn)}
