"""Three ways to write a status, in turn and in one run: a merge patch, a PUT with resourceVersion, and server-side apply.

The figures are CPU per request, because others on the machine change how long a request takes, but less what it costs.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean
from typing import NamedTuple

from bench import objects
from bench.figures import Figure, told
from bench.ground import Ground
from bench.kubernetes import Kube, each
from bench.say import say
from sandbox.kubernetes_client import KubernetesError, Object, path_of

WAYS = ("merge patch", "PUT", "server-side apply")
NAMESPACE = "status"
GROUP = 50
"""Requests of one way before it is the turn of the next. Few, so that the server's garbage collector meets all ways."""
GROUPS = 20
"""Groups of objects of each way. Each object gets a first status, and two changes of it."""
CONCURRENCY = 8


class _Cost(NamedTuple):
    """Milliseconds of CPU per request. Means are taken of it: a median would leave out what is collected at times."""

    server: float
    etcd: float
    client: float


async def status_writes() -> list[Figure]:
    say("status writes: three ways, in turn")
    costs: dict[tuple[str, str], list[_Cost]] = defaultdict(list)
    async with Ground() as ground:
        await ground.kube.namespace(NAMESPACE)
        names = {way: [f"{way[:3].strip().lower()}-{n:05d}" for n in range(GROUP * GROUPS)] for way in WAYS}
        versions: dict[str, str] = {}
        for way in WAYS:
            await ground.kube.create_all(_objects(names[way]))
        for item in await ground.kube.list("SyncedSecret", NAMESPACE):
            versions[item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
        for revision in ("", "1", "2"):
            say(f"  {'changes' if revision else 'first statuses'}, {len(WAYS) * GROUP * GROUPS} requests")
            for group in range(GROUPS):
                for way in random.sample(WAYS, len(WAYS)):
                    part = names[way][group * GROUP : (group + 1) * GROUP]
                    cost = await _measure(ground, way, part, versions, revision)
                    costs[way, "change" if revision else "first"].append(cost)
    return list(_figures(costs))


def _objects(names: list[str]) -> Iterator[Object]:
    for number, name in enumerate(names):
        manifest = objects.synced(NAMESPACE, number)
        manifest["metadata"]["name"] = name
        yield manifest


async def _measure(ground: Ground, way: str, names: list[str], versions: dict[str, str], revision: str) -> _Cost:
    async def write(name: str) -> None:
        answer = await write_status(ground.kube, way, name, versions[name], objects.status(name, revision))
        versions[name] = answer["metadata"]["resourceVersion"]

    before, own = ground.api.cpu, time.process_time()
    await each(names, write, CONCURRENCY)
    after = ground.api.cpu
    seconds = (after.api_server - before.api_server, after.etcd - before.etcd, time.process_time() - own)
    return _Cost(*(value / len(names) * 1e3 for value in seconds))


async def write_status(kube: Kube, way: str, name: str, version: str, body: Object) -> Object:
    """Write the status of this object in this way, and return the object."""
    path = path_of("SyncedSecret", NAMESPACE, name, "status") + "?fieldManager=bench"
    metadata = {"name": name, "namespace": NAMESPACE}
    whole = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "metadata": metadata, **body}
    if way == "merge patch":
        reply = await kube.request("PATCH", path, body, "application/merge-patch+json")
    elif way == "PUT":
        reply = await kube.request("PUT", path, {**whole, "metadata": {**metadata, "resourceVersion": version}})
    else:
        reply = await kube.request("PATCH", f"{path}&force=true", whole, "application/apply-patch+yaml")
    if reply.status != 200:
        raise KubernetesError(way, path, reply)
    return dict(reply.body)


def _figures(costs: dict[tuple[str, str], list[_Cost]]) -> Iterator[Figure]:
    for kind in ("first", "change"):
        mean = {way: _Cost(*map(fmean, zip(*costs[way, kind], strict=True))) for way in WAYS}
        for way in WAYS:
            figure = told(f"{kind} status", f"API server's CPU, {way}", mean[way].server, "ms")
            yield figure._replace(limit=mean["merge patch"].server, limit_is="a merge patch")
        for way in WAYS:
            both = mean[way].etcd + mean[way].client
            yield told(f"{kind} status", f"CPU of etcd and of a bare client, {way}", both, "ms")
