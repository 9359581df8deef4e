"""What one call to AWS led to. Pure."""

from __future__ import annotations

from enum import StrEnum


class CallOutcome(StrEnum):
    """The outcome of one AWS call: values of the label `outcome` of `secretsyncer_aws_calls_total`."""

    SUCCESS = "success"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    THROTTLED = "throttled"
    ERROR = "error"
    NO_ANSWER = "no_answer"
    UNREADABLE = "unreadable"
    CREDENTIALS = "credentials"
