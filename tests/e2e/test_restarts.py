"""spec.restart on a real API server, with the permissions and the policy of manifests/components/restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.conftest import new_secret
from tests.support.eventually import eventually
from tests.support.measures import total
from tests.support.restarts import AT_ONCE, WEB, condition, restarts, stamp, status, until_restarted, until_told
from tests.support.specs import all_keys, literal
from tests.support.workloads import OPT_IN, RESTARTED_AT, workload

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("restart_component")]

SETTINGS = {"RESTART_MIN_INTERVAL": "0"}


@pytest.fixture
def name(aws):
    return new_secret(aws, '{"a": "0"}')


async def test_a_rotation_restarts_every_kind_of_workload_once(operator, aws, space, name):
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
    for kind in kinds:
        await space.cluster.create(workload(space.name, kind.lower(), kind, labels={"app": "all"}))
    targets = [{"kind": kind, "name": kind.lower()} for kind in kinds[::2]]
    targets += [{"kind": kind, "selector": {"matchLabels": {"app": "all"}}} for kind in kinds[1::2]]
    await space.write("demo", dataFrom=all_keys(name), restart={"targets": targets, **AT_ONCE})
    await space.until_synced("demo")
    aws.world.put(name, '{"a": "1"}')
    found = await until_restarted(space, 1)
    assert [(entry["kind"], entry["revision"]) for entry in found["restarts"]] == [
        (kind, 1) for kind in sorted(kinds)
    ]
    for entry in found["restarts"]:
        assert entry["time"] == await stamp(space, entry["name"], entry["kind"])
    for kind in kinds[:3]:
        assert await restarts(space, kind.lower(), kind) == 1
    assert condition(found)[:2] == ("True", "Restarted")
    assert await space.data("demo") == {"a": b"1"}

    async def rolled_out():
        sets = await space.cluster.list("ReplicaSet", space.name)
        assert len(sets) == 2

    await eventually(rolled_out)

    async def told():
        messages = [e["message"] for e in await space.events("demo") if e["reason"] == "Restarted"]
        assert "Deployment deployment restarted for revision 1" in messages
        (event,) = await space.events("deployment")
        assert event["message"] == "restarted because of new data in Secret demo"

    await eventually(told)


async def test_only_a_change_of_the_data_of_an_existing_secret_counts(operator, cluster, aws, space, name):
    await cluster.create(workload(space.name))
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    assert "revision" not in await status(space)
    await space.write("demo", dataFrom=all_keys(name), restart=WEB)
    await until_restarted(space, 0)
    # A repair, other metadata, and a Secret that was deleted.
    await cluster.merge("Secret", space.name, "demo", {"data": {"a": "ZWRpdGVk"}})
    await space.until_data("demo", {"a": b"0"})
    await space.write("demo", dataFrom=all_keys(name), restart=WEB, secretMetadata={"labels": {"b": "c"}})
    await space.until_synced("demo")
    await cluster.delete("Secret", space.name, "demo")
    await space.until_data("demo", {"a": b"0"})
    await space.write("demo", dataFrom=all_keys(name), data=[literal("b", "1")], restart=WEB)
    await until_restarted(space, 1)
    assert await restarts(space) == 1
    await space.write("demo", dataFrom=all_keys(name), data=[literal("b", "1")])

    async def forgotten():
        assert not {"revision", "restarts", "restartedRevision"} & (await status(space)).keys()
        assert condition(await status(space)) is None
        assert not (await space.secret("demo"))["metadata"].get("annotations")

    await eventually(forgotten)


async def test_a_tool_that_removes_the_annotation_causes_no_other_restart(operator, cluster, aws, space, name):
    await cluster.create(workload(space.name))
    await space.write("demo", dataFrom=all_keys(name), restart=WEB)
    await space.until_synced("demo")
    aws.world.put(name, '{"a": "1"}')
    await until_restarted(space, 1)
    gone = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: None}}}}}
    await cluster.merge("Deployment", space.name, "web", gone)
    await space.write("demo", dataFrom=all_keys(name), restart={**WEB, "consumers": False})
    await space.until_synced("demo")
    aws.world.put(name, '{"a": "2"}')
    await until_restarted(space, 2)
    assert await restarts(space) == 3  # twice by the operator, and once by the tool


async def test_own_keys_in_a_secret_of_somebody_else_cause_restarts_and_those_of_others_do_not(
    operator, cluster, aws, space, name
):
    await cluster.create(workload(space.name))
    await space.put_foreign("theirs", {"x": "theirs"})
    target = {"name": "theirs", "policy": "Merge"}
    await space.write("demo", dataFrom=all_keys(name), target=target, deletionPolicy="Delete", restart=WEB)
    await space.write("quiet", data=[literal("q", "1")], target=target)
    await space.until_data("theirs", {"x": b"theirs", "a": b"0", "q": b"1"})
    await until_restarted(space, 0)
    # Keys of others, and the repair of an own one.
    await cluster.merge("Secret", space.name, "theirs", {"data": {"x": "bmV3", "a": "ZWRpdGVk"}})
    await space.write("quiet", data=[literal("q", "2")], target=target)
    await space.until_data("theirs", {"x": b"new", "a": b"0", "q": b"2"})
    aws.world.put(name, '{"a": "1"}')
    await until_restarted(space, 1)
    assert await restarts(space) == 1
    await space.until_data("theirs", {"x": b"new", "a": b"1", "q": b"2"})
    await cluster.delete("SyncedSecret", space.name, "demo")
    await space.until_data("theirs", {"x": b"new", "q": b"2"})
    assert list((await space.secret("theirs"))["metadata"]["annotations"]) == ["secrets.contentful.com/keys"]


USES = {
    "file": {"pod": {"volumes": [{"name": "v", "secret": {"secretName": "demo"}}]}},
    "projected": {"pod": {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "demo"}}]}}]}},
    "env": {"container": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "demo", "key": "a"}}}]}},
    "env-from": {"container": {"envFrom": [{"secretRef": {"name": "demo"}}]}},
    "init": {
        "pod": {"initContainers": [{"name": "i", "image": "i:1", "envFrom": [{"secretRef": {"name": "demo"}}]}]}
    },
}


async def test_consumers_are_found_by_what_they_use_if_they_want_to(operator, cluster, aws, space, name):
    for use, parts in USES.items():
        await cluster.create(workload(space.name, use, annotations=OPT_IN, **parts))
    await cluster.create(workload(space.name, "set", "StatefulSet", annotations=OPT_IN, **USES["env"]))
    await cluster.create(workload(space.name, "daemon", "DaemonSet", annotations=OPT_IN, **USES["file"]))
    await cluster.create(workload(space.name, "not-asked", **USES["env"]))
    await cluster.create(workload(space.name, "other", annotations=OPT_IN))
    await space.write("demo", dataFrom=all_keys(name), restart={"consumers": True, **AT_ONCE})
    await space.until_synced("demo")
    aws.world.put(name, '{"a": "1"}')
    found = await until_restarted(space, 1)
    assert {entry["name"] for entry in found["restarts"]} == {*USES, "set", "daemon"}
    for use in USES:
        assert await restarts(space, use) == 1
    assert await restarts(space, "not-asked") == await restarts(space, "other") == 0


async def test_changes_of_several_secrets_become_one_restart(operator, cluster, aws, space):
    await cluster.create(workload(space.name))
    names = [new_secret(aws, '{"a": "0"}') for _ in range(5)]
    for number, one in enumerate(names):
        await space.write(f"demo-{number}", dataFrom=all_keys(one), restart={**WEB, "delay": "12s"})
        await space.until_synced(f"demo-{number}")
    for one in names:
        aws.world.put(one, '{"a": "1"}')
    for number in range(5):
        await until_restarted(space, 1, f"demo-{number}")
    assert await restarts(space) == 1


async def test_what_was_restarted_for_another_object_does_not_wait_for_a_window(
    operator, cluster, aws, space, name
):
    await cluster.create(workload(space.name))
    hours = [f"{(datetime.now(UTC) + timedelta(hours=ahead)).hour:02}:00" for ahead in (11, 12)]
    window = {"from": hours[0], "to": hours[1], "timezone": "Etc/UTC"}
    await space.write("demo", dataFrom=all_keys(name), restart={**WEB, "windows": [window]})
    another = new_secret(aws, '{"a": "0"}')
    await space.write("other", dataFrom=all_keys(another), restart=WEB)
    for obj in ("demo", "other"):
        await space.until_synced(obj)
    aws.world.put(name, '{"a": "1"}')
    assert f"T{hours[0]}:00Z" in await until_told(space, "WaitingForWindow")
    aws.world.put(another, '{"a": "1"}')
    await until_restarted(space, 1, "other")
    assert condition(await until_restarted(space, 1)) == ("True", "Restarted", "revision 1: Deployment web")
    assert await restarts(space) == 1


async def test_paused_and_missing_workloads_are_told_and_made_up_for(operator, cluster, aws, space, name):
    await cluster.create(workload(space.name, paused=True))
    await space.write("demo", dataFrom=all_keys(name), restart=WEB)
    await space.write(
        "other", dataFrom=all_keys(name), restart={"targets": [{"kind": "StatefulSet", "name": "db"}], **AT_ONCE}
    )
    for obj in ("demo", "other"):
        await space.until_synced(obj)
    aws.world.put(name, '{"a": "1"}')
    assert await until_told(space, "Paused") == "Deployment web is paused; resume it"
    message = await until_told(space, "NotFound", "other")
    assert message == f"there is no StatefulSet db in namespace {space.name}"
    assert (await space.ready("demo"))["status"] == "True"
    assert await restarts(space) == 0

    async def warned():
        for obj, reason in (("demo", "Paused"), ("other", "NotFound")):
            assert [e for e in await space.events(obj) if (e["type"], e["reason"]) == ("Warning", reason)]
        assert total(await operator.metrics(), "secretsyncer_restarts_blocked") == 2

    await eventually(warned)
    await cluster.create(workload(space.name, "db", "StatefulSet"))
    await until_restarted(space, 1, "other")
    await cluster.merge("Deployment", space.name, "web", {"spec": {"paused": None}})
    await until_restarted(space, 1)
    assert await restarts(space) == 2  # resumed, and restarted


async def test_a_suspended_object_restarts_nothing_until_it_is_resumed(operator, cluster, aws, space, name):
    for obj in ("web", "witness"):
        await cluster.create(workload(space.name, obj))
    await space.write("demo", dataFrom=all_keys(name), restart={**WEB, "delay": "24h"})
    witness = {"targets": [{"kind": "Deployment", "name": "witness"}], **AT_ONCE}
    another = new_secret(aws, '{"a": "0"}')
    await space.write("witness", dataFrom=all_keys(another), restart=witness)
    for obj in ("demo", "witness"):
        await space.until_synced(obj)
    aws.world.put(name, '{"a": "1"}')
    await space.until_data("demo", {"a": b"1"})

    async def noted():
        assert (await status(space))["revision"] == 1

    await eventually(noted)
    await space.write("demo", dataFrom=all_keys(name), restart=WEB, suspend=True)
    await space.until_failed("demo", "Suspended")
    aws.world.put(another, '{"a": "1"}')
    await until_restarted(space, 1, "witness")  # restarts of a namespace follow each other
    assert await restarts(space) == 0
    await space.write("demo", dataFrom=all_keys(name), restart=WEB)
    await until_restarted(space, 1)
    assert await restarts(space) == 1
