"""Lists: versions, pages, selectors, and compaction."""

from __future__ import annotations

import base64
import json

import pytest

from tests.sandbox.contract import crd, define, expire, secret, widget


async def make_some(client, path, names="abcde"):
    for name in names:
        body = secret(name)
        body["metadata"]["labels"] = {"app": name, "half": "first" if name < "c" else "second"}
        await client.make(path, body)


async def test_list_says_its_kind_and_version(client, secrets, widgets):
    reply = await client.get(secrets)
    assert (reply.body["kind"], reply.body["apiVersion"], reply.body["items"]) == ("SecretList", "v1", [])
    assert int(reply.version) > 0
    reply = await client.get(widgets)
    assert (reply.body["kind"], reply.body["apiVersion"]) == ("WidgetList", "contract.example.com/v1")


async def test_items_of_built_in_lists_have_no_kind(client, secrets, widgets):
    await client.make(secrets, secret("a"))
    assert not {"kind", "apiVersion"} & (await client.get(secrets)).body["items"][0].keys()
    await client.make(widgets, widget("a"))
    assert (await client.get(widgets)).body["items"][0]["kind"] == "Widget"


async def test_list_is_sorted_and_of_its_namespace(client, secrets):
    await make_some(client, secrets, "cab")
    assert (await client.get(secrets)).names() == ["a", "b", "c"]
    everywhere = (await client.get("/api/v1/secrets")).body["items"]
    own = [item for item in everywhere if item["metadata"]["namespace"] in secrets]
    assert [item["metadata"]["name"] for item in own] == ["a", "b", "c"]


async def test_list_of_a_missing_namespace_is_empty(client):
    reply = await client.get("/api/v1/namespaces/nowhere/secrets")
    assert (reply.status, reply.body["items"]) == (200, [])


async def test_list_version_is_not_older_than_its_items(client, secrets):
    made = await client.make(secrets, secret("a"))
    for version in ("", "?resourceVersion=0", f"?resourceVersion={made['metadata']['resourceVersion']}"):
        reply = await client.get(secrets + version)
        if version != "?resourceVersion=0":  # which may be served from an old cache
            assert reply.names() == ["a"]
            assert int(reply.version) >= int(made["metadata"]["resourceVersion"])


async def test_pages_show_one_revision_and_what_remains(client, secrets):
    await make_some(client, secrets)
    first = await client.get(f"{secrets}?limit=2")
    assert first.names() == ["a", "b"]
    assert first.body["metadata"]["remainingItemCount"] == 3
    await client.delete(f"{secrets}/c")
    await client.make(secrets, secret("f"))
    second = await client.get(f"{secrets}?limit=2&continue={first.body['metadata']['continue']}")
    assert second.names() == ["c", "d"]
    assert second.version == first.version
    assert second.body["metadata"]["remainingItemCount"] == 1
    last = await client.get(f"{secrets}?limit=2&continue={second.body['metadata']['continue']}")
    assert last.names() == ["e"]
    assert "continue" not in last.body["metadata"]
    assert "remainingItemCount" not in last.body["metadata"]


async def test_pages_work_for_custom_objects(client, widgets):
    for name in "abc":
        await client.make(widgets, widget(name))
    first = await client.get(f"{widgets}?limit=2")
    second = await client.get(f"{widgets}?limit=2&continue={first.body['metadata']['continue']}")
    assert first.names() + second.names() == ["a", "b", "c"]


async def test_pages_with_a_selector_do_not_say_what_remains(client, secrets):
    await make_some(client, secrets)
    first = await client.get(f"{secrets}?limit=2&labelSelector=half%3Dsecond")
    assert first.names() == ["c", "d"]
    assert "remainingItemCount" not in first.body["metadata"]
    second = await client.get(
        f"{secrets}?limit=2&labelSelector=half%3Dsecond&continue={first.body['metadata']['continue']}"
    )
    assert second.names() == ["e"]


async def test_expired_continue_token_is_410_with_an_inconsistent_one(api, client, secrets):
    await make_some(client, secrets)
    first = await client.get(f"{secrets}?limit=2")
    await client.delete(f"{secrets}/d")
    await expire(api)
    reply = await client.get(f"{secrets}?limit=2&continue={first.body['metadata']['continue']}")
    assert (reply.status, reply.reason) == (410, "Expired")
    rest = await client.get(f"{secrets}?continue={reply.body['metadata']['continue']}")
    assert rest.names() == ["c", "e"]
    assert int(rest.version) > int(first.version)


async def test_continue_token_that_is_none_is_a_bad_request(client, secrets):
    for token in ("garbage", base64.urlsafe_b64encode(json.dumps({"v": "v9"}).encode()).decode()):
        reply = await client.get(f"{secrets}?limit=2&continue={token}")
        assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_continue_with_a_version_is_a_bad_request(client, secrets):
    await make_some(client, secrets, "abc")
    token = (await client.get(f"{secrets}?limit=2")).body["metadata"]["continue"]
    reply = await client.get(f"{secrets}?limit=2&continue={token}&resourceVersion=1")
    assert (reply.status, reply.reason) == (400, "BadRequest")


async def test_options_that_are_no_numbers_are_refused(client, secrets, minor):
    assert (await client.get(f"{secrets}?limit=many")).status == 400
    assert (await client.get(f"{secrets}?resourceVersion=new")).status == (500 if minor <= 32 else 400)


async def test_negative_limit_is_none(client, secrets):
    await client.make(secrets, secret("a"))
    assert (await client.get(f"{secrets}?limit=-1")).names() == ["a"]


async def test_version_of_the_future_is_a_timeout_with_a_cause(client, secrets):
    version = int((await client.get(secrets)).version) + 1_000_000
    reply = await client.get(f"{secrets}?resourceVersion={version}")
    assert (reply.status, reply.reason) == (504, "Timeout")
    assert reply.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert reply.body["details"]["retryAfterSeconds"] >= 1


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=a", "a"),
        ("app==a", "a"),
        ("app!=a", "bcdez"),
        ("app in (a,b)", "ab"),
        ("app notin (a,b)", "cdez"),
        ("app", "abcde"),
        ("!app", "z"),
        ("half=first,app!=a", "b"),
        ("app in (a, c),half", "ac"),
        ("app=", ""),
        ("", "abcdez"),
    ],
)
async def test_label_selectors(client, secrets, selector, names):
    await make_some(client, secrets)
    await client.make(secrets, secret("z"))
    quoted = selector.replace(" ", "%20").replace("=", "%3D").replace("!", "%21").replace(",", "%2C")
    assert (await client.get(f"{secrets}?labelSelector={quoted}")).names() == list(names)


@pytest.mark.parametrize("selector", ["a in", "a===b", "a in (b", "a b"])
async def test_label_selector_of_no_meaning_is_a_bad_request(client, secrets, selector):
    reply = await client.get(f"{secrets}?labelSelector={selector.replace(' ', '%20')}")
    assert (reply.status, reply.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name!=a", "bcde"),
        ("type=Opaque,metadata.name==b", "b"),
        ("type=kubernetes.io/tls", ""),
    ],
)
async def test_field_selectors(client, secrets, selector, names):
    await make_some(client, secrets)
    quoted = selector.replace("=", "%3D").replace("!", "%21").replace(",", "%2C")
    assert (await client.get(f"{secrets}?fieldSelector={quoted}")).names() == list(names)


async def test_field_selector_of_another_field_is_a_bad_request(client, secrets, widgets):
    for path in (secrets, widgets):
        reply = await client.get(f"{path}?fieldSelector=spec.size%3D1")
        assert (reply.status, reply.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("spec.mode=fast", "a"),
        ("spec.mode!=fast", "bc"),
        ("spec.either.one=x", "b"),
        ("spec.either.one=", "ac"),
        ("spec.size=2", "c"),
        ("spec.mode=slow,metadata.name=c", "c"),
    ],
)
async def test_custom_objects_select_by_the_fields_of_their_definition(client, namespace, selector, names):
    fields = [{"jsonPath": path} for path in (".spec.mode", ".spec.either.one", ".spec.size")]
    await define(client, crd("gears", "Gear", selectableFields=fields))
    path = f"/apis/contract.example.com/v1/namespaces/{namespace}/gears"
    for name, spec in {"a": {"mode": "fast"}, "b": {"either": {"one": "x"}}, "c": {"size": 2}}.items():
        await client.make(path, {**widget(name, **spec), "kind": "Gear"})
    quoted = selector.replace("=", "%3D").replace("!", "%21").replace(",", "%2C")
    assert (await client.get(f"{path}?fieldSelector={quoted}")).names() == list(names)


async def test_custom_objects_select_by_name_and_namespace(client, namespace, widgets):
    for name in "ab":
        await client.make(widgets, widget(name))
    assert (await client.get(f"{widgets}?fieldSelector=metadata.name%3Da")).names() == ["a"]
    everywhere = "/apis/contract.example.com/v1/widgets"
    reply = await client.get(f"{everywhere}?fieldSelector=metadata.namespace%3D{namespace}")
    assert reply.names() == ["a", "b"]
