"""The Kubernetes API returns errors for a while, or breaks its streams. Tested with a whole process.

On the embedded API, which fails on demand. What each error does to one request or one watch is tested beside the
client and the reflector; here no Secret may end wrong, and none may be written without a change that asks for it.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.conftest import until_known
from tests.support.eventually import eventually
from tests.support.measures import complaints, measured, total
from tests.support.specs import key, literal

OBJECTS = 30
BURST = 3 * OBJECTS
"""More errors than there are objects to write: some objects fail again and again."""


async def settled(space, value):
    for obj in await space.cluster.list("SyncedSecret", space.name):
        await space.until_data(obj["metadata"]["name"], {"a": value})
        await space.until_synced(obj["metadata"]["name"])


async def writes(operator):
    return total(
        await operator.metrics(),
        "secretsyncer_kubernetes_requests_total",
        verb="patch",
        resource="secrets",
        status="200",
    )


@pytest.mark.parametrize(("status", "retry_after"), [(409, None), (429, 1), (500, None)])
async def test_a_burst_of_errors_on_writes_causes_no_extra_write(
    small_operator, small_cluster, embedded, aws, name, status, retry_after
):
    operator = await small_operator()
    space = await small_cluster.space()
    for number in range(OBJECTS):
        await space.write(f"demo-{number}", data=[key("a", name, "a")])
    await settled(space, b"1")
    before, lines = await writes(operator), len(operator.log.splitlines())
    fault = embedded.faults.fail(status, retry_after=retry_after, times=BURST, verb="patch", resource="secrets")
    aws.world.put(name, '{"a": "2"}')
    await settled(space, b"2")
    assert fault.hits == BURST
    assert await writes(operator) - before == OBJECTS
    assert (await operator.get("/healthz"))[0] == 200
    assert len(operator.log.splitlines()) - lines < 2 * BURST
    assert not complaints(operator.log)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_burst_of_errors_on_everything_leaves_nothing_behind(
    small_operator, small_cluster, embedded, aws, name, status
):
    operator = await small_operator()
    space = await small_cluster.space()
    await space.write("demo", data=[key("a", name, "a")])
    await space.until_data("demo", {"a": b"1"})
    by_the_operator = {"when": lambda request: request.headers["User-Agent"].startswith("secretsyncer/")}
    with embedded.faults.fail(status, **by_the_operator) as fault:
        embedded.faults.end_watches()
        aws.world.put(name, '{"a": "2"}')
        await space.write("new", data=[literal("a", "1")])
        await space.cluster.delete("Secret", space.name, "demo")

        async def felt():
            assert fault.hits > 10

        await eventually(felt)
        assert await space.secret("demo") is None
        assert (await operator.get("/healthz"))[0] == 200
    await space.until_data("demo", {"a": b"2"})
    await space.until_data("new", {"a": b"1"})
    assert not complaints(operator.log)


async def test_a_namespace_that_has_not_been_seen_yet_is_neither_allowed_nor_denied(
    small_operator, small_cluster, embedded, aws, name
):
    operator = await small_operator()
    role = aws.world.role("reader")
    with embedded.faults.silence(resource="namespaces"):
        denied = await small_cluster.space(annotations={"iam.amazonaws.com/allowed-roles": "[]"})
        allowed = await small_cluster.space(annotations={"iam.amazonaws.com/allowed-roles": f'["{role}"]'})
        for space in (denied, allowed):
            await space.write("demo", IAMRole=role, data=[key("a", name, "a")])

        async def tried():
            metrics = await operator.metrics()
            assert total(metrics, "secretsyncer_reconciles_total", result="unavailable") >= 4

        await eventually(tried)
        for space in (denied, allowed):
            assert await space.secret("demo") is None
            assert "status" not in await space.synced("demo")
    await allowed.until_data("demo", {"a": b"1"})
    await denied.until_failed("demo", "RoleNotAllowed")
    assert await denied.secret("demo") is None


async def test_a_secret_edited_between_its_write_and_the_end_of_the_reconcile_is_corrected(
    small_operator, small_cluster, embedded
):
    operator = await small_operator(SYNC_INTERVAL_SEC="3600")
    space = await small_cluster.space()
    with embedded.faults.hang(verb="patch", resource="syncedsecrets/status") as fault:
        await space.write("demo", data=[literal("a", "1")])

        async def reporting():
            assert fault.hits == 1

        await eventually(reporting)
        await space.cluster.merge("Secret", space.name, "demo", {"data": {"a": "eA=="}})
        assert await measured(operator, "secretsyncer_queue_longest_running_seconds") > 0
    await space.until_data("demo", {"a": b"1"})
    await space.until_synced("demo")


WATCHES = 4
"""SyncedSecrets, namespaces, and Secrets with the mark and with the old one."""


def cut(faults):
    faults.cut(times=WATCHES)


def garbage(faults):
    assert faults.inject(b'{"type": "MODIFIED", "object": {"metad\n') == WATCHES


def an_unknown_event(faults):
    assert faults.inject(b'{"type": "SURPRISE", "object": {}}\n') == WATCHES


def expired(faults):
    assert faults.expire_watches() == WATCHES


def expired_when_opened_again(faults):
    faults.fail(410, verb="watch", times=WATCHES)
    assert faults.end_watches() == WATCHES


def expired_in_the_list_too(faults):
    faults.fail(410, times=WATCHES, when=lambda request: "sendInitialEvents" in request.query)
    faults.fail(410, verb="list", times=WATCHES)
    assert faults.expire_watches() == WATCHES


@pytest.mark.parametrize(
    "breaks", [cut, garbage, an_unknown_event, expired, expired_when_opened_again, expired_in_the_list_too]
)
async def test_a_broken_stream_misses_neither_a_change_nor_a_deletion(
    small_operator, small_cluster, embedded, breaks
):
    operator = await small_operator()
    space = await small_cluster.space()
    for obj in ("changed", "deleted", "damaged"):
        await space.write(obj, data=[literal("a", "1")])
        await space.until_synced(obj)

    async def watched():
        assert embedded.faults.live_watches() == WATCHES

    await eventually(watched)
    breaks(embedded.faults)
    await asyncio.gather(
        space.write("changed", data=[literal("a", "2")]),
        space.write("new", data=[literal("a", "3")]),
        space.cluster.delete("SyncedSecret", space.name, "deleted"),
        space.cluster.delete("Secret", space.name, "damaged"),
    )
    await space.until_data("changed", {"a": b"2"})
    await space.until_data("new", {"a": b"3"})
    await space.until_data("damaged", {"a": b"1"})
    await until_known(operator, 3)
    assert not complaints(operator.log)
    assert (await operator.get("/readyz"))[0] == 200
