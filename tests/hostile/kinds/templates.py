"""Templates that print, run or ask without end."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.hostile.kinds.table import table
from tests.hostile.scene import Scene
from tests.support.specs import template


async def large_output(scene: Scene) -> None:
    """330 templates that print 1.5 MB each."""
    async with scene.tenant() as tenant:
        body = '{{ printf "%1500000s" "x" }}'
        await tenant.write("output", data=[template(f"k{number}", body) for number in range(330)])
        await scene.stay()


def _loop(text: str) -> str:
    """A template that prints the text for hours."""
    return "{{ range $.Secrets }}" * 6 + text + "{{ end }}" * 6


async def endless_loops(scene: Scene) -> None:
    """Twenty objects whose templates never end."""
    async with scene.tenant() as tenant:
        again = '{{ define "a" }}{{ template "a" }}{{ template "a" }}{{ end }}{{ template "a" }}'
        specs = [{"data": [template("a", _loop(f"x{number}")), template("b", again)]} for number in range(20)]
        await tenant.write_all(specs)
        await scene.stay()


async def new_loops(scene: Scene) -> None:
    """Ever new templates that never end, in twelve namespaces."""
    async with AsyncExitStack() as stack:
        tenants = [await stack.enter_async_context(scene.tenant()) for _ in range(12)]
        for turn in range(5):
            for tenant in tenants:
                await tenant.write(f"n-{turn}", data=[template("a", _loop(f"{turn} {tenant.name}"))])
            await scene.stay()


async def many_filters(scene: Scene) -> None:
    """Hundreds of thousands of different filters."""
    async with scene.tenant() as tenant:
        body = (
            "{{ range $a, $_ := .Secrets }}{{ range $b, $_ := $.Secrets }}"
            "{{ $_ := filterByTag $.Secrets (printf `%s-%s` $a $b) `v` }}{{ end }}{{ end }}"
        )
        await tenant.write_all({"data": [template("a", f"{number}{body}")]} for number in range(5))
        await scene.stay()


async def memory_in_templates(scene: Scene) -> None:
    """Templates that double a text until their memory ends."""
    async with scene.tenant() as tenant:
        body = '{{ $x := "xxxxxxxxxxxxxxxx" }}' + "{{ $x = printf `%s%s` $x $x }}" * 30 + "{{ $x }}"
        await tenant.write_all({"data": [template("a", f"{number}{body}")]} for number in range(8))
        await scene.stay()


async def hints(scene: Scene) -> None:
    """Filters that select the secrets of the honest tenants, which this role may not read."""
    async with scene.tenant() as tenant:
        select = "{{ range $id, $_ := filterByTagKey .Secrets `benign` }}{{ $id }}{{ end }}"
        read = "{{ range $id, $_ := filterByTagKey .Secrets `benign` }}{{ getSecretValue $id }}{{ end }}"
        for turn in range(4):
            await tenant.write("names", data=[template("a", f"{select}{turn}")])
            await tenant.write("values", data=[template("a", f"{read}{turn}")])
        await scene.stay()


async def question_after_question(scene: Scene) -> None:
    """Templates that learn from each secret the name of the next."""
    async with scene.tenant() as tenant:
        names = [tenant.secret(f"s-{number}", f"{tenant.prefix}s-{number + 1}") for number in range(60)]
        body = f"{{{{ $x := `{names[0]}` }}}}" + "{{ $x = getSecretValue $x }}" * 59
        await tenant.write_all({"data": [template("a", f"{number}{body}")]} for number in range(10))
        await scene.stay()


async def long_tags(scene: Scene) -> None:
    """200 secrets with 50 long tags each, which every template with .Secrets sees."""
    async with scene.tenant() as tenant:
        tags = {f"{number:03}{'t' * 125}": "v" * 256 for number in range(50)}
        for number in range(200):
            tenant.secret(f"s-{number}", "v", **tags)
        await tenant.write("tags", data=[template("a", "{{ range $id, $_ := .Secrets }}{{ $id }} {{ end }}")])
        await scene.stay()


KINDS = table(
    large_output,
    endless_loops,
    new_loops,
    many_filters,
    memory_in_templates,
    hints,
    question_after_question,
    long_tags,
)
