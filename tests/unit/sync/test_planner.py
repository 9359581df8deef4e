"""Which revision the data of an object get that fills some keys of a Secret."""

from __future__ import annotations

import pytest

from sandbox.kubeapi.patches import merge_patch
from secretsyncer.errors import Rejected
from secretsyncer.sync.held_keys import HELD
from secretsyncer.sync.observed import summarise
from secretsyncer.sync.owners import NOBODY
from secretsyncer.sync.planner import Planner, Wish
from secretsyncer.sync.revision import following
from tests.support.builders import kube_secret, parsed
from tests.support.specs import literal

RESTART = {"consumers": True}
SYNCED = parsed(literal("a", "1"), target={"policy": "Merge"}, restart=RESTART)


class Filled:
    """A Secret of somebody else, which one process fills."""

    def __init__(self, **theirs):
        self.secret = kube_secret(theirs, ours=False)
        self.planner = Planner(adopt=True, count=following)
        self.reported = 0

    async def reconcile(self, synced=SYNCED, **data):
        """Write the data, and return their revision."""
        wish = Wish(synced, {key: text.encode() for key, text in data.items()}, NOBODY)
        observed = summarise(self.secret)
        made = await self.planner.revision(wish, observed, reported=self.reported)
        if step := self.planner.step(wish, observed, made):
            self.secret = merge_patch(self.secret, step.body)
        self.planner.done(wish, summarise(self.secret))
        self.reported = made.number
        return made.number

    def edit(self, **data):
        self.secret = merge_patch(self.secret, {"data": kube_secret(data)["data"]})


async def test_new_data_of_own_keys_count_and_those_of_others_do_not():
    one = Filled(b="theirs")
    assert await one.reconcile(a="1") == 0
    one.edit(b="new")
    assert await one.reconcile(a="1") == 0
    assert await one.reconcile(a="2") == 1
    one.edit(b="newer")
    assert await one.reconcile(a="2") == 1
    assert await one.reconcile(a="2", c="1") == 2
    assert await one.reconcile(c="1") == 3


async def test_a_repair_does_not_count():
    one = Filled(b="theirs")
    await one.reconcile(a="1")
    one.edit(a="edited")
    assert await one.reconcile(a="1") == 0


async def test_a_key_that_is_taken_over_does_not_count():
    one = Filled(a="theirs")
    adopts = parsed(literal("a", "1"), target={"policy": "Merge"}, adopt=True, restart=RESTART)
    assert await one.reconcile(adopts, a="1") == 0
    assert await one.reconcile(adopts, a="2") == 1


async def test_data_that_were_never_counted_count_when_they_change():
    one = Filled(b="theirs")
    quiet = Planner(adopt=True, count=nobody)
    loud, one.planner = one.planner, quiet
    wish = Wish(SYNCED, {"a": b"1"}, NOBODY)
    one.secret = merge_patch(one.secret, quiet.step(wish, summarise(one.secret), None).body)
    one.planner = loud
    assert await one.reconcile(a="2") == 1


async def nobody(*_, **__):
    return None


async def test_lost_annotations_leave_the_number():
    one = Filled(b="theirs")
    await one.reconcile(a="1")
    assert await one.reconcile(a="2") == 1
    one.secret["metadata"]["annotations"] = {}
    assert await one.reconcile(a="3") == 2


async def test_keys_of_an_object_that_was_refused_are_not_its_own_any_more():
    one = Filled(b="theirs")
    await one.reconcile(a="1")
    with pytest.raises(Rejected):
        await one.reconcile(a="1", b="mine")
    del one.secret["metadata"]["annotations"][HELD]
    with pytest.raises(Rejected):
        await one.reconcile(a="2")
