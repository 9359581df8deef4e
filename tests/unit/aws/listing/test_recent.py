"""Looks for recent changes between two listings, in virtual time."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from secretsyncer.aws.listing.recent import BEHIND_FOR, MAX_PAGES, UNSUPPORTED_FOR
from secretsyncer.errors import Reason
from tests.support.polling import NONE, Watch

pytestmark = pytest.mark.looptime

LOOK = 10


class Looking(Watch):
    """A poller that lists every hour, and looks for changes every 10 s."""

    def __init__(self, rig):
        super().__init__(rig, interval=3600, changes_interval=LOOK)
        self.poller.add_handler(lambda old, new, changes, refs: self.rig.__setattr__("catalogue", new))

    @contextlib.asynccontextmanager
    async def running(self):
        async with super().running():
            await self.poller.first_round.wait()
            await asyncio.sleep(1)
            self.reports.clear()
            self.rig.api.calls.clear()
            yield

    def changed(self):
        return [changes for changes, _ in self.reports]


@pytest.fixture
def watch(rig):
    return Looking(rig)


async def test_a_change_is_found_by_one_call_within_one_look(rig, watch):
    for number in range(950):
        rig.world.create(f"s{number}", "x")
    async with watch.running():
        assert await rig.get("s7") == "x"
        rig.world.put("s7", "y")
        await asyncio.sleep(LOOK + 1)
        assert watch.changed() == [NONE._replace(updated=frozenset({"s7"}))]
        assert await rig.get("s7") == "y"
        assert rig.api.calls == {"GetSecretValue": 2, "ListSecrets": 10}  # all were created in the last ten minutes


async def test_when_nothing_changes_a_look_is_one_call_and_reports_nothing(rig, watch):
    for number in range(250):
        rig.world.create(f"s{number}", "x")
    rig.clock.advance(minutes=11)
    rig.world.put("s0", "y")
    async with watch.running():
        await asyncio.sleep(60 * LOOK)
        assert watch.reports == []
        assert 59 <= rig.api.calls["ListSecrets"] <= 61


async def test_a_look_is_one_call_once_the_last_of_many_changes_has_been_known_for_ten_minutes(rig, watch):
    for number in range(450):
        rig.world.create(f"s{number}", "x")
    async with watch.running():
        await asyncio.sleep(10 * LOOK)
        assert rig.api.calls["ListSecrets"] == 50  # any of the five pages may show a change late
        await asyncio.sleep(520)
        rig.api.calls.clear()
        await asyncio.sleep(10 * LOOK)
        assert rig.api.calls["ListSecrets"] == 10
        rig.world.put("s7", "y")
        await asyncio.sleep(LOOK + 1)
        assert watch.changed() == [NONE._replace(updated=frozenset({"s7"}))]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda world: world.create("new", "x"), {"added": frozenset({"new"})}),
        (lambda world: world.tag("a", {"team": "b"}), {"retagged": frozenset({"a"})}),
        (lambda world: world.delete("a"), {"removed": frozenset({"a"})}),
        (lambda world: world.restore("gone"), {"added": frozenset({"gone"})}),
        (lambda world: world.put("a", "y", stage="AWSPENDING"), {"retagged": frozenset({"a"})}),
    ],
    ids=["create", "tag", "plan the deletion", "restore", "a version that is not current"],
)
async def test_a_look_shows(rig, watch, change, expected):
    for name in ("a", "b", "gone"):
        rig.world.create(name, "x")
    rig.world.delete("gone")
    async with watch.running():
        change(rig.world)
        await asyncio.sleep(5 * LOOK)
        assert watch.changed() == [NONE._replace(**expected)]


async def test_a_secret_that_is_deleted_without_recovery_is_missed_by_the_listing(rig, watch):
    rig.world.create("a", "x")
    rig.world.create("b", "x")
    async with watch.running():
        rig.world.delete("a", force=True)
        await asyncio.sleep(3000)
        assert watch.reports == []
        await asyncio.sleep(1000)
        assert watch.changed() == [NONE._replace(removed=frozenset({"a"}))]


async def test_a_new_secret_that_was_read_before_it_was_listed_is_read_again(rig, watch):
    async with watch.running():
        rig.world.create("a", "x")
        assert await rig.get("a") == "x"
        rig.world.put("a", "y")
        await asyncio.sleep(LOOK + 1)
        assert [(changes.added, changes.updated) for changes in watch.changed()] == [({"a"}, {"a"})]
        assert await rig.get("a") == "y"


async def test_the_first_secret_of_an_account_is_found(rig, watch):
    async with watch.running():
        assert (await rig.get("a")).reason is Reason.SECRET_NOT_FOUND
        rig.world.create("a", "x")
        await asyncio.sleep(LOOK + 1)
        assert await rig.get("a") == "x"
        assert watch.poller.catalogue.is_home(rig.reader)


async def test_a_change_that_becomes_visible_late_is_found(rig, watch):
    for number in range(150):
        rig.world.create(f"s{number}", "x")
    async with watch.running():
        rig.world.freeze_entry("s0")
        rig.world.put("s0", "y")
        rig.clock.advance(minutes=4)
        for number in range(1, 120):  # more than a page of later changes
            rig.world.put(f"s{number}", "y")
        await asyncio.sleep(3 * LOOK)
        assert "s0" not in {name for changes in watch.changed() for name in changes.names}
        rig.world.secret("s0").listed_as = None
        await asyncio.sleep(LOOK + 1)
        assert watch.changed()[-1] == NONE._replace(updated=frozenset({"s0"}))


async def test_changes_with_equal_dates_over_a_page_border_are_all_found(rig, watch):
    for number in range(350):
        rig.world.create(f"s{number}", "x")
    async with watch.running():
        for number in range(250):
            rig.world.put(f"s{number}", "y")
        for number in range(250):
            rig.world.secret(f"s{number}").changed = rig.world.secret("s0").changed
        await asyncio.sleep(LOOK + 1)
        assert watch.changed() == [NONE._replace(updated=frozenset(f"s{number}" for number in range(250)))]


async def test_a_page_that_moves_while_it_is_read_loses_nothing(rig, watch):
    for number in range(350):
        rig.world.create(f"s{number}", "x")
    list_page = rig.api.list_page

    async def moving(identity, region, token, **options):
        page = await list_page(identity, region, token, **options)
        if options and not token:
            rig.world.put("s300", "moved")
        return page

    async with watch.running():
        for number in range(150):
            rig.world.put(f"s{number}", "y")
        rig.api.list_page = moving
        await asyncio.sleep(2 * LOOK + 5)
        found = {name for changes in watch.changed() for name in changes.updated}
        assert found == {*(f"s{number}" for number in range(150)), "s300"}


async def test_older_news_than_what_is_known_is_ignored(rig, watch):
    rig.world.create("a", "x")
    rig.world.freeze_entry("a")
    stale = rig.world.secret("a").listed_as
    rig.world.put("a", "y")
    rig.world.secret("a").listed_as = None
    async with watch.running():
        rig.world.secret("a").listed_as = stale
        await asyncio.sleep(5 * LOOK)
        assert watch.reports == []


async def test_a_read_that_is_behind_the_look_is_repeated_at_the_next_ones(rig, watch):
    secret = rig.world.create("a", "x")
    async with watch.running():
        assert await rig.get("a") == "x"
        secret.reads_lag_at = secret.staged("AWSCURRENT")
        rig.world.put("a", "y")
        await asyncio.sleep(LOOK + 1)
        assert await rig.get("a") == "x"
        secret.reads_lag_at = ""
        await asyncio.sleep(LOOK + 1)
        assert watch.changed()[-1].updated == {"a"}
        assert await rig.get("a") == "y"
        await asyncio.sleep(BEHIND_FOR)
        assert len(watch.reports) == 2


async def test_a_read_that_stays_behind_is_not_repeated_for_ever(rig, watch):
    secret = rig.world.create("a", "x")
    async with watch.running():
        await rig.get("a")
        secret.reads_lag_at = secret.staged("AWSCURRENT")
        rig.world.put("a", "y")
        for _ in range(100):
            await asyncio.sleep(LOOK)
            await rig.get("a")
        assert rig.api.calls["GetSecretValue"] <= 2 + BEHIND_FOR / LOOK


async def test_more_changes_than_the_pages_of_a_look_lead_to_a_full_listing(rig, watch):
    total = 100 * (MAX_PAGES + 2)
    for number in range(total):
        rig.world.create(f"s{number}", "x")
    async with watch.running():
        for number in range(total):
            rig.world.put(f"s{number}", "y")
        await asyncio.sleep(LOOK + 2)
        assert {name for changes in watch.changed() for name in changes.updated} == {f"s{n}" for n in range(total)}
        assert rig.api.calls["ListSecrets"] == MAX_PAGES + total / 100
        await asyncio.sleep(LOOK)
        assert rig.api.calls["ListSecrets"] == 2 * MAX_PAGES + total / 100


@pytest.mark.parametrize("how", ["ignores", "refuses"])
async def test_an_endpoint_that_does_not_sort_is_left_alone_for_an_hour(rig, watch, how):
    for number in range(5):
        rig.world.create(f"s{number}", "x")
    if how == "ignores":
        rig.world.sorts = False
    async with watch.running():
        if how == "refuses":
            watch.broken = "InvalidParameterException"
        await asyncio.sleep(0.9 * UNSUPPORTED_FOR)
        assert rig.api.calls["ListSecrets"] == 1
        assert rig.metric("secretsyncer_change_polls_total", outcome="unsupported") == 1
        assert watch.poller.health() is None


async def test_a_look_that_fails_changes_nothing_and_backs_off(rig, watch):
    rig.world.create("a", "x")
    async with watch.running():
        watch.broken = "ThrottlingException"
        rig.world.put("a", "y")
        await asyncio.sleep(1000)
        assert watch.reports == []
        assert watch.poller.health() is None
        assert 5 <= rig.api.calls["ListSecrets"] <= 12
        watch.broken = ""
        await asyncio.sleep(400)
        assert watch.changed() == [NONE._replace(updated=frozenset({"a"}))]


@pytest.mark.parametrize("page", [None, "text", [None], [{}], [{"Name": "a", "ARN": 5}]])
async def test_a_look_at_what_is_no_page_changes_nothing(rig, watch, page):
    rig.world.create("a", "x")
    async with watch.running():
        list_page = rig.api.list_page

        async def malformed(*args, **options):
            return (await list_page(*args, **options))._replace(entries=page)

        rig.api.list_page = malformed
        await asyncio.sleep(5 * LOOK)
        assert watch.reports == []
        assert set(watch.poller.catalogue.entries) == {"a"}


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+00:00", "2026-01-01T00:00:00"], ids=["zero", "no time zone"]
)
async def test_an_unusual_date_ends_nothing(rig, watch, moment):
    """Go's zero time is what a stand-in may show, and a time without a zone cannot be compared with others."""
    list_page = rig.api.list_page

    async def dated(*args, **options):
        page = await list_page(*args, **options)
        for raw in page.entries:
            raw["LastChangedDate"] = datetime.fromisoformat(moment)
        return page

    rig.world.create("a", "x")
    rig.api.list_page = dated
    async with watch.running():
        rig.world.create("b", "x")
        await asyncio.sleep(5 * LOOK)
        assert set(watch.poller.catalogue.entries) == {"a", "b"}
        assert watch.poller.catalogue.entries["a"].last_changed == datetime.fromisoformat(moment).replace(
            tzinfo=UTC
        )


async def test_looks_continue_while_too_many_events_wait_for_a_listing(rig, watch):
    rig.world.create("a", "x")
    list_page = rig.api.list_page

    async def slow(*args, **options):
        if not options:
            await asyncio.sleep(60)  # so that the next listing comes after five minutes
        return await list_page(*args, **options)

    rig.api.list_page = slow
    async with watch.running():
        watch.poller.admit(["x"] * 1000)
        await asyncio.sleep(1)
        rig.world.put("a", "y")
        await asyncio.sleep(LOOK + 1)
        assert watch.changed() == [NONE._replace(updated=frozenset({"a"}))]


async def test_there_are_no_looks_while_the_listing_fails_or_where_they_are_off(rig, watch):
    rig.world.create("a", "x")
    watch.broken = "AccessDeniedException"
    async with watch.running():
        await asyncio.sleep(100)
        assert rig.metric("secretsyncer_change_polls_total", outcome="failure") == 0
    off = Watch(rig, interval=3600)
    watch.broken = off.broken = ""
    rig.api.calls.clear()
    async with off.running():
        await asyncio.sleep(3000)
    assert rig.api.calls == {"ListSecrets": 1}
