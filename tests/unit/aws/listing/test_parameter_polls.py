"""Rounds of polling of Parameter Store: only while it is needed, and what follows if it may not be listed."""

import asyncio

import pytest

from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.identity import SecretRef
from secretsyncer.aws.listing.poller import Poller
from tests.support.polling import NONE

pytestmark = pytest.mark.looptime

INTERVAL = 300


class ParameterWatch:
    """A poller of parameters; what it reported. `is_needed` and `denied` can change."""

    def __init__(self, rig):
        self.rig = rig
        self.put = rig.world.parameters.put
        self.is_needed = True
        self.denied = False
        self.lies = False
        self.refs = []
        self.in_use = []
        self.reports = []
        self.metrics = rig.cache._metrics
        api = ParameterStore(rig.api, per_second=10_000)
        self.poller = Poller(
            api,
            rig.api,
            rig.parameters,
            self.metrics,
            interval=INTERVAL,
            changes_interval=10,
            referenced=lambda: self.refs,
            in_use=lambda _region: self.in_use,
            needed=lambda: self.is_needed,
        )
        self.poller.add_handler(lambda old, new, changes, refs: self.reports.append((changes, refs)))
        rig.api.broken = lambda operation, _: (
            "AccessDeniedException" if self.denied and operation == "DescribeParameters" else ""
        )

    def ref(self, name, **more):
        return SecretRef(self.rig.reader, name, service="ParameterStore", **more)

    async def get(self, ref):
        return (await self.rig.parameters.get_many([ref], self.poller.catalogue))[ref]

    async def poll(self):
        await asyncio.sleep(INTERVAL)
        self.reports.clear()
        await self.poller.poll_once()


@pytest.fixture
async def watch(rig):
    made = ParameterWatch(rig)
    yield made
    await rig.parameters.aclose()


async def test_two_thousand_parameters_are_forty_pages_and_no_value(rig, watch):
    for number in range(2000):
        watch.put(f"/app/{number}", "x")
    await watch.poller.poll_once()
    assert rig.api.calls == {"DescribeParameters": 40}
    assert len(watch.poller.catalogue.entries) == 2000
    assert rig.metric("secretsyncer_catalogue_secrets", service="ParameterStore") == 2000


async def test_nothing_is_listed_before_the_first_object_needs_it_nor_after_the_last(rig, watch):
    watch.put("/app/a", "x")
    watch.is_needed = False
    beats = []
    task = asyncio.create_task(watch.poller.run(lambda: beats.append(1)))
    await asyncio.sleep(3 * INTERVAL)
    assert rig.api.calls == {}
    assert watch.poller.first_round.is_set()
    assert watch.poller.health() is None
    assert len(beats) > 30
    watch.is_needed = True
    watch.poller.soon()
    await asyncio.sleep(30)
    assert rig.api.calls == {"DescribeParameters": 1}
    assert watch.reports == [(NONE._replace(added=frozenset({"/app/a"})), set())]
    watch.is_needed = False
    await asyncio.sleep(2 * INTERVAL)
    assert rig.api.calls == {"DescribeParameters": 1}
    assert watch.poller.catalogue.listed_at is None
    assert rig.metric("secretsyncer_catalogue_secrets", service="ParameterStore") is None
    watch.is_needed = True
    watch.poller.soon()
    await asyncio.sleep(1)
    assert set(watch.poller.catalogue.entries) == {"/app/a"}
    task.cancel()
    await asyncio.wait([task])


async def test_what_needed_the_listing_before_the_start_causes_one_and_not_two(rig, watch):
    watch.poller.soon()
    task = asyncio.create_task(watch.poller.run(lambda: None))
    await asyncio.sleep(60)
    assert rig.api.calls == {"DescribeParameters": 1}
    task.cancel()
    await asyncio.wait([task])


async def test_without_permission_to_list_what_is_referenced_is_read_in_each_round(rig, watch):
    names = [f"/app/{number}" for number in range(30)]
    for name in names:
        watch.put(name, "one")
    watch.refs = [watch.ref(name) for name in names]
    watch.denied = True
    await watch.poll()
    assert "Allow ssm:DescribeParameters" in watch.poller.catalogue.denied
    assert [(await watch.get(ref)).text for ref in watch.refs] == ["one"] * 30
    rig.api.calls.clear()
    await watch.poll()
    assert rig.api.calls == {"DescribeParameters": 1, "GetParameters": 3}
    watch.put(names[4], "two")
    await watch.poll()
    assert watch.reports == [(NONE, {watch.refs[4]})]
    watch.denied = False
    await watch.poll()
    rig.api.calls.clear()
    await watch.poll()
    assert rig.api.calls == {"DescribeParameters": 1}
    assert not watch.poller.catalogue.denied


async def test_if_the_permission_to_list_is_lost_nothing_looks_deleted_and_changes_still_come(rig, watch):
    watch.put("/app/a", "one")
    watch.refs = [watch.ref("/app/a")]
    await watch.poll()
    assert (await watch.get(watch.refs[0])).text == "one"
    watch.denied = True
    await watch.poll()
    assert watch.reports == []
    assert [entry.name for entry in watch.poller.catalogue.below("/app/")] == ["/app/a"]
    watch.put("/app/a", "two")
    await watch.poll()
    assert watch.reports == [(NONE, {watch.refs[0]})]
    assert (await watch.get(watch.refs[0])).text == "two"


async def test_a_listing_that_loses_most_of_what_is_in_use_is_not_believed(rig, watch):
    made = [watch.put(f"/app/{number}", "x") for number in range(30)]
    watch.in_use = [one.arn for one in made]
    await watch.poll()
    watch.reports.clear()
    rig.world.parameters.freeze_lists()
    for one in rig.world.parameters._frozen["123456789012", "eu-west-1"][5:]:
        rig.world.parameters._frozen["123456789012", "eu-west-1"].remove(one)
    describe = watch.poller._api.describe

    async def finds(ref):
        rig.world.parameters._frozen, frozen = {}, rig.world.parameters._frozen
        try:
            return await describe(ref)
        finally:
            rig.world.parameters._frozen = frozen

    watch.poller._api.describe = finds
    await watch.poll()
    assert len(watch.poller.catalogue.entries) == 30
    assert "lacks 25 parameters that were there before" in watch.poller.health()
    assert "DescribeParameters finds 5 of 5" in watch.poller.health()
    rig.world.parameters.thaw_lists()
    await watch.poll()
    assert watch.poller.health() is None


async def test_a_listing_that_loses_much_that_is_really_gone_is_believed(rig, watch):
    made = [watch.put(f"/app/{number}", "x") for number in range(30)]
    watch.in_use = [one.arn for one in made]
    await watch.poll()
    for one in made[:25]:
        rig.world.parameters.delete(one.name)
    await watch.poll()
    assert len(watch.poller.catalogue.entries) == 30  # DescribeParameters alone cannot confirm itself
    await watch.poll()
    assert len(watch.poller.catalogue.entries) == 5


async def test_what_an_event_names_is_described_at_once(rig, watch):
    watch.put("/app/a", "one")
    gone = watch.put("/app/gone", "one")
    await watch.poll()
    watch.reports.clear()
    watch.put("/app/a", "two")
    rig.world.parameters.delete("/app/gone")
    await watch.poller.refresh(watch.poller.admit(["/app/a", gone.arn]))
    (changes, _) = watch.reports[0]
    assert (changes.updated, changes.removed) == ({"/app/a"}, {"/app/gone"})


async def test_an_event_while_listing_is_denied_does_not_make_the_old_listing_count_again(rig, watch):
    watch.put("/app/a", "one")
    watch.refs = [watch.ref("/app/a")]
    await watch.poll()
    watch.denied = True
    await watch.poll()
    denied = watch.poller.catalogue.denied
    await watch.poller.refresh(watch.poller.admit(["/app/a"]))
    assert denied
    assert watch.poller.catalogue.denied == denied
    assert watch.poller.catalogue.find(watch.refs[0]) is None


async def test_another_failure_after_a_denial_does_not_bring_the_listing_before_it_back(rig, watch):
    made = watch.put("/app/a", "one")
    by_path = watch.ref(made.arn)
    watch.refs = [by_path]
    await watch.poll()
    assert (await watch.get(by_path)).text == "one"
    watch.denied = True
    watch.put("/app/a", "two")
    await watch.poll()
    assert (await watch.get(by_path)).text == "two"
    rig.api.broken = lambda operation, _: "ThrottlingException" if operation == "DescribeParameters" else ""
    await watch.poll()
    assert (await watch.get(by_path)).text == "two"


async def test_a_listing_and_a_description_that_are_both_empty_have_to_be_confirmed_by_a_later_round(rig, watch):
    made = [watch.put(f"/app/{number}", "x") for number in range(30)]
    watch.in_use = [one.arn for one in made]
    await watch.poll()
    watch.reports.clear()
    there = dict(rig.world.parameters._all)
    rig.world.parameters._all.clear()
    await asyncio.sleep(30)
    await watch.poller.poll_once()
    assert len(watch.poller.catalogue.entries) == 30
    assert "the listing of the next round has to confirm that" in watch.poller.health()
    rig.world.parameters._all.update(there)
    await watch.poll()
    assert watch.reports == []
    assert watch.poller.health() is None
