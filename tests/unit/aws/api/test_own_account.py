"""The operator's own account: one question for all, whoever of them is still waiting."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.aws.api.own_account import OwnAccount
from secretsyncer.aws.arn import Account
from secretsyncer.aws.failures import AwsError, Failure
from secretsyncer.aws.outcome import CallOutcome
from secretsyncer.errors import Unavailable

pytestmark = pytest.mark.looptime

OURS = Account("aws", "123456789012")


class Sts:
    """Takes ten seconds to give one answer after the other."""

    def __init__(self, *answers):
        self.asked = 0
        self._answers = iter(answers)

    async def __call__(self):
        self.asked += 1
        await asyncio.sleep(10)
        answer = next(self._answers)
        if isinstance(answer, Failure):
            raise AwsError(answer)
        return answer


async def test_those_who_do_not_wait_for_the_answer_have_it_later():
    own = OwnAccount(sts := Sts(OURS))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await own.get()
    assert own.known is None
    await asyncio.sleep(2)
    assert own.known == await own.get() == OURS
    assert sts.asked == 1


async def test_a_failure_is_remembered_for_those_who_did_not_wait_for_it_and_then_asked_again():
    own = OwnAccount(sts := Sts(Failure(CallOutcome.NO_ANSWER, "no answer"), OURS))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await own.get()
    await asyncio.sleep(9.5)
    with pytest.raises(Unavailable, match="no answer") as raised:
        await own.get()
    assert sts.asked == 1
    await asyncio.sleep(raised.value.retry_after)
    assert await own.get() == OURS


async def test_whoever_waits_at_the_end_is_told_so():
    own = OwnAccount(Sts(OURS))
    waiting = asyncio.create_task(own.get())
    await asyncio.sleep(1)
    await own.aclose()
    with pytest.raises(Unavailable, match="stopping"):
        await waiting
    await own.aclose()
