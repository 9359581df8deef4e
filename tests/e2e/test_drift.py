"""Changes by others to a managed Secret, or to an object during a reconcile: the result is what the spec asks for."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.e2e.conftest import new_secret
from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import all_keys, key, literal

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "3600"}  # no resync helps


@pytest.fixture
def name(aws):
    """A secret in AWS."""
    return new_secret(aws, '{"a": "1", "b": "2"}')


@pytest_asyncio.fixture(loop_scope="session")
async def demo(operator, space, name):
    """A synced object `demo` with a label and an annotation of its own; its namespace.

    A listing has shown its source by now: else the next one would lead to a pass, and put right what the event of
    the Secret itself must.
    """
    metadata = {"labels": {"ours": "yes"}, "annotations": {"note": "ours"}}
    await space.write("demo", dataFrom=all_keys(name), secretMetadata=metadata)
    await space.until_data("demo", {"a": b"1", "b": b"2"})
    await space.until_synced("demo")
    before = await measured(operator, "secretsyncer_polls_total")

    async def listed():
        assert await measured(operator, "secretsyncer_polls_total") >= before + 2

    await eventually(listed)
    return space


AS_IT_SHOULD_BE = {"a": b"1", "b": b"2"}


async def test_a_value_edited_with_kubectl_is_put_right(demo, kubectl):
    before = (await demo.secret("demo"))["metadata"]["resourceVersion"]
    # MQ== is the base64 of 1
    await kubectl("edit", "secret", "demo", "-n", demo.name, EDITOR="sed -i s/MQ==/aGFja2Vk/")
    assert (await demo.secret("demo"))["metadata"]["resourceVersion"] != before
    await demo.until_data("demo", AS_IT_SHOULD_BE)


async def test_a_key_that_kubectl_added_or_removed_is_corrected(demo, kubectl):
    patch = '{"data": {"a": null, "foreign": "MQ=="}}'
    await kubectl("patch", "secret", "demo", "-n", demo.name, "--type=merge", f"--patch={patch}")
    await demo.until_data("demo", AS_IT_SHOULD_BE)


async def test_a_deleted_secret_is_created_again(demo, kubectl):
    uid = (await demo.secret("demo"))["metadata"]["uid"]
    await kubectl("delete", "secret", "demo", "-n", demo.name)
    await demo.until_data("demo", AS_IT_SHOULD_BE)
    assert (await demo.secret("demo"))["metadata"]["uid"] != uid


async def test_a_removed_label_is_restored_even_the_one_of_the_operator(demo, kubectl):
    await kubectl("label", "secret", "demo", "-n", demo.name, "secrets.contentful.com/managed-", "ours-")

    async def labelled():
        labels = (await demo.secret("demo"))["metadata"].get("labels")
        assert labels == {"secrets.contentful.com/managed": "true", "ours": "yes"}, labels

    await eventually(labelled)


async def test_labels_and_annotations_of_others_stay_and_ours_go_when_the_spec_drops_them(demo, kubectl, name):
    await kubectl("label", "secret", "demo", "-n", demo.name, "theirs=yes")
    await kubectl("annotate", "secret", "demo", "-n", demo.name, "theirs=kept")
    await demo.write("demo", dataFrom=all_keys(name))

    async def settled():
        metadata = (await demo.secret("demo"))["metadata"]
        labels, annotations = metadata["labels"], metadata["annotations"]
        assert labels == {"secrets.contentful.com/managed": "true", "theirs": "yes"}, labels
        assert annotations == {"theirs": "kept"}, annotations

    await eventually(settled)
    assert await demo.data("demo") == AS_IT_SHOULD_BE


async def test_drift_that_is_corrected_is_reported_in_an_event(demo, kubectl):
    await kubectl("patch", "secret", "demo", "-n", demo.name, "--type=merge", '--patch={"data": {"a": "eA=="}}')

    async def told():
        messages = [event["message"] for event in await demo.events("demo")]
        assert "Secret updated: key a" in messages, messages

    await eventually(told)


async def test_an_object_changed_while_it_is_reconciled_ends_as_its_last_spec_asks(operator, aws, space, name):
    aws.fault("hold", operation="GetSecretValue")
    aws.fault("hold", operation="BatchGetSecretValue")
    await space.write("demo", data=[key("first", name, "a")])
    await under_way(operator)
    await space.write("demo", data=[key("second", name, "a")])
    await space.write("demo", data=[key("third", name, "b")])
    aws.faults.clear()
    await space.until_data("demo", {"third": b"2"})
    await space.until_synced("demo")


async def test_an_object_recreated_during_a_reconcile_is_reconciled_as_the_new_one(
    operator, aws, cluster, space, name
):
    aws.fault("hold", operation="GetSecretValue")
    aws.fault("hold", operation="BatchGetSecretValue")
    await space.write("demo", data=[key("first", name, "a")])
    await under_way(operator)
    await cluster.delete("SyncedSecret", space.name, "demo")
    await space.write("demo", data=[literal("second", "2")])
    aws.faults.clear()
    await space.until_data("demo", {"second": b"2"})
    obj = await space.until_synced("demo")
    assert obj["status"].get("sources", []) == []


async def test_an_object_deleted_while_it_is_reconciled_gets_no_secret(operator, aws, cluster, space, name):
    aws.fault("hold", operation="GetSecretValue")
    aws.fault("hold", operation="BatchGetSecretValue")
    await space.write("demo", data=[key("first", name, "a")])
    await under_way(operator)
    await cluster.delete("SyncedSecret", space.name, "demo")
    aws.faults.clear()
    await space.write("other", data=[key("first", name, "a")])  # its value comes with the same answer
    await space.until_data("other", {"first": b"1"})

    async def over():
        assert await measured(operator, "secretsyncer_queue_longest_running_seconds") == 0

    await eventually(over)
    assert await space.secret("demo") is None


async def under_way(operator):
    """Wait until a pass is in the middle of it."""

    async def probe():
        assert await measured(operator, "secretsyncer_queue_longest_running_seconds") > 0

    await eventually(probe)


async def test_after_a_compaction_and_a_restart_of_the_api_server_nothing_is_missed(
    demo, operator, real_server, name
):
    before = await measured(operator, "secretsyncer_relists_total")
    await demo.write("other", data=[literal("a", "1")])
    await demo.until_synced("other")
    await real_server.stop_listening()
    await real_server.start_listening()
    await demo.write("demo", data=[key("only", name, "a")])  # seen by no watch that was open before
    await demo.cluster.delete("Secret", demo.name, "other")
    await real_server.compact()
    await demo.until_data("demo", {"only": b"1"})
    await demo.until_data("other", {"a": b"1"})

    async def relisted():
        assert await measured(operator, "secretsyncer_relists_total") > before

    await eventually(relisted)
    assert (await operator.get("/healthz"))[0] == 200
    assert (await operator.get("/readyz"))[0] == 200
