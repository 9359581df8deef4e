"""When Parameter Store is listed, and what tells sooner. Each test has the only operator: another would list by itself."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.events import parameter_changed
from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import key, literal, parameter, whole

pytestmark = pytest.mark.real

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
SETTINGS = {"POLL_INTERVAL_SEC": "1", "SYNC_INTERVAL_SEC": "5"}


@pytest.fixture
def path(aws):
    """A path that nothing else uses."""
    aws.faults.clear()
    return f"/app/{uuid.uuid4().hex[:8]}"


async def _at_least(operator, name, number, **labels):
    assert await measured(operator, name, **labels) >= number


async def test_parameters_are_listed_only_while_an_object_needs_them(run_operator, aws, space, path):
    await space.write("secret", data=[literal("a", "1")])
    operator = await run_operator(**SETTINGS, WATCH_NAMESPACE=space.name)
    await space.until_synced("secret")
    before = aws.count("DescribeParameters")
    alone = await measured(operator, "secretsyncer_polls_total", service="ParameterStore")
    await eventually(lambda: _at_least(operator, "secretsyncer_polls_total", 5, service="SecretsManager"))
    assert await measured(operator, "secretsyncer_polls_total", service="ParameterStore") == alone == 0
    aws.world.parameters.put(f"{path}/a", "one")
    await space.write("demo", data=[parameter("a", f"{path}/a")])
    await space.until_data("demo", {"a": b"one"})
    await eventually(lambda: _at_least(operator, "secretsyncer_polls_total", 2, service="ParameterStore"))
    assert aws.count("DescribeParameters") > before


async def test_the_first_object_with_a_path_waits_for_the_listing_without_a_failure(run_operator, aws, space, path):
    aws.world.parameters.put(f"{path}/a", "one")
    await run_operator(**SETTINGS, WATCH_NAMESPACE=space.name)
    slow = aws.fault("slow", operation="DescribeParameters", delay=2)
    await space.write("demo", dataFrom={"parameters": [{"path": path}]})
    await space.until_data("demo", {"a": b"one"})
    aws.faults.remove(slow)
    ready = (await space.until_synced("demo"))["status"]["conditions"]
    assert [condition["reason"] for condition in ready] == ["Synced"]

    async def told():
        events = await space.events("demo")
        assert [(event["type"], event["reason"]) for event in events] == [("Normal", "Synced")]

    await eventually(told)


async def test_a_listing_that_hangs_at_the_start_holds_up_no_secret(run_operator, aws, space):
    aws.faults.clear()
    aws.world.create("app/of-secrets-manager", "1")
    aws.world.parameters.put("/hanging/a", "1")
    aws.fault("hang", operation="DescribeParameters")
    await space.write("path", dataFrom={"parameters": [{"path": "/hanging"}]})
    await space.write("secret", data=[whole("a", "app/of-secrets-manager")])
    await run_operator(**SETTINGS, WATCH_NAMESPACE=space.name)
    await space.until_data("secret", {"a": b"1"})
    assert await space.data("path") is None
    aws.faults.clear()


async def test_events_bring_changes_and_moved_labels_at_once(run_operator, aws, space, path):
    made = aws.world.parameters.put(f"{path}/a", "one")
    made.labels["live"] = 1
    aws.world.create(f"{path[1:]}/s", '{"k": "secret"}')
    await space.write("current", data=[parameter("a", f"{path}/a"), key("k", f"{path[1:]}/s", "k")])
    await space.write("labelled", data=[parameter("a", made.arn, label="live")])
    await run_operator(
        POLL_INTERVAL_SEC="3600",
        SYNC_INTERVAL_SEC="3600",
        WATCH_NAMESPACE=space.name,
        EVENTS_QUEUE_URL=QUEUE,
        AWS_ENDPOINT_URL=aws.url,
    )
    await space.until_data("current", {"a": b"one", "k": b"secret"})
    await space.until_data("labelled", {"a": b"one"})
    aws.world.parameters.put(f"{path}/a", "two")
    aws.world.send(json.dumps(parameter_changed(f"{path}/a", made.arn)))
    await space.until_data("current", {"a": b"two", "k": b"secret"})
    made.labels["live"] = 2
    aws.world.send(json.dumps(parameter_changed(f"{path}/a", made.arn, "LabelParameterVersion")))
    await space.until_data("labelled", {"a": b"two"})
