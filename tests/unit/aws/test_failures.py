"""From error codes to fates, and what the user reads."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import QueryParser, ResponseParserError

from secretsyncer.aws.failure_memory import REFUSAL_STANDS, FailureMemory
from secretsyncer.aws.failures import FATES, CallOutcome, Failure, explain, from_code, outcome_of
from secretsyncer.aws.identity import Identity
from secretsyncer.backoff import Backoff
from secretsyncer.errors import Reason, Rejected, Unavailable

ROLE = Identity("arn:aws:iam::123456789012:role/reader")


def failure(code, *, operation="GetSecretValue", sentence="AWS says", request_id="r-1", identity=ROLE):
    return from_code(
        code, sentence, operation=operation, identity=identity, secret="app/config", request_id=request_id
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDeniedException", Reason.ACCESS_DENIED),
        ("DecryptionFailure", Reason.ACCESS_DENIED),
        ("RegionDisabledException", Reason.ACCESS_DENIED),
        ("403", Reason.ACCESS_DENIED),
        ("ResourceNotFoundException", Reason.SECRET_NOT_FOUND),
        ("InvalidRequestException", Reason.SECRET_NOT_FOUND),
        ("InvalidParameterException", Reason.INVALID_SPEC),
        ("ValidationException", Reason.INVALID_SPEC),
    ],
)
def test_what_needs_a_change_of_the_world_is_rejected_with_its_reason(code, reason):
    error = failure(code).error()
    assert isinstance(error, Rejected)
    assert error.reason is reason


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "InternalServiceError",
        "ServiceUnavailable",
        "502",
        "ExpiredTokenException",
        "Brandnew",
    ],
)
def test_what_may_pass_is_unavailable_and_a_code_nobody_knows_is_too(code):
    error = failure(code).error(retry_after=3)
    assert isinstance(error, Unavailable)
    assert (error.reason, error.retry_after) == (Reason.AWS_UNAVAILABLE, 3)


def test_each_code_has_one_fate():
    assert len(FATES) > 40
    assert outcome_of("ThrottlingException") is CallOutcome.THROTTLED


def test_the_message_names_secret_role_operation_code_and_request_id():
    text = failure("AccessDeniedException").error().message
    for part in ("app/config", ROLE.role, "GetSecretValue", "AccessDeniedException", "r-1", "AWS says"):
        assert part in text


def test_a_refused_role_and_a_refused_secret_read_differently():
    refused_role = failure("AccessDenied", operation="AssumeRole").error().message
    refused_secret = failure("AccessDeniedException").error().message
    assert refused_role.startswith(f"the operator may not assume role {ROLE.role}")
    assert refused_secret.startswith(f"role {ROLE.role} may not read secret app/config")


def test_the_operators_own_refusal_names_the_operator():
    assert failure("AccessDeniedException", identity=Identity("")).message.startswith("the operator may not read")


def test_a_key_that_may_not_be_used_is_named_as_the_cause():
    assert "may not decrypt secret app/config" in failure("DecryptionFailure").message


def test_a_proxys_page_is_never_quoted():
    page = "<html>user=admin&password=hunter2</html>"
    for code in ("403", "502", "404"):
        assert "hunter2" not in failure(code, sentence=page).error().message


def test_quotes_of_aws_are_one_short_printable_line():
    message = failure("AccessDeniedException", sentence="a\n\x1b[31m" + "b" * 5000).error().message
    assert message.isprintable()
    assert len(message) < 700


def test_the_same_refusal_with_another_request_id_is_the_same():
    assert failure("AccessDenied", request_id="a").same_as(failure("AccessDenied", request_id="b"))
    assert not failure("AccessDenied").same_as(failure("ThrottlingException"))


@pytest.mark.parametrize(
    ("exc", "outcome"),
    [
        (ReadTimeoutError(endpoint_url="http://x"), CallOutcome.NO_ANSWER),
        (EndpointConnectionError(endpoint_url="http://x"), CallOutcome.NO_ANSWER),
        (NoCredentialsError(), CallOutcome.CREDENTIALS),
        (ParamValidationError(report="too short"), CallOutcome.INVALID),
        (ClientError({}, "GetSecretValue"), CallOutcome.ERROR),
        (ClientError({"Error": {"Code": "Throttling"}}, "GetSecretValue"), CallOutcome.THROTTLED),
    ],
)
def test_the_sdks_own_exceptions_have_a_fate(exc, outcome):
    explained = explain(exc, "GetSecretValue", ROLE, "app/config")
    assert explained is not None
    assert explained.outcome is outcome


def test_what_the_sdks_parser_trips_over_is_unreadable_and_what_we_trip_over_is_a_bug():
    with pytest.raises(ResponseParserError) as caught:
        QueryParser().parse({"body": b"<html><p>", "headers": {}, "status_code": 200}, None)
    explained = explain(caught.value, "GetSecretValue", ROLE)
    assert explained is not None
    assert explained.outcome is CallOutcome.UNREADABLE
    assert explain(TypeError("our own"), "GetSecretValue", ROLE) is None


def test_a_kept_failure_gives_a_new_exception_each_time():
    kept = failure("AccessDenied")
    assert kept.error() is not kept.error()


def test_a_refusal_stands_for_a_minute_and_is_then_asked_again():
    memory = FailureMemory()
    memory.note(failure("AccessDeniedException"), now=100)
    assert memory.standing(100 + REFUSAL_STANDS - 1) is not None
    assert memory.standing(100 + REFUSAL_STANDS) is None


def test_a_passing_failure_stands_longer_each_time_and_says_how_long():
    memory, steady = FailureMemory(), Backoff(initial=1, jitter=0)
    assert memory.note(failure("ThrottlingException"), 0, steady).retry_after == 1
    assert memory.note(failure("ThrottlingException"), 0, steady).retry_after == 2
    standing = memory.standing(1.5)
    assert standing is not None
    assert standing.retry_after == 0.5
    memory.clear()
    assert memory.standing(0) is None
    assert memory.note(failure("ThrottlingException"), 0, steady).retry_after == 1


def test_a_repeated_refusal_keeps_the_first_request_id_so_that_no_status_changes_for_it():
    memory = FailureMemory()
    memory.note(failure("AccessDeniedException", request_id="first"), 0)
    assert memory.note(failure("AccessDeniedException", request_id="second"), 60).request_id == "first"
    assert memory.note(failure("ResourceNotFoundException", request_id="third"), 120).request_id == "third"


def test_a_longer_wait_that_was_asked_for_is_kept():
    asked = Failure(CallOutcome.THROTTLED, "wait", retry_after=30)
    assert FailureMemory().note(asked, 0).retry_after == 30
