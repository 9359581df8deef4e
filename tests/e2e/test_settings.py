"""Settings that change how objects are synced. Each test runs its own operator."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.eventually import eventually
from tests.support.specs import all_keys, literal

pytestmark = pytest.mark.real


@pytest.fixture
def name(aws, name):
    aws.world.role("reader")
    return name


async def test_a_change_arrives_long_before_the_next_complete_listing(run_operator, aws, space, name):
    await run_operator(POLL_INTERVAL_SEC="3600", CHANGES_INTERVAL_SEC="1")
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    calls = aws.count("ListSecrets")
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("demo", {"a": b"2"})
    assert 1 <= aws.count("ListSecrets") - calls <= 30, "one call for each look"


async def test_adopt_existing_false_leaves_foreign_secrets_alone_until_they_are_given(
    run_operator, cluster, kubectl, space, name
):
    metadata = {"name": "demo", "namespace": space.name}
    before = await cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"x": "y"}}
    )
    await run_operator(ADOPT_EXISTING="false")
    await space.write("demo", dataFrom=all_keys(name))
    await space.write("new", dataFrom=all_keys(name))
    message = await space.until_failed("demo", "Conflict")
    assert f"{space.name}/demo" in message
    assert await space.secret("demo") == before
    await space.until_data("new", {"a": b"1"})
    await kubectl("label", "secret", "demo", "-n", space.name, "secrets.contentful.com/managed=true")
    await space.until_data("demo", {"a": b"1"})
    await space.until_synced("demo")


async def test_require_ns_annotation_denies_where_there_is_none_and_ns_annotation_names_another(
    run_operator, new_space, name
):
    await run_operator(REQUIRE_NS_ANNOTATION="true", NS_ANNOTATION="example.com/roles")
    bare = await new_space(annotations={"iam.amazonaws.com/allowed-roles": '["reader"]'})
    allowing = await new_space(annotations={"example.com/roles": '["reader"]'})
    for space in (bare, allowing):
        await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    assert "example.com/roles" in await bare.until_failed("demo", "RoleNotAllowed")
    await allowing.until_data("demo", {"a": b"1"})


async def test_the_search_role_lists_and_each_object_still_reads_as_itself(run_operator, aws, space, name):
    searcher = aws.world.role(f"searcher-{uuid.uuid4().hex[:8]}", read=[])
    reader = aws.world.role("reader")
    listed = aws.calls["ListSecrets", ""]
    await run_operator(POLL_DEFAULT_SEARCH_ROLE=searcher.rpartition("/")[2])
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("demo", {"a": b"2"})
    assert aws.calls["ListSecrets", searcher] > 0
    assert aws.calls["ListSecrets", ""] == listed
    values = {role for (operation, role), count in aws.calls.items() if "GetSecretValue" in operation and count}
    assert reader in values
    assert searcher not in values


async def test_watch_namespace_limits_the_operator_to_these(run_operator, new_space):
    one, two, other = [await new_space() for _ in range(3)]
    await run_operator(WATCH_NAMESPACE=f"{one.name}, {two.name}")
    for space in (other, one, two):
        await space.write("demo", data=[literal("a", "1")])
    for space in (one, two):
        await space.until_synced("demo")
    assert "status" not in await other.synced("demo")
    assert await other.secret("demo") is None


async def test_sync_interval_retries_what_no_event_reports(run_operator, aws, space, name):
    aws.world.role("reader", read=["nothing"])
    await run_operator(SYNC_INTERVAL_SEC="1")
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    await space.until_failed("demo", "AccessDenied")
    aws.world.role("reader", read=None)
    # A refusal is remembered for a minute; a new version in AWS ends that early.
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("demo", {"a": b"2"})


@pytest.mark.parametrize("style", ["json", "text"])
async def test_log_format_and_level_are_obeyed(run_operator, space, name, style):
    operator = await run_operator(LOG_FORMAT=style, LOG_LEVEL="INFO" if style == "json" else "")
    await space.write("demo", dataFrom=all_keys(f"{name}-missing"))
    await space.until_failed("demo", "SecretNotFound")

    async def logged():
        lines = [line for line in operator.log.splitlines() if "rejected" in line and f"{space.name}/demo" in line]
        assert lines
        return lines[0]

    line = await eventually(logged)
    if style == "json":
        fields = json.loads(line)
        assert (fields["level"], fields["key"], fields["reason"]) == (
            "info",
            f"{space.name}/demo",
            "SecretNotFound",
        )
        assert fields["reconcile_id"]
    else:
        assert f"key={space.name}/demo" in line
        assert "info" in line
