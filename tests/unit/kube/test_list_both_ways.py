"""The contract of lists, as streams and in pages: only a complete list is used, and its differences are reported.

Each case is the same trouble in both forms, at the first list and at a later one.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.scripted_api import (
    END,
    EXPIRED,
    added,
    deleted,
    end_of_list,
    failed,
    modified,
    obj,
    page,
    refused,
)

pytestmark = pytest.mark.looptime


@pytest.fixture(params=["first", "relist"])
def relist(request):
    """Whether the trouble comes at a later list. Then x is known, and the server has forgotten its version."""
    return request.param == "relist"


@pytest.fixture
async def listing(api, running, streamed, relist, heard):
    """Run an informer with this trouble at its list. Returns it at the moment at which the trouble begins."""

    async def start(*, pages, stream, then=()):
        known = [2.0, failed(410)] if relist else None
        if streamed is None:
            api.lists += [page(5, obj("x", 1)), *pages] if relist else pages
            api.watches += [known, *then] if relist else then
        else:
            api.streams += [[added("x", 1), end_of_list(5), *known], stream] if relist else [stream]
            api.lists += [step for step in pages if step is pages[-1]]
            api.watches += then
        informer = running()
        if relist:
            await asyncio.sleep(2)
        return informer

    return start


def names(informer):
    return sorted(key.name for key, _ in informer.items())


def before(relist):
    return ["x"] if relist else []


def lists(api):
    """The times of all lists, in both ways, without the first one of a relist."""
    return sorted(api.times("list") + api.times("stream"))


@pytest.mark.parametrize("cut", [added("z", 2)[:40], b""], ids=["in-a-line", "after-a-line"])
async def test_cut_before_the_end(api, listing, relist, heard, cut):
    informer = await listing(
        pages=[page(7, obj("y", 1), following="t"), refused(0, "ConnectionFailed"), page(9, obj("y", 8))],
        stream=[added("y", 1), cut, ConnectionResetError()],
    )
    await asyncio.sleep(0.5)
    assert names(informer) == before(relist)
    assert informer.has_synced() == relist
    await asyncio.sleep(2)
    assert names(informer) == ["y"]
    assert heard[-1] == ("ADDED", "y")
    assert heard.count(("ADDED", "y")) == 1
    assert (("DELETED", "x") in heard) == relist
    assert api.versions()[-1] == "9"
    assert lists(api)[-1] - lists(api)[-2] == pytest.approx(0.8)


async def test_410_in_the_middle_lists_again_at_once(api, listing, relist, heard):
    informer = await listing(
        pages=[page(7, obj("gone", 1), following="t"), EXPIRED, page(9, obj("y", 8))],
        stream=[added("gone", 1), failed(410, "Expired")],
    )
    await asyncio.sleep(0.1)
    assert names(informer) == ["y"]
    assert "gone" not in {name for _, name in heard}
    assert lists(api)[-1] - lists(api)[-2] == pytest.approx(0, abs=0.01)


async def test_object_deleted_during_the_list(api, listing, relist, heard):
    informer = await listing(
        pages=[page(7, obj("x", 1), obj("y", 2), following="t"), page(7, obj("z", 3))],
        stream=[added("x", 1), added("y", 2), deleted("x", 8), added("z", 3), end_of_list(8)],
        then=[[deleted("x", 8)]],
    )
    await asyncio.sleep(0.5)
    assert names(informer) == ["y", "z"]
    assert heard.count(("DELETED", "x")) == heard.count(("ADDED", "x"))
    assert heard.count(("ADDED", "y")) == 1


async def test_object_recreated_during_the_list(api, listing, relist, heard):
    informer = await listing(
        pages=[page(7, obj("x", 1))],
        stream=[added("x", 1), deleted("x", 8), added("x", 9, uid="new"), end_of_list(9)],
        then=[[deleted("x", 8), added("x", 9, uid="new")]],
    )
    await asyncio.sleep(0.5)
    ((_, found),) = informer.items()
    assert found == obj("x", 9, uid="new")
    assert heard[-1] == ("ADDED", "x")
    assert heard.count(("ADDED", "x")) == heard.count(("DELETED", "x")) + 1


async def test_duplicates_are_one_object_in_its_last_state(api, listing, relist, heard):
    informer = await listing(
        pages=[page(7, obj("y", 1), following="t"), page(7, obj("y", 1), obj("z", 2))],
        stream=[added("y", 1), added("y", 1), added("z", 2), modified("y", 6), end_of_list(7)],
        then=[[modified("y", 6)]],
    )
    await asyncio.sleep(0.5)
    assert names(informer) == ["y", "z"]
    assert informer.items()[0][1] == obj("y", 6)
    assert heard.count(("ADDED", "y")) == 1


async def test_server_that_closes_early(api, listing, relist, heard):
    informer = await listing(
        pages=[page(7, obj("y", 1), following="t"), refused(503), page(9, obj("y", 8))],
        stream=[added("y", 1), END],
    )
    await asyncio.sleep(0.5)
    assert names(informer) == before(relist)
    assert "list failed" in informer.health()
    await asyncio.sleep(2)
    assert names(informer) == ["y"]
    assert informer.health() is None


async def test_nothing_is_half_updated_when_it_is_cancelled(api, listing, relist, heard):
    informer = await listing(
        pages=[page(7, obj("y", 1), following="t")],
        stream=[added("y", 1)],
    )
    await asyncio.sleep(0.1)
    informer.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await informer.task
    assert names(informer) == before(relist)
    assert api.open == 0
