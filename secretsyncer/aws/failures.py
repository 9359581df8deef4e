"""What a failed call to AWS means for whoever waits for it.

    denied, not_found, invalid          Rejected: IAM, the secret or the spec must change first
    throttled, error, no_answer,        Unavailable: try again with backoff
    unreadable, credentials

`codes` decides by AWS's error code. Whatever goes wrong while the operator's own credentials are found, in any
provider of the SDK and with any exception, is `credentials`, and so never an object's fault. `credentials` are
renewed once before they count as unavailable. `AwsError` carries a `Failure` inside this package and never leaves
it; callers get `Failure.error()`.

The texts name secret, role, the operation that failed, its code, AWS's own sentence and what to do next. The sentence
is quoted only with a code of the table, and never the body of an answer that did not come from AWS.
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

from secretsyncer.aws.codes import FATES, CallOutcome, next_step, outcome_of
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable

_PARSERS = frozenset({"aiobotocore.parsers", "botocore.parsers"})
_CREDENTIALS = frozenset(
    f"{library}.{module}" for library in ("botocore", "aiobotocore") for module in ("credentials", "tokens")
)
_QUOTED = 400
"""Characters of AWS's own sentence that are kept: its beginning, and its end, which holds the reason of a denial."""

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
    """One refusal or failure of AWS. `message` has no request id, so that it is the same at each attempt."""

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
        """Whether it says what the other said, apart from the request id and the times."""
        return other is not None and self[:4] == other[:4]

    def error(self, retry_after: float | None = None) -> SyncFailure:
        """A new exception for the user's eyes; new each time, so that no traceback grows on a kept one."""
        text = f"{self.message} (request id {self.request_id})" if self.request_id else self.message
        if self.transient:
            return Unavailable(Reason.AWS_UNAVAILABLE, text, retry_after=retry_after or self.retry_after)
        return Rejected(_REASONS[self.outcome], text)


STOPPING = Failure(CallOutcome.NO_ANSWER, "the operator is stopping")
"""What is told to whoever still waits for AWS at the end."""


class AwsError(Exception):
    """A call to AWS failed. Only for use inside `secretsyncer.aws`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def explain(exc: Exception, operation: str, identity: Identity, secret: str = "") -> Failure | None:
    """What the SDK's exception means for this call; None where it is no failure of AWS but a bug."""
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
    if _raised_in(exc, _PARSERS):
        return _failure(CallOutcome.UNREADABLE, type(exc).__name__, operation, identity, secret)
    return None


def without_credentials(exc: Exception, operation: str) -> Failure:
    """The operator's own credentials or its client cannot be had: a file, a process, a service or a setting fails."""
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
    """Whether it came through one of these modules of the SDK, whatever was raised below them."""
    frames = traceback.walk_tb(exc.__traceback__)
    return any(frame.f_globals.get("__name__") in modules for frame, _ in frames)


def _connection_trouble(exc: Exception) -> str:
    """Which host, and why there was no answer of it. Never the URL: its path and query are nobody's business."""
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
    """Host and port of a URL, without the user and password that a proxy's may hold."""
    parts = urlsplit(url)
    try:
        return f"{parts.hostname or 'an unknown host'}:{parts.port or {'http': 80}.get(parts.scheme, 443)}"
    except ValueError:
        return "an unknown host"


def _cause(error: Any) -> str:
    """The system's own words: refused, name not known, a certificate that nobody vouches for."""
    for inner in (getattr(error, "certificate_error", None), getattr(error, "os_error", None), error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {inner.verify_message}"
        if isinstance(inner, OSError) and inner.errno and inner.errno > 0:
            return os.strerror(inner.errno)
        if isinstance(inner, OSError) and inner.strerror:
            return one_line(inner.strerror)
    return type(error).__name__ if error is not None else "unknown"


def from_code(
    code: str, sentence: str, *, operation: str, identity: Identity, secret: str = "", request_id: str = ""
) -> Failure:
    """The failure behind an error code that AWS sent, with AWS's own sentence."""
    quoted = one_line(sentence) if code in FATES and not code.isdigit() else ""
    step = next_step(code, operation)
    if code == "InvalidRequestException" and "deletion" in sentence:
        step = f"Restore it: aws secretsmanager restore-secret --secret-id {secret}"
    failure = _failure(outcome_of(code), code, operation, identity, secret, why=quoted, step=step)
    return failure._replace(request_id=one_line(request_id)[:64])


def unreadable(operation: str, identity: Identity, secret: str = "") -> Failure:
    """The answer was a success by its status, but not what AWS sends."""
    return _failure(CallOutcome.UNREADABLE, "not an answer of AWS", operation, identity, secret)


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
    what = _TEXTS.get((outcome, operation)) or _TEXTS.get((outcome, "")) or _OTHER
    if code == "DecryptionFailure":
        what = "{identity} may not decrypt secret {secret} with its KMS key"
    text = what.format(identity=identity, role=identity.role, secret=secret, operation=operation)
    detail = f"{operation}: {code}" if code else operation
    message = f"{text} ({detail})" + (f": {why}" if why else "")
    return Failure(outcome, f"{message.rstrip('.')}. {step}" if step else message, operation, code)


_OTHER = "AWS is not available to {identity}"
_TEXTS: dict[tuple[CallOutcome, str], str] = {
    (CallOutcome.DENIED, ""): "{identity} may not read secret {secret}",
    (CallOutcome.DENIED, "AssumeRole"): "the operator may not assume role {role}",
    (CallOutcome.DENIED, "ListSecrets"): "{identity} may not list secrets",
    (CallOutcome.DENIED, "DescribeSecret"): "{identity} may not read the tags of secret {secret}",
    (CallOutcome.DENIED, "GetCallerIdentity"): "the operator may not call sts:GetCallerIdentity",
    (CallOutcome.NOT_FOUND, ""): "{identity} finds no such secret or version: {secret}",
    (CallOutcome.INVALID, ""): "AWS does not accept the reference {secret} of {identity}",
    (CallOutcome.INVALID, "AssumeRole"): "AWS rejects the request to assume role {role}",
    (CallOutcome.THROTTLED, ""): "AWS throttles {identity}",
    (CallOutcome.CREDENTIALS, ""): "the credentials of {identity} are missing, expired or refused",
    (CallOutcome.CREDENTIALS, "AssumeRole"): "the operator's own credentials are missing, expired or refused",
    (CallOutcome.CREDENTIALS, "AssumeRoleWithWebIdentity"): "the operator cannot assume its own role",
    (CallOutcome.NO_ANSWER, ""): "AWS does not answer {identity}",
    (CallOutcome.UNREADABLE, ""): "the answer to {identity} did not come from AWS",
}


def one_line(text: str) -> str:
    """Foreign text as one printable line; of a long one the middle is cut."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    half = (_QUOTED - 3) // 2
    return line if len(line) <= _QUOTED else f"{line[:half]} … {line[-half:]}"
