"""The meaning of a failed AWS call for its callers.

    denied, not_found, invalid          Rejected: IAM, the secret or the spec has to change
    throttled, error, no_answer,        Unavailable: retry with backoff
    unreadable, credentials

`codes` maps AWS's error codes to outcomes. Any failure to find the operator's own credentials is `credentials`, whatever
the provider of the SDK and the exception, so it never counts against an object. `credentials` are renewed once before
they count as unavailable. `AwsError` carries a `Failure` inside this package and never leaves it; callers get
`Failure.error()`.

The texts name the secret, the role, the failed operation, its code, AWS's own message and what to do next. They quote
AWS's message only for a code in the table, and never the body of a response that did not come from AWS.
"""

from __future__ import annotations

import os
import ssl
import traceback
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidRegionError,
    LoginError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from secretsyncer.aws.codes import FATES, INVALID_REQUEST, next_step, outcome_of
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import service_of_operation
from secretsyncer.errors import Reason, Rejected, SettingsError, SyncFailure, Unavailable

_PARSERS = frozenset({"aiobotocore.parsers", "botocore.parsers"})
_ENDPOINTS = frozenset({"aiobotocore.endpoint", "botocore.endpoint"})
"""Where the SDK stumbles itself over what it has parsed, such as the JSON text `null`."""
_CREDENTIALS = frozenset(
    f"{library}.{module}" for library in ("botocore", "aiobotocore") for module in ("credentials", "tokens", "auth")
)
"""Modules that look for credentials, and sign with them: a key that is no text fails only there."""
_QUOTED = 400
"""Maximum length of AWS's own message. Its beginning and its end are kept: the end has the reason of a denial."""

_SAID_ALREADY = "Secrets Manager can't find the specified secret."
"""AWS's message for a secret that does not exist, which ours says, too. That for a missing version says more."""

_REASONS = {
    CallOutcome.DENIED: Reason.ACCESS_DENIED,
    CallOutcome.NOT_FOUND: Reason.SECRET_NOT_FOUND,
    CallOutcome.INVALID: Reason.INVALID_SPEC,
}
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    TokenRetrievalError,
    SSOError,
    LoginError,
)


class Failure(NamedTuple):
    """One failed call. `message` has no request id, so that it is the same for each attempt."""

    outcome: CallOutcome
    message: str
    operation: str = ""
    code: str = ""
    request_id: str = ""
    retry_after: float | None = None

    @property
    def transient(self) -> bool:
        return self.outcome not in _REASONS

    def same_as(self, other: Failure | None) -> bool:
        """Whether both are equal, except for the request id and the delay."""
        return other is not None and self[:4] == other[:4]

    def error(self, retry_after: float | None = None) -> SyncFailure:
        """A new exception for the user. It is never reused, so that its traceback cannot grow."""
        text = f"{self.message} (request id {self.request_id})" if self.request_id else self.message
        if self.transient:
            return Unavailable(Reason.AWS_UNAVAILABLE, text, retry_after=retry_after or self.retry_after)
        return Rejected(_REASONS[self.outcome], text)


STOPPING = Failure(CallOutcome.NO_ANSWER, "the operator is stopping")
"""The result for callers that still wait for AWS when the operator stops."""


class AwsError(Exception):
    """A call to AWS failed. Only for use inside `secretsyncer.aws`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def explain(exc: Exception, operation: str, identity: Identity, secret: str = "") -> Failure | None:
    """The failure for an exception of the SDK; None if it is a bug and not a failure of AWS."""
    if _raised_in(exc, _CREDENTIALS) or isinstance(exc, _NO_CREDENTIALS):
        return without_credentials(exc, operation)
    if isinstance(exc, ClientError):
        error = exc.response.get("Error", {})
        request_id = str(exc.response.get("ResponseMetadata", {}).get("RequestId", ""))
        return from_code(
            str(error.get("Code", "")),
            str(error.get("Message", "")),
            operation=operation,
            identity=identity,
            secret=secret,
            request_id=request_id,
        )
    if isinstance(exc, HTTPClientError | BotoConnectionError):
        return _failure(CallOutcome.NO_ANSWER, "", operation, identity, secret, why=_connection_trouble(exc))
    for kinds, outcome in (
        ((ParamValidationError, InvalidRegionError), CallOutcome.INVALID),
        ((BotoCoreError,), CallOutcome.ERROR),
    ):
        if isinstance(exc, kinds):
            return _failure(outcome, type(exc).__name__, operation, identity, secret)
    if _raised_in(exc, _PARSERS) or _frames(exc)[-1] in _ENDPOINTS:
        return _failure(CallOutcome.UNREADABLE, type(exc).__name__, operation, identity, secret)
    return None


def without_credentials(exc: Exception, operation: str) -> Failure:
    """The failure to get the operator's own credentials, from a file, a process, a service or a setting."""
    if isinstance(exc, ClientError):
        error = exc.response.get("Error", {})
        code, operation = str(error.get("Code", "")), exc.operation_name or operation
        cause = one_line(str(error.get("Message", ""))) if code in FATES else ""
        step = next_step(code, operation)
    else:
        code, cause = type(exc).__name__, one_line(str(exc))
        step = next_step("ExpiredToken", operation)
    return _failure(CallOutcome.CREDENTIALS, code, operation, OPERATOR, "", why=cause, step=step)


def _raised_in(exc: BaseException, modules: frozenset[str]) -> bool:
    """Whether the exception passed through one of these modules of the SDK."""
    return not modules.isdisjoint(_frames(exc))


def _frames(exc: BaseException) -> list[str]:
    """The modules that the exception passed through; the last one raised it."""
    frames = traceback.walk_tb(exc.__traceback__)
    return [str(frame.f_globals.get("__name__")) for frame, _ in frames] or [""]


def _connection_trouble(exc: Exception) -> str:
    """The host and why it did not answer. Never the whole URL, because path and query may be confidential."""
    known: dict[str, Any] = getattr(exc, "kwargs", {})
    host = _host(str(known.get("endpoint_url") or ""))
    cause = known.get("error")
    match exc:
        case ReadTimeoutError():
            return f"no answer from {host} in time"
        case ConnectTimeoutError():
            return f"no connection to {host} in time"
        case ConnectionClosedError():
            return f"{host} closed the connection without an answer"
        case ProxyConnectionError():
            return f"no connection to the proxy {_host(str(known.get('proxy_url') or ''))}: {_cause(cause)}"
        case SSLError():
            return f"TLS with {host} failed: {_cause(cause)}"
    return f"no connection to {host}: {_cause(cause)}"


def _host(url: str) -> str:
    """Host and port of a URL, without the user and password that the URL of a proxy may contain."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'an unknown host'}:{parts.port or {'http': 80}.get(parts.scheme, 443)}"
    except ValueError:
        return "an unknown host"


def _cause(error: Any) -> str:
    """The message of the operating system, of TLS or of a setting."""
    if isinstance(error, SettingsError):
        return str(error)
    for inner in (getattr(error, "certificate_error", None), getattr(error, "os_error", None), error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {inner.verify_message}"
        if isinstance(status := getattr(inner, "status", None), int):  # of a proxy that refuses to connect
            return f"it answers with the status {status}"
        if isinstance(inner, OSError) and inner.errno and inner.errno > 0:
            return os.strerror(inner.errno)
        if isinstance(inner, OSError) and inner.strerror:
            return one_line(inner.strerror)
    return type(error).__name__ if error is not None else "unknown"


def from_code(
    code: str, sentence: str, *, operation: str, identity: Identity, secret: str = "", request_id: str = ""
) -> Failure:
    """The failure for an error code from AWS, with AWS's own message."""
    quoted = one_line(sentence) if code in FATES and not code.isdigit() and sentence != _SAID_ALREADY else ""
    outcome, step = outcome_of(code, sentence), next_step(code, operation)
    if code == INVALID_REQUEST and outcome is CallOutcome.NOT_FOUND:
        step = f"Restore it: aws secretsmanager restore-secret --secret-id {secret}"
    failure = _failure(outcome, code, operation, identity, secret, why=quoted, step=step)
    return failure._replace(request_id=one_line(request_id)[:64])


def unreadable(operation: str, identity: Identity, secret: str = "") -> Failure:
    """The status was a success, but the response did not come from AWS."""
    return _failure(CallOutcome.UNREADABLE, "not a response of AWS", operation, identity, secret)


def _failure(
    outcome: CallOutcome,
    code: str,
    operation: str,
    identity: Identity,
    secret: str,
    *,
    why: str = "",
    step: str = "",
) -> Failure:
    service = service_of_operation(operation)
    key = (outcome, operation)
    what = service.texts.get(key) or _TEXTS.get(key) or _TEXTS.get((outcome, "")) or _OTHER
    if code == "DecryptionFailure":
        what = "{identity} is not allowed to decrypt {kind} {secret} with its KMS key"
    text = what.format(identity=identity, role=identity.role, kind=service.kind, secret=secret, operation=operation)
    named = service.reads_as if operation in service.reads else operation
    detail = f"{named}: {code}" if code else named
    message = f"{text} ({detail})" + (f": {why}" if why else "")
    return Failure(outcome, f"{message.rstrip('.')}. {step}" if step else message, operation, code)


_OTHER = "AWS is not available to {identity}"
_TEXTS: dict[tuple[CallOutcome, str], str] = {
    (CallOutcome.DENIED, ""): "{identity} is not allowed to read {kind} {secret}",
    (CallOutcome.DENIED, "AssumeRole"): "the operator is not allowed to assume role {role}",
    (CallOutcome.DENIED, "GetCallerIdentity"): "the operator is not allowed to call sts:GetCallerIdentity",
    (CallOutcome.NOT_FOUND, ""): "{identity} cannot find {kind} {secret}, or the requested version of it",
    (CallOutcome.INVALID, ""): "AWS rejects the reference {secret} of {identity}",
    (CallOutcome.INVALID, "AssumeRole"): "AWS rejects the request to assume role {role}",
    (CallOutcome.THROTTLED, ""): "AWS throttles {identity}",
    (CallOutcome.CREDENTIALS, ""): "the credentials of {identity} are missing, expired or rejected",
    (CallOutcome.CREDENTIALS, "AssumeRole"): "the operator's own credentials are missing, expired or rejected",
    (CallOutcome.CREDENTIALS, "AssumeRoleWithWebIdentity"): "the operator cannot assume its own role",
    (CallOutcome.NO_ANSWER, ""): "AWS does not answer {identity}",
    (CallOutcome.UNREADABLE, ""): "the response to {identity} did not come from AWS",
}


def one_line(text: str) -> str:
    """Foreign text as one printable line. A long text is cut in the middle."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(text.split())
    half = (_QUOTED - 3) // 2
    return line if len(line) <= _QUOTED else f"{line[:half]} … {line[-half:]}"
