"""The failures that the controller distinguishes.

    SecretsyncerError
    ├── SyncFailure            a reconcile failed; becomes the condition `Ready=False` of the object
    │   ├── Rejected           somebody has to change something: wait for a change or the next resync, no backoff
    │   │   └── Unlisted       denied, and missing in the listing: handled like a secret that does not exist
    │   └── Unavailable        retry with backoff and jitter, after at least `retry_after` seconds
    │       └── Awaited        the first listing of AWS has not ended: no failure, and not reported
    ├── TakesLong              a reconcile has to begin again, with one of the workers for what takes long
    ├── StillWaiting           a reconcile has to begin again later, because AWS has not answered yet
    ├── KubeError              the Kubernetes API responded with an error, or did not respond
    └── SettingsError          a setting is wrong: exit code 2

Any other exception is a bug: logged with its traceback, counted, retried with backoff. The messages go to statuses,
Events and logs, so they name secrets, keys, roles and positions, and never contain a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=BaseException)

MESSAGE_LIMIT = 1024
"""Maximum length of a message: the limit of the message of an Event."""


class Reason(StrEnum):
    """Reasons of the `Ready` condition. They are API: users write alerts for them."""

    SYNCED = "Synced"
    SUSPENDED = "Suspended"
    INVALID_SPEC = "InvalidSpec"
    ROLE_NOT_ALLOWED = "RoleNotAllowed"
    ACCESS_DENIED = "AccessDenied"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a password
    INVALID_SECRET_VALUE = "InvalidSecretValue"  # noqa: S105 - as above
    TEMPLATE_ERROR = "TemplateError"
    CONFLICT = "Conflict"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - as above
    AWS_UNAVAILABLE = "AWSUnavailable"
    KUBERNETES_ERROR = "KubernetesError"
    ADMISSION_DENIED = "AdmissionDenied"


def clip(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text on one line, truncated to `limit` characters. A truncated text ends with an ellipsis.

    Messages quote what others have written, such as a regular expression. Characters that would control a terminal, break
    the line or reorder it are shown as in a string of Python.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


class SecretsyncerError(Exception):
    """The base of all exceptions that this program raises on purpose."""


class SyncFailure(SecretsyncerError):  # noqa: N818 - the word that users see
    """A reconcile failed for a reason that the user should see."""

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(clip(message))
        self.reason = reason
        self.message = clip(message)
        self.retry_after = retry_after


class Rejected(SyncFailure):
    """Fails the same way until the spec, the namespace, AWS or Kubernetes changes."""


class Unlisted(Rejected):
    """AWS denies access to a secret that does not exist, according to a complete listing of its account."""


class Unavailable(SyncFailure):
    """May succeed later: throttling, timeouts, a namespace that is not known yet."""


class Awaited(Unavailable):
    """Needs the first listing of a service, which has not ended. It is tried again as soon as that ends."""


class TakesLong(SecretsyncerError):  # noqa: N818 - what the reconcile does
    """The reconcile has to begin again where it may take long. Nothing was written, and nothing is reported."""


class StillWaiting(SecretsyncerError):  # noqa: N818 - what the reconcile does
    """AWS has not answered yet. The reconcile begins again later. Nothing was written, and nothing is reported."""


def combine(failures: Sequence[SyncFailure]) -> SyncFailure:
    """One failure for several, with all messages and the first reason. Retried if one of them is temporary, and
    not reported if one of them is awaited: the next attempt tells.
    """
    waiting = [failure for failure in failures if isinstance(failure, Unavailable)]
    first = (waiting or failures)[0]
    message = "; ".join(dict.fromkeys(failure.message for failure in failures))
    if waiting:
        kind = Awaited if any(isinstance(failure, Awaited) for failure in waiting) else Unavailable
        return kind(first.reason, message, retry_after=max(f.retry_after or 0 for f in waiting) or None)
    return Rejected(first.reason, message)


def without_frames(failure: E) -> E:
    """The failure, to be kept, without its tracebacks and those of its causes.

    Their frames hold everything that the failure was made from, and often the failure itself. Such a cycle is freed by a
    full garbage collection only, and never if it was alive at the one before (`operator/pauses.py`).
    """
    rest: list[BaseException | None] = [failure]
    while rest:
        one = rest.pop()
        if one is not None and (one.__traceback__ or one is failure):
            one.__traceback__ = None
            rest += [one.__cause__, one.__context__]
    return failure


class KubeError(SecretsyncerError):
    """The Kubernetes API responded with an error, or did not respond.

    `status` is the HTTP status, or 0 without a response. `reason` is the reason of the Status object (`NotFound`,
    `Conflict`, `Expired`, ...). `retry_after` is the delay that the server asked for, in seconds.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(clip(f"{reason or status}: {message}"))
        self.status = status
        self.reason = reason
        self.message = clip(message)
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later by itself."""
        return self.status in {0, 408, 409, 425, 429} or self.status >= 500


class SettingsError(SecretsyncerError):
    """A setting is wrong; the message is one line that names the variable."""
