"""The keys that only templates see, and what templates see of the others."""

import pytest

from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Reason, SyncFailure
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.content import ContentRenderer
from tests.support.builders import catalogue, entry, parsed, value
from tests.support.specs import all_keys, key, literal, template, whole
from tests.support.value_source import MemoryAws

GRANT = Grant(Identity("arn:aws:iam::123456789012:role/reader"))
LISTED = catalogue(entry("app"), entry("other"), entry("bytes"))


def only(item):
    return {**item, "templateOnly": True}


@pytest.fixture
def made(engine, metrics):
    aws = MemoryAws(
        value("app", {"user": "web", "pw": "s:1", "port": 5432, "on": False, "opts": {"b": 1}, "null": None}),
        value("other", {"user": "second", "a b": "c"}),
        value("bytes", b"\x00\xff"),
    )
    contents = ContentRenderer(aws, engine, metrics)

    async def render(*items, **spec):
        return (await contents.render(GRANT, parsed(*items, **spec).spec, LISTED)).data

    return render


async def test_a_template_sees_the_other_keys_as_they_would_be_in_the_secret(made):
    text = "{{ .Data.user }}:{{ .Data.pw | urlquery }}@{{ .Data.port }} {{ if .Data.on }}{{ .Data.opts }}{{ end }}"
    items = [only(key(name, "app", name)) for name in ("user", "pw", "port", "on", "opts")]
    assert await made(*items, template("url", text)) == {"url": b'web:s%3A1@5432 {"b":1}'}


async def test_keys_that_are_in_the_secret_too_are_seen_whatever_the_order(made):
    data = await made(
        template("url", "{{ .Data.user }} {{ .Data.fixed }}"), key("user", "app", "user"), literal("fixed", "1")
    )
    assert data == {"url": b"web 1", "user": b"web", "fixed": b"1"}


async def test_a_template_may_take_the_place_of_its_own_input(made):
    assert await made(key("user", "app", "user"), template("user", "<{{ .Data.user }}>")) == {"user": b"<web>"}


async def test_whole_objects_can_be_for_templates_only(made):
    source = {**all_keys("other"), "invalidKeys": "Replace", "templateOnly": True}
    assert await made(template("x", "{{ .Data.user }}{{ .Data.a_b }}"), dataFrom=source) == {"x": b"secondc"}


async def test_bytes_reach_a_template_that_encodes_them(made):
    assert await made(only(whole("b", "bytes")), template("x", "{{ .Data.b | b64enc }}")) == {"x": b"AP8="}


async def test_what_is_wrong_with_an_input_is_told_once(made):
    with pytest.raises(SyncFailure) as raised:
        await made(only(key("user", "app", "gone")), template("a", "{{ .Data.user }}"), template("b", "{{ fail }}"))
    assert raised.value.message.startswith("data.user: AWS secret app has no key 'gone'; data.b: ")
    assert "data.a" not in raised.value.message


async def test_a_secret_of_which_templates_take_everything_still_needs_a_key(made):
    with pytest.raises(SyncFailure) as raised:
        await made(only(key("user", "app", "user")))
    assert raised.value.reason is Reason.INVALID_SECRET_VALUE
    assert await made(only(key("user", "app", "user")), allowEmpty=True) == {}


# dataFrom.entries


async def test_entries_are_renamed_by_their_own_rules_and_the_later_key_wins(made):
    entries = [
        {**all_keys("other"), "rewrite": [{"source": "^", "target": "x_"}], "invalidKeys": "Replace"},
        {**all_keys("other"), "rewrite": [{"source": "user", "target": "a_b"}, {"source": " ", "target": ""}]},
        {"find": {"name": {"prefix": "by"}}, "rewrite": [{"source": "bytes", "target": "ab"}]},
    ]  # fmt: skip
    assert await made(dataFrom={"entries": entries}) == {
        "x_user": b"second",
        "x_a_b": b"c",
        "a_b": b"second",
        "ab": b"\x00\xff",
    }


async def test_a_failure_names_its_entry(made):
    entries = [all_keys("other"), all_keys("nowhere")]
    with pytest.raises(SyncFailure) as raised:
        await made(dataFrom={"entries": entries})
    assert "dataFrom.entries[0]: a Secret cannot have the key" in raised.value.message
    assert "dataFrom.entries[1]: AWS secret nowhere" in raised.value.message


# null


async def test_null_is_an_error_unless_the_spec_wants_an_empty_text(made):
    with pytest.raises(SyncFailure, match="has null at key 'null'"):
        await made(key("x", "app", "null"))
    item = {"name": "y", "valueFrom": {"secretKeyRef": {"name": "app", "path": "null", "default": "none"}}}
    data = await made(key("x", "app", "null"), item, dataFrom=all_keys("app"), nullValues="Empty")
    assert (data["x"], data["y"], data["null"], data["user"]) == (b"", b"", b"", b"web")
    assert (await made(item))["y"] == b"none"
