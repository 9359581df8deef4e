"""Looks for recent changes while a long listing is read, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.support.polling import NONE, Watch

pytestmark = pytest.mark.looptime

PAGE, PAGES, INTERVAL, LOOK = 6.0, 10, 100.0, 10.0


class Slow(Watch):
    """A listing takes a minute. `running` begins ten to twenty seconds after the second one has begun."""

    def __init__(self, rig):
        super().__init__(rig, interval=INTERVAL, changes_interval=LOOK)
        self.fails = False
        list_page = rig.api.list_page

        async def slow(*args, latest_first=False, **options):
            if not latest_first:
                await asyncio.sleep(PAGE)
                self.broken = "ThrottlingException" if self.fails else ""
            return await list_page(*args, latest_first=latest_first, **options)

        rig.api.list_page = slow
        for number in range(100 * PAGES):
            rig.world.create(f"s{number:03}", "x")

    @contextlib.asynccontextmanager
    async def running(self):
        async with super().running():
            await self.poller.first_round.wait()
            await asyncio.sleep(INTERVAL * 1.05 + 10)
            assert self.poller.catalogue.round == 1
            self.reports.clear()
            yield

    def changed(self):
        return [changes for changes, _ in self.reports if changes]

    async def end(self):
        """Until the listing has ended."""
        listed = self.poller.catalogue.round
        await until(lambda: self.poller.catalogue.round > listed)


async def until(holds):
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(1)
    pytest.fail("it never holds")


@pytest.fixture
def watch(rig):
    return Slow(rig)


UPDATED = NONE._replace(updated=frozenset({"s000"}))
CHANGES = {
    "a new version": (lambda world: world.put("s000", "y"), UPDATED),
    "a new secret": (lambda world: world.create("a", "y"), NONE._replace(added=frozenset({"a"}))),
    "a deletion": (lambda world: world.delete("s000"), NONE._replace(removed=frozenset({"s000"}))),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
async def test_a_change_is_reported_before_the_listing_has_ended_and_not_undone_by_it(rig, watch, change, expected):
    async with watch.running():
        change(rig.world)
        await asyncio.sleep(LOOK + 1)
        assert watch.changed() == [expected]
        assert watch.poller.catalogue.round == 1
        await watch.end()
        assert watch.changed() == [expected]
        entries = watch.poller.catalogue.entries
        assert ("s000" in entries, "a" in entries) == ("s000" not in expected.removed, "a" in expected.added)
        assert len(watch.poller.catalogue.deleted) == len(expected.removed)  # its planned end is still known


async def test_what_the_listing_shows_later_than_a_look_counts(rig, watch):
    async with watch.running():
        rig.world.put("s999", "y")
        await asyncio.sleep(LOOK + 1)
        rig.world.put("s999", "z")
        await watch.end()
        assert len(watch.changed()) == 2
        newest = rig.world.secret("s999").versions
        assert watch.poller.catalogue.entries["s999"].version_id == list(newest)[-1]


async def test_a_listing_that_fails_loses_nothing_of_what_a_look_found(rig, watch):
    async with watch.running():
        rig.world.put("s000", "y")
        await asyncio.sleep(LOOK + 1)
        before = watch.poller.catalogue.entries["s000"]
        watch.fails = True
        await until(lambda: watch.poller.health() is not None)
        assert watch.changed() == [UPDATED]
        assert watch.poller.catalogue.entries["s000"] == before


async def test_the_first_listing_is_not_interrupted(rig, watch):
    async with Watch.running(watch):
        await watch.poller.first_round.wait()
        assert rig.api.calls["ListSecrets"] == PAGES
