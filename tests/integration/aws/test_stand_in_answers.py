"""What only the stand-in answers: messages of its queue, and listings that are not what AWS holds."""

import pytest

from sandbox.aws.state import REGION
from secretsyncer.aws.identity import OPERATOR


@pytest.fixture
async def call(aws, side):
    """A call of the operator's own client."""

    async def make(operation, **params):
        service = "sqs" if "QueueUrl" in params else "secretsmanager"
        return await side.sessions.call(OPERATOR, REGION, operation, params, service=service)

    return make


async def test_a_message_comes_again_until_it_is_deleted(call, aws):
    queue = f"{aws.url}/queue"
    for number in range(12):
        aws.world.send(f"message {number}")
    first = (await call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10))["Messages"]
    assert [message["Body"] for message in first] == [f"message {number}" for number in range(10)]
    assert len((await call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10))["Messages"]) == 10
    entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(first)]
    await call("DeleteMessageBatch", QueueUrl=queue, Entries=entries)
    left = (await call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10))["Messages"]
    assert [message["Body"] for message in left] == ["message 10", "message 11"]


@pytest.mark.parametrize("kind", ["no-list", "odd-list", "odd-fields"])
async def test_a_malformed_listing_is_a_failure_and_the_catalogue_stays(aws, side, kind):
    aws.world.create("app/config", "{}")
    assert await side.poller.poll_once()
    fault = aws.fault(kind, operation="ListSecrets")
    assert not await side.poller.poll_once()
    assert set(side.poller.catalogue.entries) == {"app/config"}
    aws.faults.remove(fault)
    assert await side.poller.poll_once()


@pytest.mark.parametrize(("kind", "listed"), [("empty-list", 0), ("half-list", 5)])
async def test_a_listing_can_lack_what_aws_holds(call, aws, kind, listed):
    for number in range(10):
        aws.world.create(f"app/{number}", "{}")
    assert len((await call("ListSecrets"))["SecretList"]) == 10
    aws.fault(kind, operation="ListSecrets")
    assert len((await call("ListSecrets"))["SecretList"]) == listed
