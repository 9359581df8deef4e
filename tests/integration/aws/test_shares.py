"""What hangs does not take the connections and clients of others: the SDK's clients against a stand-in that hangs."""

import asyncio
import time

import pytest

from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.errors import Reason, Rejected, Unavailable
from tests.support.eventually import eventually
from tests.support.wired_aws import ref

PROMPTLY = 10
"""Seconds for what has nothing to do with the calls that hang: less than half of the time after which those are given up."""
REGIONS = (
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "eu-west-2",
    "eu-west-3",
    "us-east-1",
    "us-east-2",
    "us-west-1",
)


def clients(side):
    return side.metrics.registry.get_sample_value("secretsyncer_aws_clients")


async def timed(awaitable):
    began = time.perf_counter()
    return await awaitable, time.perf_counter() - began


async def test_140_calls_that_hang_leave_connections_and_clients_for_everybody_else(aws, side):
    """As many roles as there were connections, with eight calls each; and all of it from one identity as well."""
    for number in range(8):
        for region in ("eu-west-1", *REGIONS):
            aws.world.create(f"s{number}", "x", region=region)
    good = Identity(aws.world.role("good"))
    assert await side.get(ref("s0", good)) == "x"
    bad = [Identity(aws.world.role(f"bad-{number}")) for number in range(140)]
    for reader in bad:
        aws.fault("hang", "GetSecretValue", reader.role)
    hanging = [ref("s0", reader, stage="AWSCURRENT", version_id="") for reader in bad]
    hanging += [ref(f"s{n}", bad[0], region=region, stage="AWSPREVIOUS") for n in range(8) for region in REGIONS]
    tasks = [asyncio.create_task(side.get(one)) for one in hanging]

    async def full():
        assert (aws.count("AssumeRole"), aws.count("GetSecretValue") >= 60) == (141, True)
        assert side.sessions._shares._waiting

    await eventually(full)
    for name in ("s1", "s2", "s3"):
        value, took = await timed(side.get(ref(name, good)))
        assert value == "x"
        assert took < PROMPTLY
    listed, took = await timed(side.poller.poll_once())
    assert listed
    assert took < PROMPTLY
    assert clients(side) <= 128
    pool = side.sessions._pool._pools[None].connector
    assert len(pool._acquired) <= 90
    await side.cache.aclose()
    await asyncio.gather(*tasks)


async def test_a_call_that_gets_no_connection_says_so_and_is_made_later(aws, make_side, monkeypatch):
    monkeypatch.setattr("secretsyncer.aws.api.shares.PATIENCE", 0.2)
    side = await make_side(max_clients=11)
    aws.world.create("app", "x")
    reader, other = (Identity(aws.world.role(name)) for name in ("reader", "other"))
    await side.get(ref("app", other))
    hang = aws.fault("hang", "GetSecretValue", reader.role)
    first = asyncio.create_task(side.get(ref("app", reader)))

    async def running():
        assert aws.calls["GetSecretValue", reader.role] == 1

    await eventually(running)
    side.cache.invalidate(["app"])
    failure = await side.get(ref("app", other))
    assert isinstance(failure, Unavailable)
    assert "use its share of the connections" in failure.message
    assert "GetSecretValue" in failure.message
    assert side.metrics.registry.get_sample_value("secretsyncer_aws_calls_refused_total") == 1
    aws.faults.remove(hang)
    first.cancel()
    await side.cache.aclose()


async def test_a_role_with_many_sessions_closes_its_own_clients_first(aws, make_side):
    side = await make_side(max_clients=20)
    aws.world.create("app", "x")
    good = Identity(aws.world.role("good"))
    await side.get(ref("app", good))
    greedy = aws.world.role("greedy")
    for number in range(40):
        assert await side.get(ref("app", Identity(greedy, "", f"session-{number}"))) == "x"
    assert clients(side) <= 20
    kept = {key.identity.role for key in side.sessions._clients._clients}
    assert {good.role, greedy, ""} == kept


async def test_a_region_that_does_not_exist_costs_nothing(aws, side):
    before = clients(side)
    refs = [ref("app", region=f"xx-west-{number}") for number in range(2500)]
    refs.append(ref("arn:aws:secretsmanager:xx-west-1:123456789012:secret:app-AbCdEf"))
    results = await side.get(*refs)
    assert all(isinstance(result, Rejected) and result.reason is Reason.INVALID_SPEC for result in results)
    assert "EXTRA_REGIONS" in results[0].message
    assert "the region in the ARN" in results[-1].message
    tags = await side.cache.tags(refs, side.poller.catalogue)
    assert {failure.reason for failure in tags.values()} == {Reason.INVALID_SPEC}
    assert clients(side) == before
    assert not aws.calls


async def test_a_region_out_of_an_answer_or_a_status_is_checked_as_well(side):
    strange = ref("arn:aws:secretsmanager:xx-west-1:123456789012:secret:app-AbCdEf", region="xx-west-1")
    for call in (side.api.describe, side.api.get):
        with pytest.raises(AwsError, match="EXTRA_REGIONS"):
            await call(strange)


async def test_own_calls_have_connections_of_their_own(aws, make_side):
    side = await make_side(max_clients=11)
    aws.world.create("app", "x")
    aws.fault("hang", "GetSecretValue")
    waiting = asyncio.create_task(side.get(ref("app", OPERATOR)))

    async def running():
        assert aws.count("GetSecretValue")

    await eventually(running)
    assert await side.poller.poll_once()
    await side.cache.aclose()
    await waiting
