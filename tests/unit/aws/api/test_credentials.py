"""Credentials of an assumed role: one AssumeRole for all, renewed in time, refusals remembered."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import ReadOnlyCredentials

from secretsyncer.aws.api.credentials import AssumedRole, RoleCredentials
from secretsyncer.aws.failures import AwsError, Failure
from secretsyncer.aws.outcome import CallOutcome

pytestmark = pytest.mark.looptime

DENIED = Failure(CallOutcome.DENIED, "no")
THROTTLED = Failure(CallOutcome.THROTTLED, "slow down")


class Sts:
    """Gives numbered credentials for `life` seconds of virtual time, or fails."""

    def __init__(self, life=3600.0):
        self.life = life
        self.calls = 0
        self.failure = None

    async def assume(self):
        self.calls += 1
        await asyncio.sleep(0.1)
        if self.failure:
            raise AwsError(self.failure)
        frozen = ReadOnlyCredentials(f"key-{self.calls}", "secret", "token")
        return RoleCredentials(frozen, datetime.now(UTC) + timedelta(seconds=self.life))


async def key(role):
    return (await role.get_frozen_credentials()).access_key


async def test_fifty_callers_share_one_assume_role():
    sts = Sts()
    role = AssumedRole(sts.assume)
    assert set(await asyncio.gather(*(key(role) for _ in range(50)))) == {"key-1"}
    assert sts.calls == 1


async def test_an_hour_of_use_takes_one_more():
    sts = Sts()
    role = AssumedRole(sts.assume)
    for _ in range(60):
        await key(role)
        await asyncio.sleep(60)
    assert sts.calls == 2


async def test_the_shortest_sessions_are_not_renewed_at_every_call():
    sts = Sts(life=900)
    role = AssumedRole(sts.assume)
    for _ in range(60):
        await key(role)
        await asyncio.sleep(10)
    assert sts.calls == 1


async def test_while_they_are_renewed_callers_go_on_with_the_old_ones():
    sts = Sts()
    role = AssumedRole(sts.assume)
    await key(role)
    await asyncio.sleep(3000)
    renewing = asyncio.create_task(key(role))
    await asyncio.sleep(0.01)
    assert await key(role) == "key-1"
    assert await renewing == "key-2"


async def test_a_renewal_that_fails_early_keeps_the_old_ones_until_their_end():
    sts = Sts()
    role = AssumedRole(sts.assume)
    await key(role)
    sts.failure = THROTTLED
    await asyncio.sleep(3000)
    assert await key(role) == "key-1"
    await asyncio.sleep(590)
    with pytest.raises(AwsError):
        await key(role)


async def test_a_refusal_is_remembered_for_a_minute_for_all_callers():
    sts = Sts()
    sts.failure = DENIED
    role = AssumedRole(sts.assume)
    results = await asyncio.gather(*(key(role) for _ in range(60)), return_exceptions=True)
    assert all(isinstance(result, AwsError) for result in results)
    await asyncio.sleep(50)
    with pytest.raises(AwsError):
        await key(role)
    assert sts.calls == 1
    await asyncio.sleep(11)
    sts.failure = None
    assert await key(role) == "key-2"


async def test_a_temporary_failure_is_retried_sooner_with_a_known_delay():
    sts = Sts()
    sts.failure = THROTTLED
    role = AssumedRole(sts.assume)
    with pytest.raises(AwsError) as caught:
        await key(role)
    assert 1 <= caught.value.failure.retry_after <= 1.5
    sts.failure = None
    await asyncio.sleep(2)
    assert await key(role) == "key-2"


async def test_credentials_that_aws_refuses_are_renewed_once_for_all_who_used_them():
    sts = Sts()
    role = AssumedRole(sts.assume)
    await key(role)
    refused = role.generation
    for _ in range(8):
        role.invalidate(refused)
    assert await key(role) == "key-2"
    role.invalidate(refused)  # the news of a slow call about the old ones
    assert await key(role) == "key-2"
    assert sts.calls == 2


async def test_a_cancelled_caller_does_not_spoil_it_for_the_others():
    sts = Sts()
    role = AssumedRole(sts.assume)
    first = asyncio.create_task(key(role))
    others = [asyncio.create_task(key(role)) for _ in range(3)]
    await asyncio.sleep(0.05)
    first.cancel()
    assert set(await asyncio.gather(*others)) == {"key-2"}
