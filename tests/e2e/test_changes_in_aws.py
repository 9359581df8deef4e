"""A change in AWS reaches the affected Secrets within one poll, and no others."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.e2e.conftest import within_one_poll
from tests.support.eventually import eventually
from tests.support.measures import measured
from tests.support.specs import PGBOUNCER, all_keys, key, template, whole

pytestmark = pytest.mark.real

OTHER_ACCOUNT = "222222222222"


@pytest.fixture
def name():
    return f"app/{uuid.uuid4().hex[:8]}"


async def test_a_rotation_reaches_every_form_within_one_poll(operator, aws, space, name):
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    arn = aws.world.create(name, '{"a": "1"}', tags={tag: "yes"}).arn
    by_tag = f'{{{{ range $id, $_ := filterByTagKey .Secrets "{tag}" }}}}{{{{ getSecretValue $id }}}}{{{{ end }}}}'
    forms = {
        "from": {"dataFrom": all_keys(name)},
        "key": {"data": [key("a", name, "a")]},
        "whole": {"data": [whole("a", name)]},
        "arn": {"data": [key("a", arn, "a")]},
        "partial-arn": {"data": [key("a", arn[:-7], "a")]},
        "by-name": {"data": [template("a", f'{{{{ (getSecretValueMap "{name}").a }}}}')]},
        "by-tag": {"data": [template("a", by_tag)]},
    }
    json_forms = {"whole", "by-tag"}

    async def all_hold(value):
        for form in forms:
            expected = json.dumps({"a": value}) if form in json_forms else value
            await space.until_data(form, {"a": expected.encode()})

    for form, spec in forms.items():
        await space.write(form, **spec)
    await all_hold("1")
    version = aws.world.put(name, '{"a": "2"}')
    async with within_one_poll(aws):
        await all_hold("2")
    for form in forms:
        await space.until_version(form, version)


async def test_a_rotation_in_another_account_is_found_within_one_poll(operator, aws, space, name):
    role = aws.world.role(f"reader-{uuid.uuid4().hex[:8]}", account=OTHER_ACCOUNT)
    shared = aws.world.create(f"{name}-shared", '{"a": "1"}', account=OTHER_ACCOUNT, shared_with=["123456789012"])
    aws.world.create(name, '{"a": "1"}', account=OTHER_ACCOUNT)
    await space.write("as-their-role", IAMRole=role, dataFrom=all_keys(name))
    await space.write("shared-with-us", dataFrom=all_keys(shared.arn))
    for obj in ("as-their-role", "shared-with-us"):
        await space.until_data(obj, {"a": b"1"})
    aws.world.put(name, '{"a": "2"}', account=OTHER_ACCOUNT)
    aws.world.put(f"{name}-shared", '{"a": "2"}', account=OTHER_ACCOUNT)
    async with within_one_poll(aws):
        for obj in ("as-their-role", "shared-with-us"):
            await space.until_data(obj, {"a": b"2"})


async def test_a_rollback_is_followed_too(operator, aws, space, name):
    aws.world.create(name, '{"a": "good"}')
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"good"})
    aws.world.put(name, '{"a": "bad"}')
    await space.until_data("demo", {"a": b"bad"})
    aws.world.roll_back(name)
    async with within_one_poll(aws):
        await space.until_data("demo", {"a": b"good"})


async def test_a_version_that_is_only_pending_changes_nothing(operator, aws, space, name):
    aws.world.create(name, '{"a": "1"}')
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    before = await space.secret("demo")
    aws.world.put(name, '{"a": "pending"}', stage="AWSPENDING")
    await polls(aws, 2)
    assert await space.secret("demo") == before


async def test_retagging_changes_what_a_template_selects(operator, aws, space):
    tag, names = f"tag-{uuid.uuid4().hex[:8]}", [f"{letter}/{uuid.uuid4().hex[:8]}" for letter in "ab"]
    for letter, name in zip("ab", names, strict=True):
        aws.world.create(name, json.dumps({"host": letter, "user": "u", "password": "p"}))
    aws.world.tag(names[0], {tag: ""})
    await space.write("demo", data=[template("t", PGBOUNCER.replace("tag1", tag))])
    a, b = (f"host={letter} user=u password=p\n".encode() for letter in "ab")
    await space.until_data("demo", {"t": a})
    for change, expected in (((1, ""), a + b), ((0, None), b)):
        aws.world.tag(names[change[0]], {tag: change[1]})
        async with within_one_poll(aws):
            await space.until_data("demo", {"t": expected})


async def test_an_object_becomes_ready_when_its_secret_is_created_later(operator, aws, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    assert name in await space.until_failed("demo", "SecretNotFound")
    aws.world.create(name, '{"a": "1"}')
    async with within_one_poll(aws):
        await space.until_data("demo", {"a": b"1"})


async def test_a_deleted_aws_secret_leaves_the_last_good_value_and_is_reported(operator, aws, space, name):
    aws.world.create(name, '{"a": "1"}')
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    aws.world.delete(name)
    assert name in await space.until_failed("demo", "SecretNotFound")
    assert await space.data("demo") == {"a": b"1"}
    aws.world.restore(name)
    await space.until_synced("demo")


async def test_when_aws_is_down_secrets_stay_and_the_poller_catches_up_later(operator, aws, space, name):
    aws.world.create(name, '{"a": "1"}')
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1"})
    before = await space.secret("demo")
    fault = aws.fault("html")  # a proxy's page with status 200: no list of zero secrets
    aws.world.put(name, '{"a": "2"}')

    failed = await measured(operator, "secretsyncer_polls_total", outcome="failure")

    async def noticed():
        assert await measured(operator, "secretsyncer_polls_total", outcome="failure") >= failed + 2

    await eventually(noticed)
    assert await space.secret("demo") == before
    assert (await operator.get("/healthz"))[0] == 200
    aws.faults.remove(fault)
    await space.until_data("demo", {"a": b"2"})


async def polls(aws, number):
    """Wait until so many more listings have been asked for."""
    rounds = aws.count("ListSecrets")

    async def done():
        assert aws.count("ListSecrets") >= rounds + number + 1, "AWS is not listed"

    await eventually(done)
