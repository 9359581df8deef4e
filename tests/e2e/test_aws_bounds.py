"""What one tenant makes the operator ask of AWS is bounded, and others do not notice it."""

from __future__ import annotations

import time
import uuid

import pytest

from secretsyncer.aws.region_names import REGION_NAMES
from tests.e2e.conftest import new_secret
from tests.support.eventually import eventually
from tests.support.measures import total
from tests.support.specs import all_keys, key, template

pytestmark = pytest.mark.real

SETTINGS = {"SYNC_INTERVAL_SEC": "1"}
SOON = 20.0
"""Seconds for a change in AWS to reach a Secret: less than the 25 s after which a call without an answer is given up."""


async def prompt(operator, space, aws, name, number):
    """A change in AWS reaches a benign object in time, and the probes answer."""
    began = time.monotonic()
    aws.world.put(name, f'{{"a": "{number}"}}')
    await space.until_data("benign", {"a": str(number).encode()}, within=SOON)
    status, _ = await operator.get("/healthz")
    assert status == 200
    assert time.monotonic() - began < SOON


@pytest.fixture
def name(aws):
    yield new_secret(aws)
    aws.faults.clear()


async def test_hundreds_of_regions_cost_no_client_and_the_message_says_what_to_do(operator, aws, space, name):
    await space.write("benign", data=[key("a", name, "a")])
    await space.until_synced("benign")
    before = total(await operator.metrics(), "secretsyncer_aws_clients")
    items = [
        {"name": f"k{n}", "valueFrom": {"secretKeyRef": {"name": "x", "key": "a", "region": f"xx-west-{n}"}}}
        for n in range(400)
    ]
    await space.write("regions", data=items)
    far = "arn:aws:secretsmanager:xx-west-1:123456789012:secret:app"
    await space.write("arn", dataFrom=all_keys(far))
    await space.write("template", data=[template("a", f'{{{{ getSecretValue "{far}" }}}}')])
    await space.write("whole", region="xx-west-1", data=[key("a", name, "a")])
    for each in ("regions", "arn", "template", "whole"):
        message = await space.until_failed(each, "InvalidSpec")
        assert "is not an AWS region" in message
        assert "EXTRA_REGIONS" in message
    assert total(await operator.metrics(), "secretsyncer_aws_clients") == before
    await prompt(operator, space, aws, name, 2)


async def test_what_a_filter_selects_and_the_role_may_not_read_costs_little(operator, aws, space, name):
    """The object fails for another reason, so that it is reconciled with each resync."""
    tag, readable = f"tag-{uuid.uuid4().hex[:8]}", f"readable/{uuid.uuid4().hex[:8]}"
    for number in range(2000):
        aws.world.create(f"{tag}/{number}", "x", tags={tag: "yes"})
    aws.world.create(readable, "x", tags={tag: "yes"})
    role = aws.world.role(f"reader-{tag}", read=[readable])
    await space.write("benign", data=[key("a", name, "a")])
    await space.until_synced("benign")
    loop = f'{{{{ range $id, $_ := filterByTagKey .Secrets "{tag}" }}}}{{{{ getSecretValue $id }}}}{{{{ end }}}}'
    text = f'{{{{ getSecretValue "{readable}" }}}}{loop}'
    await space.write("greedy", IAMRole=role, data=[template("a", text)])
    await space.until_failed("greedy", "AccessDenied")
    polls = total(await operator.metrics(), "secretsyncer_polls_total")

    async def polled():
        assert total(await operator.metrics(), "secretsyncer_polls_total") >= polls + 5

    await eventually(polled)
    calls = {operation: aws.calls[operation, role] for operation in ("GetSecretValue", "BatchGetSecretValue")}
    rounds = total(await operator.metrics(), "secretsyncer_polls_total")
    assert calls["GetSecretValue"] <= 30, calls
    assert calls["BatchGetSecretValue"] <= 20 * rounds, calls
    await prompt(operator, space, aws, name, 2)


async def test_roles_that_get_no_answer_delay_nobody_else(operator, aws, space, name):
    await space.write("benign", IAMRole=aws.world.role("benign"), data=[key("a", name, "a")])
    await space.until_synced("benign")
    roles = [aws.world.role(f"hangs-{number}") for number in range(6)]
    regions = sorted(REGION_NAMES)[:30]
    for number, role in enumerate(roles):
        aws.fault("hang", "GetSecretValue", role)
        items = [
            {"name": region, "valueFrom": {"secretKeyRef": {"name": name, "key": "a", "region": region}}}
            for region in regions
        ]
        await space.write(f"hangs-{number}", IAMRole=role, data=items)

    async def hanging():
        assert sum(aws.calls["GetSecretValue", role] for role in roles) >= 50

    await eventually(hanging)
    for number in range(2, 5):
        await prompt(operator, space, aws, name, number)
    assert total(await operator.metrics(), "secretsyncer_aws_clients") <= 128
