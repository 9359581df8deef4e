"""Reads of what a template may need: denials are few, cheap and remembered, and never stand for a refusal."""

import asyncio

import pytest

from secretsyncer.aws.identity import Identity
from secretsyncer.aws.values.likely import DENIED_PER_ROUND, MAX_BYTES

pytestmark = pytest.mark.looptime

MANY = 1000


@pytest.fixture
def picky(rig):
    """A role that may read one in a hundred."""
    return Identity(rig.world.role("picky", read=[f"s{number}" for number in range(0, MANY, 100)]))


@pytest.fixture
async def refs(rig, picky):
    for number in range(MANY):
        rig.world.create(f"s{number}", "x")
    await rig.poll()
    rig.api.calls.clear()
    return [rig.ref(f"s{number}", picky) for number in range(MANY)]


async def likely(rig, refs):
    return sorted(ref.id for ref in await rig.cache.likely(refs, rig.catalogue))


async def test_everything_that_may_be_read_is_read_in_batches(rig, refs):
    readable = [ref._replace(identity=rig.reader) for ref in refs]
    assert len(await likely(rig, readable)) == MANY
    assert sum(rig.api.calls.values()) <= MANY / 20 + 10
    assert len(await likely(rig, readable)) == MANY
    assert sum(rig.api.calls.values()) <= MANY / 20 + 10


async def test_a_denial_costs_no_call_of_its_own_and_many_end_it_for_this_round(rig, refs):
    assert await likely(rig, refs) == ["s0", "s100", "s200"]
    assert rig.api.calls.pop("BatchGetSecretValue") <= (DENIED_PER_ROUND + 100) / 20 + 1
    assert rig.api.calls.total() <= 2  # the first call of a role, and what fills no batch
    rig.api.calls.clear()
    await likely(rig, refs)
    assert not rig.api.calls


async def test_denials_are_remembered_until_the_secret_changes_or_an_hour_has_passed(rig, refs):
    for _ in range(6):
        await likely(rig, refs)
        await rig.poll()
    assert len(await likely(rig, refs)) == MANY / 100
    for _ in range(3):
        await rig.poll()
        rig.api.calls.clear()
        await asyncio.sleep(300)
        await likely(rig, refs)
        assert not rig.api.calls
    rig.world.put("s1", "y")
    rig.world.role("picky", read=["*"])
    await rig.poll()
    assert "s1" in await likely(rig, refs)
    assert "s2" not in await likely(rig, refs)
    await asyncio.sleep(3601)
    await rig.poll()
    assert len(await likely(rig, refs)) == MANY


async def test_what_was_denied_in_a_batch_only_is_read_when_it_is_needed(rig, refs):
    await likely(rig, refs)
    rig.world.role("picky", read=["*"])
    assert await rig.get(refs[1]) == "x"


async def test_what_is_needed_meanwhile_gets_its_own_call(rig, refs):
    """A denial in a batch is not the last word for somebody who needs the value."""
    hint = asyncio.create_task(likely(rig, refs[:20]))
    await asyncio.sleep(0)
    await rig.get(refs[1])
    await hint
    assert [ids for operation, _, ids in rig.api.asked if operation == "GetSecretValue"][-1:] == [("s1",)]


async def test_the_values_for_one_template_are_bounded_by_size(rig, reader_refs):
    found = await rig.cache.likely(reader_refs, rig.catalogue)
    size = sum(len(value.text) for value in found.values())
    assert MAX_BYTES <= size < MAX_BYTES + 100 * 65_536


@pytest.fixture
async def reader_refs(rig):
    for number in range(600):
        rig.world.create(f"big{number}", "x" * 65_536)
    await rig.poll()
    return [rig.ref(f"big{number}") for number in range(600)]


async def test_an_invalid_reference_is_left_out(rig, refs):
    assert await likely(rig, [rig.ref("two words"), rig.ref("s0")]) == ["s0"]


async def test_another_secret_of_that_name_is_not_given_for_an_arn(rig):
    old = rig.world.create("app", "old").arn
    await rig.poll()
    rig.world.delete("app", force=True)
    rig.world.create("app", "new")
    assert await likely(rig, [rig.ref(old)]) == []
