"""Every row of the table of errors, with the real responses of the services."""

import asyncio
import socket

import pytest

from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.aws.value import SecretValue
from secretsyncer.errors import Reason, Rejected, SettingsError, Unavailable
from tests.support.wired_aws import ref

pytestmark = pytest.mark.usefixtures("no_waiting")

ATTEMPTS = 4


@pytest.mark.parametrize(
    ("kind", "attempts", "outcome"),
    [
        ("throttle", ATTEMPTS, "throttled"),
        ("500", ATTEMPTS, "error"),
        ("503", ATTEMPTS, "error"),
        ("502html", ATTEMPTS, "error"),
        ("reset", ATTEMPTS, "no_answer"),
        ("cut", ATTEMPTS, "no_answer"),
        ("html", 1, "unreadable"),
        ("truncated", 1, "unreadable"),
        ("expired", 2, "credentials"),
        ("code:UnrecognizedClientException", 2, "credentials"),
        ("code:InvalidSignatureException", 2, "credentials"),
        ("code:BrandNewException", 1, "error"),
        ("code:LimitExceededException", ATTEMPTS, "throttled"),
    ],
)
async def test_temporary_failures_are_unavailable_and_each_attempt_is_counted(aws, side, kind, attempts, outcome):
    aws.world.create("app", "one")
    aws.fault(kind, "GetSecretValue")
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert error.retry_after > 0
    assert side.counted("GetSecretValue", outcome) == attempts == aws.count("GetSecretValue")


@pytest.mark.parametrize("operation", ["AssumeRole", "GetSecretValue", "BatchGetSecretValue", "ListSecrets"])
@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        "1",
        '"text"',
        "true",
        "{}",
        "[null]",
        '{"SecretList": null, "SecretValues": 1}',
        "<a/>",
        "<a><b",
        "",
    ],
)
async def test_whatever_the_body_of_an_answer_is_it_is_a_failure_of_that_call(aws, side, reader, operation, body):
    aws.world.create("app", "one")
    aws.world.create("other", "two")
    aws.fault(f"body:{body}", operation)
    assert await side.poller.poll_once() is (operation != "ListSecrets")
    got = await side.cache.get_many([ref("app", reader), ref("other", reader)], side.poller.catalogue)
    assert all(isinstance(value, SecretValue | Unavailable) for value in got.values())
    if operation == "AssumeRole":
        assert all(isinstance(value, Unavailable) for value in got.values())
    aws.faults.clear()
    assert await side.poller.poll_once()


@pytest.mark.parametrize("kind", ["throttle", "500", "502html", "reset", "cut"])
async def test_what_passes_within_the_sdks_attempts_is_never_seen(aws, side, kind):
    aws.world.create("app", "one")
    aws.fault(kind, "GetSecretValue", times=ATTEMPTS - 1)
    assert await side.get(ref("app")) == "one"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDeniedException", Reason.ACCESS_DENIED),
        ("DecryptionFailure", Reason.ACCESS_DENIED),
        ("ResourceNotFoundException", Reason.SECRET_NOT_FOUND),
        ("InvalidRequestException", Reason.ACCESS_DENIED),
        ("InvalidParameterException", Reason.INVALID_SPEC),
        ("ValidationException", Reason.INVALID_SPEC),
    ],
)
async def test_lasting_failures_are_rejected_after_one_attempt(aws, side, code, reason):
    aws.world.create("app", "one")
    aws.fault(f"code:{code}", "GetSecretValue")
    error = await side.get(ref("app"))
    assert isinstance(error, Rejected)
    assert error.reason is reason
    for part in ("app", "GetSecretValue", code, "request id"):
        assert part in error.message
    assert aws.count("GetSecretValue") == 1


UNREADABLE = ("denied", "missing", "deleted", "empty", "locked")


def unreadable(aws):
    """Secrets that cannot be read for these reasons."""
    for name in ("denied", "deleted", "locked"):
        aws.world.create(name, "x")
    aws.world.create("empty")
    aws.world.delete("deleted")
    aws.world.role("reader", read=["deleted", "locked", "empty", "missing"], kms_denied=["locked"])


async def test_denied_missing_deleted_and_empty_secrets_read_differently(aws, side, reader):
    unreadable(aws)
    refs = [ref(name, reader) for name in UNREADABLE]
    denied, missing, deleted, empty, locked = await side.get(*refs)
    assert denied.reason is locked.reason is Reason.ACCESS_DENIED
    assert missing.reason is deleted.reason is empty.reason is Reason.SECRET_NOT_FOUND
    assert f"role {reader.role} is not allowed to read secret denied" in denied.message
    assert "Access to KMS is not allowed" in locked.message
    assert "marked for deletion" in deleted.message
    assert "AWSCURRENT" in empty.message
    assert aws.calls["BatchGetSecretValue", reader.role] == 1
    assert aws.calls["GetSecretValue", reader.role] == 2  # only what was denied is asked for once more


async def test_a_secret_fails_in_the_same_words_alone_and_in_a_batch(aws, side, reader):
    """Otherwise the next reconcile, which asks for it alone, would write the status and an Event once more."""
    unreadable(aws)
    refs = [ref(name, reader, region=side.sessions.region) for name in UNREADABLE]
    batch = await side.api.batch_get(reader, side.sessions.region, refs)
    for one in refs:
        with pytest.raises(AwsError) as alone:
            await side.api.get(one)
        assert batch.failures[one].message == alone.value.failure.message


@pytest.mark.parametrize("kind", ["throttle", "500", "reset", "html"])
async def test_a_call_fails_in_the_same_words_for_one_secret_and_for_several(aws, side, reader, kind):
    refs = [ref(name, reader, region=side.sessions.region) for name in ("a", "b")]
    for operation in ("GetSecretValue", "BatchGetSecretValue"):
        aws.fault(kind, operation)
    with pytest.raises(AwsError) as together:
        await side.api.batch_get(reader, side.sessions.region, refs)
    with pytest.raises(AwsError) as alone:
        await side.api.get(refs[0])
    assert together.value.failure.message == alone.value.failure.message


async def test_a_role_that_may_not_be_assumed_is_told_apart_from_a_secret_that_may_not_be_read(aws, side):
    aws.world.create("app", "x")
    unknown = Identity("arn:aws:iam::123456789012:role/unknown")
    error = await side.get(ref("app", unknown))
    assert isinstance(error, Rejected)
    assert error.reason is Reason.ACCESS_DENIED
    assert error.message.startswith(
        f"the operator is not allowed to assume role {unknown.role} (AssumeRole: AccessDenied)"
    )


async def test_sixty_secrets_of_a_refused_role_are_one_assume_role_a_minute(aws, side, reader):
    for number in range(60):
        aws.world.create(f"s{number}", "x")
    aws.world.role("reader", trusted=False)
    errors = await side.get(*(ref(f"s{number}", reader) for number in range(60)))
    assert {error.reason for error in errors} == {Reason.ACCESS_DENIED}
    aws.world.role("reader", trusted=True)
    assert isinstance(await side.get(ref("s1", reader)), Rejected)
    assert aws.count("AssumeRole") == 1


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("throttle", "throttled"), ("500", "error"), ("html", "unreadable"), ("reset", "no_answer")],
)
async def test_no_answer_of_sts_is_not_a_denial(aws, side, reader, kind, outcome):
    aws.world.create("app", "x")
    aws.fault(kind, "AssumeRole")
    error = await side.get(ref("app", reader))
    assert isinstance(error, Unavailable)
    assert side.counted("AssumeRole", outcome) >= 1
    assert side.counted("AssumeRole", "success") == 0


async def test_a_wrong_external_id_or_session_name_is_refused_with_the_role_named(aws, side, reader):
    aws.world.create("app", "x")
    aws.world.role("reader", external_id="right")
    wrong, missing, right = (reader._replace(external_id=given) for given in ("wrong", "", "right"))
    assert reader.role in (await side.get(ref("app", wrong))).message
    assert isinstance(await side.get(ref("app", missing)), Rejected)
    assert await side.get(ref("app", right)) == "x"
    odd = await side.get(ref("app", right._replace(session_name="no spaces allowed")))
    assert odd.reason is Reason.INVALID_SPEC
    assert reader.role in odd.message


async def test_a_version_id_that_cannot_be_one_is_the_users_mistake_without_a_call(aws, side):
    aws.world.create("app", "x")
    error = await side.get(ref("app", version_id="short"))
    assert error.reason is Reason.INVALID_SPEC
    assert aws.count("GetSecretValue") == 0


async def test_an_answer_about_another_secret_is_not_taken(aws, side):
    aws.world.create("app", "mine")
    other = aws.world.create("other", "theirs")
    aws.world.secrets["123456789012", "eu-west-1", "app"] = other
    assert isinstance(await side.get(ref("app")), Unavailable)


async def test_a_proxys_page_is_not_quoted_anywhere(aws, side, caplog):
    aws.world.create("app", "x")
    for kind in ("html", "502html"):
        aws.fault(kind)
    error = await side.get(ref("app"))
    assert "guest network" not in error.message + caplog.text


async def test_no_one_listening_is_unavailable(aws_env, make_side):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        aws_env.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        side = await make_side()
        error = await side.get(ref("app"))
    assert isinstance(error, Unavailable)
    assert f"no connection to 127.0.0.1:{port}: Connection refused" in error.message


async def test_a_call_to_an_aws_that_never_answers_times_out(aws, make_side, monkeypatch):
    monkeypatch.setattr("secretsyncer.aws.api.clients.READ_TIMEOUT", 0.1)
    side = await make_side()
    aws.world.create("app", "x")
    aws.fault("hang", "GetSecretValue")
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable)
    assert "no answer from 127.0.0.1:" in error.message


async def test_no_credentials_are_unavailable_and_found_as_soon_as_they_are_there(aws_env, aws, make_side):
    aws_env.delenv("AWS_ACCESS_KEY_ID")
    aws_env.delenv("AWS_SECRET_ACCESS_KEY")
    side = await make_side()
    aws.world.create("app", "x")
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable)
    assert "credentials of the operator are missing" in error.message
    aws_env.setenv("AWS_ACCESS_KEY_ID", "AKIALATE")
    aws_env.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    await asyncio.sleep(error.retry_after)
    assert await side.get(ref("app")) == "x"


@pytest.mark.parametrize("region", ["", "eu-west-1.evil.com", "nowhere"])
async def test_a_missing_or_wrong_region_stops_the_start_with_one_line(aws_env, make_side, region):
    aws_env.setenv("AWS_REGION", region)
    with pytest.raises(SettingsError, match="AWS_REGION"):
        await make_side()


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"])
@pytest.mark.parametrize("url", ["foo", "http://", "http://[::1", "ftp://aws", "http://aws:port"])
async def test_an_endpoint_that_is_no_url_stops_the_start_with_one_line(aws_env, make_side, name, url):
    aws_env.setenv(name, url)
    with pytest.raises(SettingsError, match=f"^{name}: not a URL"):
        await make_side()


async def test_a_profile_that_does_not_exist_stops_the_start(aws_env, make_side):
    aws_env.setenv("AWS_PROFILE", "nobody")
    aws_env.delenv("AWS_REGION")
    with pytest.raises(SettingsError, match="nobody"):
        await make_side()


async def test_the_account_is_asked_once_and_a_failure_is_remembered_briefly(aws, side):
    aws.fault("500", "GetCallerIdentity", times=ATTEMPTS)
    results = await asyncio.gather(*(side.sessions.account() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert aws.count("GetCallerIdentity") == ATTEMPTS
    assert side.sessions.known_account is None
    await asyncio.sleep(results[0].retry_after)
    assert set(await asyncio.gather(*(side.sessions.account() for _ in range(20)))) == {("aws", "123456789012")}
    assert side.sessions.known_account == ("aws", "123456789012")
    assert aws.count("GetCallerIdentity") == ATTEMPTS + 1


async def test_bare_names_work_without_the_account_where_only_the_operator_reads(aws, side):
    aws.world.create("app", "x")
    aws.fault("denied", "GetCallerIdentity")
    await side.poller.poll_once()
    assert await side.get(ref("app", OPERATOR)) == "x"
    await side.poller.poll_once()
    assert aws.count("GetCallerIdentity") == 1  # a refusal is remembered for a minute
