"""Events from an SQS queue (moto) bring changes at once; polls are too rare to do so."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from sandbox.aws.moto_sqs import MotoQueue
from secretsyncer.aws.listing.refresh import BURST, PER_SECOND
from tests.support.events import call, label_updated, of_another_service, rotated, through_sns
from tests.support.eventually import eventually
from tests.support.measures import measured, total
from tests.support.specs import key, template

pytestmark = pytest.mark.real

SETTINGS = {"POLL_INTERVAL_SEC": "3600", "SYNC_INTERVAL_SEC": "3600"}


@pytest.fixture(scope="module")
def queue(moto):
    return MotoQueue(moto.environment, f"events-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def environment(moto, queue):
    return {**moto.environment, "EVENTS_QUEUE_URL": queue.url}


@pytest.fixture
def name():
    return f"push/{uuid.uuid4().hex[:8]}"


async def messages(operator, outcome):
    return await measured(operator, "secretsyncer_push_messages_total", outcome=outcome)


VALUE_CHANGES = {
    "label": label_updated,
    "label-through-sns": lambda name, arn: through_sns(label_updated(name, arn)),
    "put-by-name": lambda name, arn: call("PutSecretValue", {"secretId": name}, {"arn": arn}),
    "put-by-arn": lambda _, arn: call("PutSecretValue", {"secretId": arn}, {"arn": arn}),
    "put-by-partial-arn": lambda _, arn: call("PutSecretValue", {"secretId": arn[:-7]}, None),
    "update": lambda name, _: call("UpdateSecret", {"secretId": name}, None),
    "stage": lambda name, _: call("UpdateSecretVersionStage", {"secretId": name, "versionStage": "AWSCURRENT"}),
    "rotation": lambda _, arn: rotated(arn),
}


@pytest.mark.parametrize("kind", VALUE_CHANGES)
async def test_an_event_of_a_new_value_brings_it_without_a_listing(operator, space, moto, queue, name, kind):
    arn = (await moto.create(name, '{"a": "1"}'))["ARN"]
    await space.write("plain", data=[key("x", name, "a")])
    await space.write("by-arn", data=[key("x", arn, "a")])
    await space.write("template", data=[template("x", f'{{{{ (getSecretValueMap "{name}").a }}}}')])
    for each in ("plain", "by-arn", "template"):
        await space.until_data(each, {"x": b"1"})
    listed = await measured(operator, "secretsyncer_aws_calls_total", operation="ListSecrets")
    await moto.put(name, '{"a": "2"}')
    await queue.send(VALUE_CHANGES[kind](name, arn))
    for each in ("plain", "by-arn", "template"):
        await space.until_data(each, {"x": b"2"})
    assert await measured(operator, "secretsyncer_aws_calls_total", operation="ListSecrets") == listed


async def test_events_of_deletion_and_restoring_are_followed_and_the_secret_stays(
    operator, space, moto, queue, name
):
    arn = (await moto.create(name, '{"a": "1"}'))["ARN"]
    await space.write("demo", data=[key("x", name, "a")])
    await space.until_data("demo", {"x": b"1"})
    await moto.call("delete_secret", SecretId=name)
    await queue.send(call("DeleteSecret", {"secretId": name}, {"name": name, "aRN": arn}))
    await space.until_failed("demo", "SecretNotFound")
    assert await space.data("demo") == {"x": b"1"}
    await moto.call("restore_secret", SecretId=name)
    await queue.send(call("RestoreSecret", {"secretId": name}, {"name": name, "arn": arn}))
    await space.until_synced("demo")


async def test_events_of_tags_and_of_creation_move_what_a_search_finds(operator, space, moto, queue, name):
    tag = uuid.uuid4().hex
    await moto.create(f"{name}/one", "1", **{tag: ""})
    rewrite = [{"source": f"^{name}/", "target": ""}]
    await space.write("late", dataFrom={"find": {"tagKey": tag}, "rewrite": rewrite})
    text = f'{{{{ range $name, $_ := filterByTagKey .Secrets "{tag}" }}}}{{{{ $name }}}} {{{{ end }}}}'
    await space.write("names", data=[template("x", text)])
    await queue.send(call("CreateSecret", {"name": f"{name}/one"}, {"name": f"{name}/one"}))
    await space.until_data("late", {"one": b"1"})
    await moto.create(f"{name}/two", "2")
    await moto.call("tag_resource", SecretId=f"{name}/two", Tags=[{"Key": tag, "Value": ""}])
    await queue.send(call("TagResource", {"secretId": f"{name}/two", "tags": [{"key": tag}]}))
    await space.until_data("late", {"one": b"1", "two": b"2"})
    await space.until_data("names", {"x": f"{name}/one {name}/two ".encode()})
    await moto.call("untag_resource", SecretId=f"{name}/one", TagKeys=[tag])
    await queue.send(call("UntagResource", {"secretId": f"{name}/one", "tagKeys": [tag]}))
    await space.until_data("late", {"two": b"2"})


async def test_what_is_no_event_or_about_something_else_is_counted_and_deleted(operator, moto, queue, space, name):
    arn = (await moto.create(name, '{"a": "1"}'))["ARN"]
    malformed, ignored = await messages(operator, "malformed"), await messages(operator, "ignored")
    await queue.send(
        "not JSON", "[1, 2]", '"text"', "[" * 5000, {}, {"source": "aws.secretsmanager"},
        {"source": "aws.secretsmanager", "detail": "text"}, {"Type": "Notification", "Message": "not JSON"},
    )  # fmt: skip
    await queue.send(
        of_another_service(),
        call("GetSecretValue", {"secretId": name}),
        call("PutSecretValue", {"secretId": "not a name, for it has blanks"}),
        call("PutSecretValue", {"secretId": ["a", "list"]}, {"arn": {"an": "object"}}),
        call("PutSecretValue", {}, None),
    )

    async def all_gone():
        assert (await messages(operator, "malformed"), await messages(operator, "ignored")) == (
            malformed + 8,
            ignored + 5,
        )
        assert await queue.left() == 0

    await eventually(all_gone)
    assert (await operator.get("/readyz"))[0] == 200
    await space.write("demo", data=[key("x", name, "a")])
    await space.until_data("demo", {"x": b"1"})
    await moto.put(name, '{"a": "2"}')
    await queue.send(label_updated(name, arn))
    await space.until_data("demo", {"x": b"2"})


async def test_duplicates_and_disorder_do_no_harm(operator, space, moto, queue, name):
    arn = (await moto.create(name, '{"a": "1"}'))["ARN"]
    await space.write("demo", data=[key("x", name, "a")])
    await space.until_data("demo", {"x": b"1"})
    versions = [await moto.put(name, json.dumps({"a": str(number)})) for number in (2, 3, 4)]
    for version in reversed(versions):
        await queue.send(*[label_updated(name, arn, version=version)] * 3)
    await space.until_data("demo", {"x": b"4"})

    async def read():
        assert await queue.left() == 0

    await eventually(read)
    await space.until_synced("demo")
    assert await space.data("demo") == {"x": b"4"}
    assert (await space.synced("demo"))["status"]["sources"][0]["versionID"] == versions[-1]


@pytest.mark.parametrize("whose", ["of-another-region", "of-another-account", "of-its-predecessor"])
async def test_the_end_of_a_namesake_is_not_the_end_of_a_secret(operator, space, moto, queue, name, whose):
    tag = uuid.uuid4().hex
    arn = (await moto.create(name, "1", **{tag: ""}))["ARN"]
    source = {"find": {"tagKey": tag}, "rewrite": [{"source": ".*", "target": "x"}]}
    await space.write("before", dataFrom=source)
    await queue.send(call("CreateSecret", {"name": name}, {"arn": arn}))
    await space.until_data("before", {"x": b"1"})
    namesake, asked = {
        "of-another-region": (arn.replace("eu-west-1", "us-east-1"), {}),
        "of-another-account": (arn.replace("123456789012", "999999999999"), {}),
        "of-its-predecessor": (arn[:-6] + "AAAAAA", {"secretId": name}),
    }[whose]
    await queue.send(call("DeleteSecret", asked, {"aRN": namesake}))

    async def read():
        assert await queue.left() == 0

    await eventually(read)
    await space.write("after", dataFrom=source)
    await space.until_data("after", {"x": b"1"})
    await space.until_synced("before")


async def test_a_flood_of_names_costs_a_listing_and_an_honest_event_arrives_in_time(
    operator, space, moto, queue, name
):
    """A message with thousands of names, hundreds of messages with different ones, and one event that matters."""
    arn = (await moto.create(name, '{"a": "1"}'))["ARN"]
    await space.write("demo", data=[key("x", name, "a")])
    await space.until_data("demo", {"x": b"1"})
    before, began = await operator.metrics(), time.monotonic()
    await moto.put(name, '{"a": "2"}')
    huge = label_updated("flood/x", arn)
    huge["resources"] = [f"flood/{number}" for number in range(10_000)]
    await queue.send(huge, *(named(range(number, number + 19)) for number in range(0, 4000, 20)))
    await queue.send(label_updated(name, arn))
    await space.until_data("demo", {"x": b"2"})

    async def read():
        assert await queue.left() == 0

    await eventually(read)
    after = await operator.metrics()
    described = grown(before, after, "secretsyncer_aws_calls_total", operation="DescribeSecret")
    most = BURST + PER_SECOND * (time.monotonic() - began)
    assert described <= most
    assert grown(before, after, "secretsyncer_push_secrets_total", outcome="listed") >= 200 * 19 - most
    assert grown(before, after, "secretsyncer_push_messages_total", outcome="malformed") == 1


def named(numbers):
    """An event that names twenty secrets."""
    event = label_updated("flood/x", "")
    event["resources"] = [f"flood/{number}" for number in numbers]
    return event


def grown(before, after, metric, **labels):
    return total(after, metric, **labels) - total(before, metric, **labels)
