"""An events queue that does not answer: polling continues, and a metric and one log line show the failure."""

from __future__ import annotations

import uuid

import pytest

from sandbox.aws.moto_sqs import MotoQueue
from tests.support.events import label_updated
from tests.support.eventually import eventually
from tests.support.measures import complaints, log_lines, measured
from tests.support.specs import all_keys

pytestmark = pytest.mark.real

DOWN = "event queue failed"
UP = "event queue recovered"


def said(operator, message):
    return [line for line in log_lines(operator.log) if line["message"] == message]


async def until_said(operator, message):
    async def probe():
        assert said(operator, message)

    await eventually(probe)


async def until_up(operator):
    async def probe():
        assert await up(operator) == 1

    await eventually(probe)


async def up(operator):
    return await measured(operator, "secretsyncer_push_up")


@pytest.fixture
def name():
    return f"push/{uuid.uuid4().hex[:8]}"


async def test_without_its_queue_the_operator_polls_and_uses_the_queue_again_later(run_operator, space, moto, name):
    queue = MotoQueue(moto.environment, f"events-{uuid.uuid4().hex[:8]}")
    arn = (await moto.create(name, '{"a": "1"}'))["ARN"]
    operator = await run_operator(**moto.environment, POLL_INTERVAL_SEC="1", EVENTS_QUEUE_URL=queue.url)
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    await until_up(operator)
    queue.delete()
    await until_said(operator, DOWN)
    assert await up(operator) == 0
    assert (await operator.get("/readyz"))[0] == 200
    assert (await operator.get("/healthz"))[0] == 200
    await moto.put(name, '{"a": "2"}')
    await space.until_data("demo", {"a": b"2"})
    queue.create()
    await until_said(operator, UP)
    await until_up(operator)
    await queue.send(label_updated(name, arn))

    async def read():
        assert await queue.left() == 0
        assert await measured(operator, "secretsyncer_push_messages_total", outcome="secret") == 1

    await eventually(read)
    assert len(said(operator, DOWN)) == 1, "once, not at each attempt"
    assert await operator.stop() == 0
    assert not complaints(operator.log)


@pytest.mark.parametrize("fault", ["denied", "500", "html", "reset", "expired"])
async def test_a_queue_that_refuses_or_fails_degrades_to_polling(run_operator, space, aws, name, fault):
    aws.world.create(name, '{"a": "1"}')
    struck = aws.fault(fault, operation="ReceiveMessage")
    try:
        operator = await run_operator(EVENTS_QUEUE_URL=f"{aws.url}/123456789012/events")
        await until_said(operator, DOWN)
        (line,) = said(operator, DOWN)
        assert line["level"] == "warning"
        assert line["error"]
        assert await up(operator) == 0
        assert (await operator.get("/readyz"))[0] == 200
        await space.write("demo", dataFrom=all_keys(name))
        await space.until_data("demo", {"a": b"1"})
        aws.world.put(name, '{"a": "2"}')
        await space.until_data("demo", {"a": b"2"})
        assert await operator.stop() == 0
        assert not complaints(operator.log)
    finally:
        aws.faults.remove(struck)


async def test_an_operator_that_waits_for_messages_stops_at_once(run_operator, moto):
    queue = MotoQueue(moto.environment, f"events-{uuid.uuid4().hex[:8]}")
    operator = await run_operator(**moto.environment, EVENTS_QUEUE_URL=queue.url)
    await until_up(operator)
    assert await operator.stop(limit=15) == 0  # it would wait for messages for 20 s
    assert not complaints(operator.log)
