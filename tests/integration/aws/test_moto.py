"""The operator's AWS side on moto's server, an independent implementation of AWS."""

import uuid

import pytest

from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.identity import OPERATOR, Identity, SecretRef
from secretsyncer.aws.listing.pages import list_secrets
from secretsyncer.errors import Reason
from tests.support.wired_aws import ref


@pytest.fixture
def aws(aws_env, moto_server):
    """In the place of the stand-in."""
    aws_env.setenv("AWS_ENDPOINT_URL", moto_server.url)


@pytest.fixture
def prefix():
    return f"t{uuid.uuid4().hex[:12]}/"


@pytest.fixture
async def write(side):
    """Secrets Manager's writing operations, as the operator."""

    async def call(operation, **params):
        return await side.sessions.call(OPERATOR, side.sessions.region, operation, params, service="secretsmanager")

    return call


async def test_listing_values_rotation_and_rollback(side, write, prefix):
    names = [f"{prefix}{number}" for number in range(30)]
    made = [await write("CreateSecret", Name=name, SecretString=name) for name in names]
    await side.poller.poll_once()
    reader = Identity("arn:aws:iam::123456789012:role/reader")
    assert await side.get(*(ref(name, reader) for name in names)) == names
    assert await side.get(ref(made[0]["ARN"], reader), ref(made[1]["ARN"][:-7], reader)) == names[:2]
    await write("PutSecretValue", SecretId=names[0], SecretString="new")
    await side.poller.poll_once()
    assert side.reports[-1][0].updated == {names[0]}
    assert await side.get(ref(names[0], reader)) == "new"
    # moto gives the old version to a read that does not name the stage, and to a batch.
    await write(
        "UpdateSecretVersionStage",
        SecretId=names[0],
        VersionStage="AWSCURRENT",
        MoveToVersionId=made[0]["VersionId"],
        RemoveFromVersionId=side.poller.catalogue.entries[names[0]].version_id,
    )
    await side.poller.poll_once()
    assert await side.get(*(ref(name, reader) for name in names[:3])) == names[:3]


async def test_one_bad_secret_does_not_spoil_a_batch(side, write, prefix):
    for name in ("a", "b", "gone"):
        await write("CreateSecret", Name=prefix + name, SecretString=name)
    await write("CreateSecret", Name=prefix + "empty")  # fails a whole batch on moto
    await write("DeleteSecret", SecretId=prefix + "gone")
    await side.poller.poll_once()
    one, two, gone, empty, none = await side.get(
        *(ref(prefix + name) for name in ("a", "b", "gone", "empty", "none"))
    )
    assert (one, two) == ("a", "b")
    assert {error.reason for error in (gone, empty, none)} == {Reason.SECRET_NOT_FOUND}


async def test_another_accounts_namesake_and_its_tags(side, write, prefix):
    theirs = Identity("arn:aws:iam::222222222222:role/secret-syncer")
    await write("CreateSecret", Name=prefix + "a", SecretString="ours", Tags=[{"Key": "k", "Value": "ours"}])
    region = side.sessions.region
    tags = [{"Key": "k", "Value": "theirs"}]
    params = {"Name": prefix + "a", "SecretString": "theirs", "Tags": tags}
    await side.sessions.call(theirs, region, "CreateSecret", params, service="secretsmanager")
    await side.poller.poll_once()
    refs = [ref(prefix + "a"), ref(prefix + "a", theirs)]
    assert await side.get(*refs) == ["ours", "theirs"]
    found = await side.cache.tags(refs, side.poller.catalogue)
    assert [found[one] for one in refs] == [{"k": "ours"}, {"k": "theirs"}]
    assert await side.sessions.account() == ("aws", "123456789012")


async def test_parameters_are_listed_although_moto_shows_no_arns(side, prefix):
    api = ParameterStore(side.sessions)
    fields = {"Name": f"/{prefix}a", "Value": "one", "Type": "String"}
    await side.sessions.call(OPERATOR, side.sessions.region, "PutParameter", fields, service="ssm")
    listed = await list_secrets(api, OPERATOR, side.sessions.region, beat=lambda: None, old={})
    (entry,) = (entry for entry in listed.entries if entry.name == f"/{prefix}a")
    value = await api.get(SecretRef(OPERATOR, entry.arn, side.sessions.region, service=api.service.name))
    assert (value.text, value.arn) == ("one", entry.arn)
