"""A listing is complete or a failure; scripted pages."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.aws.model import World
from sandbox.aws.state import REGION
from secretsyncer.aws.api.service_api import Page
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR
from secretsyncer.aws.listing.catalogue import Deleted
from secretsyncer.aws.listing.pages import list_secrets
from secretsyncer.aws.services import SECRETS_MANAGER
from secretsyncer.aws.services.service import Rotation
from tests.support.in_process_aws import WorldApi


def raw(name, version="v1", **more):
    return {
        "Name": name,
        "ARN": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:{name}-AbCdEf",
        "SecretVersionsToStages": {version: ["AWSCURRENT"], "v0": ["AWSPREVIOUS"]},
        **more,
    }


class Script:
    """Pages by token; "loop" and "new" make up what comes next."""

    service = SECRETS_MANAGER

    def __init__(self, pages, endless=False):
        self.pages = pages
        self.endless = endless
        self.asked = []

    async def list_page(self, identity, region, token):
        self.asked.append(token)
        if self.endless:
            return Page([], f"token {len(self.asked)}")
        entries, following = self.pages[token]
        if isinstance(entries, AwsError):
            raise entries
        return Page(entries, following)


async def listed(pages, old=(), **more):
    beats = []
    known = {entry.name: entry for entry in old}
    result = await list_secrets(Script(pages, **more), OPERATOR, REGION, beat=lambda: beats.append(1), old=known)
    assert len(beats) == len(pages)
    return result


async def test_pages_are_followed_to_the_last():
    result = await listed({"": ([raw("a")], "1"), "1": ([], "2"), "2": ([raw("b")], "")})
    assert [entry.name for entry in result.entries] == ["a", "b"]
    assert result.entries[0].version_id == "v1"


async def test_secrets_scheduled_for_deletion_are_left_out():
    result = await listed({"": ([raw("a", DeletedDate=1), raw("b")], "")})
    assert [entry.name for entry in result.entries] == ["b"]
    assert not result.without_current


async def test_secrets_without_a_current_version_are_left_out_and_named():
    pending = raw("pending", SecretVersionsToStages={"v1": ["AWSPENDING"]})
    result = await listed({"": ([pending, raw("empty", SecretVersionsToStages=None), raw("b")], "")})
    assert [entry.name for entry in result.entries] == ["b"]
    assert result.without_current == {"pending", "empty"}


async def test_a_secret_whose_rotation_is_half_done_keeps_its_version_and_shows_its_present_tags():
    before = await listed({"": ([raw("a", Tags=[{"Key": "k", "Value": "1"}])], "")})
    half_done = raw("a", SecretVersionsToStages={"v2": ["AWSPENDING"]})
    after = await listed({"": ([half_done], "")}, old=before.entries)
    assert [(entry.version_id, entry.tags) for entry in after.entries] == [("v1", {})]
    assert after.without_current == {"a"}
    half_done["ARN"] = half_done["ARN"].replace("AbCdEf", "NewOne")
    made_anew = await listed({"": ([half_done], "")}, old=before.entries)
    assert made_anew.entries == []


async def test_odd_tags_are_tolerated():
    tags = [{"Key": "bare"}, {"Key": "null", "Value": None}, {"Value": "lost"}, {"Key": "k", "Value": "v"}]
    result = await listed({"": ([raw("a", Tags=tags)], "")})
    assert result.entries[0].tags == {"bare": "", "null": "", "k": "v"}


async def test_a_secret_that_is_on_two_pages_is_listed_once():
    result = await listed({"": ([raw("a")], "1"), "1": ([raw("a", "v2"), raw("b")], "")})
    assert {entry.name: entry.version_id for entry in result.entries} == {"a": "v2", "b": "v1"}


async def test_names_that_only_aws_services_may_give_do_not_spoil_a_listing():
    result = await listed({"": ([raw("rds!cluster-1"), raw("odd:name")], "")})
    assert len(result.entries) == 2


async def test_an_unchanged_entry_is_the_old_object():
    before = await listed({"": ([raw("a"), raw("b")], "")})
    after = await listed({"": ([raw("a"), raw("b", "v2")], "")}, old=before.entries)
    assert after.entries[0] is before.entries[0]
    assert after.entries[1].version_id == "v2"


async def test_a_token_that_comes_back_is_a_failure():
    with pytest.raises(AwsError, match="repeated"):
        await listed({"": ([raw("a")], "1"), "1": ([raw("b")], "1")})


async def test_pages_without_end_are_a_failure(monkeypatch):
    monkeypatch.setattr("secretsyncer.aws.listing.pages.MAX_PAGES", 50)
    with pytest.raises(AwsError, match="no end"):
        await listed({}, endless=True)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"Name": "a"},
        None,
        {"Name": "a", "ARN": "x", "Tags": 5},
        "text",
        raw("b") | {"Name": 5},
        raw("b") | {"Name": ""},
        raw("b") | {"ARN": ["arn"]},
        raw("b") | {"ARN": "not one"},
        raw("b", Tags={"Key": "a"}),
        raw("b", Tags=[{"Key": 5, "Value": "x"}]),
        raw("b", Tags=[{"Key": "a", "Value": ["x"]}]),
        raw("b") | {"SecretVersionsToStages": ["v1"]},
        raw("b") | {"SecretVersionsToStages": {"v1": "AWSCURRENT"}},
        raw("b") | {"SecretVersionsToStages": {"v1": None}},
    ],
)
async def test_an_entry_that_is_not_one_is_a_failure(broken):
    with pytest.raises(AwsError, match="not complete"):
        await listed({"": ([raw("a"), broken], "")})


@pytest.mark.parametrize("page", [(None, ""), ({}, ""), ("text", ""), ([], 5), ([], None)])
async def test_a_response_that_is_not_a_page_is_a_failure(page):
    with pytest.raises(AwsError, match="a page is malformed"):
        await listed({"": page})


async def test_a_page_that_fails_fails_the_listing():
    world = World()
    api = WorldApi(world, latency=0)
    for number in range(250):
        world.create(f"s{number}", "x")
    pages = iter(["", "", "ThrottlingException"])
    api.broken = lambda operation, identity: next(pages)
    with pytest.raises(AwsError):
        await list_secrets(api, OPERATOR, REGION, beat=lambda: None, old={})
    api.broken = lambda operation, identity: ""
    assert len((await list_secrets(api, OPERATOR, REGION, beat=lambda: None, old={})).entries) == 250


DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_secrets_scheduled_for_deletion_are_reported_with_their_date():
    result = await listed({"": ([raw("a", DeletedDate=DAY), raw("b", DeletedDate="soon")], "")})
    assert result.deleted == {"a": Deleted(raw("a")["ARN"], DAY)}
    assert result.entries == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"RotationEnabled": True}, None),
        ({"LastRotatedDate": DAY}, Rotation(DAY, None)),
        ({"RotationEnabled": True, "NextRotationDate": DAY}, Rotation(None, DAY)),
        (
            {"RotationEnabled": True, "LastRotatedDate": DAY, "RotationRules": {"AutomaticallyAfterDays": 30}},
            Rotation(DAY, DAY + timedelta(days=30)),
        ),
        (
            {
                "RotationEnabled": True,
                "LastRotatedDate": DAY,
                "RotationRules": {"ScheduleExpression": "rate(4 hours)"},
            },
            Rotation(DAY, None),
        ),
        (
            {"RotationEnabled": True, "LastRotatedDate": DAY, "RotationRules": {"AutomaticallyAfterDays": 10**9}},
            Rotation(DAY, None),
        ),
        ({"RotationEnabled": "x", "RotationRules": 7, "LastRotatedDate": 7}, None),
    ],
)
async def test_the_rotation_of_a_secret(fields, expected):
    (entry,) = (await listed({"": ([raw("a", **fields)], "")})).entries
    assert entry.rotation == expected
