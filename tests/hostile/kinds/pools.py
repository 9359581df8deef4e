"""Work that takes the place of everybody else's: clients, calls, workers, the queue, the cache."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.hostile.benign import MARK, NAMESPACES, OBJECTS
from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene, again_and_again
from tests.support.specs import Item, key, literal, whole

_REFRESH = "secrets.contentful.com/refresh"


async def region_names(scene: Scene) -> None:
    """2,500 names of regions."""
    async with scene.tenant() as tenant:
        name = tenant.secret("a", '{"a": "1"}')
        await tenant.write_all(
            {"data": [_elsewhere(f"k{number}", name, f"eu-west-{part * 500 + number}") for number in range(500)]}
            for part in range(5)
        )
        await scene.stay()


async def hanging_regions(scene: Scene) -> None:
    """One role whose calls never end, in every region."""
    regions = ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-central-1", "eu-north-1", "ap-south-1")
    async with scene.tenant() as tenant, scene.fault("hang", role=tenant.role):
        names = [tenant.secret(f"s-{number}", "v") for number in range(140)]
        await tenant.write_all(
            {"data": [_elsewhere("a", name, regions[number % len(regions)]), whole("b", name)]}
            for number, name in enumerate(names)
        )
        await scene.stay()


def _elsewhere(name: str, secret: str, region: str) -> Item:
    return {"name": name, "valueFrom": {"secretRef": {"name": secret, "region": region, "optional": True}}}


async def many_sessions(scene: Scene) -> None:
    """400 objects with session names and external ids of their own."""
    async with scene.tenant() as tenant:
        name = tenant.secret("a", "v")
        await tenant.write_all(
            {"data": [whole("a", name)], "roleSessionName": f"session-{number}", "externalId": f"id-{number}"}
            for number in range(400)
        )
        await scene.stay()


async def hanging_roles(scene: Scene) -> None:
    """Six namespaces whose roles get no answer from AWS."""
    async with AsyncExitStack() as stack:
        tenants = [await stack.enter_async_context(scene.tenant()) for _ in range(6)]
        for tenant in tenants:
            await stack.enter_async_context(scene.fault("hang", role=tenant.role))
            names = [tenant.secret(f"s-{number}", "v") for number in range(20)]
            await tenant.write_all({"data": [whole("a", name)]} for name in names)
        await scene.stay()
        await scene.stay()


async def many_roles(scene: Scene) -> None:
    """A namespace without an annotation, whose objects name a role each; some exist."""
    async with scene.tenant(annotations={}) as tenant:
        await tenant.write_all(
            {"data": [whole("a", f"{tenant.prefix}{number}")], "IAMRole": f"{'nobody' * (number % 9)}-{number}"}
            for number in range(400)
        )
        await scene.stay()


async def borrowed_role(scene: Scene) -> None:
    """Objects that name the role of an honest tenant, and its secrets with their own."""
    async with scene.tenant() as tenant:
        secret = f"{MARK}/0/source-0"
        for number in range(NAMESPACES):
            await tenant.write(f"role-{number}", data=[whole("a", secret)], IAMRole=f"{MARK}-{number}")
        await tenant.write("own", data=[whole("a", secret), key("b", secret, "password")])
        await tenant.write("none", data=[whole("a", secret)], IAMRole="")
        await scene.stay()


async def refresh(scene: Scene) -> None:
    """Objects that ask for new values of the honest tenants' secrets all the time."""
    async with scene.tenant() as tenant:
        sources = [f"{MARK}/{number % NAMESPACES}/source-{number}" for number in range(OBJECTS)]
        data = [whole(f"k{number}", source) for number, source in enumerate(sources)]
        await tenant.write("interval", data=data, refreshInterval="10s")
        await tenant.write("annotation", data=data)

        async def ask() -> None:
            value = {"metadata": {"annotations": {_REFRESH: str(scene.rand.random())}}}
            for name in ("interval", "annotation"):
                await scene.cluster.merge("SyncedSecret", tenant.space.name, name, value)

        await again_and_again(ask, scene)


async def flood_of_objects(scene: Scene) -> None:
    """300 objects with long and wrong specs, made, edited and deleted at once."""
    async with scene.tenant() as tenant:
        wrong = {"secretKeyRef": {"name": "s", "jmesPath": "[" * 512}}  # only the operator can tell
        data = [{"name": "a", "valueFrom": wrong}, literal("b", "1")]
        specs = ({"data": data}, {"data": [whole("a", "n" * 512)]})
        await tenant.write_all(specs[number % 2] for number in range(300))
        await tenant.write_all({"data": [literal("a", str(number))]} for number in range(300))
        await tenant.space.clear()


async def edits(scene: Scene) -> None:
    """Objects that are edited as fast as the API server takes it."""
    async with scene.tenant() as tenant:
        await tenant.write_all({"data": [literal("a", "1")]} for _ in range(5))

        async def edit() -> None:
            spec = {"spec": {"data": [literal("a", str(scene.rand.random()))]}}
            for number in range(5):
                await scene.cluster.merge("SyncedSecret", tenant.space.name, f"o-{number}", spec)

        await again_and_again(edit, scene, 0.01)


KINDS = table(
    region_names,
    hanging_regions,
    hanging_roles,
    many_sessions,
    many_roles,
    borrowed_role,
    refresh,
    flood_of_objects,
    edits,
)
