"""The process is killed, paused, cut off or runs for long: there is one writer, nothing is lost, memory does not grow.

Two operators have a ServiceAccount each, so that the API server's audit log tells which of them wrote what.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
import uuid
from collections import Counter
from datetime import datetime

import pytest
import pytest_asyncio

from sandbox import access
from sandbox.operator import OperatorProcess
from tests.e2e.conftest import SERVICE_ACCOUNT, new_secret
from tests.support.cluster import WRITES
from tests.support.eventually import eventually
from tests.support.gate import Gate
from tests.support.measures import complaints, log_lines, measured, resident_mib
from tests.support.specs import all_keys, key, literal

pytestmark = pytest.mark.real
log = logging.getLogger(__name__)

LEASE = "5a48bfe8.contentful.com"
NAMESPACE = "k8s-secret-syncer"
LEADING = {"LEADER_ELECTION": "true", "POD_NAMESPACE": NAMESPACE}
LEASE_DURATION, RETRY = 15, 2 * 1.5
"""Seconds, the retry with its jitter."""
TAKE_OVER = 2 * LEASE_DURATION + RETRY
"""Seconds within which another leads: the lease and one retry, and as much again as the lease for a busy machine."""
KILLS = 20
OBJECTS = 10
CHANGES = int(os.environ.get("CHANGES", "1000"))
"""10,000 take about three minutes."""
GROWTH = min(6, 3 * CHANGES / 1000)
"""MiB that all but the first of them may leave behind: 0.2 is usual."""

FIRST, SECOND = "first-operator", "second-operator"


@pytest.fixture
def name(aws):
    return new_secret(aws, '{"a": "0"}')


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two_accounts(cluster):
    """Two ServiceAccounts that may do what the manifest's may."""
    for account in (FIRST, SECOND):
        metadata = {"name": account, "namespace": NAMESPACE}
        await cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
        for kind, role in (("ClusterRole", "secretsyncer"), ("Role", "secretsyncer-leader-election")):
            group = "rbac.authorization.k8s.io"
            binding = {"apiVersion": f"{group}/v1", "kind": f"{kind}Binding", "metadata": metadata}
            reference = {"apiGroup": group, "kind": kind, "name": role}
            await cluster.create({**binding, "subjects": subjects, "roleRef": reference})


@pytest_asyncio.fixture(loop_scope="session")
async def start(real_server, cluster, two_accounts, environment, tmp_path):
    """Starts operators, straight or through a gate."""
    if await cluster.get("Lease", NAMESPACE, LEASE):
        await cluster.delete("Lease", NAMESPACE, LEASE)
    running = []

    async def started(*, url="", account=SERVICE_ACCOUNT[1], ready=True, **settings):
        token = await real_server.service_account_token(NAMESPACE, account)
        path = access.write_kubeconfig(
            tmp_path / uuid.uuid4().hex,
            url=url or real_server.url,
            user="operator",
            token=token,
            ca_file=real_server.ca_file,
        )
        made = OperatorProcess(kubeconfig=path, environment={**environment, **settings})
        running.append(made)
        await made.start()
        if ready:
            await made.until_ready()
        return made

    yield started
    for made in running:
        if made._process.returncode is None:
            made.send(signal.SIGCONT)
        await made.__aexit__()


def writes(server, namespace, resource="secrets"):
    """Successful writes of operators there, in their order: (time, account, name)."""
    found = []
    for line in server.audit_log(namespace):
        about = line.get("objectRef") or {}
        account = line["user"]["username"].rpartition(":")[2]
        ours = account in {SERVICE_ACCOUNT[1], FIRST, SECOND} and line["verb"] in WRITES
        done = (line.get("responseStatus") or {}).get("code", 0) < 300
        if ours and done and about.get("resource") == resource and about.get("namespace") == namespace:
            found.append((line["requestReceivedTimestamp"], account, about.get("name", "")))
    return sorted(found)


async def until_leading(operator):
    async def probe():
        assert await measured(operator, "secretsyncer_leader") == 1, "it does not lead"

    await eventually(probe)


def logged(operator, message):
    """When it logged this message first."""
    return next(
        datetime.fromisoformat(line["time"]) for line in log_lines(operator.log) if line["message"] == message
    )


async def pair(start, space, name, url=""):
    """A leader that has synced `demo`, and one that stands by."""
    first = await start(url=url, account=FIRST, **LEADING)
    await until_leading(first)
    second = await start(account=SECOND, **LEADING)
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"0"})
    await space.until_synced("demo")
    return first, second


async def until_one_wrote_after_the_other(server, space):
    """Until the two have written Secrets, and the conditions that follow, one after the other."""

    async def probe():
        for resource in ("secrets", "syncedsecrets"):
            authors = [account for _, account, _ in writes(server, space.name, resource)]
            turns = [who for at, who in enumerate(authors) if at == 0 or authors[at - 1] != who]
            assert turns == [FIRST, SECOND], f"{resource} were written in turns: {authors}"

    await eventually(probe)


async def test_a_leader_that_was_stopped_for_longer_than_its_lease_writes_nothing_when_it_wakes(
    start, real_server, aws, space, name
):
    first, second = await pair(start, space, name)
    first.send(signal.SIGSTOP)
    stopped = time.monotonic()
    aws.world.put(name, '{"a": "1"}')
    await until_leading(second)
    assert time.monotonic() - stopped < TAKE_OVER
    await space.until_data("demo", {"a": b"1"})
    # What the first would like to write when it wakes: a Secret that it believes to be old.
    aws.world.put(name, '{"a": "2"}')
    first.send(signal.SIGCONT)
    assert await first.wait() == 1
    assert "lease lost" in first.log
    await space.until_data("demo", {"a": b"2"})
    await until_one_wrote_after_the_other(real_server, space)
    assert not complaints(second.log)


async def test_a_leader_that_is_cut_off_ends_before_another_writes(start, real_server, aws, space, name):
    async with Gate(real_server.url) as gate:
        first, second = await pair(start, space, name, gate.url)
        gate.hold()
        cut = time.monotonic()
        aws.world.put(name, '{"a": "1"}')  # AWS it still sees
        assert await first.wait() == 1
        await until_leading(second)
        assert time.monotonic() - cut < TAKE_OVER
        await space.until_data("demo", {"a": b"1"})
    assert logged(first, "lease lost") < logged(second, "lease acquired")
    await until_one_wrote_after_the_other(real_server, space)
    assert not complaints(second.log)


async def test_a_leader_that_was_killed_is_followed_within_the_lease_and_one_retry(
    start, real_server, aws, space, name
):
    first, second = await pair(start, space, name)
    first.send(signal.SIGKILL)
    killed = time.monotonic()
    await first.wait()
    aws.world.put(name, '{"a": "1"}')
    await until_leading(second)
    assert time.monotonic() - killed < TAKE_OVER
    await space.until_data("demo", {"a": b"1"})
    await until_one_wrote_after_the_other(real_server, space)


async def test_a_process_that_was_paused_for_5_seconds_stays_leader_and_misses_nothing(
    start, cluster, aws, space, name
):
    operator = await start(**LEADING)
    await until_leading(operator)
    await space.write("source", dataFrom=all_keys(name))
    for obj in ("changed", "deleted"):
        await space.write(obj, data=[literal("a", "0")])
        await space.until_synced(obj)
    await space.until_data("source", {"a": b"0"})
    operator.send(signal.SIGSTOP)
    paused = asyncio.create_task(
        asyncio.sleep(5)
    )  # not longer where the rest takes its time: a leader has ten seconds
    aws.world.put(name, '{"a": "1"}')
    await space.write("changed", data=[literal("a", "1")])
    await cluster.delete("SyncedSecret", space.name, "deleted")
    await cluster.delete("Secret", space.name, "deleted")
    await space.write("new", data=[literal("a", "1")])
    await paused
    operator.send(signal.SIGCONT)
    for obj in ("source", "changed", "new"):
        await space.until_data(obj, {"a": b"1"})
    assert (await operator.get("/healthz"))[0] == 200
    assert await space.secret("deleted") is None
    assert await measured(operator, "secretsyncer_leader") == 1
    assert not complaints(operator.log)
    assert await operator.stop() == 0


async def test_killed_again_and_again_under_change_it_ends_right_and_writes_only_what_changed(
    start, real_server, aws, space, name
):
    rand = random.Random(3)
    edits, rotations = Counter(), 0
    killing = True

    async def change():
        nonlocal rotations
        while killing:
            if rand.random() < 0.2:
                rotations += 1
                aws.world.put(name, f'{{"a": "{rotations}"}}')
            else:
                obj = f"demo-{rand.randrange(OBJECTS)}"
                edits[obj] += 1
                await space.write(obj, data=[literal("edit", str(edits[obj])), key("a", name, "a")])
            await asyncio.sleep(rand.uniform(0, 0.1))

    changing = asyncio.create_task(change())
    logs = ""
    for _ in range(KILLS):
        operator = await start(ready=False)
        await asyncio.sleep(rand.uniform(0.6, 2))  # the moment is the point
        operator.send(signal.SIGKILL)
        await operator.wait()
        logs += operator.log
    killing = False
    await changing
    operator = await start()
    for obj, edit in edits.items():
        await space.until_data(obj, {"edit": str(edit).encode(), "a": str(rotations).encode()})
        await space.until_synced(obj)
    made = Counter(obj for _, _, obj in writes(real_server, space.name))
    assert made, "nothing was written"
    # Each rotation and each edit is a reason for one write.
    assert {obj: count for obj, count in made.items() if count > edits[obj] + rotations} == {}
    settled = len(writes(real_server, space.name))
    await operator.stop()
    second = await start()
    await space.write("last", data=[literal("a", "1")])
    await space.until_synced("last")
    assert len(writes(real_server, space.name)) == settled + 1  # a start alone writes nothing
    assert not complaints(logs + operator.log + second.log)


@pytest.mark.timeout(600 * max(1, CHANGES // 1000))
async def test_memory_is_flat_after_1000_changes(start, aws, space, name):
    """The short form of a long life: `CHANGES=10000` and `make chaos ARGS="--seconds 3600"` are the others."""
    operator = await start()
    sizes = []
    for number in range(1, CHANGES + 1):
        obj = f"demo-{number % OBJECTS}"
        if number % 10 == 0:
            aws.world.put(name, f'{{"a": "{number}"}}')
        spec = {"data": [literal("n", str(number)), key("a", name, "a")]}
        if number <= OBJECTS:
            await space.write(obj, **spec)
        else:  # a patch: to read each object and replace it would take more requests
            await space.cluster.merge("SyncedSecret", space.name, obj, {"spec": spec})
        if number % (CHANGES // 10) == 0:
            await space.until_data(obj, {"n": str(number).encode(), "a": str(number).encode()})
            sizes.append(round(resident_mib(operator), 1))
    log.info("MiB after each tenth of the changes: %s", sizes)
    assert sizes[-1] - sizes[2] < GROWTH, f"it grows: {sizes} MiB"
    assert max(sizes) < 200, sizes
