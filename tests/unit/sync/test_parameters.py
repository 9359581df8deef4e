"""Objects made from parameters: reconciles, their status, and what makes them reconcile again."""

from __future__ import annotations

import asyncio

import pytest

from secretsyncer.aws.services import PARAMETER_STORE, SECRETS_MANAGER
from secretsyncer.errors import Reason
from secretsyncer.kube.objects import Key
from secretsyncer.kube.store import EventKind
from secretsyncer.sync.authorize import NAMESPACE_TYPE_LABEL, NAMESPACE_TYPE_TAG
from secretsyncer.sync.users import Users, used_services
from tests.support.builders import namespace, synced_secret
from tests.support.core import Core, InlineEngine
from tests.support.specs import all_keys, key, literal, parameter, template

pytestmark = pytest.mark.looptime


@pytest.fixture
async def core(engine):
    return Core(InlineEngine(engine))


async def sync(core, *items, **spec):
    """Put an object, list AWS and work until it is ready or fails."""
    core.cluster.put(synced_secret(*items, **spec))
    await core.list_aws()
    await core.list_parameters()


def put(core, name, value, **more):
    return core.world.parameters.put(name, value, **more)


async def until_true(what):
    """Virtual time passes until this holds."""
    for _ in range(600):
        if what():
            return
        await asyncio.sleep(0.5)
    pytest.fail("it never did")


async def until(core, data):
    await until_true(lambda: core.data() == data)


async def until_reason(core, reason):
    await until_true(lambda: core.ready().get("reason") == reason)
    return core.ready()["message"]


async def test_a_parameter_its_key_and_its_path_become_keys_of_the_secret(core):
    made = put(core, "/app/db", '{"user": "u", "deep": [{"port": 5432}]}')
    await sync(
        core,
        parameter("whole", "/app/db"),
        parameter("user", made.arn, key="user"),
        parameter("port", "/app/db", jmesPath="deep[0].port"),
        parameter("none", "/app/none", default="fallback"),
    )
    async with core.running():
        await until(
            core,
            {
                "whole": b'{"user": "u", "deep": [{"port": 5432}]}',
                "user": b"u",
                "port": b"5432",
                "none": b"fallback",
            },
        )


async def test_the_status_has_the_service_and_the_number_of_the_version(core):
    put(core, "/app/a", "one")
    made = put(core, "/app/a", "two")
    await sync(core, parameter("a", "/app/a"))
    async with core.running():
        assert await until_reason(core, "Synced") == "1 key from 1 parameter"
    status = core.cluster.synced_secret(Key("team", "demo"))["status"]
    assert status["sources"] == [{"service": "ParameterStore", "name": "/app/a", "arn": made.arn, "versionID": "2"}]
    assert status["currentVersionID"] == "2"


async def test_secrets_and_parameters_feed_one_object(core):
    core.world.create("app", '{"a": "secret"}')
    put(core, "/app/b", "parameter")
    await sync(core, key("a", "app", "a"), parameter("b", "/app/b"))
    async with core.running():
        assert await until_reason(core, "Synced") == "2 keys from 1 AWS secret and 1 parameter"
    assert core.data() == {"a": b"secret", "b": b"parameter"}


async def test_a_new_version_reaches_the_secret(core):
    put(core, "/app/a", "one")
    await sync(core, parameter("a", "/app/a"))
    async with core.running():
        await until(core, {"a": b"one"})
        put(core, "/app/a", "two")
        await core.list_parameters()
        await until(core, {"a": b"two"})


async def test_parameters_come_after_secrets_and_later_ones_win(core):
    core.world.create("app", '{"a": "secret", "b": "secret", "c": "secret", "d": "secret"}')
    put(core, "/app/b", "path")
    put(core, "/app/c", "path")
    put(core, "/config", '{"c": "name"}')
    await sync(
        core,
        dataFrom={**all_keys("app"), "parameters": [{"path": "/app/"}, {"name": "/config"}]},
        data=[literal("d", "data")],
    )
    async with core.running():
        await until(core, {"a": b"secret", "b": b"path", "c": b"name", "d": b"data"})


async def test_a_path_takes_the_rest_of_the_name_and_rewrite_makes_it_a_key(core):
    put(core, "/app/prod/db/password", "p")
    put(core, "/app/prod/url", "u")
    put(core, "/app/production/url", "another path")
    rewrite = [{"source": "/", "target": "_"}]
    await sync(core, dataFrom={"parameters": [{"path": "/app/prod"}], "rewrite": rewrite})
    async with core.running():
        await until(core, {"db_password": b"p", "url": b"u"})


async def test_a_path_that_is_not_recursive_takes_one_level(core):
    put(core, "/app/prod/db/password", "p")
    put(core, "/app/prod/url", "u")
    await sync(core, dataFrom={"parameters": [{"path": "/app/prod/", "recursive": False}]})
    async with core.running():
        await until(core, {"url": b"u"})


async def test_merged_parameters_are_taken_in_the_order_of_their_names(core):
    put(core, "/app/2", '{"b": "2", "c": "2"}')
    put(core, "/app/1", '{"a": "1", "b": "1"}')
    await sync(core, dataFrom={"parameters": [{"path": "/app/", "merge": True}]})
    async with core.running():
        await until(core, {"a": b"1", "b": b"2", "c": b"2"})


async def test_a_parameter_that_appears_or_disappears_below_a_path_is_noticed(core):
    put(core, "/app/a", "1")
    await sync(core, dataFrom={"parameters": [{"path": "/app/"}]})
    async with core.running():
        await until(core, {"a": b"1"})
        put(core, "/app/b", "2")
        put(core, "/other/c", "3")
        await core.list_parameters()
        await until(core, {"a": b"1", "b": b"2"})
        core.world.parameters.delete("/app/a")
        await core.list_parameters()
        await until(core, {"b": b"2"})


async def test_a_path_with_nothing_below_it_does_not_empty_the_secret(core):
    put(core, "/app/a", "1")
    put(core, "/other/a", "1")
    await sync(core, dataFrom={"parameters": [{"path": "/app/"}]})
    async with core.running():
        await until(core, {"a": b"1"})
        core.world.parameters.delete("/app/a")
        await core.list_parameters()
        message = await until_reason(core, "SecretNotFound")
    assert message == "dataFrom: the path /app/ matches none of the listed parameters"
    assert core.data() == {"a": b"1"}


async def test_a_path_waits_for_the_first_listing(core):
    put(core, "/app/a", "1")
    core.cluster.put(synced_secret(dataFrom={"parameters": [{"path": "/app/"}]}))
    core.cluster.put(
        synced_secret(template("t", '{{ range getParameters "/app/" }}{{ . }}{{ end }}'), name="other", uid="2")
    )
    other = Key("team", "other")
    async with core.running():
        await asyncio.sleep(30)
        assert (core.ready(), core.ready(other), core.events) == ({}, {}, [])
        assert core.count("unavailable") == 0
        before = asyncio.get_running_loop().time()
        await core.list_parameters()
        await until_true(lambda: (core.data(), core.data(other)) == ({"a": b"1"}, {"t": b"1"}))
        assert asyncio.get_running_loop().time() - before < 2
    assert {kind for kind, *_ in core.events} == {"Normal"}


async def test_a_first_listing_that_fails_is_reported(core):
    put(core, "/app/a", "1")
    core.cluster.put(synced_secret(dataFrom={"parameters": [{"path": "/app/"}]}))
    async with core.running():
        await asyncio.sleep(1)
        core.aws.parameter_catalogue = core.aws.parameter_catalogue.at_round(1)
        message = await until_reason(core, "AWSUnavailable")
        assert "the list of parameters, which has not been read yet" in message
        await core.list_parameters()
        await until(core, {"a": b"1"})


async def test_templates_read_parameters_in_as_few_rounds_as_secrets(core):
    put(core, "/app/url", "https://x")
    for number in range(30):
        put(core, f"/app/hosts/{number:02}", f"h{number}")
    text = (
        '{{ getParameter "/app/url" }}{{ range $k, $v := getParameters "/app/hosts/" }} {{ $k }}={{ $v }}{{ end }}'
    )
    await sync(core, template("t", text))
    async with core.running():
        await until(core, {"t": b"https://x" + b"".join(b" %02d=h%d" % (n, n) for n in range(30))})
        assert core.calls["GetParameters"] <= 5
        put(core, "/app/hosts/00", "new")
        await core.list_parameters()
        await until_true(lambda: core.data()["t"].startswith(b"https://x 00=new"))
        core.world.parameters.delete("/app/hosts/01")
        await core.list_parameters()
        await until_true(lambda: b"01=" not in core.data()["t"])


async def test_a_template_with_a_path_that_can_select_nothing_fails(core):
    put(core, "/app/a", "1")
    await sync(core, template("t", '{{ range getParameters "app/" }}{{ . }}{{ end }}'))
    async with core.running():
        message = await until_reason(core, "InvalidSpec")
    assert "a path of getParameters does not begin with a slash" in message


async def test_a_template_whose_path_loses_everything_keeps_the_secret(core):
    put(core, "/app/a", "1")
    put(core, "/other", "1")
    await sync(core, template("t", '{{ range getParameters "/app/" }}{{ . }}{{ end }}'))
    async with core.running():
        await until(core, {"t": b"1"})
        core.world.parameters.delete("/app/a")
        await core.list_parameters()
        message = await until_reason(core, "SecretNotFound")
    assert "getParameters selects none of the listed parameters any more" in message
    assert core.data() == {"t": b"1"}


async def test_while_listing_is_denied_the_condition_says_so_and_changes_still_come(core):
    put(core, "/app/a", "one")
    denied = "the operator is not allowed to list parameters"
    await sync(core, parameter("a", "/app/a"))
    catalogue = core.aws.parameter_catalogue
    core.aws.parameter_catalogue = catalogue.at_round(catalogue.round + 1, denied=denied)
    async with core.running():
        await until(core, {"a": b"one"})
        said = "1 key from 1 parameter; parameters are read at each poll, because they cannot be listed: "
        await until_true(lambda: core.ready().get("message") == said + denied)
        put(core, "/app/a", "two")
        now = core.aws.parameter_catalogue
        later = core.aws.parameter_catalogue = now.at_round(now.round + 1, denied=denied)
        changed = await core.aws.parameters.recheck(core.index.refs("ParameterStore"), later)
        assert {ref.id for ref in changed} == {"/app/a"}
        core.controller.on_secrets(["/app/a"], "ParameterStore")
        await until(core, {"a": b"two"})


async def test_the_tag_rule_holds_for_parameters(core):
    tag = f"{NAMESPACE_TYPE_TAG}web"
    core.world.role("secret-syncer")
    core.cluster.put(namespace(labels={NAMESPACE_TYPE_LABEL: "web"}))
    put(core, "/app/a", "one", tags={tag: "1"})
    await sync(core, parameter("a", "/app/a"), AWSAccountID="123456789012")
    async with core.running():
        await until(core, {"a": b"one"})
        core.world.parameters.get("/app/a").tags.clear()
        await core.list_parameters()
        message = await until_reason(core, "RoleNotAllowed")
    assert message == f"data.a: parameter /app/a does not carry the tag {tag}=1, which this namespace needs"


@pytest.mark.parametrize("label", ["1", "1st", "AWSCURRENT", "awsome", "SSM-x", "a b", "a:1", "ä", "a\n"])
async def test_a_label_that_cannot_exist_is_invalid_and_nothing_is_read(core, label):
    put(core, "/app/a", "one")
    await sync(core, parameter("a", "/app/a", label=label))
    async with core.running():
        message = await until_reason(core, "InvalidSpec")
    assert message.startswith("spec.data[0].valueFrom.parameterRef.label: must have letters")
    assert core.calls["GetParameters"] == 0


async def test_messages_speak_of_parameters(core):
    put(core, "/app/a", "{}")
    put(core, "/app/text", "no JSON")
    await sync(core, parameter("a", "/app/a", key="k"), parameter("b", "/app/text", key="k"))
    async with core.running():
        message = await until_reason(core, Reason.INVALID_SECRET_VALUE)
    assert "data.a: parameter /app/a has no key 'k'" in message
    assert "data.b: parameter /app/text is not JSON (line 1, column 1), but a JSON object is required" in message


# Who uses the service


USERS = [
    {"data": [parameter("a", "/a")]},
    {"dataFrom": {"parameters": [{"path": "/a/"}]}},
    {"dataFrom": {"entries": [{"parameters": [{"name": "/a"}]}]}},
    {"data": [template("t", '{{ getParameter "/a" }}')]},
    {"data": [template("t", '{{ range getParameters "/a/" }}{{ end }}')]},
]


@pytest.mark.parametrize("spec", USERS)
def test_an_object_that_reads_parameters_in_any_form_needs_the_listing(spec):
    assert used_services([synced_secret(**spec)]) == {"SecretsManager", "ParameterStore"}
    assert used_services([synced_secret(all_keys("a"))]) == {"SecretsManager"}


def test_the_first_user_is_reported_and_the_last_one_ends_the_need():
    users, first = Users(PARAMETER_STORE), []
    users.on_first = lambda: first.append(1)
    key = Key("team", "demo")
    with_it, without = synced_secret(**USERS[0]), synced_secret(literal("a", "1"))
    users.on_object(EventKind.ADDED, key, None, without)
    assert not users.exist()
    users.on_object(EventKind.MODIFIED, key, without, with_it)
    assert users.exist()
    users.on_object(EventKind.MODIFIED, key, with_it, without)
    assert not users.exist()
    users.on_object(EventKind.ADDED, key, None, with_it)
    users.on_object(EventKind.DELETED, key, with_it, None)
    assert not users.exist()
    assert len(first) == 2


def test_secrets_manager_is_listed_in_any_case():
    assert Users(SECRETS_MANAGER).exist()


async def test_a_path_that_selects_too_much_reads_nothing(core):
    for number in range(5001):
        put(core, f"/app/{number}", "x")
    await sync(core, dataFrom={"parameters": [{"path": "/"}]})
    async with core.running():
        message = await until_reason(core, "InvalidSpec")
        assert "the object reads 5001 " in message
        put(core, "/app/0", "new")
        await core.list_parameters()
        await asyncio.sleep(300)
    assert core.calls["GetParameters"] == 0


async def test_what_is_below_the_paths_of_several_objects_is_fetched_together(core):
    for number in range(20):
        put(core, f"/app/{number}", "x")
        path = {"dataFrom": {"parameters": [{"path": "/app/"}, {"path": "/app"}]}}
        core.cluster.put(synced_secret(name=f"o-{number}", uid=str(number), **path))
    await core.list_parameters()
    async with core.running():
        await until_true(lambda: all(core.data(Key("team", f"o-{number}")) for number in range(20)))
        assert core.calls["GetParameters"] == 2
