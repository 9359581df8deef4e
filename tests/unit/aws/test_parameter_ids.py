"""Names, ARNs, versions and events of parameters."""

from datetime import UTC, datetime

import pytest

from secretsyncer.aws.services import PARAMETER_STORE, SecretId
from secretsyncer.aws.services.parameterstore import parse_parameter_id, version_of

ARN = "arn:aws:ssm:eu-west-1:123456789012:parameter"


@pytest.mark.parametrize("name", ["plain", "/app", "/app/prod/db_password", "/a.b/c-d", "/" + "/".join("x" * 15)])
def test_a_name_is_itself(name):
    assert parse_parameter_id(name) == SecretId(name)


def test_an_arn_of_several_levels_means_one_name():
    assert parse_parameter_id(f"{ARN}/app/db") == SecretId(
        "/app/db", "aws", "eu-west-1", "123456789012", exact=True
    )
    assert PARAMETER_STORE.possible_names(f"{ARN}/app/db") == ("/app/db",)


def test_an_arn_of_one_level_may_mean_a_name_with_a_slash_or_without():
    assert PARAMETER_STORE.possible_names(f"{ARN}/app") == ("/app", "app")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a b",
        "/app/",
        "app/db",
        "//app",
        "app:1",
        "ä",
        "x" * 1012,
        "/" + "/".join("x" * 16),
        "arn:aws:ssm:eu-west-1:123456789012:document/x",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf",
        f"{ARN}/",
        f"{ARN}/a\n",
    ],
)
def test_what_aws_would_reject_is_an_error_of_one_line(text):
    with pytest.raises(ValueError, match=r"not the name of a parameter|not a parameter's ARN") as raised:
        parse_parameter_id(text)
    assert "\n" not in str(raised.value)


def test_a_version_is_its_number_and_its_second_and_users_see_the_number():
    moment = datetime(2026, 1, 31, 12, 0, 0, 750_000, UTC)
    version = version_of({"Version": 7, "LastModifiedDate": moment})
    assert version == version_of({"Version": 7, "LastModifiedDate": moment.replace(microsecond=0)})
    assert version != version_of({"Version": 7, "LastModifiedDate": moment.replace(hour=13)})
    assert PARAMETER_STORE.shown_version(version) == "7"
