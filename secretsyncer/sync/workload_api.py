"""Reads and restarts the workloads of one namespace, and remembers what failed.

Workloads are read when a restart is due. An informer would keep all of them in memory, for a few restarts a day. Consumers
are looked for in pages, once per pass. A request that failed is not repeated before the end of its backoff, whoever asks,
and a missing permission is remembered for its kind and namespace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from cachetools import LRUCache

from secretsyncer.backoff import Backoff
from secretsyncer.errors import KubeError
from secretsyncer.kube.objects import Object
from secretsyncer.kube.resources import WORKLOADS, Resource
from secretsyncer.sync.refusals import is_denial
from secretsyncer.sync.restart_memory import MOST_WORKLOADS, Reason
from secretsyncer.sync.workloads import CONSUMERS, Ref, Workload, consumed, patch, selector, view
from secretsyncer.synced_secret.formats import MIN_REFRESH
from secretsyncer.synced_secret.restart import Restart

BACKOFF = Backoff(initial=5.0, factor=2.0, cap=300.0, jitter=0.3)
DENIED = Backoff(initial=60.0, factor=2.0, cap=90.0, jitter=0.3)
"""Delays after a missing permission, at most two minutes: nothing tells the operator that somebody has granted it."""
MOST_PAGES = 200
"""Pages of one list, of 500 workloads or 4 MiB."""
REMEMBERED = 1_000
"""Failed requests of one namespace that are remembered; the oldest are forgotten."""
NAMESPACES = 1_000
"""Namespaces of which failed requests are remembered: those that are deleted are never asked for again."""
AHEAD = 3600.0
"""Seconds by which a clock may be ahead. A later time is of no restart by the operator, and would delay all others."""


class Api(Protocol):
    """The part of `KubeClient` that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        continue_: str = "",
    ) -> Object: ...

    async def merge_patch(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...


_About = tuple[str, str, str]
"""Namespace, kind and name of a workload; of a missing permission, what the operator may not do, which is no name."""


class Obstacle(Exception):  # noqa: N818 - not an error of this program
    """Why a workload cannot be restarted now. Times are Unix times.

    `until`: when it is tried again. `soonest`: the same if somebody asks for a refresh. `quiet`: it is too short to tell.
    """

    def __init__(
        self, reason: Reason, message: str, until: float, *, soonest: float | None = None, quiet: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.until = until
        self.soonest = until if soonest is None else min(soonest, until)
        self.quiet = quiet


class Changed(Exception):  # noqa: N818 - as above
    """The workload has changed since it was read."""


class Workloads:
    """The workloads of all namespaces. `now` returns the Unix time in seconds."""

    def __init__(self, api: Api, *, now: Callable[[], float]) -> None:
        self._api = api
        self._now = now
        self._failed: LRUCache[str, dict[_About, tuple[int, Obstacle]]] = LRUCache(NAMESPACES)

    async def get(self, namespace: str, ref: Ref) -> Workload:
        """The workload. Raises Obstacle."""
        about = (namespace, *ref)
        self._check(about, "get", "patch")
        try:
            found = view(ref.kind, await self._api.get(WORKLOADS[ref.kind], namespace, ref.name))
        except KubeError as error:
            raise self._failure(about, "get", error) from None
        return found if found.restarted <= self._now() + AHEAD else found._replace(restarted=0.0)

    async def restart(self, namespace: str, workload: Workload, at: float) -> None:
        """Give the workload this time. Raises Changed or Obstacle."""
        about = (namespace, *workload.ref)
        body = patch(workload, at)
        try:
            await self._api.merge_patch(WORKLOADS[workload.ref.kind], namespace, workload.ref.name, body)
        except KubeError as error:
            if error.status == 409 and not is_denial(error):
                raise Changed from None
            raise self._failure(about, "patch", error) from None
        # Only now, because a workload that can be read may still refuse its restart.
        self._succeeded(about, "get", "patch")

    async def consumers(self, namespace: str) -> Mapping[str, list[Ref]]:
        """The workloads that want to be restarted with the Secrets that they use, by these. Raises Obstacle."""
        found: dict[str, list[Ref]] = {}
        for kind in CONSUMERS:
            async for one in self._list(namespace, kind):
                for secret in consumed(one):
                    found.setdefault(secret, []).append(one.ref)
        return found

    async def selected(self, namespace: str, kind: str, labels: dict[str, str]) -> list[Workload]:
        """The workloads of a kind with these labels, or more of them than are possible. Raises Obstacle."""
        text = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        found: list[Workload] = []
        async for one in self._list(namespace, kind, text):
            found.append(one)
            if len(found) > MOST_WORKLOADS:
                break
        return found

    async def _list(self, namespace: str, kind: str, labels: str = "") -> AsyncIterator[Workload]:
        about, token = (namespace, kind, ""), ""
        self._check(about, "list")
        for _ in range(MOST_PAGES):
            try:
                page = await self._api.list(WORKLOADS[kind], namespace, label_selector=labels, continue_=token)
            except KubeError as error:
                raise self._failure(about, "list", error) from None
            for item in page.get("items") or []:
                yield view(kind, item)
            await asyncio.sleep(0)
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                break
        self._succeeded(about, "list")

    # What failed

    def refresh(self, namespace: str) -> None:
        """Somebody asks to try again what failed."""
        for _, obstacle in self._failed.get(namespace, {}).values():
            obstacle.until = obstacle.soonest

    def _check(self, about: _About, *verbs: str) -> None:
        """Raises Obstacle before the end of the backoff of this workload, or of a permission that it takes."""
        for what in (*(_permission(about, verb) for verb in verbs), about):
            failed = self._failed.get(about[0], {}).get(what)
            if failed and failed[1].until > self._now():
                raise failed[1].with_traceback(None)

    def _failure(self, about: _About, verb: str, error: KubeError) -> Obstacle:
        namespace, kind, name = about
        what, backoff = f"{kind} {name}".rstrip(), BACKOFF
        key = about
        if is_denial(error):
            # Its words may quote the pod template, with whatever is in its environment.
            reason, message = Reason.REFUSED, f"an admission policy or webhook refuses the restart of {what}"
        elif error.status in {401, 403}:
            plural, key, backoff = WORKLOADS[kind].plural, _permission(about, verb), DENIED
            reason = Reason.FORBIDDEN
            message = (
                f"the operator may not {verb} {plural} in namespace {namespace}: install the component restarts "
                "(docs/restarts.md), or remove spec.restart"
            )
        elif error.status == 404:
            reason, message = Reason.NOT_FOUND, f"there is no {what} in namespace {namespace}"
            if not name:
                message = f"the Kubernetes API does not know {WORKLOADS[kind].plural}: install their definition"
        else:
            said = f"{error.status} {error.reason}" if error.status else error.reason
            reason, message = Reason.KUBERNETES_ERROR, f"{what}: the Kubernetes API says {said}"
        failed = self._failed.setdefault(namespace, {})
        before = failed.pop(key, None)
        failures = before[0] + 1 if before else 1
        now, least = self._now(), error.retry_after or 0.0
        until, soonest = now + max(backoff.delay(failures), least), now + max(MIN_REFRESH, least)
        obstacle = Obstacle(reason, message, until, soonest=soonest)
        failed[key] = failures, obstacle
        if len(failed) > REMEMBERED:
            del failed[next(iter(failed))]
        return obstacle

    def _succeeded(self, about: _About, *verbs: str) -> None:
        if failed := self._failed.get(about[0]):
            for what in (*(_permission(about, verb) for verb in verbs), about):
                failed.pop(what, None)
            if not failed:
                del self._failed[about[0]]


def _permission(about: _About, verb: str) -> _About:
    return about[0], about[1], f"may not {verb}"


class Look:
    """The workloads of one namespace, as one pass needs them."""

    def __init__(self, workloads: Workloads, namespace: str) -> None:
        self._workloads = workloads
        self._namespace = namespace
        self._consumers: Mapping[str, list[Ref]] | Obstacle | None = None
        self._selected: dict[tuple[str, frozenset[tuple[str, str]]], list[Workload] | Obstacle] = {}

    async def targets(self, restart: Restart, secret: str) -> tuple[list[Ref], list[Obstacle]]:
        """The workloads that a change of the Secret has to restart, and why some of them are not known."""
        found: dict[Ref, None] = {}
        obstacles: list[Obstacle] = []
        for target in restart.targets:
            if len(found) > MOST_WORKLOADS:
                break  # too many: the other lists do not matter
            if target.name is not None:
                found[Ref(target.kind, target.name)] = None
                continue
            some = await self._all_selected(target.kind, selector(target))
            if isinstance(some, Obstacle):
                obstacles.append(some)
            else:
                found |= {one.ref: None for one in some}
        if restart.consumers and len(found) <= MOST_WORKLOADS:
            all_of_them = await self._all_consumers()
            if isinstance(all_of_them, Obstacle):
                obstacles.append(all_of_them)
            else:
                found |= dict.fromkeys(all_of_them.get(secret, ()))
        return list(found), obstacles

    async def _all_selected(self, kind: str, labels: dict[str, str]) -> list[Workload] | Obstacle:
        what = kind, frozenset(labels.items())
        if what not in self._selected:
            try:
                self._selected[what] = await self._workloads.selected(self._namespace, kind, labels)
            except Obstacle as obstacle:
                self._selected[what] = obstacle
        return self._selected[what]

    async def _all_consumers(self) -> Mapping[str, list[Ref]] | Obstacle:
        """The workloads by the Secrets that they use."""
        if self._consumers is None:
            try:
                self._consumers = await self._workloads.consumers(self._namespace)
            except Obstacle as obstacle:
                self._consumers = obstacle
        return self._consumers
