"""Error codes, their outcomes, and the messages for users."""

import ssl

import botocore.session
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import QueryParser, ResponseParserError

from secretsyncer.aws.codes import FATES, next_step, outcome_of
from secretsyncer.aws.failure_memory import REFUSAL_STANDS, FailureMemory
from secretsyncer.aws.failures import Failure, explain, from_code, without_credentials
from secretsyncer.aws.identity import Identity
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.backoff import Backoff
from secretsyncer.errors import Reason, Rejected, Unavailable


def untrusted():
    """What the system says of a certificate that nobody vouches for."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


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
        ("InvalidRequestException", Reason.ACCESS_DENIED),
        ("InvalidParameterException", Reason.INVALID_SPEC),
        ("ValidationException", Reason.INVALID_SPEC),
    ],
)
def test_lasting_failures_are_rejected_with_their_reason(code, reason):
    error = failure(code).error()
    assert isinstance(error, Rejected)
    assert error.reason is reason


def test_a_missing_secret_is_named_once_and_a_missing_version_with_its_label():
    begin = f"role {ROLE.role} cannot find secret app/config, or the requested version of it"
    code, said = "ResourceNotFoundException", "Secrets Manager can't find the specified secret"
    assert failure(code, sentence=f"{said}.").message.startswith(f"{begin} (GetSecretValue: {code}). Check")
    version = f"{said} value for staging label: AWSCURRENT"
    assert f"{begin} (GetSecretValue: {code}): {version}. Check" in failure(code, sentence=version).message


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        (
            "You can't perform this operation on the secret because it was marked for deletion.",
            Reason.SECRET_NOT_FOUND,
        ),
        (
            "You tried to perform the operation on a secret that's currently marked deleted.",
            Reason.SECRET_NOT_FOUND,
        ),
        (
            "You can't access a secret from a different AWS account if you encrypt it with the default KMS key.",
            Reason.ACCESS_DENIED,
        ),
    ],
)
def test_only_a_secret_that_is_being_deleted_counts_as_absent(sentence, reason):
    error = failure("InvalidRequestException", sentence=sentence).error()
    assert error.reason is reason
    assert sentence.rstrip(".") in error.message
    assert ("restore-secret --secret-id app/config" in error.message) == (reason is Reason.SECRET_NOT_FOUND)


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
def test_temporary_and_unknown_codes_are_unavailable(code):
    error = failure(code).error(retry_after=3)
    assert isinstance(error, Unavailable)
    assert (error.reason, error.retry_after) == (Reason.AWS_UNAVAILABLE, 3)


def test_each_code_has_one_fate():
    assert len(FATES) > 40
    assert outcome_of("ThrottlingException") is CallOutcome.THROTTLED


@pytest.mark.parametrize("service", ["secretsmanager", "sts", "sqs"])
def test_every_error_of_the_services_is_in_the_table_with_a_next_step_or_passes_by_itself(service):
    shapes = botocore.session.get_session().get_service_model(service).error_shapes
    codes = {shape.error_code or shape.name for shape in shapes}
    assert len(codes) > 10
    assert codes - FATES.keys() == set()
    waiting = {code for code in codes if not next_step(code, "GetSecretValue")}
    assert {outcome_of(code) for code in waiting} <= {CallOutcome.THROTTLED, CallOutcome.ERROR}


@pytest.mark.parametrize(
    "code", ["AccessDenied", "InvalidIdentityToken", "ExpiredTokenException", "ValidationError"]
)
def test_trouble_with_the_operators_own_credentials_is_never_the_objects_fault(code):
    answer = {"Error": {"Code": code, "Message": "AWS says"}}
    failed = without_credentials(ClientError(answer, "AssumeRoleWithWebIdentity"), "GetSecretValue")
    assert failed.outcome is CallOutcome.CREDENTIALS
    assert isinstance(failed.error(), Unavailable)
    assert failed.message.startswith(f"the operator cannot assume its own role (AssumeRoleWithWebIdentity: {code})")
    assert "AWS says" in failed.message


def test_the_end_of_a_long_denial_is_kept_because_it_holds_the_reason():
    end = "with an explicit deny in a service control policy"
    sentence = (
        "User: arn:aws:sts::123456789012:assumed-role/reader/x is not authorized to perform: " + "x" * 500 + end
    )
    message = failure("AccessDeniedException", sentence=sentence).message
    assert "User: arn:aws:sts::123456789012:assumed-role/reader/x" in message
    assert end in message
    assert len(message) < 900


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (ReadTimeoutError(endpoint_url="https://x.y/?q=1"), "no answer from x.y:443 in time"),
        (ConnectTimeoutError(endpoint_url="http://x.y:81"), "no connection to x.y:81 in time"),
        (ConnectionClosedError(endpoint_url="http://x.y"), "x.y:80 closed the connection without an answer"),
        (
            EndpointConnectionError(endpoint_url="https://x.y", error=OSError(111, "whatever")),
            "no connection to x.y:443: Connection refused",
        ),
        (
            EndpointConnectionError(endpoint_url="https://x.y", error=OSError(-2, "Name or service not known")),
            "no connection to x.y:443: Name or service not known",
        ),
        (
            ProxyConnectionError(proxy_url="http://user:hunter2@proxy:3128", error=OSError(111, "")),
            "no connection to the proxy proxy:3128: Connection refused",
        ),
        (
            SSLError(endpoint_url="https://x.y", error=untrusted()),
            "TLS with x.y:443 failed: certificate verify failed",
        ),
    ],
)
def test_a_call_without_an_answer_says_which_host_and_why(exc, text):
    message = explain(exc, "GetSecretValue", ROLE, "app/config").message
    assert text in message
    assert "hunter2" not in message
    assert "q=1" not in message


def test_the_message_names_secret_role_operation_code_and_request_id():
    text = failure("AccessDeniedException").error().message
    for part in ("app/config", ROLE.role, "GetSecretValue", "AccessDeniedException", "r-1", "AWS says"):
        assert part in text


def test_a_refused_role_and_a_refused_secret_read_differently():
    refused_role = failure("AccessDenied", operation="AssumeRole").error().message
    refused_secret = failure("AccessDeniedException").error().message
    assert refused_role.startswith(f"the operator is not allowed to assume role {ROLE.role}")
    assert refused_secret.startswith(f"role {ROLE.role} is not allowed to read secret app/config")


def test_the_operators_own_refusal_names_the_operator():
    assert failure("AccessDeniedException", identity=Identity("")).message.startswith(
        "the operator is not allowed to read"
    )


def test_an_invalid_key_is_named_as_the_cause():
    assert "is not allowed to decrypt secret app/config" in failure("DecryptionFailure").message


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


def test_a_denial_is_remembered_for_a_minute():
    memory = FailureMemory()
    memory.note(failure("AccessDeniedException"), now=100)
    assert memory.standing(100 + REFUSAL_STANDS - 1) is not None
    assert memory.standing(100 + REFUSAL_STANDS) is None


def test_a_refusal_that_another_memory_returned_ends_when_that_memory_ends():
    role, secret = FailureMemory(), FailureMemory()
    role.note(failure("AccessDenied"), now=0)
    standing = role.standing(REFUSAL_STANDS - 1)
    assert standing is not None
    secret.note(standing, now=REFUSAL_STANDS - 1)
    assert secret.standing(REFUSAL_STANDS - 0.5) is not None
    assert secret.standing(REFUSAL_STANDS) is None


def test_a_temporary_failure_is_remembered_longer_each_time_and_has_its_delay():
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
