"""What tenants do to Secrets, objects and namespaces of their own."""

from __future__ import annotations

import asyncio
import base64
import json

from sandbox.kubernetes_client import KubernetesError, Object
from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene, Tenant, again_and_again
from tests.support.builders import ANNOTATION
from tests.support.eventually import eventually
from tests.support.specs import literal

_MARK = {"secrets.contentful.com/managed": "true"}
_OLD_MARK = {"app.kubernetes.io/managed-by": "kube-secret-syncer"}
_PAUSE = 0.3
"""Seconds between changes of what is long for the API server, too."""
_ACCOUNT = "kubernetes.io/service-account.name"


async def labelled_secrets(scene: Scene) -> None:
    """Secrets with the operator's label and as many empty keys as a request can carry."""
    async with scene.tenant() as tenant:
        for number in range(3):
            data = {f"{one:x}": "" for one in range(0x10000, 0x10000 + 110_000)}
            await _create(tenant, f"keys-{number}", data=data)
        await scene.stay()


async def labelled_keys(scene: Scene) -> None:
    """100 Secrets with the operator's label, new or old, and as many keys as the operator looks at."""
    data = {f"{one:x}": "" for one in range(0x10000, 0x10000 + 19_990)}
    async with scene.tenant() as tenant:
        for number in range(100):
            await _create(tenant, f"keys-{number}", labels=scene.rand.choice([_MARK, _OLD_MARK]), data=data)
        await scene.stay()


async def long_specs(scene: Scene) -> None:
    """60 objects of 1 MB, which are suspended: they only have to be kept."""
    async with scene.tenant() as tenant:
        for number in range(60):
            await tenant.write(f"long-{number}", data=[literal("a", "x" * 1_000_000)], suspend=True)
        await scene.stay()


async def labelled_crowd(scene: Scene) -> None:
    """300 Secrets with the operator's label, which no object claims, with large values."""
    async with scene.tenant() as tenant:
        data = {"a": base64.b64encode(b"x" * 100_000).decode()}
        for number in range(300):
            await _create(tenant, f"crowd-{number}", data=data)
        await scene.stay()


async def long_texts(scene: Scene) -> None:
    """40 Secrets with a type or an owner of 1.2 MB, which are 7 MB as JSON, and edits of them.

    Not faster: the API server itself sends a watch about 15 such events a second, and everybody's events are behind them.
    """
    owner = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret", "name": "<" * 1_200_000, "uid": "0"}
    async with scene.tenant() as tenant:
        for number in range(20):
            await _create(tenant, f"type-{number}", type="<" * 1_200_000)
            await _create(tenant, f"owner-{number}", metadata={"ownerReferences": [owner]})
            await asyncio.sleep(_PAUSE)
        await tenant.write_all({"data": [literal("a", "1")], "target": {"name": f"owner-{n}"}} for n in range(20))
        names = [f"{kind}-{number}" for number in range(20) for kind in ("type", "owner")]

        async def edit() -> None:
            patch = {"metadata": {"annotations": {"example.com/n": str(scene.rand.random())}}}
            await scene.cluster.merge("Secret", tenant.space.name, scene.rand.choice(names), patch)

        await again_and_again(edit, scene, _PAUSE)
        for name in names:
            await scene.cluster.delete("Secret", tenant.space.name, name)
            await asyncio.sleep(_PAUSE / 2)


async def forged_holders(scene: Scene) -> None:
    """600 Secrets whose annotations name objects that do not exist, some of them to be removed."""
    async with scene.tenant() as tenant:
        for number in range(600):
            more = scene.rand.choice([{}, {"deletionPolicy": "Delete"}])
            names = [f"{number}-{each}".ljust(128, "x") for each in range(32)]
            held = {name: {"keys": [], **more} for name in names}
            annotations = {"secrets.contentful.com/keys": json.dumps(held)}
            await _create(tenant, f"held-{number}", metadata={"annotations": annotations})
        await scene.stay()


async def _create(tenant: Tenant, name: str, *, labels: dict[str, str] | None = None, **fields: object) -> bool:
    metadata: Object = {"namespace": tenant.space.name, "name": name, "labels": _MARK if labels is None else labels}
    metadata |= fields.pop("metadata", {})  # type: ignore[operator]
    # Without the fields' managers, which would be larger than the data.
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "managedFields": [{}]}, **fields}
    try:
        await tenant.space.cluster.create(secret)
    except KubernetesError:
        tenant.scene.refused += 1
        return False
    return True


async def large_annotations(scene: Scene) -> None:
    """Edits of an annotation of 224 KiB, on objects and on a Secret with the operator's label."""
    async with scene.tenant() as tenant:
        await tenant.write("demo", data=[literal("a", "1")])
        await _create(tenant, "other")

        async def edit() -> None:
            text = str(scene.rand.randrange(10)) * (224 << 10)
            for kind, name in (("SyncedSecret", "demo"), ("Secret", "other")):
                patch = {"metadata": {"annotations": {"example.com/text": text}}}
                await scene.cluster.merge(kind, tenant.space.name, name, patch)

        await again_and_again(edit, scene)


async def namespace_annotations(scene: Scene) -> None:
    """A namespace whose annotation lists thousands of roles, is deep, or is no list."""
    roles = json.dumps([f"r{number}" for number in range(20_000)])
    texts = (roles, "[" * 100_000, '["' + "x" * 200_000 + '"]', "[1, {}, null]", '["\\ud800"]', "9" * 100_000)
    async with scene.tenant() as tenant:
        await tenant.write_all({"data": [literal("a", "1")]} for _ in range(20))

        async def annotate() -> None:
            await tenant.space.annotate({ANNOTATION: scene.rand.choice(texts)})

        await again_and_again(annotate, scene, 0.2)


async def token_secret(scene: Scene) -> None:
    """An object that adopts the token of a ServiceAccount, and points it at another one."""
    async with scene.tenant() as tenant:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": tenant.space.name}}
        for name in ("mine", "admin"):
            await scene.cluster.create({**account, "metadata": {**account["metadata"], "name": name}})  # type: ignore[dict-item]
        of_mine = {"annotations": {_ACCOUNT: "mine"}}
        await _create(tenant, "token", labels={}, metadata=of_mine, type="kubernetes.io/service-account-token")
        annotations = {_ACCOUNT: "admin", "kubernetes.io/service-account.uid": ""}
        for number, adopt in enumerate((True, None)):
            more = {} if adopt is None else {"adopt": adopt}
            await tenant.write(
                f"adopts-{number}",
                data=[literal("a", "1")],
                target={"name": "token"},
                secretMetadata={"annotations": annotations},
                **more,
            )
        await scene.stay()
        secret = await tenant.space.secret("token")
        if secret and secret["metadata"]["annotations"].get(_ACCOUNT) != "mine":
            scene.problems.append("the token of a ServiceAccount was pointed at another one")


async def second_writer(scene: Scene) -> None:
    """Somebody undoes each write of the operator at once."""
    async with scene.tenant() as tenant:
        names = [f"o-{number}" for number in range(5)]
        await tenant.write_all({"data": [literal("a", "right")]} for _ in names)

        async def there() -> None:
            assert await tenant.space.secret(names[-1])

        await eventually(there)
        wrong = {"data": {"a": base64.b64encode(b"wrong").decode()}}

        async def undo() -> None:
            for name in names:
                await scene.cluster.merge("Secret", tenant.space.name, name, wrong)

        await again_and_again(undo, scene, 0.01)


async def one_target(scene: Scene) -> None:
    """Forty objects that claim one Secret, and hand it over again and again."""
    async with scene.tenant() as tenant:
        spec = {"target": {"name": "shared"}, "deletionPolicy": "Delete"}
        await tenant.write_all({"data": [literal("a", str(number))], **spec} for number in range(40))

        async def hand_over() -> None:
            number = scene.rand.randrange(40)
            target = scene.rand.choice(["shared", "mine"])
            await tenant.write(f"o-{number}", data=[literal("a", str(number))], target={"name": target})

        await again_and_again(hand_over, scene)


async def types_and_owners(scene: Scene) -> None:
    """Secrets that change their type, become immutable, are deleted, or belong to somebody who does not exist."""
    types = ("Opaque", "example.com/a", "kubernetes.io/tls", "kubernetes.io/basic-auth")
    nobody = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "0"}]
    async with scene.tenant() as tenant:

        async def change() -> None:
            choose = scene.rand.choice
            spec = {"type": choose(types), "immutable": choose([True, False]), "recreateOnTypeChange": True}
            await tenant.write("demo", data=[literal("username", choose("ab"))], **spec)
            if await tenant.space.secret("demo"):
                patch = {"metadata": {"ownerReferences": nobody, "finalizers": choose([None, ["example.com/x"]])}}
                await scene.cluster.merge("Secret", tenant.space.name, "demo", patch)
                await scene.cluster.delete("Secret", tenant.space.name, "demo")

        try:
            await again_and_again(change, scene)
        finally:
            if await tenant.space.secret("demo"):
                free = {"metadata": {"finalizers": None}}
                await scene.cluster.merge("Secret", tenant.space.name, "demo", free)


KINDS = table(
    labelled_secrets,
    labelled_keys,
    long_specs,
    labelled_crowd,
    long_texts,
    forged_holders,
    large_annotations,
    namespace_annotations,
    token_secret,
    second_writer,
    one_target,
    types_and_owners,
)
