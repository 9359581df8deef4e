"""No new field bypasses the check of the role, and none hides a denied access."""

from __future__ import annotations

import uuid

import pytest

from sandbox.kubernetes_client import KubernetesError
from tests.support.crd import without_rules
from tests.support.eventually import eventually
from tests.support.specs import literal, template

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "3600"}  # what ends here, ends with a poll

ELSEWHERE = "333333333333"
TAG = "k8s.contentful.com/namespace_type/blue"


@pytest.fixture(scope="module", autouse=True)
def roles(aws):
    aws.world.role("reader")
    aws.world.role("blind", read=[])
    aws.world.role("secret-syncer", account=ELSEWHERE)


@pytest.fixture
def name():
    return f"access/{uuid.uuid4().hex[:8]}"


def ref(secret, **more):
    return {"name": "x", "valueFrom": {"secretRef": {"name": secret, **more}}}


def key_ref(secret, **more):
    return {"name": "x", "valueFrom": {"secretKeyRef": {"name": secret, **more}}}


DENIED = {
    "optional": lambda n: {"data": [ref(n, optional=True)]},
    "default": lambda n: {"data": [ref(n, default="y")]},
    "optional-key": lambda n: {"data": [key_ref(n, key="a", optional=True)]},
    "default-path": lambda n: {"data": [key_ref(n, jmesPath="a.b", default="y")]},
    "optional-stage": lambda n: {"data": [ref(n, versionStage="AWSPREVIOUS", optional=True)]},
    "optional-from": lambda n: {"dataFrom": {"secretRef": {"name": n, "optional": True}}},
    "optional-refs": lambda n: {"dataFrom": {"secretRefs": [{"name": n, "optional": True}]}},
    "find": lambda n: {"dataFrom": {"find": {"name": {"prefix": n}}, "invalidKeys": "Replace"}},
}


@pytest.mark.parametrize("form", DENIED)
async def test_optional_and_default_never_hide_that_access_is_denied(operator, space, aws, name, form):
    aws.world.create(name, '{"a": {"b": "c"}}')
    spec = DENIED[form](name)
    spec["data"] = [literal("good", "1"), *spec.get("data", [])]

    async def listed():
        find = {"find": {"name": {"prefix": name}}, "invalidKeys": "Replace"}
        await space.write("listed", IAMRole="reader", dataFrom=find)
        await space.until_synced("listed")

    await listed()
    await space.write("demo", IAMRole="blind", **spec)
    assert name in await space.until_failed("demo", "AccessDenied")
    assert await space.secret("demo") is None


async def test_what_a_role_may_not_read_is_absent_where_the_listing_shows_that_it_is_not_there(
    operator, space, aws, name
):
    items = [literal("good", "1"), ref(f"{name}/none", optional=True)]
    await space.write("demo", IAMRole="blind", data=items)
    await space.until_data("demo", {"good": b"1"})
    await space.write("strict", IAMRole="blind", data=[literal("good", "1"), ref(f"{name}/none")])
    assert "does not show it" in await space.until_failed("strict", "AccessDenied")
    aws.world.create(f"{name}/none", "now it is")
    assert f"{name}/none" in await space.until_failed("demo", "AccessDenied")
    await space.until_data("demo", {"good": b"1"})


async def test_optional_waits_for_aws_where_it_does_not_answer(operator, space, aws, name):
    aws.world.create(name, "there")
    fault = aws.fault("throttle", operation="GetSecretValue")
    more = aws.fault("throttle", operation="BatchGetSecretValue")
    try:
        await space.write("demo", IAMRole="reader", data=[literal("good", "1"), ref(name, optional=True)])
        await space.until_failed("demo", "AWSUnavailable")
        assert await space.secret("demo") is None
    finally:
        aws.faults.remove(fault)
        aws.faults.remove(more)
    await space.until_data("demo", {"good": b"1", "x": b"there"})


UNTAGGED = {
    "secret-ref": lambda n: {"dataFrom": {"secretRef": {"name": n}}},
    "secret-refs": lambda n: {"dataFrom": {"secretRefs": [{"name": n}]}},
    "optional-from": lambda n: {"dataFrom": {"secretRef": {"name": n, "optional": True}}},
    "key": lambda n: {"data": [key_ref(n, key="a")]},
    "path": lambda n: {"data": [key_ref(n, jmesPath="a")]},
    "optional": lambda n: {"data": [ref(n, optional=True)]},
    "default": lambda n: {"data": [key_ref(n, key="a", default="y")]},
    "stage": lambda n: {"data": [ref(n, versionStage="AWSPREVIOUS")]},
    "arn": lambda n: {"data": [ref(f"arn:aws:secretsmanager:eu-west-1:{ELSEWHERE}:secret:{n}")]},
    "region": lambda n: {"data": [ref(n, region="eu-west-1")]},
    "template": lambda n: {"data": [template("x", f'{{{{ getSecretValue "{n}" }}}}')]},
    "template-map": lambda n: {"data": [template("x", f'{{{{ (getSecretValueMap "{n}").a }}}}')]},
}


@pytest.mark.parametrize("form", UNTAGGED)
async def test_account_mode_asks_for_the_tag_in_every_form_and_ends_with_it(operator, new_space, aws, name, form):
    space = await new_space(labels={"k8s.contentful.com/namespace-type": "blue"})
    aws.world.create(name, '{"a": "1"}', account=ELSEWHERE)
    aws.world.put(name, '{"a": "2"}', account=ELSEWHERE)
    spec = {"AWSAccountID": ELSEWHERE, **UNTAGGED[form](name)}
    await space.write("demo", **spec)
    assert TAG in await space.until_failed("demo", "RoleNotAllowed")
    assert await space.secret("demo") is None
    aws.world.tag(name, {TAG: "1"}, account=ELSEWHERE)
    if form.startswith("template"):  # what a template reads is known once it was rendered: this is a new one
        await space.write("demo", **spec, suspend=True)
        await space.until_failed("demo", "Suspended")
        rounds = aws.count("ListSecrets")

        async def polled():
            assert aws.count("ListSecrets") >= rounds + 2

        await eventually(polled)
        await space.write("demo", **spec)
    await space.until_synced("demo")
    before = await space.data("demo")
    aws.world.tag(name, {TAG: None}, account=ELSEWHERE)
    await space.until_failed("demo", "RoleNotAllowed")
    assert await space.data("demo") == before, "the last good one stays"


@pytest.mark.parametrize("labels", [{}, {"k8s.contentful.com/namespace-type": "green"}])
async def test_account_mode_needs_the_label_that_fits_the_tag(operator, new_space, aws, name, labels):
    space = await new_space(labels=labels)
    aws.world.create(name, '{"a": "1"}', account=ELSEWHERE, tags={TAG: "1"})
    await space.write("demo", AWSAccountID=ELSEWHERE, dataFrom={"secretRef": {"name": name}})
    await space.until_failed("demo", "RoleNotAllowed")
    change = {"metadata": {"labels": {"k8s.contentful.com/namespace-type": "blue"}}}
    await space.cluster.merge("Namespace", "", space.name, change)
    await space.until_data("demo", {"a": b"1"})


async def test_account_mode_obeys_the_annotation_as_well(operator, new_space, aws, name):
    labels = {"k8s.contentful.com/namespace-type": "blue"}
    space = await new_space(labels=labels, annotations={"iam.amazonaws.com/allowed-roles": '["reader"]'})
    aws.world.create(name, '{"a": "1"}', account=ELSEWHERE, tags={TAG: "1"})
    await space.write("demo", AWSAccountID=ELSEWHERE, dataFrom={"secretRef": {"name": name}})
    assert "role/secret-syncer" in await space.until_failed("demo", "RoleNotAllowed")
    role = f'["arn:aws:iam::{ELSEWHERE}:role/secret-syncer"]'
    await space.annotate({"iam.amazonaws.com/allowed-roles": role})
    await space.until_data("demo", {"a": b"1"})


async def test_a_pinned_version_is_fetched_once(operator, space, aws, name):
    secret = aws.world.create(name, "one")
    first = secret.staged("AWSCURRENT")
    await space.write("demo", IAMRole="reader", data=[ref(name, versionId=first)])
    await space.until_data("demo", {"x": b"one"})
    calls, rounds = aws.count("GetSecretValue") + aws.count("BatchGetSecretValue"), aws.count("ListSecrets")
    aws.world.put(name, "two")

    async def polled():
        assert aws.count("ListSecrets") >= rounds + 3

    await eventually(polled)
    assert aws.count("GetSecretValue") + aws.count("BatchGetSecretValue") == calls
    assert await space.data("demo") == {"x": b"one"}


KEYS_OF_TYPES = [
    ("kubernetes.io/tls", {"tls.crt": "a"}, "tls.key"),
    ("kubernetes.io/tls", {"tls.key": "a"}, "tls.crt"),
    ("kubernetes.io/dockerconfigjson", {"config": "{}"}, ".dockerconfigjson"),
    ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "no JSON"}, "JSON"),
    ("kubernetes.io/basic-auth", {"login": "a"}, "username or password"),
    ("kubernetes.io/ssh-auth", {"key": "a"}, "ssh-privatekey"),
]


@pytest.mark.parametrize(("kind", "data", "named"), KEYS_OF_TYPES)
async def test_the_keys_that_a_type_requires_are_checked_before_writing(operator, space, kind, data, named):
    await space.write("demo", type=kind, data=[literal(name, value) for name, value in data.items()])
    message = await space.until_failed("demo", "InvalidSecretValue")
    assert named in message
    assert kind in message
    assert await space.secret("demo") is None


@pytest.mark.parametrize("kind", ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"])
async def test_types_that_are_credentials_for_the_cluster_are_refused(operator, space, kind):
    data = [literal("token-id", "abcdef")]
    with pytest.raises(KubernetesError, match=rf"{kind}.* cannot be synced"):
        await space.write("demo", type=kind, data=data)
    async with without_rules(space.cluster):
        await space.write("demo", type=kind, data=data)
    assert kind in await space.until_failed("demo", "InvalidSpec")
    assert await space.secret("demo") is None


async def test_delete_gives_the_secret_an_owner_and_retain_takes_it_away(operator, space):
    await space.write("demo", deletionPolicy="Delete", data=[literal("a", "1")])
    obj = await space.until_synced("demo")
    (owner,) = (await space.secret("demo"))["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("SyncedSecret", obj["metadata"]["uid"], True)
    await space.write("demo", deletionPolicy="Retain", data=[literal("a", "1")])

    async def disowned():
        assert not (await space.secret("demo"))["metadata"].get("ownerReferences")

    await eventually(disowned)
