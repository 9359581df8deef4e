"""The fields that the Go operator did not have: sources, the form of the Secret, when it is updated."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from sandbox.aws.state import OPERATOR_ACCOUNT
from tests.support.eventually import eventually
from tests.support.specs import literal, template

pytestmark = pytest.mark.real

SETTINGS = {"POLL_INTERVAL_SEC": "1", "SYNC_INTERVAL_SEC": "5"}


@pytest.fixture(scope="module", autouse=True)
def reader(aws):
    return aws.world.role("features")


def item(name, secret, *, form="secretRef", **more):
    return {"name": name, "valueFrom": {form: {"name": secret, **more}}}


@pytest.fixture
def name():
    return f"features/{uuid.uuid4().hex[:8]}"


async def test_a_stage_and_a_version_can_be_read_beside_the_current_one(operator, space, aws, name):
    first = aws.world.create(name, "one").staged("AWSCURRENT")
    aws.world.put(name, "two")
    data = [
        item("now", name),
        item("before", name, versionStage="AWSPREVIOUS"),
        item("pinned", name, versionId=first),
    ]
    await space.write("demo", IAMRole="features", data=data)
    await space.until_data("demo", {"now": b"two", "before": b"one", "pinned": b"one"})
    aws.world.put(name, "three")
    await space.until_data("demo", {"now": b"three", "before": b"two", "pinned": b"one"})


async def test_a_jmespath_selects_a_nested_value_and_keeps_the_digits_of_numbers(operator, space, aws, name):
    aws.world.create(name, '{"db": {"users": [{"name": "me", "pin": 1.50}], "port": 5432}}')
    data = [
        item("user", name, form="secretKeyRef", jmesPath="db.users[0].name"),
        item("pin", name, form="secretKeyRef", jmesPath="db.users[?name=='me'] | [0].pin"),
        item("db", name, form="secretKeyRef", jmesPath="db"),
    ]
    await space.write("demo", IAMRole="features", data=data)
    whole = b'{"users":[{"name":"me","pin":1.50}],"port":5432}'
    await space.until_data("demo", {"user": b"me", "pin": b"1.50", "db": whole})


async def test_optional_and_default_apply_until_the_secret_exists(operator, space, aws, name):
    aws.world.create(name, '{"there": "yes"}')
    data = [
        item("there", name, form="secretKeyRef", key="there"),
        item("gone", name, form="secretKeyRef", key="gone", optional=True),
        item("fallback", f"{name}/none", default="plain"),
    ]
    await space.write("demo", IAMRole="features", data=data)
    await space.until_data("demo", {"there": b"yes", "fallback": b"plain"})
    aws.world.create(f"{name}/none", "it came")
    await space.until_data("demo", {"there": b"yes", "fallback": b"it came"})  # nothing that was read has changed
    aws.world.put(name, '{"there": "yes", "gone": "back"}')
    await space.until_data("demo", {"there": b"yes", "gone": b"back", "fallback": b"it came"})


async def test_optional_does_not_hide_that_access_is_denied(operator, space, aws, name):
    aws.world.create(name, "secret")
    aws.world.role("blind", read=[])
    # Once it is listed: what no listing shows may as well not exist.
    await space.write("listed", dataFrom={"find": {"name": {"prefix": name}}, "invalidKeys": "Replace"})
    await space.until_synced("listed")
    await space.write("demo", IAMRole="blind", data=[literal("a", "b"), item("x", name, optional=True)])
    message = await space.until_failed("demo", "AccessDenied")
    assert name in message
    assert await space.secret("demo") is None


async def test_several_secrets_are_merged_and_a_later_one_wins(operator, space, aws, name):
    aws.world.create(f"{name}/a", '{"x": 1, "y": 1}')
    aws.world.create(f"{name}/b", '{"y": 2}')
    refs = [{"name": f"{name}/a"}, {"name": f"{name}/b"}]
    await space.write("demo", IAMRole="features", dataFrom={"secretRefs": refs}, data=[literal("z", "3")])
    await space.until_data("demo", {"x": b"1", "y": b"2", "z": b"3"})


async def test_find_takes_what_carries_a_tag_and_follows_the_tag(operator, space, aws, name):
    tag = uuid.uuid4().hex
    aws.world.create(f"{name}/text", "one", tags={tag: "yes"})
    aws.world.create(f"{name}/bytes", b"\x00\xff", tags={tag: "yes"})
    aws.world.create(f"{name}/other", "no", tags={tag: "no"})
    rewrite = [{"source": f"^{name}/(.*)$", "target": "the-$1"}]
    await space.write("all", IAMRole="features", dataFrom={"find": {"tagKey": tag}, "rewrite": rewrite})
    await space.write("some", IAMRole="features", dataFrom={"find": {"tags": {tag: "yes"}}, "rewrite": rewrite})
    await space.until_data("all", {"the-text": b"one", "the-bytes": b"\x00\xff", "the-other": b"no"})
    await space.until_data("some", {"the-text": b"one", "the-bytes": b"\x00\xff"})
    aws.world.tag(f"{name}/other", {tag: "yes"})
    aws.world.tag(f"{name}/text", {tag: None})
    await space.until_data("all", {"the-bytes": b"\x00\xff", "the-other": b"no"})
    await space.until_data("some", {"the-bytes": b"\x00\xff", "the-other": b"no"})


async def test_find_by_name_can_merge_and_decode(operator, space, aws, name):
    aws.world.create(f"{name}/one", json.dumps({"a": base64.b64encode(b"\x01").decode()}))
    aws.world.create(f"{name}/two", json.dumps({"b": base64.b64encode(b"\x02").decode()}))
    find = {"name": {"prefix": f"{name}/", "regexp": "(one|two)$"}, "merge": True, "decode": "base64"}
    await space.write("demo", IAMRole="features", dataFrom={"find": find})
    await space.until_data("demo", {"a": b"\x01", "b": b"\x02"})


async def test_find_that_matches_nothing_any_more_leaves_the_secret(operator, space, aws, name):
    tag = uuid.uuid4().hex
    aws.world.create(name, '{"a": "b"}', tags={tag: ""})
    await space.write("demo", IAMRole="features", dataFrom={"find": {"tagKey": tag, "merge": True}})
    await space.until_data("demo", {"a": b"b"})
    aws.world.tag(name, {tag: None})
    await space.until_failed("demo", "SecretNotFound")
    assert await space.data("demo") == {"a": b"b"}


@pytest.mark.parametrize(
    ("choice", "expected"), [("Skip", {"ok": b"1"}), ("Replace", {"ok": b"1", "not_ok": b"2"})]
)
async def test_keys_that_kubernetes_does_not_accept_are_dealt_with_as_asked(
    operator, space, aws, name, choice, expected
):
    aws.world.create(name, '{"ok": 1, "not/ok": 2}')
    source = {"secretRef": {"name": name}, "invalidKeys": choice}
    await space.write("demo", IAMRole="features", dataFrom=source)
    await space.until_data("demo", expected)


async def test_two_keys_that_become_one_are_an_error(operator, space, aws, name):
    aws.world.create(name, '{"a/b": 1, "a_b": 2}')
    source = {"secretRef": {"name": name}, "invalidKeys": "Replace"}
    await space.write("demo", IAMRole="features", dataFrom=source)
    assert "a_b" in await space.until_failed("demo", "InvalidSecretValue")


async def test_region_and_arns_lead_to_other_regions_and_accounts(operator, space, aws, name):
    there = aws.world.create(name, "in the south", region="us-east-1")
    foreign = aws.world.create(name, "foreign", account="222222222222", shared_with=[OPERATOR_ACCOUNT])
    aws.world.create(name, "at home")
    data = [
        item("home", name),
        item("region", name, region="us-east-1"),
        item("arn", there.arn),
        item("foreign", foreign.arn),
    ]
    await space.write("demo", IAMRole="features", data=data)
    expected = {"home": b"at home", "region": b"in the south", "arn": b"in the south", "foreign": b"foreign"}
    await space.until_data("demo", expected)


async def test_the_external_id_is_given_when_the_role_is_assumed(operator, space, aws, name):
    aws.world.create(name, "secret")
    aws.world.role("picky", external_id="our-contract")
    await space.write("without", IAMRole="picky", data=[item("x", name)])
    await space.until_failed("without", "AccessDenied")
    await space.write("with", IAMRole="picky", externalId="our-contract", data=[item("x", name)])
    await space.until_data("with", {"x": b"secret"})


async def test_account_mode_needs_the_tag_on_every_path_and_loses_access_with_it(operator, new_space, aws, name):
    space = await new_space(labels={"k8s.contentful.com/namespace-type": "blue"})
    tag = {"k8s.contentful.com/namespace_type/blue": "1"}
    aws.world.role("secret-syncer", account="333333333333")
    aws.world.create(f"{name}/ours", '{"a": "1"}', account="333333333333", tags=tag)
    aws.world.create(f"{name}/theirs", '{"a": "2"}', account="333333333333")
    ours, theirs = f"{name}/ours", f"{name}/theirs"
    account = {"AWSAccountID": "333333333333"}
    await space.write("good", **account, data=[item("x", ours, form="secretKeyRef", key="a")])
    await space.until_data("good", {"x": b"1"})
    await space.write("from", **account, dataFrom={"secretRef": {"name": theirs}})
    await space.write("key", **account, data=[item("x", theirs, form="secretKeyRef", key="a")])
    await space.write("whole", **account, data=[item("x", theirs)])
    await space.write("template", **account, data=[template("x", f'{{{{ getSecretValue "{theirs}" }}}}')])
    for bad in ("from", "key", "whole", "template"):
        assert "tag" in await space.until_failed(bad, "RoleNotAllowed")
        assert await space.secret(bad) is None
    aws.world.tag(ours, {next(iter(tag)): None}, account="333333333333")
    aws.world.put(ours, '{"a": "new"}', account="333333333333")
    await space.until_failed("good", "RoleNotAllowed")
    assert await space.data("good") == {"x": b"1"}


async def test_a_typed_secret_has_its_type_and_what_the_type_requires(operator, space):
    login = [literal("username", "me"), literal("password", "it")]
    await space.write("login", type="kubernetes.io/basic-auth", data=login)
    await space.until_synced("login")
    assert (await space.secret("login"))["type"] == "kubernetes.io/basic-auth"
    await space.write("tls", type="kubernetes.io/tls", data=[literal("tls.crt", "x")])
    assert "tls.key" in await space.until_failed("tls", "InvalidSecretValue")


async def test_another_type_is_a_conflict_unless_the_secret_may_be_recreated(operator, space):
    login = [literal("username", "me"), literal("password", "it")]
    await space.write("demo", data=login)
    await space.until_synced("demo")
    before = (await space.secret("demo"))["metadata"]["uid"]
    await space.write("demo", type="kubernetes.io/basic-auth", data=login)
    await space.until_failed("demo", "Conflict")
    assert (await space.secret("demo"))["metadata"]["uid"] == before
    await space.write("demo", type="kubernetes.io/basic-auth", recreateOnTypeChange=True, data=login)
    await space.until_synced("demo")
    secret = await space.secret("demo")
    assert (secret["type"], secret["metadata"]["uid"] == before) == ("kubernetes.io/basic-auth", False)


async def test_an_immutable_secret_is_recreated_only_if_allowed(operator, space):
    await space.write("demo", immutable=True, data=[literal("a", "1")])
    await space.until_synced("demo")
    assert (await space.secret("demo"))["immutable"] is True
    await space.write("demo", immutable=True, data=[literal("a", "2")])
    await space.until_failed("demo", "Conflict")
    assert await space.data("demo") == {"a": b"1"}
    await space.write("demo", immutable=True, recreateOnTypeChange=True, data=[literal("a", "2")])
    await space.until_data("demo", {"a": b"2"})


async def test_of_two_objects_on_one_target_the_older_has_it_and_leaves_it_to_the_other(operator, space):
    await space.write("older", target={"name": "shared"}, data=[literal("a", "older")])
    await space.until_data("shared", {"a": b"older"})
    await space.write("younger", target={"name": "shared"}, data=[literal("a", "younger")])
    assert "older" in await space.until_failed("younger", "Conflict")
    assert await space.data("shared") == {"a": b"older"}
    await space.cluster.delete("SyncedSecret", space.name, "older")
    await space.until_data("shared", {"a": b"younger"})
    assert await space.secret("older") is None


async def test_an_older_object_takes_a_target_over_even_while_it_has_nothing_to_write(operator, space, name):
    await space.write("older", data=[literal("a", "older")])
    await space.until_synced("older")
    await space.write("younger", target={"name": "shared"}, data=[literal("a", "younger")])
    await space.until_synced("younger")
    await space.write("older", target={"name": "shared"}, data=[item("a", f"{name}-missing")])
    await space.until_failed("older", "SecretNotFound")
    assert "older" in await space.until_failed("younger", "Conflict")
    assert await space.data("shared") == {"a": b"younger"}  # nothing was taken away
    await space.cluster.delete("SyncedSecret", space.name, "older")
    await space.until_synced("younger")


async def test_an_object_may_overrule_adoption(operator, space):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": space.name}}
    await space.cluster.create({**secret, "stringData": {"a": "by hand"}})
    await space.write("mine", adopt=False, data=[literal("a", "synced")])
    await space.until_failed("mine", "Conflict")
    assert await space.data("mine") == {"a": b"by hand"}
    await space.write("mine", adopt=True, data=[literal("a", "synced")])
    await space.until_data("mine", {"a": b"synced"})


async def test_a_suspended_object_stays_as_it_is_and_is_no_failure(operator, space, aws, name):
    aws.world.create(name, "one")
    await space.write("demo", IAMRole="features", data=[item("x", name)])
    await space.until_data("demo", {"x": b"one"})
    await space.write("demo", IAMRole="features", suspend=True, data=[item("x", name)])
    await space.until_failed("demo", "Suspended")
    aws.world.put(name, "two")
    rounds = aws.count("ListSecrets")

    async def polled_twice():
        assert aws.count("ListSecrets") > rounds + 2

    await eventually(polled_twice)
    assert await space.data("demo") == {"x": b"one"}
    metrics = await operator.metrics()
    assert metrics[f'secretsyncer_object_ready{{name="demo",namespace="{space.name}",reason="Suspended"}}'] == 0
    await space.write("demo", IAMRole="features", data=[item("x", name)])
    await space.until_data("demo", {"x": b"two"})


async def test_the_refresh_annotation_reads_aws_at_once_though_the_list_is_old(operator, space, aws, name):
    aws.world.create(name, "one")
    await space.write("demo", IAMRole="features", data=[item("x", name)])
    await space.until_data("demo", {"x": b"one"})
    aws.world.freeze_lists()
    try:
        aws.world.put(name, "two")
        patch = {"metadata": {"annotations": {"secrets.contentful.com/refresh": "now"}}}
        await space.cluster.merge("SyncedSecret", space.name, "demo", patch)
        await space.until_data("demo", {"x": b"two"})
    finally:
        aws.world.thaw_lists()


async def test_a_refresh_interval_finds_what_no_list_shows(operator, space, aws, name):
    aws.world.create(name, "one")
    await space.write("demo", IAMRole="features", refreshInterval="10s", data=[item("x", name)])
    await space.until_data("demo", {"x": b"one"})
    aws.world.freeze_lists()
    try:
        aws.world.put(name, "two")
        await space.until_data("demo", {"x": b"two"})
    finally:
        aws.world.thaw_lists()


async def test_events_report_creation_change_failure_and_recovery(operator, space, aws, name):
    aws.world.create(name, '{"a": "1"}')
    spec = {"IAMRole": "features", "data": [item("x", name, form="secretKeyRef", key="a")]}
    await space.write("demo", **spec)
    await space.until_data("demo", {"x": b"1"})
    aws.world.put(name, '{"a": "2"}')
    await space.until_data("demo", {"x": b"2"})
    aws.world.put(name, '{"b": "2"}')
    await space.until_failed("demo", "InvalidSecretValue")
    aws.world.put(name, '{"a": "2"}')
    await space.until_synced("demo")

    async def told():
        events = [(e["type"], e["reason"], e["message"]) for e in await space.events("demo")]
        said = [f"{kind} {reason}" for kind, reason, _ in events]
        assert said.count("Normal Synced") == 3, events
        assert said.count("Warning InvalidSecretValue") == 1, events

    await eventually(told)
