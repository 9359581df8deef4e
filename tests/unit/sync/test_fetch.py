"""Reads of AWS values: what a grant permits and what it prevents."""

import pytest

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.errors import Reason, Unavailable
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import Budget
from secretsyncer.sync.fetch import GatedReader, ref_of
from secretsyncer.synced_secret import SecretReference
from tests.support.builders import catalogue, entry, value
from tests.support.value_source import MemoryAws

ROLE = "arn:aws:iam::123456789012:role/reader"
GRANT = Grant(Identity(ROLE))
TAG = "k8s.contentful.com/namespace_type/web"
TAGGED = Grant(Identity(ROLE), TAG)
LISTED = catalogue(entry("db/one"), entry("db/two"), entry("text"))


@pytest.fixture
def aws():
    return MemoryAws(
        value("db/one", {"user": "u1", "port": 5432}),
        value("db/two", {"user": "u2"}, version="v2"),
        value("text", "plain"),
    )


@pytest.fixture
def reader(aws):
    return GatedReader(aws)


def ids(*names, grant=GRANT):
    return {grant.ref(name) for name in names}


# Values


async def test_each_secret_is_returned_or_its_failure(reader, aws):
    aws.denied = {"text"}
    found = await reader.read(GRANT, ids("db/one", "text", "nowhere"), LISTED, Budget())
    assert found[GRANT.ref("db/one")].text == '{"user": "u1", "port": 5432}'
    assert found[GRANT.ref("text")].reason is Reason.ACCESS_DENIED
    assert found[GRANT.ref("nowhere")].reason is Reason.SECRET_NOT_FOUND


async def test_everything_is_read_as_the_grants_identity_and_nobody_else(reader, aws):
    grant = Grant(Identity(ROLE, "ext", "me"), region="eu-west-3")
    await reader.read(grant, [ref_of(grant, SecretReference(name="text")), grant.ref("db/one")], LISTED, Budget())
    assert {(ref.identity, ref.region) for ref in aws.asked} == {(Identity(ROLE, "ext", "me"), "eu-west-3")}


def test_a_reference_says_which_version_and_where():
    reference = SecretReference.model_validate(
        {"name": "app", "region": "us-east-1", "versionStage": "AWSPENDING", "versionId": "v" * 32}
    )
    assert ref_of(GRANT, reference) == SecretRef(GRANT.identity, "app", "us-east-1", "v" * 32, "AWSPENDING")
    assert ref_of(GRANT, SecretReference(name="app")) == SecretRef(GRANT.identity, "app")


async def test_nothing_wanted_asks_for_nothing(reader, aws):
    assert await reader.read(GRANT, [], LISTED, Budget()) == {}
    assert await reader.read(TAGGED, [], LISTED, Budget()) == {}
    assert aws.asked == []


# The tag rule


async def test_with_a_tag_rule_a_secret_without_the_tag_is_never_read(reader, aws):
    aws.tags_of = {"db/one": {TAG: "1"}, "text": {TAG: "0"}}
    found = await reader.read(TAGGED, ids("db/one", "text", "db/two", "nowhere", grant=TAGGED), LISTED, Budget())
    assert found[TAGGED.ref("db/one")].text
    for name in ("text", "db/two"):
        failure = found[TAGGED.ref(name)]
        assert failure.reason is Reason.ROLE_NOT_ALLOWED
        assert f"AWS secret {name} does not carry the tag {TAG}=1" in failure.message
    assert found[TAGGED.ref("nowhere")].reason is Reason.SECRET_NOT_FOUND
    assert {ref.id for ref in aws.asked} == {"db/one"}


async def test_with_a_tag_rule_tags_that_cannot_be_read_keep_the_secret_from_being_read(reader, aws):
    aws.failures["text"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled")
    refusals = await reader.refusals(TAGGED, ids("text", grant=TAGGED), LISTED)
    assert refusals[TAGGED.ref("text")].reason is Reason.AWS_UNAVAILABLE
    assert aws.asked == []


async def test_without_a_tag_rule_no_tags_are_asked_for(reader):
    assert await reader.refusals(GRANT, ids("text", "nowhere"), LISTED) == {}
