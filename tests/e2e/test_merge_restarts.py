"""Keys in a Secret of somebody else, and what happens while no operator runs, or one is killed."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import signal

import pytest

from tests.support.eventually import eventually
from tests.support.specs import key, literal

pytestmark = pytest.mark.real

MERGE = {"name": "theirs", "policy": "Merge"}
SLOW = {"SYNC_INTERVAL_SEC": "300"}


async def test_what_was_deleted_or_moved_without_an_operator_is_made_up_for(run_operator, space):
    await space.put_foreign("theirs", {"x": "theirs"})
    first = await run_operator(**SLOW)
    for obj, policy in (("goes", "Delete"), ("stays", "Retain"), ("moves", "Delete"), ("lives", "Delete")):
        await space.write(obj, target=MERGE, deletionPolicy=policy, data=[literal(obj, "1")])
    await space.until_data("theirs", {"x": b"theirs", "goes": b"1", "stays": b"1", "moves": b"1", "lives": b"1"})
    for obj in ("goes", "stays", "moves", "lives"):
        await space.until_synced(obj)
    assert await first.stop() == 0
    for obj in ("goes", "stays"):
        await space.cluster.delete("SyncedSecret", space.name, obj)
    await space.write("moves", target={"name": "own"}, deletionPolicy="Delete", data=[literal("moves", "2")])
    drift = {"data": {"lives": base64.b64encode(b"drift").decode(), "x": base64.b64encode(b"new").decode()}}
    await space.cluster.merge("Secret", space.name, "theirs", drift)
    await run_operator(**SLOW)
    await space.until_data("theirs", {"x": b"new", "stays": b"1", "lives": b"1"})
    await space.until_data("own", {"moves": b"2"})
    await space.cluster.delete("SyncedSecret", space.name, "lives")
    await space.until_data("theirs", {"x": b"new", "stays": b"1"})


async def test_a_secret_that_appears_while_no_operator_runs_is_filled(run_operator, space):
    first = await run_operator(**SLOW)
    await space.write("demo", target=MERGE, data=[literal("a", "1")])
    await space.until_failed("demo", "SecretMissing")
    assert await first.stop() == 0
    await space.put_foreign("theirs", {"x": "theirs"})
    await run_operator(**SLOW)
    await space.until_data("theirs", {"x": b"theirs", "a": b"1"})


async def test_an_operator_that_is_killed_at_any_moment_mixes_no_keys_up(run_operator, aws, space, name):
    await space.put_foreign("theirs", {"x": "theirs"})
    rand = random.Random(19)  # at which moments
    for number in range(6):
        operator = await run_operator(**SLOW)
        keep = f"k{number}"
        await space.write("rotates", target=MERGE, deletionPolicy="Delete", data=[key(keep, name, "a")])
        await space.write(f"o{number}", target=MERGE, deletionPolicy="Delete", data=[literal(f"o{number}", "1")])
        if number:
            await space.cluster.delete("SyncedSecret", space.name, f"o{number - 1}")
        aws.world.put(name, json.dumps({"a": f"v{number}"}))
        await asyncio.sleep(rand.random() * 0.3)
        operator.send(signal.SIGKILL)
        await operator.wait()
    await run_operator(**SLOW)
    await space.until_data("theirs", {"x": b"theirs", "k5": b"v5", "o5": b"1"})

    async def remembered():
        annotations = (await space.secret("theirs"))["metadata"]["annotations"]
        noted = json.loads(annotations["secrets.contentful.com/keys"])
        assert {obj: entry["keys"] for obj, entry in noted.items()} == {"rotates": ["k5"], "o5": ["o5"]}

    await eventually(remembered)
