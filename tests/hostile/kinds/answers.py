"""What AWS answers, or what somebody on the way answers in its place.

A lie about the listing is one for everybody: while it lasts, only what Secrets must not show is looked at. An answer to
one role must harm that role alone.
"""

from __future__ import annotations

from tests.hostile.kinds.table import Kind, table
from tests.hostile.scene import Scene
from tests.support.specs import template, whole

_LIST = "ListSecrets"
_LIES = {
    "empty-listing": "empty-list",
    "half-listing": "half-list",
    "malformed-listing": "odd-list",
    "null-listing": "body:null",
    "listing-without-a-list": "no-list",
    "odd-listing": "odd-fields",
    "html-listing": "html",
    "slow-listing": "slow",
}
_OF_A_ROLE = (
    "null",
    "odd-fields",
    "html",
    "truncated",
    "cut",
    "reset",
    "throttle",
    "500",
    "expired",
    "denied",
    "hang",
)


def _lie(fault: str) -> Kind:
    async def kind(scene: Scene) -> None:
        async with scene.benign.untrue(), scene.fault(fault, operation=_LIST):
            await scene.stay()

    return kind


async def odd_answers(scene: Scene) -> None:
    """One role gets every wrong answer to its reads, one after the other."""
    async with scene.tenant() as tenant:
        names = [tenant.secret(f"s-{number}", "v", **{tenant.name: "1"}) for number in range(30)]
        body = f"{{{{ range $id, $_ := filterByTagKey .Secrets `{tenant.name}` }}}}{{{{ getSecretValue $id }}}}{{{{ end }}}}"
        for fault in scene.rand.sample(_OF_A_ROLE, 4):
            async with scene.fault(fault, role=tenant.role):
                specs = [{"data": [whole("a", name), template("b", body + fault)]} for name in names]
                await tenant.write_all(specs)
                await scene.stay()


async def odd_sessions(scene: Scene) -> None:
    """AssumeRole answers one role with what is no credential."""
    async with scene.tenant() as tenant:
        name = tenant.secret("a", "v")
        for fault in scene.rand.sample(_OF_A_ROLE, 2):
            async with scene.fault(fault, operation="AssumeRole", role=tenant.role):
                await tenant.write_all(
                    {"data": [whole("a", name)], "roleSessionName": f"{fault}-{number}"} for number in range(20)
                )
                await scene.stay()


KINDS = {**{name: _lie(fault) for name, fault in _LIES.items()}, **table(odd_answers, odd_sessions)}
