"""What `kubectl apply` refuses and warns of, objects from before the rules, and selecting by a field."""

from __future__ import annotations

import json

import pytest

from tests.support.crd import without_rules
from tests.support.eventually import eventually
from tests.support.specs import key, literal

pytestmark = pytest.mark.real

DATA = [literal("a", "1")]
BAD = {"data": [literal("a", "1"), {"name": "b", "valueFrom": {"template": "t", "secretRef": {"name": "s"}}}]}
WORDS = "spec.data[1].valueFrom: exactly one of secretRef, secretKeyRef, parameterRef and template must be set"


@pytest.fixture
def apply(kubectl, space):
    """Apply a SyncedSecret with this spec: returns whether it worked, and what kubectl says."""

    async def run(name, spec, *options):
        manifest = {
            "apiVersion": "secrets.contentful.com/v1",
            "kind": "SyncedSecret",
            "metadata": {"name": name, "namespace": space.name},
            "spec": spec,
        }
        code, said = await kubectl.attempt("apply", "-f", "-", *options, stdin=json.dumps(manifest))
        return code == 0, said

    return run


async def test_a_broken_rule_is_refused_in_the_words_of_the_condition(operator, space, apply):
    worked, said = await apply("demo", BAD)
    assert not worked
    assert WORDS in said
    assert await space.synced("demo") is None
    async with without_rules(space.cluster):
        assert (await apply("demo", BAD))[0]
    assert await space.until_failed("demo", "InvalidSpec") == WORDS


async def test_an_object_from_before_the_rules_keeps_its_status_and_is_repaired_by_apply(operator, space, apply):
    async with without_rules(space.cluster):
        assert (await apply("demo", BAD))[0]
        assert (await apply("leaving", {**BAD, "deletionPolicy": "Delete"}))[0]
    await space.until_failed("demo", "InvalidSpec")
    worked, said = await apply("demo", {**BAD, "suspend": True})
    assert worked, said
    assert await space.until_failed("demo", "InvalidSpec") == WORDS, "the status of the new generation is written"
    assert WORDS in (await apply("demo", {"data": [literal("a", "2"), *BAD["data"][1:]]}))[1]
    worked, said = await apply("demo", {"data": DATA})
    assert worked, said
    await space.until_data("demo", {"a": b"1"})
    await space.until_synced("demo")
    await space.cluster.delete("SyncedSecret", space.name, "leaving")
    assert await space.synced("leaving") is None


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"data": DATA, "iamRole": "reader"}, "spec.iamRole"),
        ({"data": [{"name": "a", "vlue": "1"}]}, "spec.data[0].vlue"),
        ({"data": [{"name": "a", "secretKeyRef": {"name": "s"}}]}, "spec.data[0].secretKeyRef"),
    ],
)
async def test_an_unknown_field_is_refused_or_a_warning_as_kubectl_is_asked(cluster, space, apply, spec, field):
    for option in ([], ["--validate=strict"], ["--validate=true"]):
        worked, said = await apply("demo", spec, *option)
        assert not worked
        assert f'unknown field "{field}"' in said
    worked, said = await apply("demo", spec, "--validate=warn")
    assert worked, said
    assert f'Warning: unknown field "{field}"' in said


async def test_there_is_no_default_that_an_applied_object_gets(cluster, space, apply):
    spec = {"data": [key("a", "s", "k")], "dataFrom": {"secretRef": {"name": "s"}}, "target": {}}
    assert (await apply("demo", spec))[0]
    assert (await space.synced("demo"))["spec"] == spec


async def test_objects_are_selected_by_role_and_by_the_name_of_the_secret(kubectl, cluster, space):
    await space.write("a", IAMRole="reader", data=DATA, suspend=True)
    await space.write("b", IAMRole="writer", data=DATA, target={"name": "other"}, suspend=True)
    await space.write("c", data=DATA, suspend=True)

    async def names(what, selector):
        found = await kubectl("get", what, "-n", space.name, "-o", "name", "--field-selector", selector)
        return [line.rpartition("/")[2] for line in found.split()]

    assert await names("ss", "spec.IAMRole=reader") == ["a"]
    assert await names("ss", "spec.IAMRole!=reader") == ["b", "c"]
    assert await names("ss", "spec.IAMRole=") == ["c"]
    assert await names("ss", "spec.target.name=other") == ["b"]

    async def of_the_category():  # kubectl remembers for some minutes what a server has
        assert await names("secretsyncer", "spec.IAMRole=writer") == ["b"]

    await eventually(of_the_category)


async def test_the_objects_are_in_a_category_of_their_own_and_not_in_all(kubectl, cluster, space):
    await space.write("demo", data=DATA, suspend=True)
    assert "syncedsecret" not in await kubectl("get", "all", "-n", space.name, "-o", "name")
