"""Parameters: 20 roles with 100 each. Calls of a cold start and of polls without changes, and one change to its Secret.

The quota of the account is AWS's default. Half as many objects as the operator's own limit allows in a second would not
show anything, so the quota stays in force throughout: no call may be throttled.
"""

from __future__ import annotations

import time
from math import ceil

from bench.figures import Figure, at_most, exactly, told
from bench.ground import Ground, Operator
from bench.say import say
from bench.sync import NEVER, until_passes
from sandbox.kubernetes_client import Object

NAMESPACE = "parameters"
QUOTA = 40
"""AWS's default: GetParameters per second in an account and region."""
EACH = 100
"""Parameters of one object."""
POLL = 3


async def parameters(count: int = 2000, *, roles: int = 20) -> list[Figure]:
    """Everything that is measured with so many parameters, of which each role reads an equal share."""
    say(f"{count} parameters of {roles} roles")
    async with Ground() as ground:
        ground.world.parameters.quota = QUOTA
        for number in range(count):
            ground.world.parameters.put(_name(number, count // roles), f"value {number}")
        await ground.kube.namespace(NAMESPACE)
        await ground.kube.create_all(_object(role) for role in range(roles))
        settings = {"POLL_INTERVAL_SEC": str(POLL), "CHANGES_INTERVAL_SEC": "0", "SYNC_INTERVAL_SEC": "86400"}
        figures = await _cold(ground, count, roles)
        async with ground.operator(**settings) as operator:
            await until_passes(operator, roles)
            figures += await _of_polls(ground, count)
            figures += await _of_change(ground, operator)
        figures.append(exactly(f"{count} parameters", "throttled", ground.world.parameters.throttled, "calls", 0))
        return figures


async def _cold(ground: Ground, count: int, roles: int) -> list[Figure]:
    """The first start: no Secret exists."""
    work = f"cold start with {count} parameters"
    ground.forget_calls()
    began = time.perf_counter()
    async with ground.operator(**NEVER) as operator:
        ended = await operator.until_changed(roles)
        calls = ground.calls()
    reads = roles * ceil(count / roles / 10)
    return [
        exactly(work, "DescribeParameters", calls["DescribeParameters"], "calls", ceil(count / 50)),
        exactly(work, "GetParameters", calls["GetParameters"], "calls", reads),
        told(work, "start to the last Secret", ended - began, "s"),
    ]


async def _of_polls(ground: Ground, count: int) -> list[Figure]:
    await ground.world.until_listed("DescribeParameters")
    ground.forget_calls()
    polls = 3
    for _ in range(polls):
        await ground.world.until_listed("DescribeParameters")
    work, calls = f"idle hour with {count} parameters", ground.calls()
    values = calls["GetParameters"]
    return [
        exactly(
            work,
            "calls in an hour, polls each 300 s",
            calls["DescribeParameters"] / polls * 12,
            "calls",
            ceil(count / 50) * 12,
        ),
        exactly(work, "values read, and decrypted", values, "calls", 0),
    ]


async def _of_change(ground: Ground, operator: Operator) -> list[Figure]:
    await ground.world.until_listed("DescribeParameters")
    ground.forget_calls()
    before = (await operator.passes())["changed"]
    ground.world.parameters.put(_name(7, EACH), "changed")
    began = time.perf_counter()
    ended = await operator.until_changed(before + 1)
    work = "one change among the parameters"
    return [
        exactly(work, "GetParameters", ground.calls()["GetParameters"], "calls", 1),
        at_most(
            work,
            "to its Secret: a poll, a listing at 20 calls a second, and one more",
            ended - began,
            "s",
            POLL + 3.0,
        ),
    ]


def _name(number: int, each: int) -> str:
    return f"/bench/role-{number // each:02d}/parameter-{number % each:03d}"


def _object(role: int) -> Object:
    return {
        "apiVersion": "secrets.contentful.com/v1",
        "kind": "SyncedSecret",
        "metadata": {"namespace": NAMESPACE, "name": f"role-{role:02d}"},
        "spec": {
            "IAMRole": f"role-{role:02d}",
            "dataFrom": {"parameters": [{"path": f"/bench/role-{role:02d}/"}]},
        },
    }
