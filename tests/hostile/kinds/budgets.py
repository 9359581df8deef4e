"""Objects that ask for more work or memory than one reconcile may use."""

from __future__ import annotations

import json
import math
from typing import Any

from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene
from tests.support.specs import Item, key, literal, whole


async def many_keys(scene: Scene) -> None:
    """4,000 keys of one JSON secret of 48 kB."""
    async with scene.tenant() as tenant:
        value = {f"k{number}": "v" * 4 for number in range(3000)}
        name = tenant.secret("config", json.dumps(value))
        for one in range(3):
            data = [key(f"k{number}", name, f"k{number % 3000}") for number in range(4000)]
            await tenant.write(f"keys-{one}", data=data)
        await scene.stay()


async def many_wholes(scene: Scene) -> None:
    """9,000 times the whole of one secret of 65 kB."""
    async with scene.tenant() as tenant:
        name = tenant.secret("big", "x" * 65_000)
        await tenant.write("wholes", data=[whole(f"k{number}", name) for number in range(9000)])
        await scene.stay()


async def nested_join(scene: Scene) -> None:
    """JMESPath expressions of a few hundred characters whose results grow with each level."""
    async with scene.tenant() as tenant:
        name = tenant.secret("lists", json.dumps({"a": ["x" * 50] * 1000, "s": ""}))
        expression = "s"
        while len(expression) < 450:
            expression = f"join({expression}, a)"
        await tenant.write_all({"data": [_path("a", name, expression)]} for _ in range(5))
        await scene.stay()


async def sorted_projections(scene: Scene) -> None:
    """JMESPath expressions that sort and flatten a large list once more at each step."""
    async with scene.tenant() as tenant:
        name = tenant.secret("lists", json.dumps({"a": [{"b": [number % 7] * 9} for number in range(2000)]}))
        expression = "a[].b[]" + " | sort(@) | reverse(@) | [*]" * 15
        await tenant.write_all({"data": [_path(f"k{n}", name, expression) for n in range(50)]} for _ in range(5))
        await scene.stay()


def _path(name: str, secret: str, expression: str) -> Item:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "jmesPath": expression}}}


async def rewrite_rules(scene: Scene) -> None:
    """Rules that multiply the length of each key by 450."""
    async with scene.tenant() as tenant:
        name = tenant.secret("keys", json.dumps({f"key-{number}": "v" for number in range(2000)}))
        rules = [{"source": "(.*)", "target": "$1" * 450}] * 20
        spec = {"dataFrom": {"secretRef": {"name": name}, "rewrite": rules}}
        await tenant.write_all(spec for _ in range(3))
        await scene.stay()


async def regexp_over_names(scene: Scene) -> None:
    """A slow regular expression over 5,000 names."""
    async with scene.tenant() as tenant:
        for number in range(5000):
            tenant.secret(f"{'n' * 200}-{number}", "v")
        spec = {"dataFrom": {"find": {"name": {"regexp": "(?:.?){900}@"}}}}
        await tenant.write_all(spec for _ in range(4))
        await scene.stay()


async def find_everything(scene: Scene) -> None:
    """Objects that copy every secret there is, and are edited all the time."""
    async with scene.tenant() as tenant:
        for number in range(1000):
            tenant.secret(f"s-{number}", json.dumps({f"k{number}": "v" * 1000}))
        find = {"name": {"regexp": "."}}
        rewrite = [{"source": "[^a-z0-9]", "target": "-"}]
        for turn in range(3):
            await tenant.write_all(
                {"dataFrom": {"find": find, "rewrite": rewrite}, "data": [literal("turn", str(turn))]}
                for _ in range(4)
            )
        await scene.stay()


async def large_values(scene: Scene) -> None:
    """Objects that read 300 secrets of 65 kB each, none of them twice."""
    async with scene.tenant() as tenant:
        for number in range(1_200):
            tenant.secret(f"{number % 4}-{number}", "x" * 65_000)
        await tenant.write_all(
            {"dataFrom": {"find": {"name": {"regexp": f"^{tenant.prefix}{one}-"}}}} for one in range(4)
        )
        await scene.stay()


async def evil_json(scene: Scene) -> None:
    """JSON that is deep, has endless numbers, half characters, and one key many times."""
    values = {
        "deep": "[" * 30_000 + "]" * 30_000,
        "deep-object": '{"a":' * 10_000 + "1" + "}" * 10_000,
        "digits": '{"a": ' + "9" * 60_000 + "}",
        "exponent": '{"a": 1e999999999, "b": -1E-999999999}',
        "surrogate": '{"a": "\\ud800", "\\udfff": "b", "c": "\\u0000"}',
        "same": "{" + ",".join(['"a": "x"'] * 6000) + "}",
        "infinity": '{"a": Infinity, "b": NaN}',
        "binary": b"\xff\xfe\x00" * 20_000,
        "empty": "",
    }
    async with scene.tenant() as tenant:
        for name, value in values.items():
            secret = tenant.secret(name, value)
            await tenant.write(name, data=[key("a", secret, "a"), _path("b", secret, "a.a.a[0]")])
            await tenant.write(f"{name}-all", dataFrom={"secretRef": {"name": secret}})
            body = f'{{{{ (getSecretValueMap "{secret}").a }}}}'
            await tenant.write(f"{name}-template", data=[{"name": "t", "valueFrom": {"template": body}}])
        await scene.stay()


async def suspended_objects(scene: Scene) -> None:
    """Twelve suspended objects of 1.2 MB, edited again and again."""
    async with scene.tenant() as tenant:
        for turn in range(2):
            spec = {"suspend": True, "data": [literal("a", str(turn) * 1_200_000)]}
            await tenant.write_all(spec for _ in range(12))
        await scene.stay()


async def large_specs(scene: Scene) -> None:
    """Objects with many tiny fields, which take the most memory as Python objects."""
    async with scene.tenant() as tenant:
        items: list[Any] = [{"name": f"k{number}", "value": ""} for number in range(10_000)]
        labels = {f"l{number}": "" for number in range(8_000)}
        for turn in range(3):
            await tenant.write(f"items-{turn}", suspend=True, data=items)
            await tenant.write(f"labels-{turn}", data=[literal("a", "1")], secretMetadata={"labels": labels})
        await scene.stay()


async def mass_deletion(scene: Scene) -> None:
    """A tenant deletes 600 secrets of its own, of which an object of its own is made."""
    async with scene.tenant() as tenant:
        for number in range(600):
            tenant.secret(f"s-{number}", str(math.pi), **{tenant.name: "1"})
        find = {"find": {"tagKey": tenant.name}, "rewrite": [{"source": ".*/", "target": ""}]}
        await tenant.write("all", dataFrom=find)
        await scene.stay()
        tenant.forget_secrets()
        await scene.stay()


KINDS = table(
    many_keys,
    many_wholes,
    nested_join,
    sorted_projections,
    rewrite_rules,
    regexp_over_names,
    find_everything,
    large_values,
    evil_json,
    suspended_objects,
    large_specs,
    mass_deletion,
)
