"""Every form of a SyncedSecret, from moto's AWS to a Secret on a real API server."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from tests.support.specs import PGBOUNCER, all_keys, key, literal, template, whole

pytestmark = pytest.mark.real

JSON_VALUE = """{
  "user": "contentful", "port": 12345678, "big": 12345678901234567890, "ratio": 1.50, "tls": true, "off": false,
  "pool": {"min": 1, "max": 10}, "hosts": ["a", "b"], "empty": "", "umlaut": "grün", "angle": "<&>"
}"""
AS_BYTES = {
    "user": b"contentful",
    "port": b"12345678",
    "big": b"12345678901234567890",
    "ratio": b"1.50",
    "tls": b"true",
    "off": b"false",
    "pool": b'{"min":1,"max":10}',
    "hosts": b'["a","b"]',
    "empty": b"",
    "umlaut": "grün".encode(),
    "angle": b"<&>",
}


@pytest.fixture(scope="module")
def environment(moto):
    return {**moto.environment, "POLL_INTERVAL_SEC": "1"}


@pytest.fixture
def secret(moto):
    """Makes a secret of a random name in AWS; gives its name."""

    async def make(value, **tags):
        name = f"app/{uuid.uuid4().hex[:8]}"
        await moto.create(name, value, **tags)
        return name

    return make


async def test_data_from_copies_every_top_level_key_of_a_json_secret(operator, space, secret):
    await space.write("demo", dataFrom=all_keys(await secret(JSON_VALUE)))
    await space.until_synced("demo")
    assert await space.data("demo") == AS_BYTES


async def test_data_takes_literals_and_keys_and_whole_secrets_text_and_binary(operator, space, secret):
    binary = bytes(range(256))
    text = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    database = await secret(JSON_VALUE)
    await space.write(
        "demo",
        data=[
            literal("mysql_user", "contentful"),
            key("mysql_port", database, "port"),
            key("mysql_pool", database, "pool"),
            whole("ssl-certificate", await secret(text)),
            whole("key.store", await secret(binary)),
            whole("database.json", database),
        ],
    )
    await space.until_synced("demo")
    assert await space.data("demo") == {
        "mysql_user": b"contentful",
        "mysql_port": b"12345678",
        "mysql_pool": b'{"min":1,"max":10}',
        "ssl-certificate": text.encode(),
        "key.store": binary,
        "database.json": JSON_VALUE.encode(),
    }


async def test_several_aws_secrets_feed_one_secret_and_the_status_lists_them(operator, space, moto):
    first, second = [await moto.create(f"app/{uuid.uuid4().hex[:8]}", f'{{"k": "{n}"}}') for n in "ab"]
    await space.write("demo", data=[key("a", first["Name"], "k"), key("b", second["Name"], "k")])
    status = (await space.until_synced("demo"))["status"]
    assert await space.data("demo") == {"a": b"a", "b": b"b"}
    listed = [(source["name"], source["arn"], source["versionID"]) for source in status["sources"]]
    assert sorted(listed) == sorted((s["Name"], s["ARN"], s["VersionId"]) for s in (first, second))
    assert re.fullmatch(r"[0-9a-f]{16}", status["currentVersionID"])


async def test_data_is_applied_after_data_from_and_wins(operator, space, secret):
    await space.write("demo", dataFrom=all_keys(await secret('{"a": "1", "b": "2"}')), data=[literal("b", "mine")])
    await space.until_synced("demo")
    assert await space.data("demo") == {"a": b"1", "b": b"mine"}


async def test_the_pgbouncer_template_of_the_original_gives_what_it_gave(operator, space, moto):
    tag, names = f"tag-{uuid.uuid4().hex[:8]}", [f"{letter}/{uuid.uuid4().hex[:8]}" for letter in "ba"]
    for number, name in enumerate(names):
        value = json.dumps({"host": f"h{number}", "user": f"u{number}", "password": f"p%{number}"})
        await moto.create(name, value, **{tag: "yes"})
    await moto.create(f"c/{uuid.uuid4().hex[:8]}", "not among them", other="yes")
    await space.write("pgbouncer.txt", data=[template("pgbouncer-hosts", PGBOUNCER.replace("tag1", tag))])
    expected = b"host=h1 user=u1 password=p%1\nhost=h0 user=u0 password=p%0\n"
    await space.until_data("pgbouncer.txt", {"pgbouncer-hosts": expected})


@pytest.mark.parametrize(
    "role",
    [
        pytest.param({"IAMRole": "iam_role"}, id="name"),
        pytest.param({"IAMRole": "team/iam_role"}, id="name with a path"),
        pytest.param({"IAMRole": "arn:aws:iam::123456789012:role/iam_role"}, id="arn"),
        pytest.param({"IAMRole": ""}, id="empty"),
        pytest.param({}, id="absent"),
    ],
)
async def test_a_role_may_be_a_name_or_an_arn_or_empty_or_absent(operator, space, secret, role):
    await space.write("demo", **role, dataFrom=all_keys(await secret('{"a": "1"}')))
    await space.until_synced("demo")
    assert await space.data("demo") == {"a": b"1"}


@pytest.mark.parametrize("cut", [0, 7], ids=["full", "without the random suffix"])
async def test_a_secret_may_be_named_by_its_arn(operator, space, moto, cut):
    made = await moto.create(f"app/{uuid.uuid4().hex[:8]}", '{"a": "1"}')
    arn = made["ARN"][: len(made["ARN"]) - cut]
    await space.write("demo", dataFrom=all_keys(arn))
    await space.until_synced("demo")
    assert await space.data("demo") == {"a": b"1"}


async def test_secret_metadata_puts_labels_and_annotations_and_nothing_else(operator, space):
    metadata = {
        "labels": {"team": "database"},
        "annotations": {"note": "kept in step"},
        "name": "ignored",
        "namespace": "ignored",
        "creationTimestamp": None,
    }
    await space.write("demo", data=[literal("a", "1")], secretMetadata=metadata)
    await space.until_synced("demo")
    found = (await space.secret("demo"))["metadata"]
    assert found["labels"] == {"team": "database", "secrets.contentful.com/managed": "true"}
    assert found["annotations"]["note"] == "kept in step"
    assert await space.secret("ignored") is None


async def test_the_status_names_the_version_and_digests_only_what_is_no_secret(operator, space, moto):
    made = await moto.create(f"app/{uuid.uuid4().hex[:8]}", '{"a": "1"}')
    await space.write("one", dataFrom=all_keys(made["Name"]))
    await space.write("two", dataFrom=all_keys(made["Name"]))
    one, two = [(await space.until_synced(name))["status"] for name in ("one", "two")]
    assert one["currentVersionID"] == made["VersionId"]
    assert one["observedGeneration"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["lastSyncTime"])
    await moto.put(made["Name"], '{"a": "1"}')  # the same value, another version: the inputs changed
    await space.write("one", dataFrom=all_keys(made["Name"]), deletionPolicy="Retain")
    changed = (await space.until_synced("one"))["status"]
    assert one["generatedSecretHash"] == two["generatedSecretHash"]
    assert changed["generatedSecretHash"] != one["generatedSecretHash"]


async def test_a_spec_that_changes_leaves_exactly_what_it_now_asks_for(operator, space, secret):
    name = await secret('{"a": "1", "b": "2"}')
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_data("demo", {"a": b"1", "b": b"2"})
    await space.write("demo", data=[key("only", name, "b")])
    await space.until_data("demo", {"only": b"2"})


async def test_a_rotation_reaches_the_secret(operator, space, moto, secret):
    name = await secret('{"password": "before"}')
    await space.write("demo", data=[key("pw", name, "password")])
    await space.until_data("demo", {"pw": b"before"})
    version = await moto.put(name, '{"password": "after"}')
    await space.until_data("demo", {"pw": b"after"})
    await space.until_version("demo", version)
