"""Who may read what: the rules of the annotation, and no value that crosses roles. The AWS stand-in enforces permissions."""

from __future__ import annotations

import json
import uuid

import pytest

from sandbox.aws.state import OPERATOR_ACCOUNT
from tests.e2e.conftest import within_one_poll
from tests.support.eventually import eventually
from tests.support.specs import all_keys, key, template, whole

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "3600"}  # no resync helps
ANNOTATION = "iam.amazonaws.com/allowed-roles"
OTHER_ACCOUNT = "222222222222"
TYPE_LABEL = "k8s.contentful.com/namespace-type"
TYPE_TAG = "k8s.contentful.com/namespace_type/prod"


@pytest.fixture(scope="module")
def reader(aws):
    """A role that may read everything of its account; its ARN."""
    aws.world.role("team/admin")
    return aws.world.role("reader")


@pytest.fixture
def secret(aws):
    """A secret of a random name; its name."""
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, '{"a": "1"}')
    return name


def allowing(*roles):
    return {ANNOTATION: json.dumps(roles)}


ALLOWED = [
    pytest.param(allowing("reader"), "reader", id="list has the name, spec says the name"),
    pytest.param(allowing("reader"), f"arn:aws:iam::{OPERATOR_ACCOUNT}:role/reader", id="name, spec says the ARN"),
    pytest.param(allowing(f"arn:aws:iam::{OPERATOR_ACCOUNT}:role/reader"), "reader", id="ARN, spec says the name"),
    pytest.param(allowing("other", "not a role!", "reader"), "reader", id="an entry that is no role is skipped"),
    pytest.param({}, "reader", id="no annotation, a role"),
    pytest.param({}, None, id="no annotation, no role"),
    pytest.param({}, "", id="no annotation, an empty role"),
]
DENIED = [
    pytest.param(allowing("other"), "reader", id="list without the role"),
    pytest.param(allowing(), "reader", id="empty list"),
    pytest.param(allowing("reader"), None, id="list, no role in the spec"),
    pytest.param(allowing("reader"), "", id="list, an empty role in the spec"),
    pytest.param(allowing("reader"), f"arn:aws:iam::{OTHER_ACCOUNT}:role/reader", id="same name, other account"),
    pytest.param(allowing("reader"), "team/reader", id="same name, another path"),
    pytest.param(allowing("*"), "reader", id="a star is no role"),
    pytest.param({ANNOTATION: "reader"}, "reader", id="not JSON"),
    pytest.param({ANNOTATION: '{"reader": true}'}, "reader", id="JSON, not a list"),
    pytest.param({ANNOTATION: '["reader", 1]'}, "reader", id="a list not of strings"),
    pytest.param({ANNOTATION: ""}, "reader", id="an empty text"),
    pytest.param({ANNOTATION: "reader"}, None, id="not JSON, no role in the spec"),
]


def _spec(role, secret):
    return {"dataFrom": all_keys(secret), **({} if role is None else {"IAMRole": role})}


@pytest.mark.parametrize(("annotations", "role"), ALLOWED)
async def test_the_annotation_allows(operator, reader, new_space, secret, annotations, role):
    space = await new_space(annotations=annotations)
    await space.write("demo", **_spec(role, secret))
    await space.until_synced("demo")
    assert await space.data("demo") == {"a": b"1"}


@pytest.mark.parametrize(("annotations", "role"), DENIED)
async def test_the_annotation_denies_and_aws_is_not_asked(
    operator, aws, reader, new_space, secret, annotations, role
):
    calls = {who: count for who, count in aws.calls.items() if who[0] != "ListSecrets"}
    space = await new_space(annotations=annotations)
    await space.write("demo", **_spec(role, secret))
    message = await space.until_failed("demo", "RoleNotAllowed")
    assert ANNOTATION in message
    assert await space.secret("demo") is None
    assert calls == {who: count for who, count in aws.calls.items() if who[0] != "ListSecrets"}


async def test_a_change_of_the_annotation_takes_effect_at_once(operator, aws, reader, new_space, secret):
    space = await new_space(annotations=allowing("other"))
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(secret))
    await space.until_failed("demo", "RoleNotAllowed")
    await space.annotate(allowing("other", "reader"))
    await space.until_synced("demo")
    before = await space.secret("demo")

    await space.annotate(allowing("other"))
    assert "reader" in await space.until_failed("demo", "RoleNotAllowed")
    aws.world.put(secret, '{"a": "2"}')
    await space.annotate({ANNOTATION: "not JSON"})

    async def explained():
        assert "JSON" in (await space.ready("demo"))["message"]

    await eventually(explained)
    assert await space.secret("demo") == before

    await space.annotate({ANNOTATION: None})
    await space.until_data("demo", {"a": b"2"})


async def test_permission_that_was_removed_and_restored_is_reported_even_without_another_change(
    operator, aws, reader, new_space, secret
):
    space = await new_space(annotations=allowing("reader"))
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(secret))
    await space.until_synced("demo")
    before = await space.secret("demo")
    await space.annotate(allowing("other"))
    await space.until_failed("demo", "RoleNotAllowed")
    await space.annotate(allowing("reader"))
    await space.until_synced("demo")
    assert await space.secret("demo") == before


async def test_a_role_never_gets_what_another_role_was_given(operator, aws, reader, space):
    name, tag = f"shared/{uuid.uuid4().hex[:8]}", f"tag-{uuid.uuid4().hex[:8]}"
    arn = aws.world.create(name, '{"a": "for reader only"}', tags={tag: "yes"}).arn
    stranger = aws.world.role(f"stranger-{tag}", read=["other/*"])
    named = template("t", f'{{{{ (getSecretValueMap "{name}").a }}}}')
    listed = template("t", f'{{{{ range $id, $_ := filterByTagKey .Secrets "{tag}" }}}}{{{{ $id }}}}{{{{ end }}}}')
    value = template(
        "t", f'{{{{ range $id, $_ := filterByTagKey .Secrets "{tag}" }}}}{{{{ getSecretValue $id }}}}{{{{ end }}}}'
    )
    forms = {
        "from": {"dataFrom": all_keys(name)},
        "arn": {"dataFrom": all_keys(arn)},
        "key": {"data": [key("a", name, "a")]},
        "whole": {"data": [whole("a", name)]},
        "named": {"data": [named]},
        "value": {"data": [value]},
    }
    for form, spec in forms.items():
        await space.write(f"reader-{form}", IAMRole="reader", **spec)
    for form in forms:
        await space.until_synced(f"reader-{form}")
    # Only once the list shows the secret has a template that selects by its tag anything to be denied.
    await space.until_data("reader-value", {"t": b'{"a": "for reader only"}'})
    for form, spec in forms.items():
        await space.write(f"stranger-{form}", IAMRole=stranger, **spec)
    await space.write("stranger-listed", IAMRole=stranger, data=[listed])
    for form in forms:
        message = await space.until_failed(f"stranger-{form}", "AccessDenied")
        assert name in message
        assert await space.secret(f"stranger-{form}") is None
    await space.until_data("stranger-listed", {"t": name.encode()})  # names and tags are everybody's to see


async def test_permission_that_is_taken_away_stops_updates_and_keeps_the_last_good_secret(operator, aws, space):
    name = f"app/{uuid.uuid4().hex[:8]}"
    aws.world.create(name, '{"a": "1"}')
    role = aws.world.role(f"once-{uuid.uuid4().hex[:8]}", read=[name])
    await space.write("demo", IAMRole=role, dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    aws.world.role(role, read=[])
    aws.world.put(name, '{"a": "2"}')
    assert name in await space.until_failed("demo", "AccessDenied")
    assert await space.data("demo") == {"a": b"1"}


async def test_a_role_that_may_not_be_assumed_is_named(operator, aws, space, secret):
    role = aws.world.role(f"untrusting-{uuid.uuid4().hex[:8]}", trusted=False)
    await space.write("demo", IAMRole=role, dataFrom=all_keys(secret))
    message = await space.until_failed("demo", "AccessDenied")
    assert role in message
    assert "sts:AssumeRole" in message or "AssumeRole" in message


async def test_an_account_id_reads_with_that_accounts_role_what_is_tagged_for_the_namespace(
    operator, aws, new_space
):
    names = {state: f"{state}/{uuid.uuid4().hex[:8]}" for state in ("tagged", "untagged")}
    aws.world.role("secret-syncer", account=OTHER_ACCOUNT)
    aws.world.create(names["tagged"], '{"a": "1"}', account=OTHER_ACCOUNT, tags={TYPE_TAG: "1"})
    aws.world.create(names["untagged"], '{"a": "1"}', account=OTHER_ACCOUNT, tags={TYPE_TAG: "0"})
    production, unlabelled = await new_space(labels={TYPE_LABEL: "prod"}), await new_space()
    for state, name in names.items():
        await production.write(state, AWSAccountID=OTHER_ACCOUNT, dataFrom=all_keys(name))
    await unlabelled.write("tagged", AWSAccountID=OTHER_ACCOUNT, dataFrom=all_keys(names["tagged"]))
    await production.until_data("tagged", {"a": b"1"})
    assert f"{TYPE_TAG}=1" in await production.until_failed("untagged", "RoleNotAllowed")
    assert TYPE_LABEL in await unlabelled.until_failed("tagged", "RoleNotAllowed")

    aws.world.tag(names["tagged"], {TYPE_TAG: None}, account=OTHER_ACCOUNT)
    aws.world.put(names["tagged"], '{"a": "2"}', account=OTHER_ACCOUNT)
    async with within_one_poll(aws):
        await production.until_failed("tagged", "RoleNotAllowed")
    assert await production.data("tagged") == {"a": b"1"}


async def test_the_annotation_holds_for_account_ids_too(operator, aws, new_space, secret):
    space = await new_space(annotations=allowing("reader"), labels={TYPE_LABEL: "prod"})
    await space.write("demo", AWSAccountID=OTHER_ACCOUNT, dataFrom=all_keys(secret))
    assert "secret-syncer" in await space.until_failed("demo", "RoleNotAllowed")
