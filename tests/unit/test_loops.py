"""Loops that must run as long as the process, and loops without progress."""

import asyncio

import pytest

from secretsyncer.loops import GuardedLoops, Heartbeats, LoopEndedError

pytestmark = pytest.mark.looptime


@pytest.fixture
async def loops():
    made = GuardedLoops()
    yield made
    await made.stop()


async def forever():
    await asyncio.Event().wait()


async def ended(loops):
    """Why the process cannot go on, None if it can."""
    done, _ = await asyncio.wait([loops.failed], timeout=1)
    return str(loops.failed.exception()) if done else None


async def test_a_loop_that_returns_ends_the_process(loops):
    loops.start("poller", asyncio.sleep(0.1))
    assert await ended(loops) == "poller ended"


async def test_a_loop_that_raises_ends_the_process_with_the_kind_of_error_and_not_its_text(loops):
    async def broken():
        raise ValueError("s3cret")

    loops.start("poller", broken())
    assert await ended(loops) == "poller died: ValueError"
    assert isinstance(loops.failed.exception(), LoopEndedError)


async def test_a_loop_that_dies_of_somebody_elses_cancellation_ends_the_process(loops):
    async def waits_for_another():
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    loops.start("poller", waits_for_another())
    assert await ended(loops) == "poller died: CancelledError"


async def test_the_first_loop_that_ends_is_the_reason(loops):
    loops.start("second", asyncio.sleep(0.2))
    loops.start("first", asyncio.sleep(0.1))
    assert await ended(loops) == "first ended"
    await asyncio.sleep(0.2)
    assert str(loops.failed.exception()) == "first ended"


async def test_a_loop_that_is_stopped_is_no_failure(loops):
    loops.start("poller", forever())
    loops.start("worker", forever())
    await asyncio.sleep(0.1)
    await loops.stop("poller")
    assert await ended(loops) is None


async def test_stopping_waits_until_a_loop_has_cleaned_up(loops):
    seen = []

    async def tidy():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.5)
            seen.append("tidied")

    loops.start("worker", tidy())
    await asyncio.sleep(0.1)
    await loops.stop("worker", "one that never started")
    assert seen == ["tidied"]


async def test_once_all_are_stopped_no_failure_is_awaited(loops):
    loops.start("poller", forever())
    loops.start("worker", forever())
    await loops.stop()
    assert loops.failed.cancelled()
    await loops.stop()


async def test_a_loop_that_fails_while_it_is_stopped_does_not_break_the_stop(loops):
    async def clumsy():
        try:
            await forever()
        finally:
            raise RuntimeError("in the way out")

    loops.start("worker", clumsy())
    await asyncio.sleep(0.1)
    await loops.stop()
    assert str(loops.failed.exception()) == "worker died: RuntimeError"


async def test_a_loop_is_late_once_it_has_not_beaten_for_longer_than_its_limit():
    heartbeats = Heartbeats(asyncio.get_running_loop().time)
    beat = heartbeats.register("poller", limit=10)
    heartbeats.register("lease", limit=1000)
    await asyncio.sleep(10)
    assert {name: check() for name, check in heartbeats.checks.items()} == {"poller": None, "lease": None}
    await asyncio.sleep(1)
    assert heartbeats.checks["poller"]() == "no progress for 11 s"
    assert heartbeats.checks["lease"]() is None
    beat()
    assert heartbeats.checks["poller"]() is None
