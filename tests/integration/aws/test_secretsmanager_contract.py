"""The stand-in and moto respond alike: the same checks on both, with the SDK's own client.

moto is an independent implementation. Where the two differ on purpose (permissions, sessions that end, ARNs
across accounts, batch limits), the stand-in follows AWS's documentation and is tested elsewhere.
"""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack

import pytest
from aiobotocore.session import AioSession

from sandbox.aws.http import FakeAws
from tests.support.sdk_errors import refusal


@pytest.fixture(params=["stand-in", "moto"])
async def url(request, aws_env, moto_server):
    if request.param == "moto":
        yield moto_server.url
        return
    async with FakeAws() as aws:
        aws.world.open_doors = True
        yield aws.url


@pytest.fixture
async def connect(url):
    async with AsyncExitStack() as stack:

        async def make(service="secretsmanager", **credentials):
            session = AioSession()
            keys = {"aws_access_key_id": "AKIAOPERATOR", "aws_secret_access_key": "x"} | credentials
            client = session.create_client(service, region_name="eu-west-1", endpoint_url=url, **keys)
            return await stack.enter_async_context(client)

        yield make


@pytest.fixture
async def sm(connect):
    return await connect()


@pytest.fixture
def prefix():
    """Names nobody else uses: moto keeps one AWS for the whole process."""
    return f"t{uuid.uuid4().hex[:12]}/"


async def listing(sm, prefix):
    entries, token, pages = [], None, 0
    while True:
        page = await sm.list_secrets(MaxResults=100, **({"NextToken": token} if token else {}))
        pages += 1
        entries += [entry for entry in page["SecretList"] if entry["Name"].startswith(prefix)]
        token = page.get("NextToken")
        if not token:
            return {entry["Name"]: entry for entry in entries}, pages


async def test_a_secret_is_read_by_name_and_by_full_and_partial_arn(sm, prefix):
    made = await sm.create_secret(Name=prefix + "a", SecretString="text")
    assert made["ARN"][:-7].endswith(f":secret:{prefix}a")
    assert len(made["VersionId"]) == 36
    for form in (prefix + "a", made["ARN"], made["ARN"][:-7]):
        got = await sm.get_secret_value(SecretId=form, VersionStage="AWSCURRENT")
        assert (got["ARN"], got["Name"], got["VersionId"]) == (made["ARN"], prefix + "a", made["VersionId"])
        assert (got["SecretString"], got["VersionStages"]) == ("text", ["AWSCURRENT"])


async def test_binary_values_come_back_as_they_went(sm, prefix):
    await sm.create_secret(Name=prefix + "b", SecretBinary=b"\x00\xff")
    got = await sm.get_secret_value(SecretId=prefix + "b")
    assert got["SecretBinary"] == b"\x00\xff"
    assert "SecretString" not in got


async def test_the_listing_shows_versions_stages_tags_and_dates(sm, prefix):
    made = await sm.create_secret(Name=prefix + "a", SecretString="x", Tags=[{"Key": "k", "Value": "v"}])
    entries, _ = await listing(sm, prefix)
    entry = entries[prefix + "a"]
    assert entry["ARN"] == made["ARN"]
    assert entry["SecretVersionsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
    assert entry["Tags"] == [{"Key": "k", "Value": "v"}]
    assert entry["LastChangedDate"].tzinfo


async def test_the_listing_comes_in_pages_of_a_hundred(sm, prefix):
    for number in range(150):
        await sm.create_secret(Name=f"{prefix}{number}", SecretString="x")
    entries, pages = await listing(sm, prefix)
    assert len(entries) == 150
    assert pages >= 2


async def test_a_new_version_moves_current_and_previous(sm, prefix):
    first = (await sm.create_secret(Name=prefix + "a", SecretString="one"))["VersionId"]
    second = (await sm.put_secret_value(SecretId=prefix + "a", SecretString="two"))["VersionId"]
    entries, _ = await listing(sm, prefix)
    stages = {version: set(labels) for version, labels in entries[prefix + "a"]["SecretVersionsToStages"].items()}
    assert stages == {first: {"AWSPREVIOUS"}, second: {"AWSCURRENT"}}
    for question, answer in (
        ({"VersionStage": "AWSCURRENT"}, "two"),
        ({"VersionStage": "AWSPREVIOUS"}, "one"),
        ({"VersionId": first}, "one"),
    ):
        assert (await sm.get_secret_value(SecretId=prefix + "a", **question))["SecretString"] == answer


async def test_a_pending_version_leaves_the_current_one(sm, prefix):
    await sm.create_secret(Name=prefix + "a", SecretString="one")
    await sm.put_secret_value(SecretId=prefix + "a", SecretString="two", VersionStages=["AWSPENDING"])
    assert (await sm.get_secret_value(SecretId=prefix + "a"))["SecretString"] == "one"
    pending = await sm.get_secret_value(SecretId=prefix + "a", VersionStage="AWSPENDING")
    assert pending["SecretString"] == "two"


async def test_moving_the_stage_back_is_seen_in_listing_and_value(sm, prefix):
    first = (await sm.create_secret(Name=prefix + "a", SecretString="one"))["VersionId"]
    second = (await sm.put_secret_value(SecretId=prefix + "a", SecretString="two"))["VersionId"]
    await sm.update_secret_version_stage(
        SecretId=prefix + "a", VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    entries, _ = await listing(sm, prefix)
    assert "AWSCURRENT" in entries[prefix + "a"]["SecretVersionsToStages"][first]
    got = await sm.get_secret_value(SecretId=prefix + "a", VersionStage="AWSCURRENT")
    assert got["SecretString"] == "one"


async def test_a_deleted_secret_is_hidden_unreadable_and_can_be_restored(sm, prefix):
    await sm.create_secret(Name=prefix + "a", SecretString="x")
    await sm.delete_secret(SecretId=prefix + "a", RecoveryWindowInDays=7)
    assert not (await listing(sm, prefix))[0]
    assert await refusal(sm.get_secret_value(SecretId=prefix + "a")) == "InvalidRequestException"
    assert (await sm.describe_secret(SecretId=prefix + "a"))["DeletedDate"]
    await sm.restore_secret(SecretId=prefix + "a")
    assert (await sm.get_secret_value(SecretId=prefix + "a"))["SecretString"] == "x"


async def test_a_recreated_secret_has_another_arn(sm, prefix):
    first = (await sm.create_secret(Name=prefix + "a", SecretString="x"))["ARN"]
    await sm.delete_secret(SecretId=prefix + "a", ForceDeleteWithoutRecovery=True)
    second = (await sm.create_secret(Name=prefix + "a", SecretString="x"))["ARN"]
    assert first != second
    assert first[:-7] == second[:-7]


async def test_what_does_not_exist_is_not_found(sm, prefix):
    await sm.create_secret(Name=prefix + "empty")
    await sm.create_secret(Name=prefix + "a", SecretString="x")
    assert await refusal(sm.get_secret_value(SecretId=prefix + "none")) == "ResourceNotFoundException"
    assert await refusal(sm.describe_secret(SecretId=prefix + "none")) == "ResourceNotFoundException"
    for question in ({"SecretId": prefix + "empty"}, {"SecretId": prefix + "a", "VersionId": "0" * 32}):
        assert await refusal(sm.get_secret_value(**question)) == "ResourceNotFoundException"
    entries, _ = await listing(sm, prefix)
    assert not entries[prefix + "empty"].get("SecretVersionsToStages")


async def test_a_batch_answers_what_it_can_and_lists_what_it_cannot(sm, prefix):
    for name in ("a", "b", "gone"):
        await sm.create_secret(Name=prefix + name, SecretString=name)
    await sm.delete_secret(SecretId=prefix + "gone")
    ids = [prefix + name for name in ("a", "none", "gone", "b")]
    got = await sm.batch_get_secret_value(SecretIdList=ids)
    assert {value["Name"]: value["SecretString"] for value in got["SecretValues"]} == {
        prefix + "a": "a",
        prefix + "b": "b",
    }
    assert all(value["VersionStages"] == ["AWSCURRENT"] for value in got["SecretValues"])
    assert {error["SecretId"]: error["ErrorCode"] for error in got["Errors"]} == {
        prefix + "none": "ResourceNotFoundException",
        prefix + "gone": "InvalidRequestException",
    }


async def test_tags_come_and_go_without_a_new_version(sm, prefix):
    version = (await sm.create_secret(Name=prefix + "a", SecretString="x"))["VersionId"]
    await sm.tag_resource(SecretId=prefix + "a", Tags=[{"Key": "k", "Value": "1"}, {"Key": "l", "Value": "2"}])
    await sm.untag_resource(SecretId=prefix + "a", TagKeys=["l"])
    described = await sm.describe_secret(SecretId=prefix + "a")
    assert described["Tags"] == [{"Key": "k", "Value": "1"}]
    assert described["VersionIdsToStages"] == {version: ["AWSCURRENT"]}


async def test_making_a_secret_twice_is_refused(sm, prefix):
    await sm.create_secret(Name=prefix + "a", SecretString="x")
    assert await refusal(sm.create_secret(Name=prefix + "a", SecretString="y")) == "ResourceExistsException"


async def test_a_version_id_may_be_chosen(sm, prefix):
    wanted = str(uuid.uuid4())
    made = await sm.create_secret(Name=prefix + "a", SecretString="x", ClientRequestToken=wanted)
    assert made["VersionId"] == wanted


async def test_get_caller_identity_returns_account_and_arn(connect):
    sts = await connect("sts")
    who = await sts.get_caller_identity()
    assert who["Account"] == "123456789012"
    assert who["Arn"].startswith("arn:aws:sts::123456789012:") or who["Arn"].startswith(
        "arn:aws:iam::123456789012:"
    )


async def test_a_role_of_another_account_sees_only_that_accounts_secrets(connect, sm, prefix):
    await sm.create_secret(Name=prefix + "a", SecretString="ours")
    sts = await connect("sts")
    answer = await sts.assume_role(
        RoleArn="arn:aws:iam::222222222222:role/reader", RoleSessionName="test", DurationSeconds=3600
    )
    keys = answer["Credentials"]
    assert keys["Expiration"].tzinfo
    assert answer["AssumedRoleUser"]["Arn"].startswith("arn:aws:sts::222222222222:assumed-role/reader/")
    there = await connect(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    assert not (await listing(there, prefix))[0]
    assert await refusal(there.get_secret_value(SecretId=prefix + "a")) == "ResourceNotFoundException"
    await there.create_secret(Name=prefix + "a", SecretString="theirs")
    assert (await there.get_secret_value(SecretId=prefix + "a"))["SecretString"] == "theirs"
    assert (await sm.get_secret_value(SecretId=prefix + "a"))["SecretString"] == "ours"
