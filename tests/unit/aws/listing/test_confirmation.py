"""A listing that lacks many secrets is used only after it is confirmed."""

import asyncio

import pytest

from sandbox.aws.state import OPERATOR_ACCOUNT
from secretsyncer.aws.api.service_api import Page
from secretsyncer.aws.listing.poller import Poller

pytestmark = pytest.mark.looptime

INTERVAL = 300
NAMES = [f"s{number:02}" for number in range(30)]


class Watch:
    """A poller of a world of 30 secrets, in which objects use `in_use`. `lies` replaces the pages of a listing."""

    def __init__(self, rig):
        self.rig = rig
        self.world = rig.world
        self.arns = {name: rig.world.create(name, "x").arn for name in NAMES}
        self.in_use = list(self.arns.values())
        self.lies = None
        self.reports = []
        self.list_page = rig.api.list_page
        rig.api.list_page = self.page
        self.denied = False
        rig.api.broken = lambda operation, _: (
            "AccessDeniedException" if self.denied and operation == "DescribeSecret" else ""
        )
        metrics = rig.cache._metrics
        self.poller = Poller(
            rig.api, rig.api, rig.cache, metrics, interval=INTERVAL, in_use=lambda _region: self.in_use
        )
        self.poller.add_handler(lambda old, new, changes, refs: self.reports.append(changes))

    async def page(self, identity, region, token):
        page = await self.list_page(identity, region, token)
        if self.lies is None:
            return page
        return Page([raw for raw in page.entries if raw["Name"] in self.lies], page.next_token)

    async def poll(self):
        await asyncio.sleep(INTERVAL)
        self.reports.clear()
        self.rig.api.calls.clear()
        await self.poller.poll_once()
        return set(self.poller.catalogue.entries)

    def delete(self, *names):
        for name in names:
            self.world.delete(name)


@pytest.fixture
def watch(rig):
    return Watch(rig)


@pytest.mark.parametrize("shown", [[], NAMES[:15], NAMES[7:]], ids=["nothing", "half", "three quarters"])
async def test_a_listing_that_lacks_many_existing_secrets_is_not_used(watch, shown):
    await watch.poll()
    watch.lies = shown
    assert await watch.poll() == set(NAMES)
    assert watch.reports == []
    assert "DescribeSecret finds 5 of 5: check AWS_REGION" in watch.poller.health()
    assert f"the listing lacks {30 - len(shown)} AWS secrets" in watch.poller.catalogue.doubt
    assert watch.rig.metric("secretsyncer_polls_total", service="SecretsManager", outcome="failure") == 1
    assert await watch.poll() == set(NAMES)  # however often it is said
    watch.lies = None
    assert await watch.poll() == set(NAMES)
    assert (watch.poller.health(), watch.poller.catalogue.doubt) == (None, "")


async def test_the_first_listing_after_a_start_is_compared_with_what_objects_were_made_from(watch):
    watch.lies = []
    assert await watch.poll() == set()
    assert watch.poller.catalogue.listed_at is None
    assert watch.poller.first_round.is_set()
    assert "DescribeSecret finds" in watch.poller.health()
    watch.lies = None
    assert await watch.poll() == set(NAMES)
    assert watch.poller.catalogue.listed_at is not None


async def test_a_first_listing_of_another_region_is_not_used(watch):
    for name in NAMES:
        watch.world.delete(name, force=True)
    watch.in_use = [watch.world.create(name, "x", region="us-west-2").arn for name in NAMES]
    watch.world.create("unrelated", "x")
    assert await watch.poll() == set()
    assert watch.poller.catalogue.listed_at is None
    assert "the listing lacks 30 AWS secrets" in watch.poller.catalogue.doubt
    assert "check AWS_REGION" in watch.poller.catalogue.doubt


async def test_a_listing_that_lacks_few_secrets_is_used_at_once(watch):
    await watch.poll()
    watch.delete("s00", "s01", "s02")
    watch.in_use = list(watch.arns.values())
    assert await watch.poll() == set(NAMES[3:])
    assert watch.rig.api.calls == {"ListSecrets": 1}


async def test_a_real_mass_deletion_is_confirmed_once_in_the_same_round(watch):
    await watch.poll()
    watch.delete(*NAMES[:20])
    assert await watch.poll() == set(NAMES[20:])
    assert watch.rig.api.calls == {"ListSecrets": 2, "DescribeSecret": 5}
    assert watch.reports[0].removed == set(NAMES[:20])
    assert await watch.poll() == set(NAMES[20:])
    assert watch.rig.api.calls == {"ListSecrets": 1}
    watch.delete(*NAMES[20:])
    assert await watch.poll() == set()
    assert watch.poller.health() is None
    assert await watch.poll() == set()


async def test_what_was_confirmed_as_gone_and_comes_back_is_expected_again(watch):
    await watch.poll()
    for name in NAMES:
        watch.world.delete(name, force=True)
    assert await watch.poll() == set()
    for name in NAMES:
        watch.world.create(name, "y")
    assert await watch.poll() == set(NAMES)
    watch.in_use = [entry.arn for entry in watch.poller.catalogue.entries.values()]
    watch.lies = []
    assert await watch.poll() == set(NAMES)


async def test_where_describing_is_denied_a_later_listing_confirms(watch):
    await watch.poll()
    watch.denied = True
    watch.delete(*NAMES)
    assert await watch.poll() == set(NAMES)
    assert "the listing of the next round has to confirm that" in watch.poller.health()
    assert await watch.poll() == set()
    assert watch.poller.health() is None


async def test_a_quick_retry_is_no_later_round(watch):
    await watch.poll()
    watch.denied = True
    watch.lies = []
    await watch.poll()
    for _ in range(5):
        await watch.poller.poll_once()
    assert set(watch.poller.catalogue.entries) == set(NAMES)


async def test_half_of_what_was_listed_counts_even_if_no_object_uses_it(watch):
    watch.in_use = []
    await watch.poll()
    watch.lies = NAMES[:15]
    assert await watch.poll() == set(NAMES)
    watch.lies = NAMES[:16]
    assert await watch.poll() == set(NAMES[:16])


async def test_a_second_listing_that_fails_keeps_the_old_one(watch):
    await watch.poll()
    watch.lies = []
    answers = iter(["", "ThrottlingException"])
    watch.rig.api.broken = lambda operation, _: next(answers, "") if operation == "ListSecrets" else ""
    assert await watch.poll() == set(NAMES)
    assert "ThrottlingException" in watch.poller.health()


async def test_sources_of_other_accounts_are_not_expected(watch):
    watch.in_use = [arn.replace(OPERATOR_ACCOUNT, "999999999999") for arn in watch.in_use]
    watch.lies = NAMES[:20]
    assert await watch.poll() == set(NAMES[:20])
    assert watch.rig.api.calls == {"ListSecrets": 1}


async def test_one_secret_that_is_all_that_is_used_is_confirmed_as_well(watch):
    watch.in_use = [watch.arns["s05"]]
    await watch.poll()
    watch.lies = [name for name in NAMES if name != "s05"]
    assert await watch.poll() == set(NAMES)
    watch.lies = None
    watch.delete("s05")
    assert await watch.poll() == set(NAMES) - {"s05"}


async def test_an_empty_listing_is_used_at_the_start_if_nothing_is_in_use(watch):
    watch.in_use = []
    watch.lies = []
    assert await watch.poll() == set()
    assert watch.poller.catalogue.listed_at is not None
