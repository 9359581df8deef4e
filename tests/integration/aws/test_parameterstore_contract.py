"""The stand-in and moto respond alike about parameters: the same checks on both, with the SDK's own client."""

from __future__ import annotations

import uuid

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
        yield aws.url


@pytest.fixture
async def ssm(url):
    keys = {"aws_access_key_id": "AKIAOPERATOR", "aws_secret_access_key": "x"}
    async with AioSession().create_client("ssm", region_name="eu-west-1", endpoint_url=url, **keys) as client:
        yield client


@pytest.fixture
def prefix():
    """Names nobody else uses: moto keeps one AWS for the whole process."""
    return f"/t{uuid.uuid4().hex[:12]}"


async def listing(ssm, prefix):
    entries, token, sizes = {}, None, []
    while True:
        page = await ssm.describe_parameters(MaxResults=50, **({"NextToken": token} if token else {}))
        sizes.append(len(page["Parameters"]))
        entries |= {entry["Name"]: entry for entry in page["Parameters"] if entry["Name"].startswith(prefix)}
        token = page.get("NextToken")
        if not token:
            return entries, sizes


async def test_values_are_read_by_name_and_the_names_that_do_not_exist_are_named(ssm, prefix):
    await ssm.put_parameter(Name=f"{prefix}/a", Value="1", Type="String")
    await ssm.put_parameter(Name=f"{prefix}/b", Value="x,y", Type="StringList")
    await ssm.put_parameter(Name=f"{prefix}/c", Value="secret", Type="SecureString")
    names = [f"{prefix}/{letter}" for letter in "abcd"]
    got = await ssm.get_parameters(Names=names, WithDecryption=True)
    assert {one["Name"]: one["Value"] for one in got["Parameters"]} == dict(
        zip(names, ["1", "x,y", "secret"], strict=False)
    )
    assert got["InvalidParameters"] == [f"{prefix}/d"]
    arns = {one["Name"]: one["ARN"] for one in got["Parameters"]}
    assert arns[names[0]] == f"arn:aws:ssm:eu-west-1:123456789012:parameter{names[0]}"


async def test_the_listing_shows_the_version_and_the_date_that_come_with_the_value(ssm, prefix):
    name = f"{prefix}/a"
    await ssm.put_parameter(Name=name, Value="1", Type="String")
    await ssm.put_parameter(Name=name, Value="2", Type="String", Overwrite=True)
    entries, _ = await listing(ssm, prefix)
    (got,) = (await ssm.get_parameters(Names=[name]))["Parameters"]
    assert entries[name]["Version"] == got["Version"] == 2
    assert int(entries[name]["LastModifiedDate"].timestamp()) == int(got["LastModifiedDate"].timestamp())
    assert "Value" not in entries[name]


async def test_a_version_and_a_label_are_selected_in_one_call(ssm, prefix):
    name = f"{prefix}/a"
    for value in "123":
        await ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    await ssm.label_parameter_version(Name=name, ParameterVersion=2, Labels=["live"])
    got = await ssm.get_parameters(Names=[f"{name}:1", f"{name}:live"])
    found = {one["Value"]: (one["Version"], one["Name"]) for one in got["Parameters"]}
    assert found == {"1": (1, name), "2": (2, name)}
    selectors = {one["Value"]: one.get("Selector") for one in got["Parameters"]}
    assert selectors in ({"1": ":1", "2": ":live"}, {"1": None, "2": None})  # moto leaves them out


async def test_a_listing_comes_in_pages_of_at_most_fifty(ssm, prefix):
    for number in range(60):
        await ssm.put_parameter(Name=f"{prefix}/{number}", Value="x", Type="String")
    entries, sizes = await listing(ssm, prefix)
    assert len(entries) == 60
    assert max(sizes) <= 50  # moto's have ten


async def test_a_listing_can_be_of_one_name(ssm, prefix):
    for letter in "ab":
        await ssm.put_parameter(Name=f"{prefix}/{letter}", Value="x", Type="String")
    wanted = [{"Key": "Name", "Option": "Equals", "Values": [f"{prefix}/a"]}]
    found = (await ssm.describe_parameters(ParameterFilters=wanted))["Parameters"]
    assert [one["Name"] for one in found] == [f"{prefix}/a"]


async def test_tags_are_read_one_by_one(ssm, prefix):
    await ssm.put_parameter(Name=f"{prefix}/a", Value="x", Type="String", Tags=[{"Key": "k", "Value": "v"}])
    got = await ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=f"{prefix}/a")
    assert got["TagList"] == [{"Key": "k", "Value": "v"}]


async def test_a_parameter_that_was_deleted_and_made_again_begins_with_version_one(ssm, prefix):
    name = f"{prefix}/a"
    await ssm.put_parameter(Name=name, Value="1", Type="String")
    await ssm.put_parameter(Name=name, Value="2", Type="String", Overwrite=True)
    await ssm.delete_parameter(Name=name)
    assert await refusal(ssm.delete_parameter(Name=name)) == "ParameterNotFound"
    await ssm.put_parameter(Name=name, Value="3", Type="String")
    (got,) = (await ssm.get_parameters(Names=[name]))["Parameters"]
    assert (got["Version"], got["Value"]) == (1, "3")


async def test_a_batch_has_a_limit(ssm, prefix):
    assert await refusal(ssm.get_parameters(Names=[f"{prefix}/{n}" for n in range(11)])) == "ValidationException"
