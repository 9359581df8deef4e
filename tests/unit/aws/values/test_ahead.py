"""Prefetches ahead of the workers: each value is read once, in full batches, however little the cache holds."""

import asyncio

import pytest

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.values.ahead import PATIENCE

pytestmark = pytest.mark.looptime

WORKERS = 8
WRITE = 0.04
"""Seconds for which a worker is busy with each object."""


async def secrets(rig, count, *, size=1, roles=()):
    """References to so many new secrets; with roles, each to one secret as the next role."""
    refs = []
    for number in range(len(rig.world.secrets), len(rig.world.secrets) + count):
        rig.world.create(f"s{number}", "x" * size)
        refs.append(rig.ref(f"s{number}", roles[number % len(roles)] if roles else None))
    await rig.poll()
    return refs


async def parameters(rig, count):
    for number in range(count):
        rig.world.parameters.put(f"/p/{number}", "x")
    await rig.poll_parameters()
    return [SecretRef(rig.reader, f"/p/{number}", service="ParameterStore") for number in range(count)]


def prefetch(rig, refs):
    rig.sources.prefetch(refs, rig.listings)


async def work(rig, refs):
    """Workers that read one after the other, and write what they have read."""
    waiting = iter(refs)

    async def worker():
        for ref in waiting:
            got = await rig.sources.get_many([ref], rig.listings)
            assert getattr(got[ref], "text", got[ref]) != ""
            await asyncio.sleep(WRITE)

    await asyncio.gather(*(worker() for _ in range(WORKERS)))


async def start(rig, refs):
    prefetch(rig, refs)
    await work(rig, refs)


@pytest.mark.parametrize("limit", [{"max_values": 350}, {"max_bytes": 3_500_000}], ids=str)
async def test_each_of_more_values_than_the_cache_holds_is_read_once_in_full_batches(make_rig, limit):
    rig = make_rig(**limit)
    await start(rig, await secrets(rig, 1000, size=10_000))
    assert rig.api.calls == {"BatchGetSecretValue": 50}


async def test_the_batches_of_each_role_stay_full(make_rig):
    rig = make_rig(max_values=350)
    roles = [Identity(rig.world.role(f"role-{number}")) for number in range(10)]
    await start(rig, await secrets(rig, 400, roles=roles))
    assert rig.api.calls == {"BatchGetSecretValue": 10 * 2}


async def test_secrets_and_parameters_share_the_room(make_rig):
    rig = make_rig(max_values=350)
    both = zip(await secrets(rig, 400), await parameters(rig, 400), strict=True)
    await start(rig, [ref for pair in both for ref in pair])
    assert rig.api.calls == {"BatchGetSecretValue": 20, "GetParameters": 40}


async def test_a_role_that_may_not_batch_reads_each_value_once(make_rig):
    rig = make_rig(max_values=90)
    rig.world.role("reader", deny={"BatchGetSecretValue"})
    refs = await secrets(rig, 300)
    prefetch(rig, refs)
    await asyncio.sleep(1)
    assert rig.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 30}
    await work(rig, refs)
    assert rig.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 300}


async def test_as_soon_as_values_are_read_the_next_ones_are_fetched(make_rig):
    rig = make_rig(max_values=90)
    refs = await secrets(rig, 120)
    prefetch(rig, refs)
    await asyncio.sleep(1)
    for calls in (2, 3, 4, 5):
        assert rig.api.calls == {"BatchGetSecretValue": calls}
        await work(rig, refs[20 * calls - 40 : 20 * calls - 20])
        await asyncio.sleep(1)


@pytest.mark.parametrize("times", [1, 2], ids=["prefetched once", "prefetched again"])
async def test_values_that_nobody_has_read_yet_are_not_evicted_by_others(make_rig, times):
    rig = make_rig(max_values=100)
    later, others = await secrets(rig, 30), await secrets(rig, 300)
    for _ in range(times):
        prefetch(rig, later)
        await asyncio.sleep(1)
    await work(rig, others)
    rig.api.calls.clear()
    await work(rig, later)
    assert not rig.api.calls


async def test_an_order_that_nobody_foresaw_costs_no_second_read(make_rig):
    """Objects of a few roles are reconciled much later than their values were asked for."""
    rig = make_rig(max_values=350)
    roles = [Identity(rig.world.role(f"role-{number}")) for number in range(10)]
    many, few = await secrets(rig, 700), await secrets(rig, 500, roles=roles)
    prefetch(rig, [*few, *many])
    await work(rig, [*many, *few])
    assert rig.api.calls.keys() == {"BatchGetSecretValue"}
    assert rig.api.calls.total() <= 1.2 * (700 + 500) / 20


async def test_what_templates_are_likely_to_need_makes_room_when_it_is_read(make_rig):
    rig = make_rig(max_values=90)
    refs = await secrets(rig, 300)
    prefetch(rig, refs)
    for begin in range(0, 300, 20):
        await asyncio.sleep(1)
        assert len(await rig.sources.likely(refs[begin : begin + 20], rig.listings)) == 20
    assert rig.api.calls == {"BatchGetSecretValue": 15}


async def test_a_thousand_values_that_nobody_reads_do_not_keep_others_from_being_read_in_batches(make_rig):
    rig = make_rig(max_values=450)
    in_vain, others = await secrets(rig, 1000), await secrets(rig, 600)
    prefetch(rig, [*in_vain, *others])
    await work(rig, others)
    await asyncio.sleep(1)
    assert rig.api.calls.keys() == {"BatchGetSecretValue"}
    assert rig.api.calls.total() <= (1000 + 600) / 20


async def test_values_that_nobody_reads_leave_room_for_those_in_use(make_rig):
    rig = make_rig(max_values=90)
    in_vain, others, [shared] = await secrets(rig, 400), await secrets(rig, 200), await secrets(rig, 1)
    prefetch(rig, [shared, *in_vain, *others])
    for ref in others:
        await work(rig, [shared, ref])
    assert rig.api.calls.keys() == {"BatchGetSecretValue"}
    assert rig.api.calls.total() <= 1 + (1 + 400 + 200) / 20


async def test_values_that_nobody_reads_hold_up_others_for_some_minutes_at_most(make_rig):
    rig = make_rig(max_values=90)
    refs = await secrets(rig, 100)
    prefetch(rig, refs)
    await asyncio.sleep(PATIENCE - 10)
    assert rig.api.calls == {"BatchGetSecretValue": 2}
    for calls in (4, 5):
        await asyncio.sleep(PATIENCE)
        await rig.cache.recheck(refs, rig.catalogue)
        await asyncio.sleep(1)
        assert rig.api.calls == {"BatchGetSecretValue": calls}


async def test_a_prefetch_that_fails_makes_room(make_rig):
    rig = make_rig(max_values=60)
    blind = Identity(rig.world.role("blind", trusted=False))
    refused, others = await secrets(rig, 20, roles=[blind]), await secrets(rig, 20)
    prefetch(rig, [*refused, *others])
    await asyncio.sleep(1)
    rig.api.calls.clear()
    await work(rig, others)
    assert not rig.api.calls


async def test_a_secret_that_is_deleted_makes_room(make_rig):
    rig = make_rig(max_values=90)
    refs = await secrets(rig, 60)
    prefetch(rig, refs)
    await asyncio.sleep(1)
    assert rig.api.calls == {"BatchGetSecretValue": 2}
    for number in range(3):
        await rig.poll()
        await rig.cache.recheck(refs[40:], rig.catalogue)
        await asyncio.sleep(1)
        assert rig.api.calls == {"BatchGetSecretValue": 2 + (number > 0)}


async def test_rechecks_are_not_held_back_and_take_along_what_is(make_rig):
    rig = make_rig(max_values=90)
    theirs = rig.world.create("theirs", "x", account="999999999999", shared_with=[rig.reader.role]).arn
    await rig.get(theirs)
    prefetch(rig, await secrets(rig, 100))
    await asyncio.sleep(1)
    prefetch(rig, [rig.ref(theirs)])
    await asyncio.sleep(1)
    rig.world.put("theirs", "y", account="999999999999")
    rig.api.asked.clear()
    async with asyncio.timeout(1):
        assert await rig.cache.recheck([rig.ref(theirs)], rig.catalogue) == {rig.ref(theirs)}
    [(operation, _, ids)] = rig.api.asked
    assert (operation, len(ids)) == ("BatchGetSecretValue", 20)


async def test_who_waited_for_a_call_that_counts_no_more_does_not_wait_for_room(make_rig):
    """Its value is read again by a prefetch, which is held back."""
    rig = make_rig(max_values=90)
    rig.world.role("reader", deny={"BatchGetSecretValue"})
    other = Identity(rig.world.role("other"))
    wanted = await secrets(rig, 2)
    prefetch(rig, await secrets(rig, 100, roles=[other]))
    await asyncio.sleep(1)
    reads = asyncio.create_task(rig.cache.get_many(wanted, rig.catalogue))
    await asyncio.sleep(0.01)
    rig.cache.invalidate([ref.id for ref in wanted])
    prefetch(rig, wanted)
    got = await asyncio.wait_for(reads, 5)
    assert [got[ref].text for ref in wanted] == ["x", "x"]


async def test_what_is_prefetched_together_fills_its_batches_however_it_is_asked_for(make_rig):
    rig = make_rig()
    refs = await secrets(rig, 40)
    with rig.sources.gathered():
        for ref in refs:
            prefetch(rig, [ref])
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    assert rig.api.calls == {"BatchGetSecretValue": 2}
