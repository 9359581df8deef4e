"""The last good content of an object, and when a template that selects nothing fails."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.errors import Rejected
from secretsyncer.sync import status
from secretsyncer.sync.last_good import in_use
from secretsyncer.sync.observed import synced_secret_view
from secretsyncer.sync.stubs import stub_of_object
from tests.support.builders import secret_arn, synced_secret
from tests.support.core import KEY, Core
from tests.support.specs import all_keys, key, literal, template

LOOP = '{{ range $n, $_ := filterByTagKey .Secrets "team" }}{{ getSecretValue $n }} {{ end }}'
NAMES = '{{ range $n, $_ := filterByTagKey .Secrets "team" }}{{ $n }} {{ end }}'


def source(name, region="eu-west-1"):
    return status.Source(name, secret_arn(name).replace("eu-west-1", region), "v1")


def with_status(*sources, generation=1, observed=1, **spec):
    obj = synced_secret(generation=observed, **spec)
    obj["status"] = status.synced({}, generation=generation, sources=sources, keys=1, now=0.0)
    return obj


# What a listing should show


def test_the_sources_of_all_objects_are_in_use():
    objects = [with_status(source("a"), source("b")), with_status(source("b"), source("c")), synced_secret()]
    assert set(in_use(objects, "eu-west-1")) == {secret_arn(name) for name in "abc"}


def test_the_sources_of_an_older_generation_are_not_expected_any_more():
    assert list(in_use([with_status(source("a"), generation=1, observed=2)], "eu-west-1")) == []


def test_of_more_sources_than_a_status_lists_the_generation_tells():
    sources = [source(f"s{n}") for n in range(status.SOURCES_LIMIT + 5)]
    assert len(list(in_use([with_status(*sources)], "eu-west-1"))) == status.SOURCES_LIMIT
    assert list(in_use([with_status(*sources, generation=1, observed=2)], "eu-west-1")) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"region": "us-west-2"},
        {"dataFrom": {"secretRef": {"name": "a", "region": "us-west-2"}}},
        {"dataFrom": {"secretRef": {"name": "arn:aws:secretsmanager:us-west-2:123456789012:secret:a"}}},
    ],
)
def test_a_source_of_a_region_that_the_object_names_is_not_expected_in_another(spec):
    assert list(in_use([with_status(source("a", "us-west-2"), **spec)], "eu-west-1")) == []


def test_a_source_of_another_region_is_expected_unless_a_spec_names_that_region():
    assert len(list(in_use([with_status(source("a", "us-west-2"), dataFrom=all_keys("a"))], "eu-west-1"))) == 1


def test_a_source_of_another_region_is_not_expected_if_the_spec_is_not_known():
    objects = [with_status(source("a", "us-west-2"), source("b"), dataFrom=all_keys("a"))]
    stubs = [stub_of_object(synced_secret_view(obj)) for obj in objects]
    assert list(in_use(stubs, "eu-west-1")) == [secret_arn("b")]


@pytest.mark.parametrize("broken", [None, {}, [5], [{"name": 5}], [{"arn": None}]])
def test_a_malformed_status_has_no_sources(broken):
    obj = synced_secret()
    obj["status"] = {"sources": broken, "generatedSecretHash": "x", "observedGeneration": 1}
    assert list(in_use([obj], "eu-west-1")) == []


# A Secret that must not be emptied


@pytest.fixture
async def core(engine):
    made = Core(engine)
    for name in ("one", "two"):
        made.world.create(name, f"value of {name}", tags={"team": "web"})
    made.world.create("other", '{"k": "v"}')
    await made.list_aws()
    return made


async def settled(core):
    """Reconcile once the watch has shown everything."""
    await asyncio.sleep(0.1)
    return await reconcile(core)


async def reconcile(core):
    try:
        await core.reconciler.reconcile(KEY)
    except Rejected as failure:
        return failure.message
    return ""


@pytest.mark.parametrize("text", [LOOP, NAMES])
async def test_a_template_that_loses_all_that_it_selected_keeps_its_secret(core, text):
    core.cluster.put(synced_secret(template("conf", text)))
    assert await settled(core) == ""
    before = core.data()
    for name in ("one", "two"):
        core.world.tag(name, {"team": None})
    await core.list_aws()
    for _ in range(2):
        assert "filterByTagKey selects none of the listed AWS secrets any more" in await settled(core)
        assert core.data() == before
        assert core.ready()["reason"] == "SecretNotFound"
    core.world.tag("one", {"team": "web"})
    await core.list_aws()
    assert await settled(core) == ""
    assert core.data() != before


async def test_after_a_restart_the_status_shows_that_a_template_selected_something(core):
    core.cluster.put(synced_secret(template("conf", LOOP)))
    assert await settled(core) == ""
    before, said = core.data(), core.cluster.synced_secret(KEY)["status"]
    assert len(said["sources"]) == 2
    again = Core(core.engine)
    again.world.create("other", "x")
    await again.list_aws()
    again.cluster.put({**synced_secret(template("conf", LOOP)), "status": said})
    again.cluster.put(core.cluster.secret(KEY))
    assert "selects none of the listed AWS secrets any more" in await settled(again)
    assert again.data() == before


async def test_an_edit_of_the_template_or_allow_empty_lets_it_select_nothing(core):
    core.cluster.put(synced_secret(template("conf", NAMES)))
    assert await settled(core) == ""
    for name in ("one", "two"):
        core.world.tag(name, {"team": None})
    await core.list_aws()
    assert await settled(core)
    core.cluster.put(synced_secret(template("conf", NAMES + "!")))
    assert await settled(core) == ""
    assert core.data() == {"conf": b"!"}
    core.cluster.put(synced_secret(template("conf", NAMES), allowEmpty=True))
    assert await settled(core) == ""
    assert core.data() == {"conf": b""}


async def test_a_null_in_an_optional_data_from_keeps_the_secret(core):
    core.world.create("db", '{"user": "app", "password": "pw1", "dbname": "main"}')
    await core.list_aws()
    core.cluster.put(synced_secret(dataFrom={"secretRef": {"name": "db", "optional": True}}))
    assert await settled(core) == ""
    before = core.data()
    assert before == {"user": b"app", "password": b"pw1", "dbname": b"main"}
    core.world.put("db", '{"user": "app", "password": "pw2", "dbname": null}')
    await core.list_aws()
    assert await settled(core) == "dataFrom: AWS secret db has null at key 'dbname'"
    assert core.data() == before
    core.world.delete("db", force=True)
    await core.list_aws()
    assert "everything optional is absent" in await settled(core)
    assert core.data() == before


async def test_what_a_role_may_not_read_is_absent_only_if_a_listing_of_this_round_shows_that(core):
    core.world.role("blind", read=[])
    item = {"name": "b", "valueFrom": {"secretRef": {"name": "later", "optional": True}}}
    core.cluster.put(synced_secret(literal("a", "1"), item, IAMRole="blind"))
    assert await settled(core) == ""
    assert core.data() == {"a": b"1"}
    await core.list_aws(fails=True)
    assert "is not allowed to read secret later" in await settled(core)
    assert core.ready()["reason"] == "AccessDenied"
    core.world.create("later", "x")
    await core.list_aws()
    assert "is not allowed to read secret later" in await settled(core)


async def test_an_optional_key_of_a_secret_that_is_there_goes_alone(core):
    optional = {"name": "gone", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k", "optional": True}}}
    core.cluster.put(synced_secret(optional, key("also", "other", "l")))
    core.world.put("other", '{"k": "v", "l": "w"}')
    await core.list_aws()
    assert await settled(core) == ""
    assert core.data() == {"gone": b"v", "also": b"w"}
    core.world.put("other", '{"l": "w"}')
    await core.list_aws()
    assert await settled(core) == ""
    assert core.data() == {"also": b"w"}
