"""Renders SyncedSecrets without a cluster. Parsing, the check of the role and rendering are the operator's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from secretsyncer.aws.arn import Account
from secretsyncer.aws.listing.listings import Listings
from secretsyncer.commands import manifests
from secretsyncer.commands.progress import Progress
from secretsyncer.errors import Reason, SyncFailure
from secretsyncer.kube.objects import Object, key_of
from secretsyncer.sync import merge_plan, secret_plan
from secretsyncer.sync.authorize import Rules, authorize
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.synced_secret import parse, remarks

_AT_A_TIME = 16
"""Objects that are rendered together: AWS is then asked in batches."""


@dataclass(frozen=True, slots=True)
class Result:
    """One SyncedSecret: its Secret, or why there is none. `remarks` are those of the condition."""

    label: str
    secret: Object | None = field(repr=False)
    problem: str = ""
    remarks: tuple[str, ...] = ()


class Renderer(NamedTuple):
    """The source of the values, and the rules of access to them."""

    contents: ContentRenderer
    listings: Listings
    account: Account | None
    rules: Rules


async def render_all(objects: list[Object], renderer: Renderer) -> list[Result]:
    """A result for each SyncedSecret, in order."""
    namespaces = {obj["metadata"]["name"]: obj for obj in objects if obj.get("kind") == "Namespace"}
    wanted = manifests.synced_secrets(objects)
    progress = Progress("objects rendered", len(wanted))
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def rendered(obj: Object) -> Result:
        async with slots:
            result = await _render(obj, namespaces, renderer)
        progress.step()
        return result

    return await asyncio.gather(*(rendered(obj) for obj in wanted))


async def _render(obj: Object, namespaces: Mapping[str, Object], renderer: Renderer) -> Result:
    key = key_of(obj)
    try:
        synced = parse(obj)
        namespace = namespaces.get(key.namespace, {"metadata": {"name": key.namespace}})
        grant = authorize(synced.spec, namespace, renderer.account, renderer.rules)
        content = await renderer.contents.render(grant, synced.spec, renderer.listings)
        # With policy Merge, the object's own keys, as if they were all.
        merges = synced.spec.merges
        step = (
            merge_plan.creation(synced, content.data)
            if merges
            else secret_plan.plan(synced, content.data, None, adopt=True)
        )
    except SyncFailure as failure:
        unknown = failure.reason is Reason.ROLE_NOT_ALLOWED and key.namespace not in namespaces
        hint = "; the namespace is not among these files: add its manifest" if unknown else ""
        return Result(str(key), None, f"{failure.reason}: {failure.message}{hint}")
    assert isinstance(step, secret_plan.Create)  # noqa: S101 - nothing is observed offline
    return Result(str(key), step.body, remarks=(*remarks(synced.spec), *content.remarks))
