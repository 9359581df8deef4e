"""Wrong specs and secrets: the condition names the problem, and the Secret and other objects are not affected.

All objects are good first, then each is broken in its own way; every test looks at one consequence for all of them.
"""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio

from sandbox.aws.state import OPERATOR_ACCOUNT
from tests.support.crd import without_rules
from tests.support.eventually import eventually
from tests.support.measures import measured, series
from tests.support.specs import all_keys, key, literal, template, whole

pytestmark = pytest.mark.real

ROLE = f"arn:aws:iam::{OPERATOR_ACCOUNT}:role"
SECRETS = {
    "app/json": json.dumps({"a": "1", "nothing": None}),
    "app/bad-keys": '{"good": "1", "not good": "2"}',
    "app/text": "no JSON at all",
    "app/list": '["a", "b"]',
    "app/nan": '{"a": NaN}',
    "app/binary": b"\x00\xff",
    "app/big": "x" * 65_000,
}
ITEM = {"name": "a"}
FROM = {"secretRef": {"name": "app/json"}}
BAD = {
    # name: (spec, reason, words of the message)
    "two-sources": (
        {"data": [{**ITEM, "valueFrom": {**FROM, "template": "x"}}]},
        "InvalidSpec",
        ["data[0].valueFrom", "template"],
    ),
    "bad-key": ({"data": [literal("not good", "1")]}, "InvalidSpec", ["data[0].name"]),
    "bad-account": (
        {"AWSAccountID": "12", "dataFrom": all_keys("app/json")},
        "InvalidSpec",
        ["AWSAccountID", "12"],
    ),
    "bad-role-arn": (
        {"IAMRole": "arn:aws:iam::12:role/x", "dataFrom": all_keys("app/json")},
        "InvalidSpec",
        ["IAMRole", "arn:aws:iam::<12 digits>:role/<name>"],
    ),
    "bad-secret-name": ({"dataFrom": all_keys("no name")}, "InvalidSpec", ["dataFrom.secretRef.name"]),
    "bad-secret-name-in-a-template": (
        {"data": [template("a", '{{ getSecretValue "no name" }}')]},
        "InvalidSpec",
        ["data.a", "no name"],
    ),
    "bad-expression": (
        {"dataFrom": {"find": {"name": {"regexp": "("}}}},
        "InvalidSpec",
        ["dataFrom.find.name.regexp"],
    ),
    "missing-secret": ({"dataFrom": all_keys("app/missing")}, "SecretNotFound", ["app/missing"]),
    "denied-by-aws": (
        {"IAMRole": "nobody", "dataFrom": all_keys("app/json")},
        "AccessDenied",
        ["app/json", f"{ROLE}/nobody"],
    ),
    "role-not-trusting": (
        {"IAMRole": "untrusting", "dataFrom": all_keys("app/json")},
        "AccessDenied",
        [f"{ROLE}/untrusting"],
    ),
    "missing-key": (
        {"data": [key("a", "app/json", "absent")]},
        "InvalidSecretValue",
        ["data.a", "app/json", "absent"],
    ),
    "null-key": (
        {"data": [key("a", "app/json", "nothing")]},
        "InvalidSecretValue",
        ["app/json", "null", "nothing"],
    ),
    "null-in-all": ({"dataFrom": all_keys("app/json")}, "InvalidSecretValue", ["app/json", "null", "nothing"]),
    "not-json": ({"data": [key("a", "app/text", "a")]}, "InvalidSecretValue", ["app/text", "JSON"]),
    "not-an-object": ({"dataFrom": all_keys("app/list")}, "InvalidSecretValue", ["app/list", "list"]),
    "not-a-number": ({"dataFrom": all_keys("app/nan")}, "InvalidSecretValue", ["app/nan"]),
    "binary": ({"dataFrom": all_keys("app/binary")}, "InvalidSecretValue", ["app/binary", "binary"]),
    "bad-keys-in-aws": (
        {"dataFrom": all_keys("app/bad-keys")},
        "InvalidSecretValue",
        ["dataFrom", "number 2 (8 characters)", "app/bad-keys"],
    ),
    "too-big": (
        {"data": [whole(f"k{n}", "app/big") for n in range(17)]},
        "InvalidSecretValue",
        ["1105000", "1048576"],
    ),
    "template-syntax": ({"data": [template("a", "{{ range }}")]}, "TemplateError", ["data.a", "range"]),
    "template-function": ({"data": [template("a", "{{ env `HOME` }}")]}, "TemplateError", ["env"]),
    "template-no-value": (
        {"data": [template("a", '{{ (getSecretValueMap "app/json").absent }}')]},
        "TemplateError",
        ["absent"],
    ),
    "template-missing-secret": (
        {"data": [template("a", '{{ getSecretValue "app/missing" }}')]},
        "SecretNotFound",
        ["app/missing"],
    ),
    "template-recursion": (
        {"data": [template("a", '{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}')]},
        "TemplateError",
        ["data.a"],
    ),
    "several-at-once": (
        {"data": [key("a", "app/json", "absent"), key("b", "app/text", "x"), literal("c", "fine")]},
        "InvalidSecretValue",
        ["data.a", "absent", "data.b", "app/text"],
    ),
}
GOOD = {"data": [literal("good", "yes")]}


class Broken:
    """The namespace after all has been broken, and the Secrets of before."""

    def __init__(self, space, before):
        self.space = space
        self.before = before


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def space_of_the_broken(cluster):
    space = await cluster.space()
    yield space
    await space.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken(operator, aws, space_of_the_broken):
    space = space_of_the_broken
    for name, value in SECRETS.items():
        aws.world.create(name, value)
    aws.world.role("nobody", read=[])
    aws.world.role("untrusting", trusted=False)
    aws.world.create("app/healthy", '{"a": "1"}')
    await space.write("healthy", dataFrom=all_keys("app/healthy"))
    for name in BAD:
        await space.write(name, **GOOD)
    for name in BAD:
        await space.until_synced(name)
    before = {name: await space.secret(name) for name in BAD}
    async with without_rules(space.cluster):
        for name, (spec, _, _) in BAD.items():
            await space.write(name, **spec)
    for name, (_, reason, _) in BAD.items():
        await space.until_failed(name, reason)
    return Broken(space, before)


@pytest.mark.parametrize("name", BAD)
async def test_the_condition_names_the_thing(broken, name):
    _, reason, words = BAD[name]
    message = await broken.space.until_failed(name, reason)
    assert [word for word in words if word not in message] == [], message
    assert len(message) < 1025


async def test_the_last_good_secrets_are_untouched(broken):
    after = {name: await broken.space.secret(name) for name in BAD}
    assert after == broken.before


async def test_each_failure_is_one_event(broken):
    async def told():
        events = await broken.space.cluster.list("Event", broken.space.name)
        failures = [e for e in events if e["type"] == "Warning"]
        told = sorted((e["involvedObject"]["name"], e["reason"], e["count"]) for e in failures)
        assert told == sorted((name, reason, 1) for name, (_, reason, _) in BAD.items())

    await eventually(told)


async def test_each_failure_shows_in_the_metrics(broken, operator):
    metrics = await operator.metrics()
    ready = series(metrics, "secretsyncer_object_ready", namespace=broken.space.name)
    assert {(name, reason): value for (name, _, reason), value in ready.items() if name != "healthy"} == {
        (name, reason): 0 for name, (_, reason, _) in BAD.items()
    }
    assert metrics["secret_sync_failures"] == len(BAD)


async def test_no_failure_is_retried_in_a_hot_loop(broken, operator, aws):
    async def effort():
        return await measured(operator, "secretsyncer_reconciles_total"), sum(
            count for (operation, _), count in aws.calls.items() if operation != "ListSecrets"
        )

    async def quiet():
        """What a change has caused may still be under way once; a hot loop has no quiet time at all."""
        passes, calls = await effort()
        await asyncio.sleep(3)  # of an interval of 120 s, over which all of them are tried once more
        later = await effort()
        assert later[0] - passes <= len(BAD) / 4
        assert later[1] - calls <= len(BAD) / 4

    await eventually(quiet)


async def test_other_objects_are_unaffected(broken, aws):
    aws.world.put("app/healthy", '{"a": "2"}')
    await broken.space.until_data("healthy", {"a": b"2"})


async def test_the_process_is_healthy_and_ready(broken, operator):
    assert (await operator.get("/healthz"))[0] == 200
    assert (await operator.get("/readyz"))[0] == 200


async def test_a_corrected_object_is_synced_at_once(broken, operator):
    for name in BAD:
        await broken.space.write(name, data=[literal("mended", "yes")])
    for name in BAD:
        await broken.space.until_synced(name)
        assert await broken.space.data(name) == {"mended": b"yes"}
    ready = series(await operator.metrics(), "secretsyncer_object_ready", namespace=broken.space.name)
    assert {key[2] for key in ready} == {"Synced"}


async def test_an_immutable_secret_is_a_conflict(operator, aws, space):
    metadata = {"name": "demo", "namespace": space.name}
    made = await space.cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "immutable": True, "data": {"a": "MQ=="}}
    )
    await space.write("demo", data=[literal("a", "2")])
    assert "immutable" in await space.until_failed("demo", "Conflict")
    assert await space.secret("demo") == made


async def test_what_kubernetes_itself_refuses_is_refused_when_it_is_applied(kubectl, space):
    manifest = {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "metadata": {"name": "demo", "namespace": space.name},
        "spec": {"data": [{"name": "a", "value": 5}]},
    }
    code, output = await kubectl.attempt("apply", "--validate=false", "-f", "-", stdin=json.dumps(manifest))
    assert code != 0
    assert "spec.data" in output
    assert "value" in output
