"""Every kind of AWS failure: the last good Secrets stay, and they are in sync after the recovery."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
import pytest_asyncio

from tests.e2e.conftest import new_secret
from tests.support.eventually import eventually
from tests.support.measures import complaints
from tests.support.specs import all_keys, key, literal

pytestmark = pytest.mark.real

PAGE = 100
"""Secrets in a page of a listing."""
SOON = 20
"""Seconds for what needs nothing of AWS: less than the 25 s after which a call without an answer is given up."""
LINES_A_SECOND = 20
ROLES = 10


@pytest.fixture
def name(aws):
    yield new_secret(aws, '{"a": "1", "b": "1"}')
    aws.faults.clear()


@pytest.fixture(scope="module")
def several_pages(aws):
    """A listing has more than one."""
    for number in range(PAGE + 20):
        aws.world.create(f"other/{number}", "x")


@pytest_asyncio.fixture(loop_scope="session")
async def demo(operator, several_pages, space, name):
    """A synced object; its namespace."""
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1", "b": b"1"})
    await space.until_synced("demo")
    return space


async def struck(fault):
    async def probe():
        assert fault.times < TIMES - 1, "the fault was not met"

    await eventually(probe)


TIMES = 10**6


@pytest.mark.parametrize(
    ("kind", "operation", "skip"),
    [
        ("truncated", "ListSecrets", 0),
        ("cut", "ListSecrets", 1),
        ("token-loop", "ListSecrets", 0),
        ("endless", "ListSecrets", 0),
        ("no-list", "ListSecrets", 1),
        ("html", "ListSecrets", 0),
        ("throttle", "ListSecrets", 1),
        ("expired", "ListSecrets", 1),  # between the first page and the second
        ("denied", "ListSecrets", 1),
        ("500", None, 0),
        ("503", None, 0),
        ("reset", None, 0),
        ("truncated", None, 0),
        ("throttle", None, 0),
        ("expired", None, 0),
        ("hang", "ListSecrets", 0),
    ],
)
async def test_during_a_fault_no_secret_is_wrong_and_after_it_all_are_synced(
    demo, operator, aws, name, kind, operation, skip
):
    before = (await demo.secret("demo"))["metadata"]["resourceVersion"]
    lines = len(operator.log.splitlines())
    began = time.monotonic()
    fault = aws.fault(kind, operation=operation, skip=skip, times=TIMES)
    await struck(fault)
    aws.world.put(name, '{"a": "2", "b": "2"}')
    await demo.write("beside", data=[literal("a", "1")])  # needs nothing of AWS
    await demo.until_data("beside", {"a": b"1"}, within=SOON)
    await asyncio.sleep(2)
    secret = await demo.secret("demo")
    if secret["metadata"]["resourceVersion"] != before:  # a value that the last listing did not show is asked for
        assert await demo.data("demo") == {"a": b"2", "b": b"2"}
    assert (await operator.get("/healthz"))[0] == 200
    assert (await operator.get("/readyz"))[0] == 200  # it has listed AWS before
    took = time.monotonic() - began
    assert (len(operator.log.splitlines()) - lines) / took < LINES_A_SECOND
    aws.faults.remove(fault)
    await demo.until_data("demo", {"a": b"2", "b": b"2"})
    await demo.until_synced("demo")
    assert not complaints(operator.log)


async def test_slow_responses_delay_only_their_own_callers(demo, operator, aws, name):
    slow = f"{name}-slow"
    role = aws.world.role(f"slow-{uuid.uuid4().hex[:6]}")
    aws.world.create(slow, '{"a": "1"}')
    held = [aws.fault("hold", operation=call, role=role) for call in ("GetSecretValue", "BatchGetSecretValue")]
    await demo.write("slow", IAMRole=role, dataFrom=all_keys(slow))

    async def asked():
        assert sum(aws.calls[fault.operation, role] for fault in held)

    await eventually(asked)
    aws.world.put(name, '{"a": "2", "b": "2"}')
    await demo.until_data("demo", {"a": b"2", "b": b"2"})
    assert await demo.secret("slow") is None
    aws.faults.clear()
    await demo.until_data("slow", {"a": b"1"})
    assert (await operator.get("/healthz"))[0] == 200


async def test_of_many_roles_a_broken_one_holds_up_no_other(demo, operator, aws, name):
    roles = [aws.world.role(f"role-{number}-{uuid.uuid4().hex[:6]}") for number in range(ROLES)]
    broken, *well = roles
    for number, role in enumerate(roles):
        await demo.write(f"role-{number}", IAMRole=role, dataFrom=all_keys(name))
        await demo.until_data(f"role-{number}", {"a": b"1", "b": b"1"})
    aws.world.role(broken, trusted=False)
    aws.world.end_sessions(broken)
    aws.world.put(name, '{"a": "2", "b": "2"}')
    for number in range(1, len(well) + 1):
        await demo.until_data(f"role-{number}", {"a": b"2", "b": b"2"})
    message = await demo.until_failed("role-0", "AccessDenied")
    assert broken in message
    assert await demo.data("role-0") == {"a": b"1", "b": b"1"}
    assert aws.calls["AssumeRole", ""] < 100


async def test_a_version_that_moves_during_a_pass_never_mixes_with_the_one_before(demo, aws, name):
    seen = []
    watching = True

    async def watch():
        while watching:
            seen.append(await demo.data("pair"))
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(watch())
    for call in ("GetSecretValue", "BatchGetSecretValue"):
        aws.fault("slow", operation=call, delay=0.7)
    await demo.write("pair", data=[key("a", name, "a"), key("b", name, "b")])
    for number in range(2, 12):
        aws.world.put(name, f'{{"a": "{number}", "b": "{number}"}}')
        await asyncio.sleep(0.4)
    await demo.until_data("pair", {"a": b"11", "b": b"11"})
    watching = False
    await looking
    held = [data for data in seen if data]
    assert {len(set(data.values())) for data in held} == {1}, "two versions in one Secret"
    numbers = [int(data["a"]) for data in held]
    assert numbers == sorted(numbers), "an older version came back"


async def test_a_secret_deleted_and_restored_leaves_the_last_value_and_is_followed_again(demo, aws, name):
    before = (await demo.secret("demo"))["metadata"]["resourceVersion"]
    aws.world.delete(name)
    await demo.until_failed("demo", "SecretNotFound")
    assert (await demo.secret("demo"))["metadata"]["resourceVersion"] == before
    aws.world.restore(name)
    await demo.until_synced("demo")
    assert (await demo.secret("demo"))["metadata"]["resourceVersion"] == before
    aws.world.put(name, '{"a": "2", "b": "2"}')
    await demo.until_data("demo", {"a": b"2", "b": b"2"})


async def test_a_rotation_without_a_current_version_for_a_while_keeps_the_value(demo, aws, name):
    secret = aws.world.secret(name)
    current = secret.staged("AWSCURRENT")
    secret.move("AWSCURRENT", "")
    polls = aws.count("ListSecrets")

    async def polled():
        assert aws.count("ListSecrets") >= polls + 2 * 2  # of two pages each

    await eventually(polled)
    assert await demo.data("demo") == {"a": b"1", "b": b"1"}
    secret.move("AWSCURRENT", current)
    aws.world.put(name, '{"a": "2", "b": "2"}')
    await demo.until_data("demo", {"a": b"2", "b": b"2"})
    await demo.until_synced("demo")
