"""Many requests in few calls: batches, fallbacks, and lanes that do not delay each other."""

import asyncio
from itertools import pairwise

import pytest

from sandbox.aws.model import World
from sandbox.aws.state import REGION
from secretsyncer.aws.api.secretsmanager import batch_of, match
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.aws.value import SecretValue
from secretsyncer.aws.values.batcher import Batcher
from secretsyncer.aws.values.lanes import LaneKey
from secretsyncer.aws.values.store import Slots
from tests.support.in_process_aws import WorldApi

pytestmark = pytest.mark.looptime


MADE = []


class Bench:
    """A world, a batcher on it, and what it delivered."""

    def __init__(self, count=0):
        MADE.append(self)
        self.world = World()
        self.api = WorldApi(self.world)
        self.reader = Identity(self.world.role("reader"))
        self.delivered = {}
        self.batcher = Batcher(self.api, self.deliver, Slots().ahead)
        for number in range(count):
            self.world.create(f"s{number}", f"value {number}")

    def deliver(self, flight, result):
        self.delivered[flight.ref] = result
        return result

    def refs(self, count, identity=None):
        return [SecretRef(identity or self.reader, f"s{number}", REGION) for number in range(count)]

    def want(self, refs, **how):
        flights = [self.batcher.want(ref, 1, **({"urgent": True} | how)) for ref in refs]
        return asyncio.gather(*(asyncio.shield(flight.future) for flight in flights))


@pytest.fixture(autouse=True)
async def _closed():
    yield
    while MADE:
        await MADE.pop().batcher.aclose()


async def test_wants_of_one_tick_travel_twenty_to_a_call():
    bench = Bench(50)
    values = await bench.want(bench.refs(50))
    assert [value.text for value in values] == [f"value {number}" for number in range(50)]
    assert bench.api.calls == {"BatchGetSecretValue": 3}


async def test_a_single_request_is_a_get():
    bench = Bench(1)
    await bench.want(bench.refs(1))
    assert bench.api.calls == {"GetSecretValue": 1}


async def test_wants_for_one_secret_share_one_flight():
    bench = Bench(1)
    first, second = await asyncio.gather(bench.want(bench.refs(1)), bench.want(bench.refs(1)))
    assert first == second
    assert bench.api.calls == {"GetSecretValue": 1}


async def test_identities_never_share_a_call():
    bench = Bench(10)
    other = Identity(bench.world.role("other"))
    await asyncio.gather(bench.want(bench.refs(10)), bench.want(bench.refs(10, other)))
    assert sorted(identity.role for _, identity, _ in bench.api.asked) == sorted([bench.reader.role, other.role])
    assert all(len(ids) == 10 for _, _, ids in bench.api.asked)


async def test_calls_at_once_are_bounded_and_the_first_goes_ahead_alone():
    bench = Bench(400)
    done = bench.want(bench.refs(400))
    await asyncio.sleep(0.01)
    assert bench.api.running == 1
    await done
    assert bench.api.most_running == 8
    assert bench.api.calls == {"BatchGetSecretValue": 20}


async def test_a_waiting_worker_goes_before_a_prefetch_and_takes_some_of_it_along():
    bench = Bench(401)
    refs = bench.refs(401)
    bench.want(refs[:400], urgent=False, waited=False)
    await asyncio.sleep(0.01)
    await bench.want([refs[400]])
    landed = [ref for ref in refs[:400] if ref in bench.delivered]
    assert len(landed) < 200
    assert any("s400" in ids and len(ids) == 20 for _, _, ids in bench.api.asked)


async def test_a_want_that_is_still_waiting_in_a_prefetch_is_moved_forward():
    bench = Bench(400)
    refs = bench.refs(400)
    bench.want(refs, urgent=False, waited=False)
    await asyncio.sleep(0.01)
    await bench.want([refs[399]])
    assert len(bench.delivered) < 200
    await asyncio.sleep(1)
    assert len(bench.delivered) == 400
    assert bench.api.calls == {"BatchGetSecretValue": 20}


async def test_pinned_versions_and_other_stages_are_asked_for_singly():
    bench = Bench(2)
    previous = bench.world.secret("s0").staged("AWSCURRENT")
    bench.world.put("s0", "new")
    pinned = SecretRef(bench.reader, "s0", REGION, version_id=previous)
    staged = SecretRef(bench.reader, "s0", REGION, stage="AWSPREVIOUS")
    current = SecretRef(bench.reader, "s0", REGION)
    values = await bench.want([pinned, staged, current])
    assert [value.text for value in values] == ["value 0", "value 0", "new"]
    assert bench.api.calls == {"GetSecretValue": 3}


async def test_a_role_that_may_not_batch_gets_its_secrets_singly_and_is_not_asked_again_for_an_hour():
    bench = Bench(30)
    bench.world.role("reader", deny={"BatchGetSecretValue"})
    values = await bench.want(bench.refs(30))
    assert {value.text for value in values} == {f"value {number}" for number in range(30)}
    assert bench.api.calls["BatchGetSecretValue"] <= 2
    assert bench.api.calls["GetSecretValue"] == 30
    bench.api.calls.clear()
    await asyncio.sleep(3500)
    await bench.want(bench.refs(30))
    assert bench.api.calls == {"GetSecretValue": 30}
    bench.world.role("reader", deny=set())
    bench.api.calls.clear()
    await asyncio.sleep(200)
    await bench.want(bench.refs(30))
    assert bench.api.calls == {"BatchGetSecretValue": 2}


async def test_one_secret_that_may_not_be_read_does_not_spoil_the_batch():
    bench = Bench(20)
    bench.world.role("reader", read=[f"s{number}" for number in range(19)])
    results = await bench.want(bench.refs(20))
    assert all(isinstance(result, SecretValue) for result in results[:19])
    assert results[19].outcome is CallOutcome.DENIED
    assert results[19].operation == "GetSecretValue"
    assert bench.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 1}
    bench.api.calls.clear()
    await bench.want(bench.refs(20))
    assert bench.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 1}
    assert all(len(ids) in {1, 19} for _, _, ids in bench.api.asked[2:])


async def test_missing_and_deleted_secrets_are_reported_by_the_batch_itself():
    bench = Bench(5)
    bench.world.delete("s0")
    results = await bench.want([*bench.refs(5), SecretRef(bench.reader, "nowhere", REGION)])
    assert [getattr(result, "outcome", None) for result in results] == [
        CallOutcome.NOT_FOUND, None, None, None, None, CallOutcome.NOT_FOUND,
    ]  # fmt: skip
    assert bench.api.calls == {"BatchGetSecretValue": 1}


async def test_a_batch_that_a_bad_id_spoils_is_split_and_the_bad_id_travels_alone_from_then_on():
    bench = Bench(20)
    bench.world.delete("s7", force=True)
    whole = bench.api.batch_get

    async def all_or_nothing(identity, region, refs):
        if "s7" in {ref.id for ref in refs}:
            bench.api.broken = lambda operation, _: "ResourceNotFoundException" if "Batch" in operation else ""
        try:
            return await whole(identity, region, refs)
        finally:
            bench.api.broken = lambda operation, _: ""

    bench.api.batch_get = all_or_nothing
    results = await bench.want(bench.refs(20))
    assert [result.outcome for result in results if isinstance(result, Failure)] == [CallOutcome.NOT_FOUND]
    assert bench.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 20}
    bench.api.calls.clear()
    await bench.want(bench.refs(20))
    assert bench.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 1}


async def test_an_answer_without_the_current_stage_is_asked_for_again_with_the_stage():
    bench = Bench(2)
    current = bench.world.secret("s0").staged("AWSCURRENT")
    batch = bench.api.batch_get

    async def stale(identity, region, refs):
        answer = await batch(identity, region, refs)
        old = [
            SecretValue(v.name, v.arn, "old", "old", None, ("AWSPREVIOUS",)) if v.name == "s0" else v
            for v in answer.values.values()
        ]
        return batch_of(refs, old, {})

    bench.api.batch_get = stale
    values = await bench.want(bench.refs(2))
    assert values[0].version_id == current


async def test_an_answer_that_lacks_a_secret_is_completed_singly():
    bench = Bench(3)
    batch = bench.api.batch_get

    async def forgetful(identity, region, refs):
        answer = await batch(identity, region, refs)
        return answer._replace(values=dict(list(answer.values.items())[1:]))

    bench.api.batch_get = forgetful
    assert {value.name for value in await bench.want(bench.refs(3))} == {"s0", "s1", "s2"}


def value(name, account="123456789012", suffix="AbCdEf"):
    arn = f"arn:aws:secretsmanager:{REGION}:{account}:secret:{name}-{suffix}"
    return SecretValue(name, arn, "v1", account, None, ("AWSCURRENT",))


def test_another_accounts_secret_does_not_answer_for_a_plain_name():
    foreign = value("db", account="999999999999")
    assert match(["db", foreign.arn], [foreign]) == {foreign.arn: foreign}
    assert match(["db", foreign.arn[:-7]], [foreign]) == {foreign.arn[:-7]: foreign}


def test_a_plain_name_and_a_namesakes_arn_each_get_their_own():
    own, foreign = value("db"), value("db", account="999999999999")
    for answers in ([own, foreign], [foreign, own]):
        assert match(["db", foreign.arn], answers) == {"db": own, foreign.arn: foreign}


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "InternalServiceError"])
async def test_an_unavailable_lane_fails_waiting_callers_at_once_and_sends_no_further_calls(code):
    bench = Bench(200)
    bench.api.broken = lambda operation, identity: code
    results = await bench.want(bench.refs(200))
    assert all(result.transient and result.retry_after > 0 for result in results)
    assert bench.api.calls.total() == 1
    again = await bench.want(bench.refs(200))
    assert all(result.transient for result in again)
    assert bench.api.calls.total() == 1


async def test_a_lane_that_is_not_available_waits_longer_each_time_and_recovers_at_the_first_answer():
    bench = Bench(40)
    bench.api.broken = lambda operation, identity: "ThrottlingException"
    waits = []
    for _ in range(5):
        result = (await bench.want(bench.refs(40)))[0]
        waits.append(result.retry_after)
        await asyncio.sleep(result.retry_after)
    assert all(later > sooner - 0.001 for sooner, later in pairwise(waits))
    assert waits[-1] > 10
    bench.api.broken = lambda operation, identity: ""
    await bench.want(bench.refs(40))
    bench.api.calls.clear()
    assert all(isinstance(result, SecretValue) for result in await bench.want(bench.refs(40)))
    assert bench.api.calls == {"BatchGetSecretValue": 2}


async def test_a_broken_role_does_not_delay_another():
    bench = Bench(100)
    broken = Identity(bench.world.role("broken"))
    bench.api.broken = lambda operation, identity: "ThrottlingException" if identity == broken else ""
    bench.want(bench.refs(100, broken))
    started = asyncio.get_running_loop().time()
    await bench.want(bench.refs(100))
    assert asyncio.get_running_loop().time() - started < 0.1


async def test_a_prefetch_waits_for_its_lane_and_comes_in_full_batches():
    bench = Bench(100)
    bench.api.broken = lambda operation, identity: "ThrottlingException"
    bench.want(bench.refs(100), urgent=False, waited=False)
    await asyncio.sleep(0.5)
    bench.api.broken = lambda operation, identity: ""
    bench.api.calls.clear()
    await asyncio.sleep(5)
    assert len(bench.delivered) == 80  # the batch that failed was told; the rest waited
    assert bench.api.calls == {"BatchGetSecretValue": 4}


async def test_a_batch_that_keeps_failing_is_taken_apart():
    bench = Bench(5)
    bench.api.broken = lambda operation, identity: "InternalServiceError" if "Batch" in operation else ""
    for _ in range(4):
        results = await bench.want(bench.refs(5))
        await asyncio.sleep(60)
    assert all(isinstance(result, SecretValue) for result in results)


async def test_one_secret_that_aws_cannot_give_does_not_block_its_role():
    bench = Bench(1)
    bench.api.broken = lambda operation, identity: "InternalServiceError" if operation == "GetSecretValue" else ""
    assert (await bench.want(bench.refs(1)))[0].transient
    bench.world.create("s1", "x")
    assert (await bench.want([SecretRef(bench.reader, f"s{n}", REGION) for n in range(2)]))[1].text == "x"


async def test_a_role_that_cannot_be_assumed_is_told_to_all_and_does_not_stop_batching_later():
    bench = Bench(40)
    bench.world.role("reader", trusted=False)
    results = await bench.want(bench.refs(40))
    assert {result.operation for result in results} == {"AssumeRole"}
    bench.world.role("reader", trusted=True)
    bench.api.calls.clear()
    assert all(isinstance(result, SecretValue) for result in await bench.want(bench.refs(40)))
    assert bench.api.calls == {"BatchGetSecretValue": 2}


async def test_a_cancelled_waiter_does_not_cancel_the_flight():
    bench = Bench(1)
    waiter = asyncio.ensure_future(bench.want(bench.refs(1)))
    other = asyncio.ensure_future(bench.want(bench.refs(1)))
    await asyncio.sleep(0.01)
    waiter.cancel()
    assert (await other)[0].text == "value 0"


async def test_a_call_that_was_sent_in_an_earlier_round_is_not_joined():
    bench = Bench(1)
    ref = bench.refs(1)[0]
    early = bench.batcher.want(ref, 1, urgent=True)
    await asyncio.sleep(0.01)
    late = bench.batcher.want(ref, 2, urgent=True)
    assert late is not early
    await asyncio.wait({early.future, late.future})
    assert bench.api.calls == {"GetSecretValue": 2}


async def test_a_disowned_call_is_not_delivered_but_answers_who_waited():
    bench = Bench(1)
    ref = bench.refs(1)[0]
    flight = bench.batcher.want(ref, 1, urgent=True)
    await asyncio.sleep(0.01)
    bench.batcher.disown({ref})
    await flight.future
    assert ref not in bench.delivered


async def test_a_disowned_batch_whose_secrets_go_singly_ends_for_all_who_wait():
    bench = Bench(5)
    bench.world.role("reader", deny={"BatchGetSecretValue"})
    old = bench.want(bench.refs(5))
    await asyncio.sleep(0.01)
    bench.batcher.disown(set(bench.refs(5)))
    new = bench.want(bench.refs(5))
    async with asyncio.timeout(5):
        assert [value.text for value in await old] == [value.text for value in await new]
    assert not list(bench.batcher)


async def test_two_denied_batches_for_the_same_secrets_fail_no_caller():
    bench = Bench(40)
    await bench.want(bench.refs(1))
    bench.world.role("reader", deny={"BatchGetSecretValue"})
    bench.api.calls.clear()
    old = bench.want(bench.refs(40))
    await asyncio.sleep(0.01)
    bench.batcher.disown(set(bench.refs(40)))
    new = bench.want(bench.refs(40))
    async with asyncio.timeout(5):
        assert [value.text for value in await old] == [value.text for value in await new]
    assert bench.api.calls["GetSecretValue"] == 40


async def test_closing_wakes_all_waiting_getters():
    bench = Bench(100)
    waiting = bench.want(bench.refs(100))
    await asyncio.sleep(0.01)
    await bench.batcher.aclose()
    assert all("stopping" in result.message for result in await waiting)
    assert (await bench.want(bench.refs(1)))[0].transient
    assert bench.api.running == 0


async def test_a_bug_fails_every_waiting_caller(caplog):
    bench = Bench(3)

    async def bug(*_):
        raise ZeroDivisionError

    bench.api.batch_get = bug
    results = await bench.want(bench.refs(3))
    assert all(result.transient for result in results)
    assert "ZeroDivisionError" in caplog.text


async def test_unused_lanes_are_forgotten():
    bench = Bench(2)
    bench.world.role("reader", deny={"BatchGetSecretValue"})
    await bench.want(bench.refs(2))
    bench.batcher.forget({LaneKey(bench.reader, REGION)})
    bench.api.calls.clear()
    await bench.want(bench.refs(2))
    assert bench.api.calls == {"GetSecretValue": 2}
    bench.batcher.forget(set())
    bench.api.calls.clear()
    await bench.want(bench.refs(2))
    assert bench.api.calls["BatchGetSecretValue"] == 1
