"""Conditions with their times, sources, and Events, as kubectl describe shows them."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import all_keys, key, literal, template, whole

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "2"}
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module", autouse=True)
def reader(aws):
    aws.world.create("telling/json", '{"a": "c4n4ry"}')
    aws.world.create("telling/text", "c4n4ry")
    return aws.world.role("reader")


@pytest.fixture
def name():
    return f"telling/{uuid.uuid4().hex[:8]}"


async def date_back(space, name):
    """As if its last transition were long ago, as the operator knows."""
    condition = {**await space.ready(name), "lastTransitionTime": LONG_AGO}
    patch = {"status": {"conditions": [condition]}}
    await space.cluster.merge("SyncedSecret", space.name, name, patch, subresource="status")
    later = uuid.uuid4().hex  # the event of this object comes after that of the status
    await space.write(later, data=[literal("a", "1")])
    await space.until_synced(later)


async def said(space, name):
    """Its Events as `type reason`, with how often each was told."""
    events = await space.events(name)
    return {(event["type"], event["reason"]) for event in events}, " | ".join(event["message"] for event in events)


async def until_told(space, name, kind, reason, *fragments):
    async def probe():
        told, messages = await said(space, name)
        assert (kind, reason) in told, told
        for fragment in fragments:
            assert fragment in messages, messages

    await eventually(probe)


async def test_the_transition_time_changes_with_the_state_and_with_nothing_else(operator, space, aws, name):
    aws.world.create(name, '{"a": "1"}')
    spec = {"IAMRole": "reader", "data": [key("x", name, "a")]}
    await space.write("demo", **spec)
    await space.until_synced("demo")
    await date_back(space, "demo")
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("demo", {"x": b"2"})
    await space.write("demo", **{**spec, "secretMetadata": {"labels": {"a": "b"}}})
    await space.until_synced("demo")
    assert (await space.ready("demo"))["lastTransitionTime"] == LONG_AGO, "still ready, though all else changed"

    aws.world.put(name, "not JSON")
    await space.until_failed("demo", "InvalidSecretValue")
    assert (await space.ready("demo"))["lastTransitionTime"] > LONG_AGO
    await date_back(space, "demo")
    await space.write("demo", **{**spec, "data": [key("x", f"{name}/missing", "a")]})
    await space.until_failed("demo", "SecretNotFound")
    assert (await space.ready("demo"))["lastTransitionTime"] == LONG_AGO, "not ready for another reason"

    aws.world.create(f"{name}/missing", '{"a": "3"}')
    await space.until_synced("demo")
    assert (await space.ready("demo"))["lastTransitionTime"] > LONG_AGO


async def test_the_status_names_its_sources_and_versions_and_what_it_has_observed(operator, space, aws, name):
    one = aws.world.create(f"{name}/1", '{"a": "1"}')
    two = aws.world.create(f"{name}/2", "text")
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(f"{name}/1"), data=[whole("x", two.arn)])
    obj = await space.until_synced("demo")
    status = obj["status"]
    assert status["observedGeneration"] == obj["metadata"]["generation"]
    assert status["sources"] == [
        {
            "service": "SecretsManager",
            "name": secret.name,
            "arn": secret.arn,
            "versionID": secret.staged("AWSCURRENT"),
        }
        for secret in (one, two)
    ]
    assert status["lastSyncTime"]
    assert (await space.ready("demo"))["message"] == "2 keys from 2 AWS secrets"
    version = aws.world.put(f"{name}/1", '{"a": "2"}')
    await space.until_data("demo", {"a": b"2", "x": b"text"})

    async def followed():
        obj = await space.synced("demo")
        assert obj["status"]["sources"][0]["versionID"] == version
        assert obj["status"]["generatedSecretHash"] != status["generatedSecretHash"]

    await eventually(followed)


async def test_the_list_of_sources_is_capped(operator, space, aws, name):
    tag = uuid.uuid4().hex
    for number in range(60):
        aws.world.create(f"{name}/{number:02}", str(number), tags={tag: ""})
    rewrite = [{"source": "^.*/", "target": ""}]
    await space.write("demo", IAMRole="reader", dataFrom={"find": {"tagKey": tag}, "rewrite": rewrite})
    obj = await space.until_synced("demo")
    assert len(await space.data("demo")) == 60
    assert len(obj["status"]["sources"]) == 50
    assert (await space.ready("demo"))["message"] == "60 keys from 60 AWS secrets"


async def test_events_report_creation_and_update(operator, space, aws, name):
    aws.world.create(name, '{"a": "1", "b": "2"}')
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    await until_told(space, "demo", "Normal", "Synced", "Secret created with keys a, b")
    aws.world.put(name, '{"a": "1", "b": "3"}')
    await until_told(space, "demo", "Normal", "Synced", "Secret updated: key b")
    labels = {"secretMetadata": {"labels": {"x": "y"}}}
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name), **labels)
    await until_told(space, "demo", "Normal", "Synced", "Secret updated: labels or annotations")


async def test_events_report_a_conflict_and_its_end(operator, space):
    await space.write("older", target={"name": "shared"}, data=[literal("a", "1")])
    await space.until_synced("older")
    await space.write("younger", target={"name": "shared"}, data=[literal("a", "2")])
    await until_told(space, "younger", "Warning", "Conflict", "already the target of the older SyncedSecret older")
    await space.cluster.delete("SyncedSecret", space.name, "older")
    await until_told(space, "younger", "Normal", "Synced", "Secret updated: key a")


async def test_events_report_a_denial_and_the_recovery(operator, new_space, aws, name):
    space = await new_space(annotations={"iam.amazonaws.com/allowed-roles": '["another"]'})
    aws.world.create(name, '{"a": "1"}')
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    await until_told(space, "demo", "Warning", "RoleNotAllowed", "role/reader", "iam.amazonaws.com/allowed-roles")
    await space.annotate({"iam.amazonaws.com/allowed-roles": '["reader"]'})
    await until_told(space, "demo", "Normal", "Synced", "Secret created with key a")
    aws.world.put(name, "not JSON")
    await until_told(space, "demo", "Warning", "InvalidSecretValue", name)
    aws.world.put(name, '{"a": "1"}')
    await until_told(space, "demo", "Normal", "Synced", "in sync with AWS again")


async def test_a_lasting_failure_is_reported_once(operator, space, name):
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    await space.until_failed("demo", "SecretNotFound")
    version = (await space.synced("demo"))["metadata"]["resourceVersion"]
    before = await measured(operator, "secretsyncer_reconciles_total", result="rejected")

    async def tried_again():
        assert await measured(operator, "secretsyncer_reconciles_total", result="rejected") >= before + 3

    await eventually(tried_again)
    (event,) = await space.events("demo")
    assert event.get("count", 1) == 1
    assert (await space.synced("demo"))["metadata"]["resourceVersion"] == version


WRONG = {
    "InvalidSpec": {"data": [{"name": "x", "valueFrom": {"secretKeyRef": {"name": "a", "jmesPath": "b["}}}]},
    "SecretNotFound": {"data": [whole("x", "telling/nothing")]},
    "TemplateError": {"data": [template("x", "line one\n{{ .Nothing.At.All }}")]},
    "InvalidSecretValue": {"data": [key("x", "telling/json", "absent"), key("y", "telling/text", "z")]},
}


@pytest.mark.parametrize("reason", WRONG)
async def test_describe_says_what_is_wrong_and_where_in_one_line_without_a_value(operator, space, kubectl, reason):
    await space.write("demo", IAMRole="reader", **WRONG[reason])
    message = await space.until_failed("demo", reason)
    assert "\n" not in message
    assert len(message) < 600, message
    assert ("spec.data[0]" if reason == "InvalidSpec" else "data.x") in message
    if reason == "InvalidSecretValue":
        assert message == (
            "data.x: AWS secret telling/json has no key 'absent'; "
            "data.y: AWS secret telling/text is not JSON (line 1, column 1), but a JSON object is required"
        )
    await until_told(space, "demo", "Warning", reason)
    described = await kubectl("describe", "ss", "demo", "-n", space.name)
    assert message in described
    assert "c4n4ry" not in described + json.dumps(await space.synced("demo"))
