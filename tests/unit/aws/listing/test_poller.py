"""Rounds of polling, in virtual time."""

import asyncio

import pytest

from sandbox.aws.state import OPERATOR_ACCOUNT
from secretsyncer.aws.identity import Identity
from secretsyncer.aws.listing.changes import Changes
from secretsyncer.aws.listing.refresh import BURST, PER_SECOND
from secretsyncer.errors import Reason, SettingsError, Unavailable
from tests.support.polling import NONE, Watch

pytestmark = pytest.mark.looptime

FOREIGN = "999999999999"


@pytest.fixture
def watch(rig):
    return Watch(rig)


async def test_the_first_listing_reports_everything_as_added(rig, watch):
    rig.world.create("a", "x")
    rig.world.create("b", "x")
    assert await watch.poller.poll_once()
    assert watch.reports == [(NONE._replace(added=frozenset("ab")), set())]
    assert watch.poller.catalogue.round == 1
    assert watch.poller.catalogue.listed_at is not None
    assert rig.metric("secretsyncer_catalogue_secrets", service="SecretsManager") == 2
    assert rig.metric("secretsyncer_polls_total", service="SecretsManager", outcome="success") == 1


async def test_the_first_listing_is_reported_even_if_there_is_nothing_in_it(watch):
    watch.broken = "InternalServiceError"
    await watch.poller.poll_once()
    assert watch.reports == []
    watch.broken = ""
    await watch.poller.poll_once()
    assert watch.reports == [(NONE, set())]


async def test_a_listing_of_two_thousand_secrets_takes_twenty_pages(rig, watch):
    for number in range(2000):
        rig.world.create(f"s{number}", "x")
    await watch.poller.poll_once()
    assert rig.api.calls == {"ListSecrets": 20}
    assert len(watch.poller.catalogue.entries) == 2000


async def test_only_changes_are_reported(rig, watch):
    rig.world.create("a", "x")
    rig.world.create("b", "x")
    await watch.poller.poll_once()
    watch.reports.clear()
    await watch.poller.poll_once()
    assert watch.reports == []
    rig.world.put("a", "y")
    await watch.poller.poll_once()
    assert watch.reports == [(NONE._replace(updated=frozenset("a")), set())]


async def test_before_the_first_listing_the_catalogue_is_empty_and_not_listed(watch):
    assert watch.poller.catalogue.round == 0
    assert watch.poller.health() == "AWS has not been listed yet"
    assert not watch.poller.first_round.is_set()


async def test_a_failed_listing_keeps_the_old_one_and_shows_in_health(rig, watch):
    rig.world.create("a", "x")
    await watch.poller.poll_once()
    assert watch.poller.health() is None
    listed = watch.poller.catalogue.listed_at
    watch.broken = "ThrottlingException"
    await asyncio.sleep(300)
    assert not await watch.poller.poll_once()
    assert set(watch.poller.catalogue.entries) == {"a"}
    assert (watch.poller.catalogue.round, watch.poller.catalogue.listed_round) == (2, 1)
    assert watch.poller.catalogue.listed_at == listed
    assert "ThrottlingException" in watch.poller.health()
    assert rig.metric("secretsyncer_polls_total", service="SecretsManager", outcome="failure") == 1
    watch.broken = ""
    await watch.poller.poll_once()
    assert watch.poller.health() is None


async def test_the_first_round_is_over_even_if_it_failed(watch):
    watch.broken = "AccessDeniedException"
    await watch.poller.poll_once()
    assert watch.poller.first_round.is_set()
    assert "is not allowed to list secrets" in watch.poller.health()


async def test_polls_come_once_an_interval_with_a_little_jitter(rig, watch):
    async with watch.running():
        await asyncio.sleep(3001)
    assert 10 <= rig.api.calls["ListSecrets"] <= 12


async def test_the_outlook_says_what_is_listed_when_and_how_often(rig, watch):
    for number in range(250):
        rig.world.create(f"s{number}", "x")
    before = watch.poller.outlook()
    assert (before.secrets, before.listed_at, before.due, before.problem) == (0, None, None, None)
    async with watch.running():
        await asyncio.sleep(1)
        now = watch.poller.outlook()
        assert (now.service, now.region, now.identity) == ("Secrets Manager", rig.api.region, "the operator")
        assert (now.secrets, now.listed_at) == (250, watch.poller.catalogue.listed_at)
        assert 280 < now.due - asyncio.get_running_loop().time() < 320
        assert now.calls_per_day == 3 * 86_400 / 300
        watch.broken = "InternalServiceError"
        await asyncio.sleep(330)
        assert "InternalServiceError" in watch.poller.outlook().problem
        assert watch.poller.outlook().secrets == 250
    assert Watch(rig, search_role="lister").poller.outlook().identity == "role lister"


async def test_a_failing_listing_is_retried_with_backoff_and_at_most_once_per_interval(rig, watch):
    watch.broken = "InternalServiceError"
    async with watch.running():
        await asyncio.sleep(60)
        assert 3 <= rig.api.calls["ListSecrets"] <= 6
        await asyncio.sleep(6000)
        assert rig.api.calls["ListSecrets"] < 35
        watch.broken = ""
        await asyncio.sleep(400)
        assert watch.poller.health() is None


async def test_quick_retries_of_a_failing_listing_are_one_round(rig, watch):
    theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role])
    watch.refs = [rig.ref(theirs.arn)]
    async with watch.running():
        await asyncio.sleep(1)
        await watch.get(watch.refs[0])
        watch.broken = "InternalServiceError"
        rig.api.calls.clear()
        await asyncio.sleep(900)
        assert rig.api.calls["ListSecrets"] > 5
        assert rig.api.calls["GetSecretValue"] <= 3
        assert watch.poller.catalogue.round <= 5


async def test_unlisted_secrets_are_rechecked_each_round_and_reported(rig, watch):
    theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role])
    ref = rig.ref(theirs.arn)
    watch.refs = [ref]
    async with watch.running():
        await asyncio.sleep(1)
        assert (await watch.get(ref)).text == "x"
        rig.world.put("s", "y", account=FOREIGN)
        await asyncio.sleep(320)
        assert (NONE, {ref}) in watch.reports
        assert (await watch.get(ref)).text == "y"


async def test_rechecks_go_on_where_listing_is_not_permitted(rig, watch):
    rig.world.create("s", "x")
    watch.refs = [rig.ref("s")]
    watch.broken = "AccessDeniedException"
    async with watch.running():
        await asyncio.sleep(1)
        assert (await watch.get(watch.refs[0])).text == "x"
        rig.world.put("s", "y")
        await asyncio.sleep(700)
        assert (NONE, set(watch.refs)) in watch.reports


async def test_a_recheck_that_hangs_does_not_delay_the_next_listing(rig, watch):
    theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role])
    watch.refs = [rig.ref(theirs.arn)]
    await watch.poller.poll_once()
    await watch.get(watch.refs[0])
    get = rig.api.get

    async def hang(ref):
        await asyncio.sleep(10_000)
        return await get(ref)

    rig.api.get = hang
    rig.api.calls.clear()
    async with watch.running():
        await asyncio.sleep(3001)
        assert rig.api.calls["ListSecrets"] >= 10


async def test_the_heart_beats_while_the_poller_sleeps_lists_and_fails(rig, watch):
    for number in range(1000):
        rig.world.create(f"s{number}", "x")
    rig.api.latency = 15
    async with watch.running():
        await asyncio.sleep(1000)
        watch.broken = "InternalServiceError"
        await asyncio.sleep(1000)
    gaps = [after - before for before, after in zip(watch.beats, watch.beats[1:], strict=False)]
    assert max(gaps) <= 31


async def test_a_search_role_given_by_name_is_completed_with_the_operators_account(rig):
    rig.world.role("lister")
    rig.world.create("a", "x")
    watch = Watch(rig, search_role="lister")
    await watch.poller.poll_once()
    assert rig.api.asked[-1][1] == Identity(f"arn:aws:iam::{OPERATOR_ACCOUNT}:role/lister")
    assert watch.poller.catalogue.own_account


async def test_a_search_role_of_another_account_does_not_answer_for_the_operators_names(rig):
    role = rig.world.role("lister", account=FOREIGN)
    rig.world.create("a", "theirs", account=FOREIGN)
    rig.world.create("a", "ours")
    watch = Watch(rig, search_role=role)
    await watch.poller.poll_once()
    assert not watch.poller.catalogue.own_account
    stranger = Identity(rig.world.role("stranger", account=FOREIGN))
    assert (await watch.get(rig.ref("a", Identity("")))).text == "ours"
    assert (await watch.get(rig.ref("a"))).text == "ours"
    assert (await watch.get(rig.ref("a", stranger))).text == "theirs"


async def test_an_account_that_cannot_be_found_out_fails_the_round_and_not_the_loop(rig):
    async def unknown():
        raise Unavailable(Reason.AWS_UNAVAILABLE, "no answer of STS")

    rig.api.account = unknown
    watch = Watch(rig, search_role="lister")
    assert not await watch.poller.poll_once()
    assert "no answer of STS" in watch.poller.health()


async def test_an_invalid_search_role_stops_the_start(rig):
    with pytest.raises(SettingsError, match="POLL_DEFAULT_SEARCH_ROLE"):
        Watch(rig, search_role="not a role")


async def test_secrets_without_a_current_version_are_logged_once_per_change(rig, watch, caplog):
    rig.world.create("half-made")
    for _ in range(3):
        await watch.poller.poll_once()
    told = [record for record in caplog.records if "current version" in record.message]
    assert len(told) == 1
    assert told[0].names == ["half-made"]


async def test_a_bug_in_the_recheck_ends_the_loop(rig, watch):
    async def bug(refs, catalogue):
        raise ZeroDivisionError

    rig.cache.recheck = bug
    async with watch.running() as task:
        await asyncio.wait([task], timeout=10)
        assert isinstance(task.exception(), ExceptionGroup)


# Secrets that an event names


async def test_secrets_that_an_event_names_are_looked_up_without_a_listing(rig, watch):
    for name in ("kept", "changed", "deleted", "marked"):
        rig.world.create(name, "x")
    await watch.poller.poll_once()
    rig.api.calls.clear()
    rig.world.create("new", "x", tags={"a": "b"})
    version = rig.world.put("changed", "y")
    rig.world.delete("deleted", force=True)
    rig.world.delete("marked")
    await watch.poller.refresh(["new", "changed", "deleted", "marked", "never-was"])
    assert watch.reports[1:] == [
        (Changes(frozenset({"new"}), frozenset({"deleted", "marked"}), frozenset({"changed"}), frozenset()), set())
    ]
    assert watch.poller.catalogue.entries.keys() == {"kept", "changed", "new"}
    assert watch.poller.catalogue.entries["changed"].version_id == version
    assert rig.api.calls == {"DescribeSecret": 5}


async def test_an_event_of_what_has_not_changed_reports_nothing(rig, watch):
    rig.world.create("a", "x")
    await watch.poller.poll_once()
    await watch.poller.refresh(["a"])
    assert len(watch.reports) == 1


async def test_a_secret_that_cannot_be_described_waits_for_the_next_listing(rig, watch):
    rig.world.create("a", "x")
    await watch.poller.poll_once()
    rig.world.put("a", "y")
    rig.world.operator.deny.add("DescribeSecret")
    await watch.poller.refresh(["a"])
    assert len(watch.reports) == 1
    await watch.poller.poll_once()
    assert watch.reports[1:] == [(NONE._replace(updated=frozenset("a")), set())]


async def test_a_secret_without_a_current_version_waits_for_the_next_listing(rig, watch):
    rig.world.create("a", "x")
    await watch.poller.poll_once()
    rig.world.create("half-made")
    await watch.poller.refresh(["half-made"])
    assert watch.poller.catalogue.entries.keys() == {"a"}


async def test_a_secret_of_another_account_is_not_put_into_the_listing(rig, watch):
    rig.world.create("a", "ours")
    theirs = rig.world.create("b", "theirs", account=FOREIGN, shared_with=[OPERATOR_ACCOUNT])
    await watch.poller.poll_once()
    await watch.poller.refresh([theirs.arn])
    assert watch.poller.catalogue.entries.keys() == {"a"}


async def test_the_end_of_a_predecessor_is_not_the_end_of_the_secret_that_has_its_name(rig, watch):
    old = rig.world.create("a", "x").arn
    rig.world.delete("a", force=True)
    rig.world.create("a", "y")
    await watch.poller.poll_once()
    await watch.poller.refresh([old, "a"])
    await watch.poller.refresh([old])
    assert watch.poller.catalogue.entries.keys() == {"a"}
    assert len(watch.reports) == 1


async def test_a_flood_of_names_becomes_one_listing_and_those_in_use_are_described_at_once(rig, watch):
    for number in range(2000):
        rig.world.create(f"s{number}", "x")
    async with watch.running():
        await watch.poller.first_round.wait()
        rig.api.calls.clear()
        rig.world.put("s7", "y")
        rig.world.put("s1999", "y")
        admitted = watch.poller.admit(["s7", *(f"s{number}" for number in range(2000) if number != 7)])
        assert admitted[0] == "s7"
        assert len(admitted) == BURST
        await watch.poller.refresh(admitted)
        assert watch.reports[-1] == (NONE._replace(updated=frozenset({"s7"})), set())
        for _ in range(20):
            assert len(watch.poller.admit([f"s{number}" for number in range(2000)])) <= 10
            await asyncio.sleep(0.5)
        assert watch.reports[-1] == (NONE._replace(updated=frozenset({"s1999"})), set())
        assert rig.api.calls["DescribeSecret"] == BURST
        assert rig.api.calls["ListSecrets"] in {20, 40}
    assert rig.metric("secretsyncer_push_secrets_total", service="SecretsManager", outcome="listed") > 2000


async def test_listings_that_events_ask_for_leave_time_between_them(rig, watch):
    """However fast they come, and however long one takes."""
    rig.api.latency = 3.0
    async with watch.running():
        for _ in range(300):
            watch.poller.admit(["x"] * 1000)
            await asyncio.sleep(1)
    assert 300 / (3 + 15) - 2 <= rig.api.calls["ListSecrets"] <= 300 / (3 + 15) + 2


async def test_a_listing_that_fails_is_not_asked_for_more_often_by_events(rig, watch):
    watch.broken = "InternalServiceError"
    async with watch.running():
        for _ in range(60):
            watch.poller.admit(["x"] * 1000)
            await asyncio.sleep(1)
    assert rig.api.calls["ListSecrets"] <= 6


async def test_what_was_not_used_of_the_allowance_is_there_later(watch):
    assert len(watch.poller.admit(["x"] * 100)) == BURST
    assert watch.poller.admit(["x"] * 100) == []
    await asyncio.sleep(2)
    assert len(watch.poller.admit(["x"] * 100)) == 2 * PER_SECOND
    await asyncio.sleep(1000)
    assert len(watch.poller.admit(["x"] * 100)) == BURST


async def test_before_the_search_role_is_known_an_event_changes_nothing(rig):
    async def unknown():
        raise Unavailable(Reason.AWS_UNAVAILABLE, "no answer of STS")

    rig.api.account = unknown
    watch = Watch(rig, search_role="lister")
    await watch.poller.refresh(["a"])
    assert rig.api.calls == {}


class TestEventDuringAListing:
    """Its pages may be older than the event, or it may fail."""

    @pytest.fixture
    async def during(self, rig, watch):
        """Call this to have something happen after the first or the last page of the next listing."""
        for number in range(150):
            rig.world.create(f"s{number:03}", "x")
        await watch.poller.poll_once()
        watch.reports.clear()
        list_page = rig.api.list_page

        def arrange(happen, *, first):
            async def paused(identity, region, token, **options):
                page = await list_page(identity, region, token, **options)
                if first is not bool(token):
                    await happen()
                return page

            rig.api.list_page = paused

        return arrange

    async def change(self, rig, watch):
        rig.world.put("s000", "y")
        rig.world.delete("s001")
        rig.world.create("aaa", "x")
        await watch.poller.refresh(["s000", "s001", "aaa"])

    EXPECTED = NONE._replace(updated=frozenset({"s000"}), removed=frozenset({"s001"}), added=frozenset({"aaa"}))

    @pytest.mark.parametrize("fails", [False, True], ids=["older pages", "failed listing"])
    async def test_what_it_told_stays(self, rig, watch, during, fails):
        async def happen():
            await self.change(rig, watch)
            watch.broken = "InternalServiceError" if fails else ""

        during(happen, first=fails)
        assert await watch.poller.poll_once() is not fails
        entries = watch.poller.catalogue.entries
        assert entries["s000"].version_id == rig.world.secret("s000").staged("AWSCURRENT")
        assert "s001" not in entries
        assert "aaa" in entries
        assert watch.reports == [(self.EXPECTED, set())]

    async def test_later_pages_are_newer(self, rig, watch, during):
        async def happen():
            rig.world.put("s149", "y")
            rig.world.delete("s148")
            await watch.poller.refresh(["s149", "s148"])
            rig.world.put("s149", "z")
            rig.world.restore("s148")
            rig.world.put("s148", "back")

        during(happen, first=True)
        await watch.poller.poll_once()
        for name in ("s148", "s149"):
            version = rig.world.secret(name).staged("AWSCURRENT")
            assert watch.poller.catalogue.entries[name].version_id == version
            assert name in watch.reports[-1][0].names
