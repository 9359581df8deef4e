"""Two operators that divide the objects by label, each with its own Lease."""

from __future__ import annotations

from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import all_keys

LEASE = "5a48bfe8.contentful.com"
NAMESPACE = "default"


def shard(letter):
    return {
        "WATCH_SELECTOR": f"shard={letter}",
        "LEASE_NAME": f"{LEASE}-{letter}",
        "LEADER_ELECTION": "true",
        "POD_NAMESPACE": NAMESPACE,
        "SYNC_INTERVAL_SEC": "1",
    }


async def label(space, name, letter):
    await space.cluster.merge("SyncedSecret", space.name, name, {"metadata": {"labels": {"shard": letter}}})


async def objects_of(operator):
    """The names of the objects that it works on."""
    series = [key for key in await operator.metrics() if key.startswith("secretsyncer_object_ready{")]
    return {key.partition('name="')[2].partition('"')[0] for key in series}


async def test_each_shard_works_on_its_own_objects_and_a_change_of_label_hands_one_over(
    small_operator, small_cluster, aws, name
):
    space = await small_cluster.space()
    for letter in "abc":
        await space.write(f"of-{letter}", dataFrom=all_keys(name))
        await label(space, f"of-{letter}", letter)
    first, second = await small_operator(**shard("a")), await small_operator(**shard("b"))
    for letter in "ab":
        await space.until_data(f"of-{letter}", {"a": b"1"})
        lease = await small_cluster.get("Lease", NAMESPACE, f"{LEASE}-{letter}")
        assert lease["spec"]["holderIdentity"]
    assert (await objects_of(first), await objects_of(second)) == ({"of-a"}, {"of-b"})
    assert await space.secret("of-c") is None  # of a shard that nobody runs

    await label(space, "of-a", "b")

    async def handed_over():
        assert (await objects_of(first), await objects_of(second)) == (set(), {"of-a", "of-b"})

    await eventually(handed_over)
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("of-a", {"a": b"2"})
    assert (await space.synced("of-a"))["status"]["conditions"][0]["status"] == "True"


async def test_a_second_operator_of_one_shard_stands_by(small_operator, small_cluster, name):
    first = await small_operator(**shard("a"))

    async def leads():
        assert await measured(first, "secretsyncer_leader") == 1

    await eventually(leads)
    second = await small_operator(**shard("a"))
    assert await measured(second, "secretsyncer_leader") == 0
