"""Restarts: of more workloads than anybody has, and of such that look like none. An honest restart must not be late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sandbox.kubernetes_client import KubernetesError, Object
from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene, Tenant, again_and_again, each
from tests.hostile.watch import Stopwatch
from tests.support.specs import literal
from tests.support.workloads import OPT_IN, RESTARTED_AT, workload

_LATE = 10.0
"""Seconds within which an honest restart must follow its change. Each hostile namespace may have a turn before."""
_NAMESPACES = 5
"""More than there are workers for restarts."""


@asynccontextmanager
async def _honest(scene: Scene) -> AsyncIterator[None]:
    """A workload of an honest tenant, whose Secret changes after a while: it must be restarted."""
    space = await scene.cluster.space()
    spec = {"restart": {"targets": [{"kind": "Deployment", "name": "web"}], "delay": "0s"}}
    await scene.cluster.create(workload(space.name))
    await space.write("demo", data=[literal("a", "1")], **spec)
    await space.until_synced("demo")
    try:
        yield
        assert scene.benign.machine
        watch = Stopwatch(scene.benign.machine)
        await space.write("demo", data=[literal("a", "2")], **spec)
        while not _stamp(await scene.cluster.get("Deployment", space.name, "web")):
            if watch.own_seconds > _LATE:
                kinds = ", ".join(sorted(scene.benign.kinds))
                scene.problems.append(f"an honest restart was late by more than {_LATE:g} s (during {kinds})")
                break
            await asyncio.sleep(0.1)
    finally:
        await space.clear()
        await scene.cluster.delete("Deployment", space.name, "web")


def _stamp(obj: Object) -> str | None:
    return (obj["spec"]["template"]["metadata"].get("annotations") or {}).get(RESTARTED_AT)


async def _change_all(tenant: Tenant, count: int, *restarts: Object) -> None:
    """So many objects, whose restarts become due."""
    for value in "12":
        await tenant.write_all(
            {"data": [literal("a", value)], "restart": restarts[number % len(restarts)]} for number in range(count)
        )
        await tenant.space.until_synced(f"o-{count - 1}")


async def _deploy(tenant: Tenant, *objects: Object) -> None:
    async def create(obj: Object) -> None:
        try:
            await tenant.space.cluster.create(obj)
        except KubernetesError:
            tenant.scene.refused += 1

    await each([lambda obj=obj: create(obj) for obj in objects])  # type: ignore[misc]


async def _clear(tenant: Tenant) -> None:
    for kind in ("Deployment", "Rollout"):
        await tenant.space.cluster.delete_all(kind, tenant.space.name)


async def missing_workloads(scene: Scene) -> None:
    """Thousands of workloads that do not exist, in more namespaces than there are workers."""
    async with _honest(scene), AsyncExitStack() as stack:
        tenants = [await stack.enter_async_context(scene.tenant()) for _ in range(_NAMESPACES)]
        names = [f"none-{number}" for number in range(2000)]
        for tenant in tenants:
            targets = [
                [{"kind": "Deployment", "name": n} for n in names[at : at + 50]] for at in range(0, 2000, 50)
            ]
            await _change_all(tenant, 40, *({"targets": some, "delay": "0s"} for some in targets))
        async with _honest(scene):
            await scene.stay()


async def crowd_of_workloads(scene: Scene) -> None:
    """Objects that each select all of 190 workloads, and change again and again."""
    async with scene.tenant() as tenant:
        refers = {"container": {"envFrom": [{"secretRef": {"name": f"o-{number}"}} for number in range(20)]}}
        await _deploy(
            tenant,
            *(
                workload(tenant.space.name, f"web-{number}", labels={"app": "a"}, annotations=OPT_IN, **refers)
                for number in range(190)
            ),
        )
        try:
            selected = {"targets": [{"kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}]}
            await _change_all(tenant, 20, {**selected, "delay": "0s"}, {"consumers": True, "delay": "0s"})

            async def change() -> None:
                value = str(scene.rand.random())
                spec = {"spec": {"data": [literal("a", value)]}}
                name = f"o-{scene.rand.randrange(20)}"
                await scene.cluster.merge("SyncedSecret", tenant.space.name, name, spec)

            async with _honest(scene):
                await again_and_again(change, scene)
        finally:
            await _clear(tenant)


async def odd_workloads(scene: Scene) -> None:
    """Workloads that were restarted in the year 9999, and Rollouts of forms that nobody expects."""
    async with scene.tenant() as tenant:
        place = tenant.space.name
        late = workload(place, "late")
        late["spec"]["template"]["metadata"]["annotations"] = {RESTARTED_AT: "9999-12-31T23:59:59Z"}
        odd = []
        for number, template in enumerate(("x", ["x"], {"spec": {"volumes": "x"}}, {"metadata": "x"}, 7)):
            odd.append(workload(place, f"odd-{number}", "Rollout", labels={"app": "odd"}))
            odd[-1]["spec"] |= {"template": template, "restartAt": "9999-12-31T23:59:59Z"}
        await _deploy(tenant, late, *odd)
        try:
            named = {"targets": [{"kind": "Deployment", "name": "late"}], "delay": "0s"}
            windows = [{"from": "00:00", "to": "00:00", "timezone": zone} for zone in ("Pacific/Apia", "UTC")]
            some = {
                "targets": [{"kind": "Rollout", "selector": {"matchLabels": {"app": "odd"}}}],
                "windows": windows,
            }
            await _change_all(tenant, 30, named, {**some, "delay": "0s"}, {**named, "delay": "24h"})
            async with _honest(scene):
                await scene.stay()
        finally:
            await _clear(tenant)


KINDS = table(missing_workloads, crowd_of_workloads, odd_workloads)
