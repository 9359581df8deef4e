"""Change events from a queue: the secrets that they name, and the handling of bad messages and failures."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from secretsyncer.aws.listing.event_queue import MAX_SECRETS, WAIT, EventQueue, ids_of
from secretsyncer.errors import SettingsError
from tests.support.events import call, label_updated, of_another_service, parameter_changed, rotated, through_sns
from tests.support.memory_queue import URL, MemoryQueue

pytestmark = pytest.mark.looptime

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf"


class Receiver:
    """A queue and the operator's side of it. `told` are the secrets that events named."""

    def __init__(self, metrics, url=URL):
        self.queue = MemoryQueue(url)
        self.told = []
        self.services = []
        self.fails = False
        self._metrics = metrics

    async def on_secrets(self, service, ids):
        self.told.append(ids)
        self.services.append(service.name)
        if self.fails:
            raise RuntimeError("a bug")

    @contextlib.asynccontextmanager
    async def running(self):
        made = EventQueue(self.queue, self.queue.url, self._metrics, on_changed=self.on_secrets)
        task = asyncio.create_task(made.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    def counted(self, outcome):
        return self._metrics.registry.get_sample_value("secretsyncer_push_messages_total", {"outcome": outcome})

    @property
    def up(self):
        return self._metrics.registry.get_sample_value("secretsyncer_push_up")


@pytest.fixture
async def receiver(metrics):
    return Receiver(metrics)


# Messages


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (label_updated("app", ARN), {"app", ARN}),
        (through_sns(label_updated("app", ARN)), {"app", ARN}),
        (call("PutSecretValue", {"secretId": "app"}, {"arn": ARN}), {"app", ARN}),
        (call("CreateSecret", {"name": "app"}, {"name": "app", "aRN": ARN}), {"app", ARN}),
        (call("UntagResource", {"secretId": ARN}, None), {ARN}),
        (rotated(ARN), {ARN}),
    ],
)
async def test_an_event_reports_the_secret_under_every_name_and_is_deleted(receiver, event, named):
    async with receiver.running():
        receiver.queue.send(event)
        await asyncio.sleep(1)
    assert receiver.told == [named]
    assert receiver.queue.left == {}
    assert receiver.counted("secret") == 1


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("not JSON", "malformed"),
        ("[" * 5000, "malformed"),
        ({"source": "aws.secretsmanager", "detail": "text"}, "malformed"),
        ({"Type": "Notification", "Message": "not JSON"}, "malformed"),
        (call(["PutSecretValue"], {"secretId": "app"}), "malformed"),
        (parameter_changed("/app/a", "") | {"detail": {"operation": ["Update"]}}, "malformed"),
        (call("UpdateSecret", {}, None) | {"resources": [f"app-{n}" for n in range(MAX_SECRETS + 1)]}, "malformed"),
        (of_another_service(), "ignored"),
        (call("GetSecretValue", {"secretId": "app"}), "ignored"),
        (call("PutSecretValue", {"secretId": "not a name, for it has blanks"}), "ignored"),
        (call("PutSecretValue", {"secretId": ["a"]}, {"arn": {}}) | {"resources": "app"}, "ignored"),
    ],
)
async def test_what_names_no_secret_is_counted_and_deleted(receiver, body, outcome):
    async with receiver.running():
        receiver.queue.send(body)
        await asyncio.sleep(1)
    assert receiver.told == []
    assert receiver.queue.left == {}
    assert receiver.counted(outcome) == 1


PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/app/a"


@pytest.mark.parametrize("operation", ["Create", "Update", "Delete", "LabelParameterVersion"])
async def test_an_event_of_a_parameter_reports_its_name_and_its_arn(receiver, operation):
    async with receiver.running():
        receiver.queue.send(parameter_changed("/app/a", PARAMETER, operation), label_updated("app", ARN))
        await asyncio.sleep(1)
    assert receiver.told == [{"/app/a", PARAMETER}, {"app", ARN}]
    assert receiver.services == ["ParameterStore", "SecretsManager"]
    assert (receiver.counted("parameter"), receiver.counted("secret")) == (1, 1)


@pytest.mark.parametrize(
    "event",
    [
        parameter_changed("/app/a", PARAMETER, "Describe"),
        parameter_changed("/app/a", PARAMETER) | {"detail-type": "Parameter Store Policy Action"},
        parameter_changed("not a name", "") | {"resources": "text"},
    ],
)
async def test_another_event_of_systems_manager_is_ignored(receiver, event):
    async with receiver.running():
        receiver.queue.send(event)
        await asyncio.sleep(1)
    assert receiver.told == []
    assert receiver.counted("ignored") == 1


async def test_ten_messages_are_one_round(receiver):
    receiver.queue.send(*(label_updated(f"app-{n}", ARN) for n in range(12)))
    async with receiver.running():
        await asyncio.sleep(1)
    assert [len(ids) for ids in receiver.told] == [11, 3]
    assert receiver.queue.calls["DeleteMessageBatch"] == 2


async def test_a_message_that_cannot_be_handled_does_not_come_back(receiver, caplog):
    receiver.fails = True
    async with receiver.running():
        receiver.queue.send(label_updated("app", ARN))
        await asyncio.sleep(60)
    assert len(receiver.told) == 1
    assert receiver.queue.left == {}
    assert "change events not handled" in caplog.messages


async def test_a_bug_in_the_reading_of_a_message_costs_this_message_alone(receiver, monkeypatch, caplog):
    def broken(body):
        if "broken" in body:
            raise RecursionError
        return ids_of(body)

    monkeypatch.setattr("secretsyncer.aws.listing.event_queue.ids_of", broken)
    async with receiver.running():
        receiver.queue.send("broken", label_updated("app", ARN))
        await asyncio.sleep(1)
    assert receiver.told == [{"app", ARN}]
    assert receiver.counted("malformed") == 1
    assert "change event not parsed" in caplog.messages


# The queue


async def test_a_queue_without_messages_is_asked_by_long_polls(receiver):
    async with receiver.running():
        await asyncio.sleep(10 * WAIT)
    assert 10 <= receiver.queue.calls["ReceiveMessage"] <= 12
    assert receiver.up == 1


async def test_a_queue_that_does_not_wait_is_asked_once_a_second(receiver):
    receiver.queue.patience = False
    async with receiver.running():
        await asyncio.sleep(100)
    assert 95 <= receiver.queue.calls["ReceiveMessage"] <= 101


async def test_a_queue_that_fails_is_asked_less_and_less_until_it_works_again(receiver, caplog):
    caplog.set_level("INFO", "secretsyncer.aws.listing.event_queue")
    receiver.queue.broken = "AccessDenied"
    async with receiver.running():
        await asyncio.sleep(1)
        assert receiver.up == 0
        await asyncio.sleep(600)
        assert 4 <= receiver.queue.calls["ReceiveMessage"] <= 9
        assert caplog.messages == ["event queue failed"]
        receiver.queue.broken = ""
        receiver.queue.send(label_updated("app", ARN))
        await asyncio.sleep(300)
        assert receiver.up == 1
        assert receiver.told == [{"app", ARN}]
    assert caplog.messages == ["event queue failed", "event queue recovered", "change events received"]


async def test_an_unexpected_response_is_a_failure_of_the_queue_and_does_not_end_the_process(receiver, caplog):
    async def nothing(params):
        return None

    receiver.queue._ReceiveMessage, works = nothing, receiver.queue._ReceiveMessage
    async with receiver.running():
        await asyncio.sleep(1)
        assert receiver.up == 0
        receiver.queue._ReceiveMessage = works
        await asyncio.sleep(60)
        assert receiver.up == 1
    assert "event queue round failed" in caplog.messages


# The setting


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (URL, "eu-west-1"),
        (URL.replace("eu-west-1", "us-east-2"), "us-east-2"),
        (URL.replace("amazonaws.com", "amazonaws.com.cn").replace("eu-west-1", "cn-north-1"), "cn-north-1"),
        ("http://localhost:4566/000000000000/events", "eu-west-1"),
    ],
)
async def test_the_region_is_that_of_the_url_or_the_operators(metrics, url, region):
    receiver = Receiver(metrics, url)
    async with receiver.running():
        await asyncio.sleep(1)
    assert receiver.queue.regions == {region}


@pytest.mark.parametrize("url", ["events", "sqs://host/queue", "https://sqs.eu-west-1.amazonaws.com/"])
async def test_an_invalid_url_of_a_queue_stops_the_start(metrics, url):
    with pytest.raises(SettingsError, match="EVENTS_QUEUE_URL"):
        EventQueue(MemoryQueue(), url, metrics, on_changed=None)
