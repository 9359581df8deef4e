"""One leader at a time."""

from __future__ import annotations

import asyncio
import copy
import random

import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.lease import LeaderElector, LeaseLost

pytestmark = pytest.mark.looptime


class Cluster:
    """One Lease with optimistic locking; can be cut off for some candidates."""

    def __init__(self):
        self.lease = None
        self.version = 0
        self.writes = []
        self.broken = {}

    def client(self, name):
        return Client(self, name)

    def spec(self):
        return self.lease["spec"]

    def edit(self, **spec):
        """Somebody changes it by hand."""
        self.version += 1
        self.lease["spec"].update(spec)
        self.lease["metadata"]["resourceVersion"] = str(self.version)


class Client:
    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    async def _reach(self):
        how = self.cluster.broken.get(self.name)
        if how == "hangs":
            await asyncio.Event().wait()
        if isinstance(how, KubeError):
            raise how
        await asyncio.sleep(0.01)

    async def get(self, resource, namespace, name):
        await self._reach()
        if self.cluster.lease is None:
            raise KubeError(404, "NotFound", "no lease")
        return copy.deepcopy(self.cluster.lease)

    async def create(self, resource, namespace, body):
        await self._reach()
        if self.cluster.lease is not None:
            raise KubeError(409, "AlreadyExists", "it is there")
        return self._store(body)

    async def replace(self, resource, namespace, name, body):
        await self._reach()
        if self.cluster.lease is None:
            raise KubeError(404, "NotFound", "no lease")
        if body["metadata"]["resourceVersion"] != self.cluster.lease["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", "changed meanwhile")
        return self._store(body)

    def _store(self, body):
        cluster = self.cluster
        cluster.version += 1
        cluster.lease = copy.deepcopy(body)
        cluster.lease["metadata"]["resourceVersion"] = str(cluster.version)
        cluster.writes.append(self.name)
        return copy.deepcopy(cluster.lease)


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def candidate(cluster, metrics):
    """Make a candidate; time is the loop's."""

    def make(name, **options):
        options = {"clock": asyncio.get_running_loop().time, "rand": lambda: 0.0, **options}
        return LeaderElector(
            cluster.client(name), namespace="ns", name="lease", identity=name, metrics=metrics, **options
        )

    return make


def now():
    return asyncio.get_running_loop().time()


async def test_first_candidate_leads_and_sets_the_metric(candidate, cluster, value):
    first = candidate("first")
    assert (first.is_leader, first.fresh(), value("secretsyncer_leader")) == (False, False, 0)
    await first.acquire()
    assert (first.is_leader, first.fresh(), value("secretsyncer_leader")) == (True, True, 1)
    spec = cluster.spec()
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("first", 15, 0)
    assert spec["acquireTime"] == spec["renewTime"]
    assert cluster.lease["metadata"]["name"] == "lease"


async def test_two_replicas_never_reconcile_together(candidate, cluster):
    """Whatever happens to their connections, at most one is allowed to write at any moment."""
    electors = [candidate(name) for name in ("one", "two", "three")]
    terms = []

    async def live(elector):
        while True:
            await elector.acquire()
            terms.append(elector._identity)
            with pytest.raises(LeaseLost):
                await elector.hold()

    lives = [asyncio.create_task(live(elector)) for elector in electors]
    faults = [None, None, "hangs", KubeError(503, "", ""), KubeError(0, "", "")]
    dice = random.Random(7)
    for step in range(1200):
        await asyncio.sleep(0.25)
        assert sum(elector.fresh() for elector in electors) <= 1
        if step % 25 == 0:
            cluster.broken = {name: dice.choice(faults) for name in ("one", "two", "three")}
    assert len(terms) > 5
    assert set(terms) == {"one", "two", "three"}
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


async def test_of_two_that_take_at_once_one_is_refused(candidate, cluster):
    one, two = candidate("one"), candidate("two")
    await asyncio.wait(
        [asyncio.create_task(one.acquire()), asyncio.create_task(two.acquire())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    await asyncio.sleep(1)
    assert (one.is_leader, two.is_leader) in {(True, False), (False, True)}
    assert len(cluster.writes) == 1


async def test_of_two_that_take_over_at_once_one_is_refused(candidate, cluster):
    """Both have read the same expired lease; only the version that they read tells them apart."""
    await candidate("dead").acquire()
    one, two = candidate("one"), candidate("two")
    tasks = [asyncio.create_task(one.acquire()), asyncio.create_task(two.acquire())]
    await asyncio.sleep(20)
    assert (one.is_leader, two.is_leader) in {(True, False), (False, True)}
    for task in tasks:
        task.cancel()


async def test_renewing_keeps_others_out(candidate, cluster):
    leader, other = candidate("leader"), candidate("other")
    await leader.acquire()
    tasks = [asyncio.create_task(leader.hold()), asyncio.create_task(other.acquire())]
    await asyncio.sleep(200)
    assert leader.fresh()
    assert not other.is_leader
    assert set(cluster.writes) == {"leader"}
    assert cluster.spec()["leaseTransitions"] == 0
    for task in tasks:
        task.cancel()


async def test_dead_leader_is_followed_within_its_lease_and_one_retry(candidate, cluster):
    await candidate("dead").acquire()
    other = candidate("other")
    async with asyncio.timeout(15 + 2 + 0.1):
        await other.acquire()
    assert now() >= 15
    assert cluster.spec()["holderIdentity"] == "other"
    assert cluster.spec()["leaseTransitions"] == 1


async def test_clock_of_the_holder_is_ignored(candidate, cluster):
    """What counts is when we saw it change: wrong clocks neither shorten nor stretch a lease."""
    await candidate("holder").acquire()
    other = candidate("other")
    task = asyncio.create_task(other.acquire())
    for year in ("1999", "2099", "1999"):
        cluster.edit(renewTime=f"{year}-01-01T00:00:00.000000Z")
        await asyncio.sleep(14)
        assert not other.is_leader
    await asyncio.sleep(4)
    assert other.is_leader
    await task


async def test_holder_says_how_long_its_lease_is(candidate, cluster):
    await candidate("holder", lease_duration=60.0).acquire()
    other = candidate("other")
    task = asyncio.create_task(other.acquire())
    await asyncio.sleep(55)
    assert not other.is_leader
    await asyncio.sleep(10)
    assert other.is_leader
    await task


async def test_tries_of_several_candidates_are_spread(candidate, cluster):
    await candidate("holder").acquire()
    parts = iter([0.0, 1.0, 0.5] * 100)
    other = candidate("other", rand=lambda: next(parts))
    asked = []
    get = other._client.get

    async def note(*arguments):
        asked.append(now())
        return await get(*arguments)

    other._client.get = note
    started = now()
    task = asyncio.create_task(other.acquire())
    await asyncio.sleep(5)
    task.cancel()
    assert [round(at - started, 1) for at in asked] == [0, 2, 3, 4.5]


@pytest.mark.parametrize("fault", ["hangs", KubeError(503, "", ""), KubeError(403, "", "")])
async def test_lost_lease_stops_the_process(candidate, cluster, value, fault):
    """`hold` ends with an error, and the process with it, before others may lead."""
    leader = candidate("leader")
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    await asyncio.sleep(5)
    cluster.broken["leader"] = fault
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(hold, 15)
    assert now() < 5 + 10 + 2.1
    assert (leader.is_leader, leader.fresh(), value("secretsyncer_leader")) == (False, False, 0)


async def test_short_trouble_does_not_cost_the_lease(candidate, cluster):
    leader = candidate("leader")
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    for fault in (KubeError(503, "", ""), KubeError(409, "", ""), "hangs"):
        cluster.broken["leader"] = fault
        await asyncio.sleep(4)
        cluster.broken.clear()
        await asyncio.sleep(10)
        assert leader.fresh()
    hold.cancel()


async def test_lease_in_other_hands_is_lost_at_once(candidate, cluster):
    leader = candidate("leader")
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    await asyncio.sleep(3)
    cluster.edit(holderIdentity="usurper")
    with pytest.raises(LeaseLost, match="usurper"):
        await asyncio.wait_for(hold, 3)
    assert cluster.spec()["holderIdentity"] == "usurper"


async def test_lease_without_a_holder_is_lost_too(candidate, cluster):
    leader = candidate("leader")
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    cluster.edit(holderIdentity=None)
    with pytest.raises(LeaseLost, match="nobody"):
        await asyncio.wait_for(hold, 3)


async def test_deleted_lease_is_created_again(candidate, cluster):
    leader = candidate("leader")
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    cluster.lease = None
    await asyncio.sleep(30)
    assert leader.fresh()
    assert cluster.spec()["holderIdentity"] == "leader"
    hold.cancel()


async def test_stopped_process_knows_before_it_writes(candidate, cluster):
    """SIGSTOP: the clock goes on, the loop does not."""
    stopped = 0.0
    loop = asyncio.get_running_loop()
    leader = candidate("leader", clock=lambda: loop.time() + stopped)
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    await asyncio.sleep(3)
    assert leader.fresh()
    writes = len(cluster.writes)
    stopped = 20.0
    assert leader.is_leader
    assert not leader.fresh()
    with pytest.raises(LeaseLost):
        await hold
    assert len(cluster.writes) == writes


async def test_freshness_counts_from_the_start_of_the_renewal(candidate, cluster):
    """A write that took long was seen by others long before we heard of it."""
    leader = candidate("leader")
    replace = leader._client.replace
    await leader.acquire()

    async def slow(*arguments):
        written = await replace(*arguments)
        await asyncio.sleep(4)
        return written

    leader._client.replace = slow
    hold = asyncio.create_task(leader.hold())
    await asyncio.sleep(7)
    hold.cancel()
    started_renewal = 2.02
    await asyncio.sleep(started_renewal + 10 - now() - 0.1)
    assert leader.fresh()
    await asyncio.sleep(0.2)
    assert not leader.fresh()


async def test_released_lease_is_taken_at_once(candidate, cluster, value):
    leader, other = candidate("leader"), candidate("other")
    await leader.acquire()
    task = asyncio.create_task(other.acquire())
    await asyncio.sleep(5)
    await leader.release()
    assert not leader.fresh()
    assert not cluster.spec().get("holderIdentity")
    assert cluster.spec()["leaseDurationSeconds"] == 1
    async with asyncio.timeout(2.1):
        await task
    assert other.is_leader


async def test_release_of_a_lease_in_other_hands_leaves_it_there(candidate, cluster):
    leader = candidate("leader")
    await leader.acquire()
    cluster.edit(holderIdentity="other")
    await leader.release()
    assert cluster.spec()["holderIdentity"] == "other"


async def test_release_by_a_candidate_that_does_not_lead_does_nothing(candidate, cluster):
    await candidate("leader").acquire()
    cluster.broken["other"] = "hangs"
    started = now()
    await candidate("other").release()
    assert now() == started
    assert cluster.spec()["holderIdentity"] == "leader"


async def test_release_during_an_outage_ends_in_time(candidate, cluster):
    leader = candidate("leader")
    await leader.acquire()
    cluster.broken["leader"] = "hangs"
    started = now()
    await leader.release()
    assert now() - started == pytest.approx(5)
    assert not leader.is_leader


async def test_release_after_an_interrupted_renewal(candidate, cluster):
    """The renewal was written, its answer never came: its version is not the one that we know."""
    leader = candidate("leader")
    await leader.acquire()
    hold = asyncio.create_task(leader.hold())
    await asyncio.sleep(2.025)
    hold.cancel()
    cluster.edit(renewTime="2026-01-01T00:00:00.000000Z")
    await leader.release()
    assert not cluster.spec().get("holderIdentity")


async def test_acquire_goes_on_through_an_outage_and_logs_it_once(candidate, cluster, caplog):
    cluster.broken["only"] = KubeError(503, "ServiceUnavailable", "not now")
    only = candidate("only")
    task = asyncio.create_task(only.acquire())
    await asyncio.sleep(100)
    cluster.broken.clear()
    await asyncio.sleep(3)
    await task
    assert caplog.messages.count("lease not read") == 1


@pytest.mark.parametrize(
    "durations",
    [
        {"lease_duration": 10.0, "renew_deadline": 10.0},
        {"renew_deadline": 2.4, "retry_period": 2.0},
        {"retry_period": 0.0},
        {"lease_duration": 15.5},
    ],
)
async def test_durations_that_cannot_be_safe_are_refused(candidate, durations):
    with pytest.raises(ValueError, match="lease_duration"):
        candidate("any", **durations)
