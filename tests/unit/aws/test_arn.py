"""Names and ARNs of roles and secrets: validation and parsing."""

import time

import pytest

from secretsyncer.aws.arn import Account, complete_role, parse_role, role_account
from secretsyncer.aws.services import SecretId
from secretsyncer.aws.services.secretsmanager import parse_secret_id

HOME = Account("aws", "123456789012")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:role/reader",
        "arn:aws:iam::123456789012:role/team/sub-team/reader",
        "arn:aws-cn:iam::123456789012:role/reader",
        "arn:aws-us-gov:iam::123456789012:role/a.b_c+d=e,f@g-h",
        "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_x",
    ],
)
def test_a_role_arn_is_accepted_in_every_partition_with_path_and_all_legal_characters(arn):
    assert parse_role(arn) == arn


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reader",
        "arn:aws:iam::123456789012:role",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:roleX",
        "arn:aws:iam::12345678901:role/reader",
        "arn:aws:iam::1234567890123:role/reader",
        "arn:aws:iam::123456789012:user/reader",
        "arn:aws:iam::123456789012:role/reader\n",
        " arn:aws:iam::123456789012:role/reader",
        "arn:aws:iam::123456789012:role/r\u00e9ader",
        "arn:aws:iam::\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660\u0661\u0662:role/reader",
        "arn:gcp:iam::123456789012:role/reader",
        "arn:aws:iam::123456789012:role/" + "r" * 577,
    ],
)
def test_what_is_not_a_role_arn_is_refused_with_a_text_that_shows_the_form(text):
    with pytest.raises(ValueError, match="is not a role ARN"):
        parse_role(text)


def test_hostile_role_names_are_checked_quickly():
    started = time.process_time()
    for text in ("arn:aws:iam::123456789012:role/" + "a-" * 50_000 + "!", "arn:aws" + "-" * 100_000 + ":"):
        with pytest.raises(ValueError, match="not a role ARN"):
            parse_role(text)
    assert time.process_time() - started < 5  # where each character costs another pass, minutes


@pytest.mark.parametrize(
    ("text", "arn"),
    [
        ("reader", "arn:aws:iam::123456789012:role/reader"),
        ("team/reader", "arn:aws:iam::123456789012:role/team/reader"),
        ("/team/reader", "arn:aws:iam::123456789012:role/team/reader"),
        ("arn:aws:iam::999999999999:role/other", "arn:aws:iam::999999999999:role/other"),
    ],
)
def test_a_bare_role_name_is_completed_with_the_account_and_an_arn_is_kept(text, arn):
    assert complete_role(text, HOME) == arn


def test_a_bare_role_name_gets_the_accounts_partition():
    assert complete_role("reader", Account("aws-cn", "1" * 12)) == f"arn:aws-cn:iam::{'1' * 12}:role/reader"


@pytest.mark.parametrize("text", ["", "/", "read er", "reader\n", "r\u00e9", "arn:aws:iam::1:role/x", "x" * 577])
def test_a_text_that_is_neither_name_nor_arn_of_a_role_is_an_error(text):
    with pytest.raises(ValueError, match="role"):
        complete_role(text, HOME)


def test_messages_about_wrong_roles_are_short_and_printable():
    with pytest.raises(ValueError, match="role") as caught:
        complete_role("\x1b[31m" + "x" * 100_000, HOME)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_the_account_of_a_role_is_read_from_its_arn():
    assert role_account("arn:aws-cn:iam::999999999999:role/a:b") == Account("aws-cn", "999999999999")


def test_a_plain_name_has_no_account_and_no_suffix():
    secret = parse_secret_id("app/prod-AbCdEf")
    assert secret == SecretId("app/prod-AbCdEf")


def test_a_full_arn_is_taken_apart_into_name_and_random_suffix():
    secret = parse_secret_id("arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/prod-AbCd12")
    assert secret == SecretId("app/prod", "aws", "eu-west-1", "123456789012", "AbCd12", exact=True)


def test_a_partial_arn_has_no_suffix():
    secret = parse_secret_id("arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:app/prod")
    assert secret == SecretId("app/prod", "aws-us-gov", "us-gov-west-1", "123456789012")


def test_the_name_of_a_secret_that_a_service_owns_is_accepted():
    assert parse_secret_id("rds!db-0a1b2c").name == "rds!db-0a1b2c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a\n",
        "a:b",
        "\u00fcber",
        "x" * 513,
        "../../etc/pass%77d",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
        "arn:aws:s3:::bucket",
        "arn:aws:secretsmanager:evil.com/:123456789012:secret:x",
        "arn:aws:secretsmanager:eu-west-1:12345:secret:x",
    ],
)
def test_an_invalid_reference_to_a_secret_is_an_error(text):
    with pytest.raises(ValueError, match="not"):
        parse_secret_id(text)
