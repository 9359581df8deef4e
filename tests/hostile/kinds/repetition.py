"""Objects that keep to each limit of a spec, and make long work or much memory by repeating what is short."""

from __future__ import annotations

import json

from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene, again_and_again
from tests.support.specs import Item, key, literal, template, whole


async def one_secret_again(scene: Scene) -> None:
    """Objects that take all keys, or a long list, of one secret again and again."""
    async with scene.tenant() as tenant:
        keys = tenant.secret("keys", json.dumps({f"{number:x}": "" for number in range(5000)}))
        numbers = tenant.secret("list", json.dumps({"a": [1] * 20_000}))
        again = {"dataFrom": {"secretRefs": [{"name": keys}] * 1000}}
        entries = {"dataFrom": {"entries": [{"secretRef": {"name": keys}}] * 100}}
        lists = {"data": [key(f"k{number}", numbers, "a") for number in range(80)]}
        await tenant.write_all([again, entries, lists] * 4)
        await scene.stay()


async def one_search_again(scene: Scene) -> None:
    """Objects with a hundred searches, each of which selects hundreds of secrets by all of their tags.

    Not more: AWS lets an account create 50 a second, and a thousand newer ones would hide changes from a look.
    """
    async with scene.tenant() as tenant:
        tags = {f"{tenant.name}-{number}": "v" for number in range(50)}
        for number in range(400):
            tenant.secret(f"s-{number}", "", **tags)
        await scene.stay()  # until a listing shows them
        entries = [{"find": {"tags": tags}, "rewrite": [{"source": "/", "target": f"-{n}-"}]} for n in range(100)]
        await tenant.write_all({"dataFrom": {"entries": entries}} for _ in range(12))
        await scene.stay()


async def short_searches(scene: Scene) -> None:
    """Searches that select hundreds of secrets of one byte, with long names, again and again."""
    async with scene.tenant() as tenant:
        for number in range(400):
            tenant.secret(f"{'+' * 440}{number}", "v", **{tenant.name: "1"})
        await scene.stay()
        entries = [{"find": {"tagKey": tenant.name}, "invalidKeys": "Replace"}] * 80
        for turn in range(3):
            specs = [{"dataFrom": {"entries": entries}, "data": [literal("turn", f"{turn}")]}] * 6
            await tenant.write_all(specs)
            await scene.stay()


async def filters_beside_many_reads(scene: Scene) -> None:
    """One object that finds 500 secrets and has 800 templates with a filter each, and is edited."""
    async with scene.tenant() as tenant:
        for number in range(500):
            tenant.secret(f"s-{number}", "v", **{tenant.name: "1"})
        await scene.stay()
        text = "{{ $_ := filterByTagKey .Secrets `x%d` }}x"
        filters = [template(f"t{number}", text % number) for number in range(800)]
        find = {"find": {"tagKey": tenant.name}, "invalidKeys": "Replace"}
        for turn in range(3):
            await tenant.write("filters", dataFrom=find, data=[*filters, literal("turn", f"{turn}")])
            await scene.stay()


async def many_values_of_a_tag(scene: Scene) -> None:
    """A hundred objects that ask for a thousand values of one tag each, which many secrets have."""
    async with scene.tenant() as tenant:
        for number in range(400):
            tenant.secret(f"s-{number}", "v", **{tenant.name: "1"})

        def body(number: int) -> str:
            calls = "".join(
                f'{{{{ $_ := filterByTag .Secrets "{tenant.name}" "{number}-{n}" }}}}' for n in range(1000)
            )
            return calls + str(number)

        await tenant.write_all({"data": [template("a", body(number))]} for number in range(100))
        for turn in range(5):
            tenant.secret(f"new-{turn}", "v", **{tenant.name: "1"})
            await scene.stay()


async def many_expressions(scene: Scene) -> None:
    """Specs with thousands of expressions, each of which is short, and takes milliseconds to compile."""
    async with scene.tenant() as tenant:
        source = r"(?:[^\pL]?){1000}"
        rules = [{"source": f"{source}{number}", "target": ""} for number in range(20)]
        entries = [{"find": {"name": {"regexp": source}}, "rewrite": rules}] * 100
        paths = [_path(f"k{number}", "[]" * 240 + f".b{number}") for number in range(500)]

        async def write() -> None:
            turn = str(scene.rand.random())
            await tenant.write("patterns", dataFrom={"entries": entries}, data=[literal("turn", turn)])
            await tenant.write("paths", data=[*paths, literal("turn", turn)])

        await again_and_again(write, scene)


def _path(name: str, expression: str) -> Item:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "nobody", "jmesPath": expression}}}


async def slow_rules(scene: Scene) -> None:
    """One long key, which twenty slow rules rewrite."""
    async with scene.tenant() as tenant:
        name = tenant.secret("key", json.dumps({"n" * 4096: "v"}))
        rules = [{"source": f"(?:.?){{900}}@{number}", "target": ""} for number in range(20)]
        await tenant.write_all(
            {"dataFrom": {"secretRef": {"name": name}, "rewrite": [*rules[number:], *rules[:number]]}}
            for number in range(12)
        )
        await scene.stay()


async def much_data_for_templates(scene: Scene) -> None:
    """Objects with hundreds of templates, all of which get nearly four megabytes of `.Data`."""
    async with scene.tenant() as tenant:
        name = tenant.secret("large", "x" * 65_000)
        large = [{**whole(f"d{number}", name)} for number in range(15)]
        spec = {
            "data": [*large, *(template(f"t{number}", f"{{{{ len .Data }}}}{number}") for number in range(400))]
        }
        await tenant.write_all(spec for _ in range(6))
        await scene.stay()


async def refused_writes(scene: Scene) -> None:
    """Large Secrets that the API server refuses, so that its message is searched for all of their values."""
    async with scene.tenant() as tenant:
        large = {"example.com/a": "x" * (150 << 10)}
        names = [f"o-{number}" for number in range(12)]
        for name in names:
            metadata = {"namespace": tenant.space.name, "name": name, "annotations": large}
            await scene.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        value = tenant.secret("large", "".join(scene.rand.choices("abcdefghij", k=65_000)))
        data = [whole(f"k{number}", value) for number in range(15)]
        too_large = {"annotations": {"example.com/b": "x" * (150 << 10)}}
        await tenant.write_all({"data": data, "secretMetadata": too_large} for _ in names)
        await scene.stay()


KINDS = table(
    one_secret_again,
    one_search_again,
    short_searches,
    filters_beside_many_reads,
    many_values_of_a_tag,
    many_expressions,
    slow_rules,
    much_data_for_templates,
    refused_writes,
)
