"""What AWS's errors mean: one table from error code to fate.

Codes decide, never HTTP statuses or exception classes: the SDK models only some of the errors, and the
services differ in their statuses. Fates:

    denied, not_found, invalid          Rejected: IAM, the secret or the spec must change first
    throttled, error, no_answer,        Unavailable: try again with backoff
    unreadable, credentials

`credentials` (expired, revoked, missing) are renewed once before they count as unavailable. A code that is
not in the table is `error`: trying again slowly is the harmless mistake. `AwsError` carries a `Failure`
inside this package and never leaves it; callers get `Failure.error()`.

The texts name secret, role, operation, code and request id. AWS's own sentence is quoted only with a code of
the table, and never the body of an answer that did not come from AWS.
"""

from __future__ import annotations

import traceback
from enum import StrEnum
from typing import NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidRegionError,
    LoginError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable, clip

_PARSERS = frozenset({"aiobotocore.parsers", "botocore.parsers"})
_QUOTED = 300
"""Characters of AWS's own sentence that are kept."""


class CallOutcome(StrEnum):
    """How one call to AWS ended: the label `outcome` of `secretsyncer_aws_calls_total`."""

    SUCCESS = "success"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    THROTTLED = "throttled"
    ERROR = "error"
    NO_ANSWER = "no_answer"
    UNREADABLE = "unreadable"
    CREDENTIALS = "credentials"


_CODES: dict[CallOutcome, tuple[str, ...]] = {
    CallOutcome.DENIED: (
        "AccessDeniedException",
        "AccessDenied",
        "DecryptionFailure",
        "RegionDisabledException",
        "OptInRequired",
        "NotAuthorized",
        "UnauthorizedOperation",
        "403",  # a refusal whose body is not JSON
    ),
    CallOutcome.NOT_FOUND: (
        "ResourceNotFoundException",
        "InvalidRequestException",  # the secret is scheduled for deletion
    ),
    CallOutcome.INVALID: (
        "InvalidParameterException",
        "ValidationException",
        "ValidationError",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "MalformedInput",
    ),
    CallOutcome.THROTTLED: (
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "429",
    ),
    CallOutcome.CREDENTIALS: (
        "ExpiredTokenException",
        "ExpiredToken",
        "RequestExpired",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "AuthFailure",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestTimeTooSkewed",
    ),
    CallOutcome.ERROR: (
        "InternalServiceError",
        "InternalServiceErrorException",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "InvalidNextTokenException",
    ),
}
FATES: dict[str, CallOutcome] = {code: outcome for outcome, codes in _CODES.items() for code in codes}
"""The table."""

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


def outcome_of(code: str) -> CallOutcome:
    """The fate of an error code."""
    return FATES.get(code, CallOutcome.ERROR)


def explain(exc: Exception, operation: str, identity: Identity, secret: str = "") -> Failure | None:
    """What the SDK's exception means for this call; None where it is no failure of AWS but a bug."""
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
    for kinds, outcome in (
        ((ParamValidationError, InvalidRegionError), CallOutcome.INVALID),
        (_NO_CREDENTIALS, CallOutcome.CREDENTIALS),
        ((HTTPClientError, BotoConnectionError), CallOutcome.NO_ANSWER),
        ((BotoCoreError,), CallOutcome.ERROR),
    ):
        if isinstance(exc, kinds):
            return _failure(outcome, type(exc).__name__, operation, identity, secret)
    if _from_parser(exc):
        return _failure(CallOutcome.UNREADABLE, type(exc).__name__, operation, identity, secret)
    return None


def _from_parser(exc: Exception) -> bool:
    """Whether the SDK's parser gave up: over a proxy's page it raises whatever its code runs into."""
    frames = traceback.walk_tb(exc.__traceback__)
    return any(frame.f_globals.get("__name__") in _PARSERS for frame, _ in frames)


def from_code(
    code: str, sentence: str, *, operation: str, identity: Identity, secret: str = "", request_id: str = ""
) -> Failure:
    """The failure behind an error code that AWS sent, with AWS's own sentence."""
    failure = _failure(outcome_of(code), code, operation, identity, secret)
    quoted = _one_line(sentence) if code in FATES and not code.isdigit() else ""
    message = f"{failure.message}: {quoted}" if quoted else failure.message
    return failure._replace(message=message, request_id=_one_line(request_id)[:64])


def unreadable(operation: str, identity: Identity, secret: str = "") -> Failure:
    """The answer was a success by its status, but not what AWS sends."""
    return _failure(CallOutcome.UNREADABLE, "not an answer of AWS", operation, identity, secret)


def _failure(outcome: CallOutcome, code: str, operation: str, identity: Identity, secret: str) -> Failure:
    what = _TEXTS.get((outcome, operation)) or _TEXTS.get((outcome, "")) or _OTHER
    if code == "DecryptionFailure":
        what = "{identity} may not decrypt secret {secret} with its KMS key"
    text = what.format(identity=identity, role=identity.role, secret=secret, operation=operation)
    detail = f"{operation}: {code}" if code else operation
    return Failure(outcome, f"{text} ({detail})", operation, code)


_OTHER = "AWS is not available to {identity}"
_TEXTS: dict[tuple[CallOutcome, str], str] = {
    (CallOutcome.DENIED, ""): "{identity} may not read secret {secret}",
    (CallOutcome.DENIED, "AssumeRole"): "the operator may not assume role {role}",
    (CallOutcome.DENIED, "ListSecrets"): "{identity} may not list secrets",
    (CallOutcome.DENIED, "DescribeSecret"): "{identity} may not read the tags of secret {secret}",
    (CallOutcome.DENIED, "GetCallerIdentity"): "the operator may not ask who it is",
    (CallOutcome.NOT_FOUND, ""): "{identity} finds no such secret or version: {secret}",
    (CallOutcome.INVALID, ""): "AWS does not accept the reference {secret} of {identity}",
    (CallOutcome.INVALID, "AssumeRole"): "AWS does not accept how role {role} is to be assumed",
    (CallOutcome.THROTTLED, ""): "AWS throttles {identity}",
    (CallOutcome.CREDENTIALS, ""): "the credentials of {identity} are missing, expired or refused",
    (CallOutcome.CREDENTIALS, "AssumeRole"): "the operator's own credentials are missing, expired or refused",
    (CallOutcome.UNREADABLE, ""): "the answer to {identity} did not come from AWS",
}


def _one_line(text: str) -> str:
    return clip(" ".join("".join(char if char.isprintable() else " " for char in text).split()), _QUOTED)
