"""From a spec and AWS values to the data of a Secret: order, forms, and all problems at once."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable, Unlisted, combine
from secretsyncer.sync.budget import Budget, Limits
from secretsyncer.sync.data_from import select
from secretsyncer.sync.render import SIZE_LIMIT, finds, finish, prepare, references, templates
from secretsyncer.synced_secret import SecretKeyReference
from secretsyncer.synced_secret.formats import MOST_ITEMS
from tests.support.builders import catalogue, entry, parsed, value
from tests.support.specs import all_keys, key, literal, template, whole

CANARY = "c4n4ry-v4lu3"


class World:
    """AWS secrets by name, template outputs by text; what is not there is a failure, as it is when fetched."""

    def __init__(self, secrets=None, outputs=None, found=()):
        self.secrets = {name: value(name, content) for name, content in (secrets or {}).items()}
        self.failures = {}
        self.outputs = outputs or {}
        self.found = [value(name, content) for name, content in dict(found).items()]

    def secret(self, name):
        absent = Rejected(Reason.SECRET_NOT_FOUND, f"AWS secret {name} does not exist")
        return self.failures.get(name) or self.secrets.get(name, absent)

    def template(self, text):
        return self.outputs.get(text, Rejected(Reason.TEMPLATE_ERROR, f"template {text} fails"))

    def render(self, *items, limits=None, **options):
        spec = parsed(*items, **options).spec
        values = {reference: self.secret(reference.name) for reference in references(spec)}
        outputs = {text: self.template(text) for text in templates(spec)}
        budget = Budget(limits)
        return finish(spec, prepare(spec, values, [self.found] * len(finds(spec)), budget), outputs, budget)

    def failure(self, *items, **spec):
        with pytest.raises(SyncFailure) as raised:
            self.render(*items, **spec)
        assert CANARY not in str(raised.value)
        return raised.value


def optional(item, **options):
    """The item with more options at its reference."""
    source = dict(item["valueFrom"])
    (kind,) = source
    return {**item, "valueFrom": {kind: {**source[kind], **options}}}


# Forms and order


def test_each_form_gives_its_key():
    world = World({"app": {"user": "web", "port": 5432}, "cert": "-----BEGIN\n"}, {"{{ 1 }}": "rendered \u00e9"})
    data = world.render(
        literal("mode", "production"),
        literal("empty", ""),
        key("port", "app", "port"),
        whole("cert", "cert"),
        template("conf", "{{ 1 }}"),
    )
    assert data == {
        "mode": b"production",
        "empty": b"",
        "port": b"5432",
        "cert": b"-----BEGIN\n",
        "conf": b"rendered \xc3\xa9",
    }


def test_data_from_gives_every_top_level_key_as_text():
    content = '{"host": "db", "port": 5432, "tls": true, "pool": {"max": 10, "x": [1.50]}, "list": [], "empty": ""}'
    assert World({"app": content}).render(dataFrom=all_keys("app")) == {
        "host": b"db",
        "port": b"5432",
        "tls": b"true",
        "pool": b'{"max":10,"x":[1.50]}',
        "list": b"[]",
        "empty": b"",
    }


def test_an_empty_object_gives_no_keys():
    assert World({"app": {}}).render(literal("a", "1"), dataFrom=all_keys("app")) == {"a": b"1"}


def test_data_goes_over_data_from_and_a_later_name_over_an_earlier_one():
    world = World({"app": {"a": "from", "b": "from", "c": "from"}})
    items = (literal("b", "first"), literal("c", "first"), literal("c", "second"))
    assert world.render(*items, dataFrom=all_keys("app")) == {"a": b"from", "b": b"first", "c": b"second"}


def test_several_whole_objects_are_merged_in_order_and_the_later_key_wins():
    world = World({"one": {"a": 1, "b": 1}, "two": {"b": 2, "c": 2}, "three": {"c": 3}})
    refs = [{"name": "two"}, {"name": "three"}]
    data = world.render(dataFrom={"secretRef": {"name": "one"}, "secretRefs": refs})
    assert data == {"a": b"1", "b": b"2", "c": b"3"}


@pytest.mark.parametrize("content", [b"", bytes(range(256)), b"\xff\xfe{}"])
def test_a_binary_secret_is_written_byte_for_byte(content):
    assert World({"keystore": content}).render(whole("k", "keystore")) == {"k": content}


def test_a_secret_that_several_items_use_is_the_same_for_all():
    world = World({"app": {"a": "1", "b": "2"}})
    assert world.render(key("x", "app", "a"), key("y", "app", "b"), whole("z", "app")) == {
        "x": b"1",
        "y": b"2",
        "z": b'{"a": "1", "b": "2"}',
    }


# Mistakes


def test_all_wrong_keys_are_reported_at_once_with_their_paths():
    world = World({"app": {"a": None, "secret": CANARY}, "text": CANARY}, {})
    failure = world.failure(
        key("one", "app", "missing"),
        key("two", "app", "a"),
        key("three", "text", "k"),
        whole("four", "nowhere"),
        template("five", "bad"),
        literal("fine", "1"),
        dataFrom=all_keys("text"),
    )
    assert isinstance(failure, Rejected)
    for place in ("dataFrom: ", "data.one: ", "data.two: ", "data.three: ", "data.four: ", "data.five: "):
        assert place in failure.message
    assert "data.fine" not in failure.message


def test_the_first_mistake_gives_the_reason():
    world = World({"app": {}})
    assert world.failure(key("a", "app", "k"), whole("b", "nowhere")).reason is Reason.INVALID_SECRET_VALUE
    assert world.failure(whole("b", "nowhere"), key("a", "app", "k")).reason is Reason.SECRET_NOT_FOUND


def test_temporary_failures_take_precedence():
    world = World({"app": {}})
    world.failures["slow"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled", retry_after=5)
    world.failures["slower"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled too", retry_after=9)
    failure = world.failure(key("a", "app", "k"), whole("b", "slow"), whole("c", "slower"))
    assert isinstance(failure, Unavailable)
    assert (failure.reason, failure.retry_after) == (Reason.AWS_UNAVAILABLE, 9)
    for place in ("data.a: ", "data.b: ", "data.c: "):
        assert place in failure.message


def test_the_same_message_is_said_once():
    same = [Rejected(Reason.CONFLICT, "taken"), Rejected(Reason.CONFLICT, "taken")]
    assert combine(same).message == "taken"
    assert combine([Unavailable(Reason.AWS_UNAVAILABLE, "x")]).retry_after is None


@pytest.mark.parametrize("name", ["a/b", "", "..", "two words", "\u00e9", "x" * 254, "half \ud800", CANARY + "!"])
def test_an_invalid_key_is_named_by_its_position_and_never_shown(name):
    failure = World({"app": {"fine": CANARY, name: CANARY}}).failure(dataFrom=all_keys("app"))
    assert failure.message == (
        f"dataFrom: a Secret cannot have the key number 2 ({len(name)} characters) of AWS secret app; "
        "rename them with rewrite, or set invalidKeys"
    )


def test_of_many_keys_that_a_secret_cannot_have_some_are_shown():
    failure = World({"app": {f"a/{n:03}": "x" for n in range(500)}}).failure(dataFrom=all_keys("app"))
    assert "number 20 (5 characters) of AWS secret app and 480 more; rename" in failure.message
    assert "number 21 " not in failure.message


def test_the_name_of_a_found_secret_is_no_value_and_is_shown():
    failure = World(found={"app/db": "x"}).failure(dataFrom={"find": {"tagKey": "t"}})
    assert "a Secret cannot have the key 'app/db'; rename" in failure.message


def test_every_wrong_key_of_data_from_is_named():
    content = {"user": "u", "dbname": None, "a b": None, "host": None, "x/y": "1", "half": CANARY + "\ud800"}
    world = World({"app": content, "more": {"port": None}, "text": CANARY})
    refs = [{"name": "app"}, {"name": "more"}, {"name": "nowhere"}, {"name": "text"}]
    message = world.failure(dataFrom={"secretRefs": refs}).message
    assert message == (
        "dataFrom: AWS secret app has null at keys 'dbname', number 3 (3 characters), 'host' and "
        "is not valid text at key 'half' (half of a surrogate pair); "
        "AWS secret more has null at key 'port'; AWS secret nowhere does not exist; "
        "AWS secret text is not JSON (line 1, column 1), but a JSON object is required; "
        "a Secret cannot have the key number 5 (3 characters) of AWS secret app; "
        "rename them with rewrite, or set invalidKeys"
    )


def test_every_key_that_is_no_base64_is_named():
    world = World({"app": {"a": CANARY, "b": "YQ==", "c/d": "abc"}})
    failure = world.failure(
        dataFrom={**all_keys("app"), "invalidKeys": "Skip"} | {"secretRef": {"name": "app", "decode": "base64"}}
    )
    assert failure.message == (
        "dataFrom: AWS secret app is not base64 at keys 'a', number 3 (3 characters), as decode requires"
    )


def test_a_binary_secret_where_json_is_needed_is_an_error_that_names_secret_ref():
    assert "use secretRef" in World({"app": b"\xff"}).failure(key("a", "app", "k")).message
    assert "use secretRef" in World({"app": b"\xff"}).failure(dataFrom=all_keys("app")).message


def test_json_that_aws_holds_as_bytes_is_read_by_every_reference():
    world = World({"app": b'\xef\xbb\xbf{"k": "v"}'})
    assert world.render(key("a", "app", "k"), dataFrom=all_keys("app")) == {"a": b"v", "k": b"v"}


def test_a_secret_holds_at_most_what_kubernetes_takes():
    half = "x" * (SIZE_LIMIT // 2)
    world = World({"half": half, "one": "1"})
    assert sum(map(len, world.render(whole("a", "half"), whole("b", "half")).values())) == SIZE_LIMIT
    failure = world.failure(whole("a", "half"), whole("b", "half"), whole("c", "one"))
    assert failure.message == f"the Secret would hold {SIZE_LIMIT + 1} bytes; Kubernetes allows {SIZE_LIMIT}"


# Optional references and defaults


@pytest.mark.parametrize(
    "item", [key("a", "nowhere", "k"), key("a", "app", "k"), key("a", "app", "null"), whole("a", "nowhere")]
)
def test_what_is_absent_is_left_out_where_optional_and_replaced_where_there_is_a_default(item):
    world = World({"app": {"null": None}})
    assert world.render(optional(item, optional=True), literal("b", "1")) == {"b": b"1"}
    assert world.render(optional(item, default="d\u00e9faut")) == {"a": "d\u00e9faut".encode()}
    assert world.render(optional(item, default="", optional=True)) == {"a": b""}
    assert "data.a" in world.failure(item).message


@pytest.mark.parametrize(
    "failure",
    [
        Rejected(Reason.ACCESS_DENIED, "denied"),
        Rejected(Reason.ROLE_NOT_ALLOWED, "no tag"),
        Rejected(Reason.INVALID_SPEC, "no name"),
        Unavailable(Reason.AWS_UNAVAILABLE, "throttled"),
    ],
)
def test_optional_never_hides_what_may_not_or_cannot_be_read(failure):
    world = World()
    world.failures["app"] = failure
    for item in (key("a", "app", "k"), whole("a", "app")):
        assert world.failure(optional(item, optional=True, default="d")).reason is failure.reason
    assert world.failure(dataFrom={"secretRef": {"name": "app", "optional": True}}).reason is failure.reason


@pytest.mark.parametrize("content", [CANARY, "[1]", b"\xff", '{"k": NaN}'])
def test_optional_never_hides_a_value_that_is_wrong(content):
    world = World({"app": content})
    assert "data.a" in world.failure(optional(key("a", "app", "k"), optional=True, default="d")).message


def test_optional_on_a_whole_object_is_about_the_object_and_not_about_a_key_in_it():
    world = World({"app": {"user": "app", "password": CANARY, "dbname": None}})
    for source in (
        {"secretRef": {"name": "app", "optional": True}},
        {"secretRefs": [{"name": "app", "optional": True}]},
    ):
        failure = world.failure(dataFrom=source)
        assert failure.message == "dataFrom: AWS secret app has null at key 'dbname'"
        assert failure.reason is Reason.INVALID_SECRET_VALUE


def test_what_is_denied_and_by_the_listing_not_there_counts_as_absent():
    world = World({"app": {"a": 1}})
    world.failures["later"] = Unlisted(Reason.ACCESS_DENIED, "denied, and not there")
    refs = [{"name": "later", "optional": True}, {"name": "app"}]
    items = (optional(key("b", "later", "k"), optional=True), optional(whole("c", "later"), default="d"))
    assert world.render(*items, dataFrom={"secretRefs": refs}) == {"a": b"1", "c": b"d"}
    assert world.failure(whole("c", "later")).reason is Reason.ACCESS_DENIED


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"data": [optional(whole("a", "nowhere"), optional=True)]}, Reason.SECRET_NOT_FOUND),
        ({"data": [optional(key("a", "app", "k"), optional=True)]}, Reason.SECRET_NOT_FOUND),
        ({"dataFrom": {"secretRef": {"name": "nowhere", "optional": True}}}, Reason.SECRET_NOT_FOUND),
        ({"dataFrom": all_keys("empty")}, Reason.INVALID_SECRET_VALUE),
        ({"dataFrom": {**all_keys("odd"), "invalidKeys": "Skip"}}, Reason.INVALID_SECRET_VALUE),
        (
            {"dataFrom": {**all_keys("app"), "rewrite": [{"source": ".*", "target": ""}], "invalidKeys": "Skip"}},
            Reason.INVALID_SECRET_VALUE,
        ),
        ({"dataFrom": {"find": {"tagKey": "t", "merge": True}}}, Reason.INVALID_SECRET_VALUE),
    ],
)
def test_no_key_at_all_is_refused_unless_the_spec_allows_it(spec, reason):
    world = World({"app": {"a": 1}, "empty": {}, "odd": {"a/b": 1}}, found={"empty": {}})
    failure = world.failure(**spec)
    assert (type(failure), failure.reason) == (Rejected, reason)
    assert failure.message.endswith("the Secret stays as it is; set spec.allowEmpty if it may be empty")
    assert world.render(**spec, allowEmpty=True) == {}


def test_an_empty_value_is_a_key():
    assert World().render(literal("a", "")) == {"a": b""}


def test_an_optional_whole_object_that_is_absent_gives_no_keys():
    world = World({"app": {"a": 1}})
    refs = [{"name": "nowhere", "optional": True}, {"name": "app"}]
    assert world.render(dataFrom={"secretRefs": refs}) == {"a": b"1"}


# Decoding


def test_base64_is_decoded_where_asked_for_and_may_be_wrapped():
    encoded = base64.encodebytes(bytes(range(100))).decode()
    world = World({"app": {"k": encoded}, "whole": encoded})
    assert "\n" in encoded.strip()
    assert world.render(optional(key("a", "app", "k"), decode="base64")) == {"a": bytes(range(100))}
    assert world.render(optional(whole("a", "whole"), decode="base64")) == {"a": bytes(range(100))}
    source = {"secretRef": {"name": "app", "decode": "base64"}}
    assert world.render(dataFrom=source) == {"k": bytes(range(100))}


@pytest.mark.parametrize("content", [CANARY, "abc", "a===", "\u00e9\u00e9\u00e9\u00e9"])
def test_invalid_base64_is_an_error_without_its_text(content):
    failure = World({"app": content}).failure(optional(whole("a", "app"), decode="base64"))
    assert failure.message == "data.a: AWS secret app is not base64, as decode requires"
    assert failure.__context__ is None


def test_a_default_is_taken_as_it_is_written():
    assert World().render(optional(whole("a", "x"), decode="base64", default="YQ==")) == {"a": b"YQ=="}


# Names that are found, rewritten, made fit


def test_found_secrets_become_one_key_each():
    world = World(found={"db": '{"a": 1}', "key": b"\xff"})
    assert world.render(dataFrom={"find": {"tagKey": "t"}}) == {"db": b'{"a": 1}', "key": b"\xff"}


def test_found_secrets_may_be_merged_and_the_later_one_wins():
    world = World(found={"a": {"x": 1, "y": 1}, "b": {"y": 2}})
    assert world.render(dataFrom={"find": {"tagKey": "t", "merge": True}}) == {"x": b"1", "y": b"2"}


def test_found_secrets_may_be_decoded():
    world = World(found={"a": "YQ==", "b": "Yg=="})
    assert world.render(dataFrom={"find": {"tagKey": "t", "decode": "base64"}}) == {"a": b"a", "b": b"b"}


def test_keys_are_rewritten_and_a_collision_of_two_keys_is_an_error():
    world = World({"app": {"app/a": 1, "app/b": 2}})
    rules = [{"source": "^app/(.*)$", "target": "x-$1"}]
    assert world.render(dataFrom={**all_keys("app"), "rewrite": rules}) == {"x-a": b"1", "x-b": b"2"}
    rules = [{"source": ".*", "target": "same"}]
    failure = world.failure(dataFrom={**all_keys("app"), "rewrite": rules})
    assert failure.message == (
        "dataFrom: the keys number 1 (5 characters) of AWS secret app and number 2 (5 characters) of AWS secret app "
        "both become 'same'"
    )
    world = World({"app": {"a": 1, "b": 2, "c": 3}})
    failure = world.failure(dataFrom={**all_keys("app"), "rewrite": rules})
    assert (
        failure.message
        == "dataFrom: the keys 'a' and 'b' both become 'same'; the keys 'a' and 'c' both become 'same'"
    )


def test_keys_that_are_no_text_do_not_break_rewriting():
    world = World({"app": {"\ud800": 1, "b": 2}})
    rules = [{"source": "b", "target": "c"}]
    assert "cannot have the key" in world.failure(dataFrom={**all_keys("app"), "rewrite": rules}).message
    skipped = {**all_keys("app"), "rewrite": rules, "invalidKeys": "Skip"}
    assert world.render(dataFrom=skipped) == {"c": b"2"}


def test_keys_that_kubernetes_refuses_are_skipped_or_replaced_as_asked_for():
    world = World({"app": {"a/b c": 1, "fine": 2, "\u00e9": 3, "?": 4}})
    assert world.render(dataFrom={**all_keys("app"), "invalidKeys": "Skip"}) == {"fine": b"2"}
    clash = world.failure(dataFrom={**all_keys("app"), "invalidKeys": "Replace"})
    assert "both become '_'" in clash.message
    world = World({"app": {"a/b c": 1, "fine": 2, "": 3}})
    assert world.render(dataFrom={**all_keys("app"), "invalidKeys": "Replace"}) == {"a_b_c": b"1", "fine": b"2"}
    assert world.render(dataFrom={**all_keys("app"), "invalidKeys": "Unicode"}) == {
        "a_U002f_b_U0020_c": b"1",
        "fine": b"2",
    }
    assert (
        "cannot have the keys number 1 (5 characters) of AWS secret app, number 3"
        in world.failure(dataFrom=all_keys("app")).message
    )


@pytest.mark.parametrize("name", [".", "..", "..data", "x" * 254])
def test_a_key_that_is_still_invalid_after_replacing_is_an_error(name):
    failure = World({"app": {name: 1}}).failure(dataFrom={**all_keys("app"), "invalidKeys": "Replace"})
    assert "cannot have the key" in failure.message


@pytest.mark.parametrize(
    ("how", "text", "expected"),
    [
        ("base64url", "_-8=", b"\xff\xef"),
        ("auto", "aGVsbG8=", b"hello"),
        ("auto", "_-8=", b"\xff\xef"),
        ("auto", "no base64!", b"no base64!"),
    ],
)
def test_text_is_decoded_as_asked_for(how, text, expected):
    world = World({"app": {"k": text}, "whole": text})
    assert world.render(optional(key("a", "app", "k"), decode=how)) == {"a": expected}
    assert world.render(dataFrom={"secretRef": {"name": "app", "decode": how}}) == {"k": expected}


def test_what_is_no_base64url_is_an_error():
    failure = World({"app": {"k": "+/8="}}).failure(dataFrom={"secretRef": {"name": "app", "decode": "base64url"}})
    assert "is not base64url at key 'k', as decode requires" in failure.message


# Limits


def test_what_is_made_is_stopped_while_it_is_made_with_the_number():
    world = World({"big": "x" * 65_000})
    failure = world.failure(*(whole(f"k{n}", "big") for n in range(1_000)))
    assert failure.message.startswith("data.k64: the object produces 4225000 bytes or more; the limit is 4194304")


def test_outputs_of_many_templates_are_stopped_while_they_are_collected():
    output = "x" * 1_500_000
    world = World(outputs={f"{n}": output for n in range(330)})
    failure = world.failure(*(template(f"k{n}", f"{n}") for n in range(330)))
    assert failure.message.startswith("data.k2: the object produces 4500000 bytes or more")


def test_as_many_keys_of_one_secret_as_are_possible_read_its_json_once(monkeypatch):
    content = {f"k{n}": "x" for n in range(MOST_ITEMS)}
    world, read, loads = World({"app": content}), [], json.loads
    monkeypatch.setattr(json, "loads", lambda text, **options: read.append(text) or loads(text, **options))
    assert len(world.render(*(key(name, "app", name) for name in content))) == MOST_ITEMS
    assert read == [json.dumps(content)]


def test_a_key_that_rewriting_makes_too_long_is_named_by_its_position():
    rules = [{"source": "(.*)", "target": "$1" * 450}]
    failure = World({"app": {"a b" + CANARY: 1}}).failure(dataFrom={**all_keys("app"), "rewrite": rules})
    assert failure.message.startswith(
        "dataFrom: key number 1 (15 characters) of AWS secret app becomes longer than 4096 characters by rewrite"
    )


def test_the_time_of_keys_and_parts_that_fail_counts():
    world = World({"app": {"k" * 250 + str(n): "x" for n in range(5_000)}})
    rules = [{"source": "(.*)", "target": "$1" * 450}]
    path = {"secretKeyRef": {"name": "app", "jmesPath": "values(@)[?@ == 'y'].z | [0]"}}
    for spec in (
        {"dataFrom": {**all_keys("app"), "rewrite": rules}},
        {"data": [{"name": f"k{n}", "valueFrom": path} for n in range(300)]},
    ):
        with pytest.raises(Rejected, match=r"take 0\.\d s of processor time or more; the limit is 0\.1 s"):
            world.render(**spec, limits=Limits(cpu_seconds=0.1, steps=10**9))


def test_a_regular_expression_takes_linear_time():
    listing = catalogue(*(entry(f"{'x' * 400}/{n}") for n in range(5_000)))
    find = parsed(dataFrom={"find": {"name": {"regexp": "(?:.?){900}@"}}}).spec.data_from.find
    with pytest.raises(
        Rejected, match=r"values and keys take 0.\d s of processor time or more; the limit is 0.2 s"
    ):
        select(find, listing, Budget(Limits(cpu_seconds=0.2)))


# What a spec refers to


def test_every_reference_of_a_spec_is_known_ahead_in_order():
    spec = parsed(
        literal("a", "1"),
        key("b", "two", "k"),
        whole("c", "three"),
        template("d", "x"),
        dataFrom={"secretRef": {"name": "one"}, "secretRefs": [{"name": "more"}]},
    ).spec
    assert [reference.name for reference in references(spec)] == ["one", "more", "two", "three"]
    assert isinstance(references(spec)[2], SecretKeyReference)
    assert references(parsed(literal("a", "1")).spec) == []


def test_each_template_is_wanted_once_in_order():
    spec = parsed(template("a", "x"), template("b", "y"), template("c", "x"), template("d", "")).spec
    assert templates(spec) == ["x", "y", ""]


LISTED = catalogue(
    entry("app/db", team="web", env="prod"),
    entry("app/cache", team="web"),
    entry("db", team="data", env="prod"),
    entry("other"),
)


@pytest.mark.parametrize(
    ("find", "names"),
    [
        ({"tagKey": "team"}, ["app/cache", "app/db", "db"]),
        ({"tagKey": "tea"}, []),
        ({"tags": {"team": "web"}}, ["app/cache", "app/db"]),
        ({"tags": {"team": "web", "env": "prod"}}, ["app/db"]),
        ({"tags": {"team": "we"}}, []),
        ({"tagKey": "env", "tags": {"team": "data"}}, ["db"]),
        ({"name": {"prefix": "app/"}}, ["app/cache", "app/db"]),
        ({"name": {"regexp": "db$"}}, ["app/db", "db"]),
        ({"name": {"regexp": "^db$"}}, ["db"]),
        ({"name": {"regexp": "db", "prefix": "app"}}, ["app/db"]),
        ({"name": {"prefix": "App/"}}, []),
    ],
)
def test_secrets_are_found_by_all_that_is_said_and_exactly(find, names):
    spec = parsed(dataFrom={"find": find}).spec
    assert [found.name for found in select(spec.data_from.find, LISTED, Budget())] == names


# Whatever comes

ANY_TEXT = st.text(st.characters(), max_size=20)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
CONTENT = st.one_of(ANY_TEXT, st.dictionaries(ANY_TEXT, JSON, max_size=4).map(json.dumps), st.binary(max_size=20))


@given(CONTENT, st.sampled_from(["Error", "Skip", "Replace"]), st.booleans())
def test_any_secret_gives_data_that_kubernetes_takes_or_a_failure_that_can_be_shown(content, invalid, rewrite):
    world = World({"app": content}, found={"app": content})
    rules = [{"source": "(.)a", "target": "$1"}] if rewrite else []
    everything = {**all_keys("app"), "find": {"tagKey": "t"}, "invalidKeys": invalid, "rewrite": rules}
    items = [whole("whole", "app"), key("key", "app", "k"), optional(whole("decoded", "app"), decode="base64")]
    for spec in ({"dataFrom": everything}, *({"data": [item]} for item in items)):
        try:
            data = world.render(**spec)
        except SyncFailure as failure:
            assert failure.message.encode()  # noqa: PT017 - either is right
        else:
            assert all(isinstance(part, bytes) for part in data.values())
            assert parsed(*(literal(name, "") for name in data), dataFrom=all_keys("x"))
