"""Many roles: one AssumeRole for each, a bounded number of clients, and the memory per role."""

from __future__ import annotations

from math import ceil

from bench import objects
from bench.figures import Figure, at_most, exactly, told
from bench.ground import Ground
from bench.say import say
from bench.sync import NEVER
from sandbox.usage import MIB, memory

SECRETS = 50
"""Of each role."""
CLIENTS = 128
"""The operator keeps no more clients open."""


async def roles(count: int) -> list[Figure]:
    """So many roles with 50 secrets each, against the same objects read as the operator itself."""
    say(f"{count} roles")
    work = f"{count} roles of {SECRETS} secrets"
    total = count * SECRETS
    used = {}
    for label in ("as the operator", "as the roles"):
        async with Ground() as ground:
            ground.seed(total)
            arns = [ground.world.role(f"bench-{number}") for number in range(count)]
            spec = [{"IAMRole": arns[n // SECRETS]} if label == "as the roles" else {} for n in range(total)]
            await ground.kube.namespace("bench")
            await ground.kube.create_all(objects.synced("bench", n, **spec[n]) for n in range(total))
            ground.forget_calls()
            async with ground.operator(**NEVER) as operator:
                await operator.until_changed(total)
                used[label] = memory(operator.pid).now
                calls = ground.calls()
                clients = (await operator.metrics("secretsyncer_aws_clients"))["secretsyncer_aws_clients"]
    more = (used["as the roles"] - used["as the operator"]) / count / 1024
    return [
        exactly(work, "AssumeRole", calls["AssumeRole"], "calls", count),
        exactly(work, "BatchGetSecretValue", calls["BatchGetSecretValue"], "calls", count * ceil(SECRETS / 20)),
        at_most(work, "open clients", clients, "", CLIENTS),
        told(work, "memory a role", more, "KiB"),
        told(work, "memory in all", used["as the roles"] / MIB, "MiB"),
    ]
