"""What can go wrong, as three kinds that the controller treats differently.

    SecretsyncerError
    ├── SyncFailure            a pass over one object cannot succeed; becomes its `Ready=False` condition
    │   ├── Rejected           the world must change first: wait for a change or the next sync, no backoff
    │   └── Unavailable        try again: backoff with jitter, at least `retry_after` seconds
    ├── KubeError              the Kubernetes API answered with an error, or did not answer
    └── SettingsError          the process was started with a wrong setting: exit code 2

Everything else that is raised is a bug: logged with its traceback, counted, retried with backoff.
The text of these errors goes to statuses, events and logs, so it names secrets, keys, roles and
positions, and never holds a value.
"""

from __future__ import annotations

from enum import StrEnum

MESSAGE_LIMIT = 1024
"""Characters of an error's text that are kept: the limit of an Event's message."""


class Reason(StrEnum):
    """Reasons of the `Ready` condition. They are API: users write alerts on them."""

    SYNCED = "Synced"
    SUSPENDED = "Suspended"
    INVALID_SPEC = "InvalidSpec"
    ROLE_NOT_ALLOWED = "RoleNotAllowed"
    ACCESS_DENIED = "AccessDenied"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a password
    INVALID_SECRET_VALUE = "InvalidSecretValue"  # noqa: S105 - as above
    TEMPLATE_ERROR = "TemplateError"
    CONFLICT = "Conflict"
    AWS_UNAVAILABLE = "AWSUnavailable"
    KUBERNETES_ERROR = "KubernetesError"


def clip(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text, cut to `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


class SecretsyncerError(Exception):
    """The root of what this program raises on purpose."""


class SyncFailure(SecretsyncerError):  # noqa: N818 - a failure of a pass, the word that users see
    """A pass over one object failed for a reason that its user should see."""

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(clip(message))
        self.reason = reason
        self.message = clip(message)
        self.retry_after = retry_after


class Rejected(SyncFailure):
    """It fails the same way until the spec, the namespace, AWS or Kubernetes changes."""


class Unavailable(SyncFailure):
    """It may work in a moment: throttling, time-outs, a namespace not seen yet."""


class KubeError(SecretsyncerError):
    """The Kubernetes API refused or did not answer.

    `status` is the HTTP status, 0 where there was no answer; `reason` is the Status object's reason
    (`NotFound`, `Conflict`, `Expired`, ...); `retry_after` is what the server asked for, in seconds.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(clip(f"{reason or status}: {message}"))
        self.status = status
        self.reason = reason
        self.message = clip(message)
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later without anybody's doing."""
        return self.status in {0, 408, 409, 425, 429} or self.status >= 500


class SettingsError(SecretsyncerError):
    """A setting is wrong; the message is one line that names the variable."""
