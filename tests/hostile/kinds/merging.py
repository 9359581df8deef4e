"""Fights over the keys of one Secret. Keys that the objects do not name must stay."""

from __future__ import annotations

import base64
import json

from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene, Tenant, again_and_again
from tests.support.specs import literal

_KEYS = "secrets.contentful.com/keys"
_MARK = "secrets.contentful.com/managed"
_TARGET = {"name": "shared", "policy": "Merge"}
_COUNT = 40
"""More objects than one Secret may have."""


async def _shared(tenant: Tenant) -> None:
    await tenant.space.put_foreign("shared", {"theirs": "theirs"})
    await tenant.write_all(
        {"data": [literal(f"k{number % 9}", "1"), literal(f"own-{number}", "1")], "target": _TARGET}
        for number in range(_COUNT)
    )


async def _check(scene: Scene, tenant: Tenant) -> None:
    found = await tenant.space.data("shared")
    if found.get("theirs") != b"theirs":
        scene.problems.append("a key that no object names has changed")


async def fights_over_keys(scene: Scene) -> None:
    """Objects that want the same keys, come and go, and change their policy."""
    async with scene.tenant() as tenant:
        await _shared(tenant)

        async def change() -> None:
            choose = scene.rand.choice
            number = scene.rand.randrange(_COUNT)
            name = f"o-{number}"
            if choose((True, False)):
                await scene.cluster.delete("SyncedSecret", tenant.space.name, name)
            await tenant.write(
                name,
                data=[literal(f"k{scene.rand.randrange(9)}", str(number))],
                target=choose((_TARGET, {"name": "shared"}, {"name": "other", "policy": "Merge", "create": True})),
                deletionPolicy=choose(("Delete", "Retain")),
            )

        await again_and_again(change, scene, 0.02)
        await _check(scene, tenant)


async def forged_keys(scene: Scene) -> None:
    """Somebody writes the annotation that says whose keys are whose, takes the mark away, and undoes what is written."""
    many = {f"o{number}": {"keys": ["x"], "deletionPolicy": "Delete"} for number in range(32)}
    texts = (
        json.dumps(many),
        json.dumps({"o-1": {"keys": [f"k{number}" for number in range(9)]}}),
        json.dumps({f"{'o' * 200}{number}": {"keys": ["y" * 240] * 9} for number in range(28)}),
        "[" * 60_000,
        "x" * 250_000,
        None,
    )
    async with scene.tenant() as tenant:
        await _shared(tenant)

        async def forge() -> None:
            wrong = {f"k{scene.rand.randrange(9)}": base64.b64encode(b"wrong").decode()}
            metadata = {
                "annotations": {_KEYS: scene.rand.choice(texts)},
                "labels": {_MARK: scene.rand.choice(("keys", None))},
            }
            await scene.cluster.merge("Secret", tenant.space.name, "shared", {"metadata": metadata, "data": wrong})

        await again_and_again(forge, scene, 0.02)
        await _check(scene, tenant)


KINDS = table(fights_over_keys, forged_keys)
