"""Listings over HTTP, with faults of AWS and the network."""

import pytest

from secretsyncer.aws.arn import Account
from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Rejected
from tests.support.wired_aws import ref

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture
async def listed(aws, side):
    for number in range(250):
        aws.world.create(f"s{number}", "x", tags={"team": "a"})
    assert await side.poller.poll_once()
    aws.calls.clear()
    return side


@pytest.mark.parametrize(
    "kind",
    [
        "throttle",
        "500",
        "503",
        "502html",
        "html",
        "reset",
        "cut",
        "truncated",
        "no-list",
        "token-loop",
        "expired",
        "denied",
        "code:InvalidNextTokenException",
    ],
)
@pytest.mark.parametrize("page", [0, 2])
async def test_a_listing_that_fails_on_any_page_keeps_the_whole_old_one(aws, listed, kind, page):
    aws.world.delete("s0")
    aws.world.create("new", "x")
    fault = aws.fault(kind, "ListSecrets", skip=page)
    assert not await listed.poller.poll_once()
    assert len(listed.poller.catalogue.entries) == 250
    assert "s0" in listed.poller.catalogue.entries
    assert listed.poller.health()
    assert not [changes for changes, _ in listed.reports[1:] if changes]
    aws.faults.remove(fault)
    assert await listed.poller.poll_once()
    assert listed.reports[-1][0].removed == {"s0"}
    assert listed.reports[-1][0].added == {"new"}


async def test_pages_without_end_are_given_up(aws, listed, monkeypatch):
    monkeypatch.setattr("secretsyncer.aws.listing.pages.MAX_PAGES", 30)
    aws.fault("endless", "ListSecrets")
    assert not await listed.poller.poll_once()
    assert "no end" in listed.poller.health()
    assert aws.count("ListSecrets") == 30


async def test_a_search_roles_session_that_ends_between_two_pages_is_renewed(aws, make_side):
    from secretsyncer.aws.listing.poller import Poller

    side = await make_side()
    role = aws.world.role("lister")
    for number in range(250):
        aws.world.create(f"s{number}", "x")
    poller = Poller(
        side.api, side.sessions, side.cache, side.metrics,
        interval=300, search_role="lister",
    )  # fmt: skip
    list_page = side.api.list_page

    async def ending(identity, region, token):
        page = await list_page(identity, region, token)
        aws.world.end_sessions(role)
        return page

    side.api.list_page = ending
    assert await poller.poll_once()
    assert len(poller.catalogue.entries) == 250
    assert poller.catalogue.account == Account("aws", "123456789012")
    assert aws.calls["ListSecrets", role] == 3 + 2  # each page after the first was refused once


async def test_a_listing_that_lags_by_minutes_does_not_delay_reads(aws, side, reader):
    aws.world.create("app", "one")
    await side.poller.poll_once()
    aws.world.freeze_lists()
    aws.world.put("app", "two")
    aws.world.create("young", "y")
    await side.poller.poll_once()
    assert await side.get(ref("app", reader), ref("young", reader)) == ["two", "y"]


async def test_deleted_restored_and_remade_secrets_are_followed(aws, side, reader):
    aws.world.create("app", "one")
    await side.poller.poll_once()
    assert await side.get(ref("app", reader)) == "one"
    aws.world.delete("app")
    await side.poller.poll_once()
    assert isinstance(await side.get(ref("app", reader)), Rejected)
    aws.world.restore("app")
    await side.poller.poll_once()
    assert await side.get(ref("app", reader)) == "one"
    aws.world.delete("app", force=True)
    aws.world.create("app", "two")
    await side.poller.poll_once()
    assert await side.get(ref("app", reader)) == "two"


async def test_a_rotation_in_two_steps_shows_only_the_current_version(aws, side, reader):
    secret = aws.world.create("app", "one")
    await side.poller.poll_once()
    await side.get(ref("app", reader))
    pending = aws.world.put("app", "two", stage="AWSPENDING")
    await side.poller.poll_once()
    assert await side.get(ref("app", reader)) == "one"
    assert await side.get(ref("app", reader, stage="AWSPENDING")) == "two"
    current = secret.staged("AWSCURRENT")
    secret.move("AWSCURRENT", "")  # between the two steps no version is current
    await side.poller.poll_once()
    assert await side.get(ref("app", reader)) == "one"
    assert isinstance(await side.get(ref("app")), Rejected)  # nobody else can have it meanwhile
    secret.move("AWSCURRENT", pending)
    secret.move("AWSPREVIOUS", current)
    await side.poller.poll_once()
    assert await side.get(ref("app", reader)) == "two"


async def test_tags_are_read_as_the_role_where_the_listing_shows_nothing(aws, side):
    account = "999999999999"
    aws.world.create("app", "x", account=account, tags={"k": "1"})
    stranger = Identity(aws.world.role("secret-syncer", account=account))
    await side.poller.poll_once()
    one = ref("app", stranger)
    assert (await side.cache.tags([one], side.poller.catalogue))[one] == {"k": "1"}
    aws.world.tag("app", {"k": None}, account=account)
    await side.poller.poll_once()
    assert (await side.cache.tags([one], side.poller.catalogue))[one] == {}
    aws.world.delete("app", account=account)
    await side.poller.poll_once()
    gone = (await side.cache.tags([one], side.poller.catalogue))[one]
    assert isinstance(gone, Rejected)
    assert "deletion" in gone.message
    assert aws.calls["DescribeSecret", stranger.role] == 3
