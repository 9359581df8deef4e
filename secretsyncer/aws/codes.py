"""AWS's error codes: the outcome of each, and what to do. Pure.

Only the code decides (for one of them, with AWS's sentence), not the HTTP status or the exception class, because the SDK
models only some errors and the services use different statuses. The table has every error in botocore's models of Secrets
Manager, STS and SQS; a test compares them. A service adds codes, and steps for its operations. A code that is not in the
table is `error`, because a slow retry does no harm.
"""

from __future__ import annotations

import re

from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.services import SERVICES, service_of_operation

INVALID_REQUEST = "InvalidRequestException"
"""The secret is scheduled for deletion; or it exists and cannot be read, for example because another account may not use
its KMS key. Only AWS's sentence tells them apart, and only the first is absence."""
_DELETED = re.compile(r"delet", re.IGNORECASE)

_CODES: dict[CallOutcome, tuple[str, ...]] = {
    CallOutcome.DENIED: (
        "AccessDeniedException",
        "AccessDenied",
        "DecryptionFailure",
        "RegionDisabledException",
        "OptInRequired",
        "NotAuthorized",
        "UnauthorizedOperation",
        "EncryptionFailure",
        "InvalidSecurity",
        "InvalidAuthorizationMessageException",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
        "MalformedPolicyDocument",
        "MalformedPolicyDocumentException",
        "PackedPolicyTooLarge",
        "PublicPolicyException",
        "SessionDurationEscalationException",
        INVALID_REQUEST,
        "403",  # a denial whose body is not JSON
    ),
    CallOutcome.NOT_FOUND: (
        "ResourceNotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDeletedRecently",
    ),
    CallOutcome.INVALID: (
        "InvalidParameterException",
        "ValidationException",
        "ValidationError",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "MalformedInput",
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidAddress",
        "InvalidAttributeName",
        "InvalidAttributeValue",
        "InvalidBatchEntryId",
        "InvalidIdFormat",
        "InvalidMessageContents",
        "MessageNotInflight",
        "PreconditionNotMetException",
        "QueueNameExists",
        "ReceiptHandleIsInvalid",
        "ResourceExistsException",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
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
        "KmsThrottled",
        "OverLimit",
        "PurgeQueueInProgress",
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
        "ExpiredTradeInTokenException",
        "IDPRejectedClaim",
        "InvalidIdentityToken",
        "JWTPayloadSizeExceededException",
        "OutboundWebIdentityFederationDisabledException",
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
        "IDPCommunicationError",
    ),
}
FATES: dict[str, CallOutcome] = {
    code: outcome
    for table in (*(service.codes for service in SERVICES.values()), _CODES)
    for outcome, codes in table.items()
    for code in codes
}
"""The table."""


def outcome_of(code: str, sentence: str = "") -> CallOutcome:
    """The outcome for an error code and AWS's sentence."""
    if code == INVALID_REQUEST and _DELETED.search(sentence):
        return CallOutcome.NOT_FOUND
    return FATES.get(code, CallOutcome.ERROR)


def next_step(code: str, operation: str) -> str:
    """What to do, in one sentence; empty if waiting is enough."""
    outcome = outcome_of(code)
    by_service = service_of_operation(operation).next_steps.get((outcome, operation))
    return (
        _BY_CODE.get(code) or by_service or _BY_OPERATION.get((outcome, operation)) or _BY_OUTCOME.get(outcome, "")
    )


_WEB_IDENTITY = (
    "Check the trust policy of the operator's role: its OIDC provider, and the conditions on sub and aud."
)
_BY_CODE = {
    "DecryptionFailure": "Allow kms:Decrypt on the secret's key, in the role's policy and in the key's.",
    INVALID_REQUEST: "Correct what AWS says; to be read by another account, it needs a KMS key of its own.",
    "RegionDisabledException": "Enable the region in the account.",
    "OptInRequired": "Enable the region in the account.",
    "InvalidIdentityToken": _WEB_IDENTITY,
    "IDPRejectedClaim": _WEB_IDENTITY,
    "PackedPolicyTooLarge": "Shorten the session policies and tags of the role.",
    "MalformedPolicyDocument": "Correct the policy of the role.",
    "RequestTimeTooSkewed": "Set the clock of the node.",
    "QueueDoesNotExist": "Correct EVENTS_QUEUE_URL, or create the queue.",
    "AWS.SimpleQueueService.NonExistentQueue": "Correct EVENTS_QUEUE_URL, or create the queue.",
    "403": "Check the proxy or the VPC endpoint policy: the denial has no AWS error code.",
}
_BY_OPERATION = {
    (
        CallOutcome.DENIED,
        "AssumeRole",
    ): "Allow the operator in the role's trust policy, and sts:AssumeRole in the operator's.",
    (CallOutcome.DENIED, "AssumeRoleWithWebIdentity"): _WEB_IDENTITY,
    (CallOutcome.INVALID, "AssumeRole"): "Correct the role, its external id or its session name.",
}
_BY_OUTCOME = {
    CallOutcome.DENIED: "Allow it in IAM.",
    CallOutcome.NOT_FOUND: "Check the name, the region and the account, or create it.",
    CallOutcome.INVALID: "Correct the reference.",
    CallOutcome.CREDENTIALS: "Check the operator's AWS credentials.",
}
