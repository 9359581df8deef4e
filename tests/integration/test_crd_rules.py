"""What a real API server refuses by the rules of our CRD, in which words, and what it keeps accepting.

The definition is installed under a group of its own, so that other tests do not see it change.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import uuid
from typing import Annotated, ClassVar

import pytest
import pytest_asyncio
from pydantic import Field, ValidationError

from generate import crd
from secretsyncer.synced_secret.fields import Fields, at_least_one_of, at_most_one_of
from secretsyncer.synced_secret.formats import Format
from tests.support.broken_rules import BROKEN, GOOD, TAKEN_OVER, condition_of
from tests.support.cluster import Cluster
from tests.support.crd import nodes
from tests.support.eventually import eventually
from tests.support.specs import key

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
LONG_ARN = f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{'n' * 150}"


Word = Annotated[
    str, Field(max_length=20, description="A word."), Format('"?[a-z%]+', 'must be "lower case", 100 %')
]


class Leaf(Fields):
    """What is deep in an object."""

    rules: ClassVar = (at_most_one_of("one", "other", "yes"),)

    one: Word | None = None
    """One."""

    other: tuple[Word, ...] | None = Field(None, max_length=5)
    """Other."""

    yes: bool = False
    """Yes or no."""


class Branch(Fields):
    """What has leaves."""

    rules: ClassVar = (at_least_one_of("leaves", "named", "leaf.one"),)

    leaves: tuple[Leaf, ...] | None = Field(None, max_length=5)
    """In a list."""

    named: dict[str, Leaf] | None = Field(None, max_length=5)
    """By names."""

    leaf: Leaf | None = None
    """By itself."""


class Tree(Fields):
    """Lists and maps in each other, as future fields may have them."""

    branches: tuple[Branch, ...] | None = Field(None, max_length=5)
    """In a list."""

    named: dict[str, Branch] | None = Field(None, max_length=5)
    """By names."""


class Installed:
    """A definition like ours under a random group, and objects of it in the namespace `default`."""

    def __init__(self, admin, spec=None, probe=BROKEN[0]):
        self.admin = admin
        self.probe = probe
        self.spec = spec or crd.schema()["properties"]["spec"]
        self.group = f"g{uuid.uuid4().hex[:8]}.example.com"
        self.path = f"/apis/{self.group}/v1/namespaces/default/syncedsecrets"

    def definition(self, *, rules):
        made = copy.deepcopy(crd.definition())
        made["metadata"]["name"] = f"syncedsecrets.{self.group}"
        made["spec"]["group"] = self.group
        made["spec"]["versions"][0].pop("selectableFields")
        made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = copy.deepcopy(self.spec)
        if not rules:
            for _, node in nodes(made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]):
                node.pop("x-kubernetes-validations", None)
        return made

    async def install(self, *, rules=True):
        """Install it with or without its rules, and wait until the server applies it."""
        reply = await self.admin.request("POST", DEFINITIONS, self.definition(rules=rules))
        if reply.status == 409:
            name = f"{DEFINITIONS}/syncedsecrets.{self.group}"
            patch = {"spec": self.definition(rules=rules)["spec"]}
            reply = await self.admin.request("PATCH", name, patch, MERGE)
        assert reply.status < 300, reply.body

        async def applied():
            reply = await self.create("probe", self.probe, dry_run=True)
            assert reply.status == (422 if rules else 201), reply.body

        await eventually(applied)

    async def create(self, name, spec, *, dry_run=False):
        body = {
            "apiVersion": f"{self.group}/v1",
            "kind": "SyncedSecret",
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self.admin.request("POST", self.path + "?dryRun=All" * dry_run, body)

    async def patch(self, name, patch):
        return await self.admin.request("PATCH", f"{self.path}/{name}", patch, MERGE)

    async def drop(self):
        await self.admin.request("DELETE", f"{DEFINITIONS}/syncedsecrets.{self.group}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(real_server):
    async with Cluster(real_server) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed(admin):
    """The definition with its rules."""
    made = Installed(admin)
    await made.install()
    yield made
    await made.drop()


@pytest_asyncio.fixture(loop_scope="module")
async def from_before(admin):
    """The definition without rules, yet."""
    made = Installed(admin)
    await made.install(rules=False)
    yield made
    await made.drop()


def words_of(reply):
    """A refusal by a rule, as the condition says it: without the text that is wrong, which Kubernetes adds since 1.34.

    Of objects and lists it must show the type only, because they may have values in them.
    """
    assert reply.status == 422, reply.body
    (cause,) = reply.body["details"]["causes"]
    before, said = cause["message"].split(": ", 1)
    assert before == "Invalid value"
    if said.startswith('"'):
        shown, end = json.JSONDecoder().raw_decode(said)
        said = said[end:].removeprefix(": ")
        assert shown in {"object", "array"} or isinstance(shown, str)
    field = re.sub(r"\[(\w+)\]", r".\1", cause["field"])  # the key of a map
    return said if said.startswith("spec") else f"{field}: {said}"


def refusal_of(spec):
    """The condition. In a list in a list, the rule knows the number of the outer item only."""
    return re.sub(r"(?<=\])(\.\w+)*\[\d+\]", r"\1[]", condition_of(spec))


@pytest.mark.parametrize("spec", BROKEN, ids=condition_of)
async def test_the_server_refuses_in_the_words_of_the_condition(installed, spec):
    assert words_of(await installed.create("bad", spec, dry_run=True)) == refusal_of(spec)


async def test_an_update_that_breaks_a_rule_is_refused_too(installed):
    assert (await installed.create("good", GOOD)).status == 201
    for spec in BROKEN:
        assert words_of(await installed.patch("good", {"spec": spec})) == refusal_of(spec)


async def test_the_server_accepts_what_the_go_operator_accepts(installed):
    refused = {
        name: reply.body
        for name, spec in TAKEN_OVER.items()
        if (reply := await installed.create("taken-over", spec, dry_run=True)).status != 201
    }
    assert refused == {}


@pytest.mark.parametrize(
    "spec",
    [
        {"data": [key(f"k{number}{'x' * 240}", LONG_ARN, "k" * 100) for number in range(1000)]},
        {"dataFrom": {"secretRefs": [{"name": LONG_ARN, "versionStage": "s" * 256}] * 1000}},
        {"dataFrom": {"entries": [{"secretRef": {"name": LONG_ARN}}] * 100}},
        {"secretMetadata": {"labels": {f"{'p' * 249}{number:04}/{'n' * 63}": "v" * 63 for number in range(1000)}}},
        {"secretMetadata": {"annotations": {f"{'p' * 249}{number:04}/{'n' * 63}": "v" for number in range(400)}}},
    ],
    ids=["data", "secretRefs", "entries", "labels", "annotations"],
)
async def test_the_largest_objects_do_not_cost_too_much(installed, spec):
    reply = await installed.create("large", spec, dry_run=True)
    assert reply.status == 201, str(reply.body)[:2000]


async def test_an_object_from_before_the_rules_stays_usable_and_can_be_repaired(from_before):
    for number, spec in enumerate(BROKEN):
        assert (await from_before.create(f"old-{number}", spec)).status == 201
    await from_before.install(rules=True)
    await asyncio.gather(*(stays_usable(from_before, f"old-{number}", spec) for number, spec in enumerate(BROKEN)))


async def stays_usable(installed, name, spec):
    found = await installed.admin.request("GET", f"{installed.path}/{name}")
    assert found.body["spec"] == spec
    status = {"observedGeneration": 1, "conditions": []}
    reply = await installed.patch(f"{name}/status", {"status": status})
    assert reply.body.get("status") == status, (spec, reply.body)
    for change in (
        {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/a"]}},
        {"metadata": {"finalizers": None}},
        {"spec": {"suspend": True}},
    ):
        reply = await installed.patch(name, change)
        assert reply.status == 200, (spec, change, reply.body)
    repaired = {**dict.fromkeys(spec), **GOOD}
    reply = await installed.patch(name, {"spec": repaired})
    assert reply.status == 200, (spec, reply.body)
    assert words_of(await installed.patch(name, {"spec": spec})) == refusal_of(spec), "once repaired, it stays so"
    reply = await installed.admin.request("DELETE", f"{installed.path}/{name}")
    assert reply.status == 200, reply.body


BAD_LEAF = {"one": "ONE"}
BAD_TREES = [
    ({"branches": [{}]}, "spec.branches[0]: at least one of leaves, named and leaf.one must be set"),
    ({"branches": [{"leaf": BAD_LEAF}]}, 'spec.branches[0].leaf.one: must be "lower case", 100 %'),
    (
        {"branches": [{"leaves": [{}]}, {"leaves": [{}, BAD_LEAF]}]},
        'spec.branches[1].leaves[].one: must be "lower case", 100 %',
    ),
    (
        {"branches": [{"leaves": [{}, {"one": "a", "yes": True}]}]},
        "spec.branches[0].leaves[]: one, other and yes are mutually exclusive",
    ),
    (
        {"branches": [{"named": {"a": {"other": ["b", "C"]}}}]},
        'spec.branches[0].named[].other[]: must be "lower case", 100 %',
    ),
    ({"named": {"x": {"leaf": BAD_LEAF}}}, 'spec.named.x.leaf.one: must be "lower case", 100 %'),
    ({"named": {"x": {"leaves": [{}, BAD_LEAF]}}}, 'spec.named[].leaves[1].one: must be "lower case", 100 %'),
    ({"named": {"x": {"leaf": {}}}}, "spec.named.x: at least one of leaves, named and leaf.one must be set"),
]
GOOD_TREES = [
    {},
    {"branches": [], "named": {}},
    {"branches": [{"leaf": {"one": '"a%'}}, {"leaves": [{"one": "a", "other": [], "yes": False}]}]},
    {"named": {"x": {"named": {"a": {"other": ["b"]}}}}},
]


async def test_rules_reach_into_lists_and_maps(admin):
    installed = Installed(admin, crd.checked(Tree, "spec"), BAD_TREES[0][0])
    await installed.install()
    for spec in GOOD_TREES:
        Tree.model_validate(spec)
        assert (await installed.create("good", spec, dry_run=True)).status == 201, spec
    for spec, words in BAD_TREES:
        with pytest.raises(ValidationError):
            Tree.model_validate(spec)
        assert words_of(await installed.create("bad", spec, dry_run=True)) == words
    await installed.drop()
