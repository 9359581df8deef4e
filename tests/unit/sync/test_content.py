"""The content of one object: every form read under one grant, and its inputs."""

import asyncio

import pytest

from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Reason, Rejected, SyncFailure, Unavailable
from secretsyncer.gotemplate.engine import Filter
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import Limits
from secretsyncer.sync.content import ContentRenderer
from secretsyncer.sync.dependencies import Dependencies, digest_of
from secretsyncer.sync.last_good import LastGood
from secretsyncer.sync.status import Source
from tests.support.builders import catalogue, entry, parsed, secret_arn, value
from tests.support.specs import PGBOUNCER, all_keys, key, literal, template, whole
from tests.support.turns import longest_turn
from tests.support.value_source import MemoryAws

CANARY = "c4n4ry-v4lu3"
NOTHING = LastGood()
TAGS = {f"t{number}": "v" for number in range(50)}
GRANT = Grant(Identity("arn:aws:iam::123456789012:role/reader"))
LISTED = catalogue(entry("pg/a", tag1=""), entry("pg/b", tag1="", env="prod"), entry("app"), entry("cert"))


@pytest.fixture
def aws():
    return MemoryAws(
        value("app", {"user": "web", "pw": "s1"}, version="v3"),
        value("cert", "-----BEGIN", version="v5"),
        value("pg/a", {"host": "a.example", "user": "u", "password": "p", "port": 5432}),
        value("pg/b", {"host": "b.example", "user": "v", "password": "q"}),
    )


@pytest.fixture
def content(aws, engine, metrics):
    renderer = ContentRenderer(aws, engine, metrics)

    async def made(*items, listing=LISTED, grant=GRANT, expected=(), last_good=NOTHING, **spec):
        return await renderer.render(
            grant, parsed(*items, **spec).spec, listing, expected=expected, last_good=last_good
        )

    return made


@pytest.fixture
def failure(content):
    async def raised(*items, **options):
        with pytest.raises(SyncFailure) as exc:
            await content(*items, **options)
        assert CANARY not in exc.value.message
        return exc.value

    return raised


def refs(*ids):
    return frozenset(GRANT.ref(i) for i in ids)


async def test_all_forms_together_give_one_content_and_its_sources(content, aws):
    made = await content(
        literal("mode", "production"),
        key("pw", "app", "pw"),
        whole("cert", "cert"),
        template("first", '{{ (getSecretValueMap "pg/a").host }}'),
        dataFrom=all_keys("app"),
    )
    assert made.data == {
        "user": b"web",
        "pw": b"s1",
        "mode": b"production",
        "cert": b"-----BEGIN",
        "first": b"a.example",
    }
    assert dict(made.read) == {
        GRANT.ref("app"): Source("app", secret_arn("app"), "v3"),
        GRANT.ref("cert"): Source("cert", secret_arn("cert"), "v5"),
        GRANT.ref("pg/a"): Source("pg/a", secret_arn("pg/a"), "v1"),
    }
    assert made.template_reads == {"pg/a"}
    assert made.complete
    assert made.dependencies == Dependencies(refs("app", "cert", "pg/a"))
    assert aws.batches[0] == {"app", "cert"}


async def test_a_literal_needs_nothing_of_aws(content, aws):
    made = await content(literal("a", "1"), listing=catalogue(listed_at=None))
    assert (made.data, dict(made.read), made.dependencies) == ({"a": b"1"}, {}, Dependencies())
    assert aws.asked == []


async def test_the_template_of_the_go_operators_readme_gives_what_it_gave(content, aws, golden):
    made = await content(template("pgbouncer-hosts", PGBOUNCER))
    golden("templates/pgbouncer.txt", made.data["pgbouncer-hosts"].decode())
    assert made.dependencies == Dependencies(refs("pg/a", "pg/b"), frozenset({Filter("tagKey", ("tag1",))}))
    assert made.template_reads == {"pg/a", "pg/b"}


async def test_a_template_that_is_used_twice_is_rendered_once(content, metrics):
    made = await content(template("a", '{{ len "abc" }}'), template("b", '{{ len "abc" }}'))
    assert made.data == {"a": b"3", "b": b"3"}
    assert metrics.registry.get_sample_value("secretsyncer_template_renders_total", {"outcome": "success"}) == 1


async def test_a_number_in_a_template_is_written_in_full(content, aws):
    aws.values["app"] = value("app", '{"n": 356136738}')
    made = await content(template("a", '{{ with getSecretValueMap "app" }}{{ .n }} {{ printf "%s" .n }}{{ end }}'))
    assert made.data == {"a": b"356136738 356136738"}


# Failures


async def test_all_problems_of_a_spec_are_reported_at_once(failure, aws):
    aws.values["app"] = value("app", {"user": CANARY})
    aws.denied = {"cert"}
    found = await failure(
        key("one", "app", "missing"),
        whole("two", "cert"),
        whole("three", "nowhere"),
        template("four", '{{ getSecretValue "nowhere else" }}'),
        template("five", "{{ .Wrong }}"),
        template("six", "fine"),
    )
    assert isinstance(found, Rejected)
    for place in ("data.one: ", "data.two: ", "data.three: ", "data.four: ", "data.five: "):
        assert place in found.message
    assert "data.six" not in found.message


async def test_a_search_that_finds_nothing_does_not_hide_what_else_is_wrong(failure):
    found = await failure(whole("one", "nowhere"), dataFrom={"find": {"tagKey": "none"}})
    assert "find matches none of the listed AWS secrets" in found.message
    assert "data.one: " in found.message


async def test_an_optional_search_may_find_nothing_beside_other_keys(content, failure):
    find = {"find": {"tagKey": "none", "optional": True}}
    assert (await content(key("user", "app", "user"), dataFrom=find)).data == {"user": b"web"}
    assert "everything optional is absent" in (await failure(dataFrom=find)).message


async def test_an_optional_search_waits_while_the_listing_is_in_doubt(failure):
    doubtful = LISTED.at_round(2, "the listing lacks 3 AWS secrets")
    find = {"find": {"tagKey": "none", "optional": True}}
    found = await failure(key("user", "app", "user"), dataFrom=find, listing=doubtful)
    assert isinstance(found, Unavailable)
    assert "the listing lacks 3 AWS secrets" in found.message


async def test_temporary_failures_take_precedence(failure, aws):
    aws.failures["cert"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled", retry_after=3)
    found = await failure(key("one", "app", "missing"), whole("two", "cert"))
    assert isinstance(found, Unavailable)
    assert found.retry_after == 3


async def test_a_secret_under_a_tag_rule_is_refused_in_every_form(failure, aws):
    grant = Grant(GRANT.identity, "needed")
    forms = [
        {"dataFrom": all_keys("app")},
        {"dataFrom": {"secretRefs": [{"name": "app"}]}},
        {"dataFrom": {"find": {"name": {"prefix": "app"}}}},
        {"data": [key("a", "app", "user")]},
        {"data": [whole("a", "app")]},
        {"data": [whole("a", secret_arn("app"))]},
        {"data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "app", "jmesPath": "user"}}}]},
        {"data": [template("a", '{{ getSecretValue "app" }}')]},
        {"data": [template("a", '{{ getSecretValueMap "app" }}')]},
        {"data": [{"name": "a", "valueFrom": {"secretRef": {"name": "app", "optional": True, "default": "x"}}}]},
    ]
    for form in forms:
        assert (await failure(grant=grant, **form)).reason is Reason.ROLE_NOT_ALLOWED, form
    assert aws.asked == []


# Searches


async def test_found_secrets_are_read_by_arn_and_depended_on_with_the_narrowest_filter(content):
    made = await content(dataFrom={"find": {"tagKey": "tag1", "merge": True}})
    assert made.data == {"host": b"b.example", "user": b"v", "password": b"q", "port": b"5432"}
    arns = refs(secret_arn("pg/a"), secret_arn("pg/b"))
    assert made.dependencies == Dependencies(arns, frozenset({Filter("tagKey", ("tag1",))}))


@pytest.mark.parametrize(
    ("find", "what"),
    [
        ({"tags": {"tag1": "", "env": "prod"}}, Filter("tag", ("env", "prod"))),
        ({"tagKey": "tag1", "tags": {"env": "prod"}}, Filter("tag", ("env", "prod"))),
        ({"tagKey": "env"}, Filter("tagKey", ("env",))),
        ({"name": {"regexp": "b$"}}, Filter("name", ())),
    ],
)
async def test_a_search_depends_on_the_part_of_the_catalogue_that_it_uses(content, find, what):
    made = await content(dataFrom={"find": {**find, "merge": True}})
    assert made.data["host"] == b"b.example"
    assert made.dependencies.filters == {what}


async def test_a_search_before_the_first_listing_waits_and_never_empties_a_secret(failure):
    found = await failure(dataFrom={"find": {"tagKey": "tag1"}}, listing=catalogue(listed_at=None))
    assert isinstance(found, Unavailable)
    found = await failure(dataFrom={"find": {"tagKey": "tag1"}}, listing=catalogue())
    assert (found.reason, isinstance(found, Rejected)) == (Reason.SECRET_NOT_FOUND, True)


# Completeness and dependencies


async def test_a_content_without_an_optional_secret_is_not_complete(content):
    item = {"name": "a", "valueFrom": {"secretRef": {"name": "later", "optional": True}}}
    made = await content(item, literal("b", "1"))
    assert (made.data, made.complete) == ({"b": b"1"}, False)
    assert made.dependencies == Dependencies(refs("later"))


def test_the_selections_are_the_filters_and_none_for_the_whole_catalogue():
    what = Filter("tagKey", ("team",))
    assert Dependencies().selections == set()
    assert Dependencies(filters=frozenset({what})).selections == {what}
    assert Dependencies(filters=frozenset({what}), whole_catalogue=True).selections == {what, None}


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        (None, {"team", "other", "version", "name"}),
        (Filter("name", ("^a",)), {"team", "other", "version", "name"}),
        (Filter("tagKey", ("team",)), {"team", "version"}),
        (Filter("tag", ("team", "x")), {"team", "version"}),
        (Filter("tag", ("team", "nobody")), set()),
    ],
)
def test_a_digest_changes_with_what_is_selected_and_only_then(what, changes):
    base = [entry("a", team="x"), entry("b")]
    variants = {
        "team": [entry("a", team="y"), entry("b")],
        "other": [entry("a", team="x"), entry("b", other="1")],
        "version": [entry("a", team="x", version="v2"), entry("b")],
        "name": [entry("a", team="x"), entry("c")],
        "order": list(reversed(base)),
    }
    digest = digest_of(what, catalogue(*base))
    assert {name for name, listed in variants.items() if digest_of(what, catalogue(*listed)) != digest} == changes


async def test_the_representation_of_a_content_shows_no_value(content, aws):
    aws.values["app"] = value("app", {"k": CANARY})
    made = await content(dataFrom=all_keys("app"))
    assert made.data == {"k": CANARY.encode()}
    assert CANARY not in repr(made)


# What was selected before and is not any more

LOOPS = {
    "filter": '{{ range $n, $_ := filterByTagKey .Secrets "tag1" }}{{ $n }} {{ end }}',
    "filter that reads": '{{ range $n, $_ := filterByTagKey .Secrets "tag1" }}{{ getSecretValue $n }} {{ end }}',
    "filter of a filter": '{{ range $n, $_ := filterByTag (filterByName .Secrets "pg") "env" "prod" }}{{ $n }}{{ end }}',
    "loop": '{{ range $n, $s := .Secrets }}{{ if hasKey $s.Tags "tag1" }}{{ getSecretValue $n }}{{ end }}{{ end }}',
    "loop over names": "{{ range $n, $_ := .Secrets }}{{ $n }}{{ end }}",
}
UNTAGGED = catalogue(entry("app"), entry("cert"), entry("pg/a"), entry("pg/b"))


def last_good(made):
    return LastGood(frozenset(source.arn for source in made.read.values()), made.selected)


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_template_that_selected_secrets_and_now_selects_none_fails(content, failure, loop):
    item = template("conf", LOOPS[loop])
    made = await content(item)
    assert made.data["conf"]
    less = UNTAGGED if loop != "loop over names" else catalogue()
    lost = await failure(item, listing=less, last_good=last_good(made))
    assert (type(lost), lost.reason) == (Rejected, Reason.SECRET_NOT_FOUND)
    assert lost.message.startswith("data.conf: ")
    assert "selects none of the listed AWS secrets any more" in lost.message
    again = await content(item, listing=less, last_good=last_good(made), allowEmpty=True)
    assert again.data == {"conf": b""}


@pytest.mark.parametrize("loop", ["filter that reads", "loop"])
async def test_after_a_restart_the_sources_in_the_status_show_what_was_selected(content, failure, loop):
    item = template("conf", LOOPS[loop])
    sources = LastGood(frozenset({secret_arn("pg/a"), secret_arn("pg/b")}))
    lost = await failure(item, listing=UNTAGGED, last_good=sources)
    assert lost.reason is Reason.SECRET_NOT_FOUND
    assert (await content(item, listing=UNTAGGED)).data == {"conf": b""}


async def test_after_a_restart_a_source_that_the_spec_names_itself_does_not_count(content):
    sources = LastGood(frozenset({secret_arn("app"), secret_arn("gone")}))
    gone = {"name": "gone", "valueFrom": {"secretRef": {"name": "gone", "optional": True}}}
    empty = '{{ range filterByTagKey .Secrets "nobody" }}{{ end }}'
    made = await content(key("pw", "app", "pw"), gone, template("conf", empty), last_good=sources)
    assert made.data == {"pw": b"s1", "conf": b""}


async def test_a_template_that_never_selected_anything_and_one_that_still_does_go_on(content):
    items = [
        template("empty", '{{ len (filterByTagKey .Secrets "nobody") }}'),
        template("half", '{{ len (filterByTagKey .Secrets "tag1") }}'),
        template("none", "{{ 1 }}"),
    ]
    made = await content(*items)
    assert made.data == {"empty": b"0", "half": b"2", "none": b"1"}
    half = catalogue(entry("pg/a", tag1=""))
    assert (await content(*items, listing=half, last_good=last_good(made))).data["half"] == b"1"


async def test_while_the_listing_is_in_doubt_nothing_that_was_there_counts_as_gone(content, failure):
    listing = catalogue().at_round(1, "the listing lacks 3 of 3 AWS secrets in use")
    items = [
        literal("a", "1"),
        *({"name": n, "valueFrom": {"secretRef": {"name": n, "optional": True}}} for n in ("old", "new")),
    ]
    sources = LastGood(frozenset({secret_arn("old")}))
    lost = await failure(*items, listing=listing, last_good=sources)
    assert isinstance(lost, Unavailable)
    assert "data.old: " in lost.message
    assert "the listing lacks 3 of 3" in lost.message
    assert "data.new" not in lost.message
    assert (await content(*items, last_good=sources)).data == {"a": b"1"}
    some = LastGood(frozenset({secret_arn("old")}), complete=False)  # a status has only the first ones
    lost = await failure(*items, listing=listing, last_good=some)
    assert "data.new: " in lost.message
    assert (await content(*items, last_good=some)).data == {"a": b"1"}


# Limits


async def test_each_limit_ends_the_object_with_its_number(aws, engine, metrics):
    async def message(*items, listing=LISTED, **limits):
        renderer = ContentRenderer(aws, engine, metrics, limits=Limits(**limits))
        with pytest.raises(Rejected) as raised:
            await renderer.render(GRANT, parsed(*items).spec, listing)
        return raised.value.message

    loop = template("t", '{{ range $n, $_ := filterByName .Secrets "." }}{{ getSecretValue $n }}{{ end }}')
    filters = template("t", "{{ range $i := 20 }}{{ $_ := filterByTagKey $.Secrets (print $i) }}{{ end }}")
    slow = template("t", "{{ range 300000 }}{{ end }}")
    both = (whole("a", "app"), whole("b", "cert"))
    assert await message(*both, reads=1) == "the object reads 2 AWS secrets and parameters; the limit is 1"
    assert "the limit is 3" in await message(
        loop, whole("x", "pg/a"), whole("y", "pg/b"), whole("z", "cert"), reads=3
    )
    assert (
        await message(filters, filters=9)
        == "the templates call filters with 20 different arguments; the limit is 9"
    )
    assert "has 37 bytes or more; the limit is 36," in await message(*both, fetched=36)
    assert "the limit is 0.0 s" in await message(slow, template_seconds=0.001)
    assert "produces 10 bytes or more; the limit is 9" in await message(whole("b", "cert"), produced=9)


async def test_what_a_template_will_only_perhaps_read_never_exceeds_the_limit(aws, engine, metrics):
    renderer = ContentRenderer(aws, engine, metrics, limits=Limits(reads=2))
    read = '{{ if eq $n "pg/a" }}{{ (getSecretValueMap $n).host }}{{ end }}'
    only_one = f'{{{{ range $n, $_ := filterByName .Secrets "." }}}}{read}{{{{ end }}}}'
    made = await renderer.render(GRANT, parsed(template("t", only_one)).spec, LISTED)
    assert made.data == {"t": b"a.example"}


def by_path(name, secret, path):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "jmesPath": path}}}


@pytest.fixture
def long_work(aws):
    """Items that take some seconds."""
    aws.values["big"] = value("big", {f"k{n}": "x" for n in range(3_000)})
    return [by_path(f"k{n}", "big", f"sort(keys(@))[{n}]") for n in range(900)]


@pytest.fixture
def patient(aws, engine, metrics):
    """A renderer that lets an object take long."""
    return ContentRenderer(aws, engine, metrics, limits=Limits(steps=10**9, cpu_seconds=60))


async def test_short_expressions_do_not_wait_for_long_work(patient, long_work):
    spec = parsed(*long_work[:300]).spec
    works = [asyncio.create_task(patient.render(GRANT, spec, LISTED)) for _ in range(4)]
    await asyncio.sleep(0)
    short = parsed(
        by_path("pw", "app", "pw"),
        dataFrom={
            "find": {"name": {"regexp": "^pg/a$"}},
            "rewrite": [{"source": "^.*/(.*)$", "target": "pg-$1"}],
        },
    ).spec
    made = await patient.render(GRANT, short, LISTED)
    assert made.data["pw"] == b"s1"
    assert made.data.keys() == {"pw", "pg-a"}
    assert not any(work.done() for work in works)
    await asyncio.gather(*works)


async def test_work_that_turns_out_to_be_long_goes_on_in_a_thread_within_the_same_limits(aws, engine, metrics):
    aws.values["list"] = value("list", {"a": list(range(3_000))})
    item = by_path("a", "list", "a[] | [] | [] | [-1]")
    renderer = ContentRenderer(aws, engine, metrics)
    assert (await renderer.render(GRANT, parsed(item).spec, LISTED)).data == {"a": b"2999"}
    strict = ContentRenderer(aws, engine, metrics, limits=Limits(steps=2_000))
    with pytest.raises(Rejected, match="the limit is 2000"):
        await strict.render(GRANT, parsed(item).spec, LISTED)


async def test_long_work_leaves_the_event_loop_free(patient, long_work):
    work = asyncio.create_task(patient.render(GRANT, parsed(*long_work).spec, LISTED))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert len((await work).data) == 900
    assert turns > 5


REPEATED = {
    "all keys again": {"dataFrom": {"secretRefs": [all_keys("keys")["secretRef"]] * 1000}},
    "a list again": {"data": [key(f"k{number}", "list", "a") for number in range(100)]},
    "a search again": {
        "dataFrom": {
            "entries": [
                {"find": {"tags": TAGS}, "rewrite": [{"source": "/", "target": f"-{n}-"}]} for n in range(100)
            ]
        }
    },
    "one long key": {
        "dataFrom": {
            **all_keys("long"),
            "rewrite": [{"source": f"(?:.?){{900}}@{n}", "target": ""} for n in range(10)],
        }
    },
}


@pytest.mark.parametrize("spec", REPEATED.values(), ids=REPEATED)
async def test_repeating_what_is_short_leaves_the_event_loop_free(aws, engine, metrics, spec):
    listed = [entry(f"s/{number}", **TAGS) for number in range(3_000)]
    aws.values |= {
        "keys": value("keys", {f"{number:x}": "" for number in range(5_000)}),
        "list": value("list", {"a": [1] * 20_000}),
        "long": value("long", {"n" * 4096: ""}),
    }
    less = Limits(produced=1 << 20) if "data" in spec else Limits()
    renderer = ContentRenderer(aws, engine, metrics, limits=less)
    work = asyncio.create_task(renderer.render(GRANT, parsed(**spec).spec, catalogue(*listed)))
    longest = await longest_turn(work)
    with pytest.raises(Rejected, match=r"the limit is|key number 1|Kubernetes allows"):
        await work
    assert longest < 0.3


async def test_the_keys_of_all_secrets_and_searches_are_limited_together(aws, engine, metrics):
    aws.values["two"] = value("two", {"a": "", "b": ""})
    renderer = ContentRenderer(aws, engine, metrics, limits=Limits(keys=3))
    twice = {"entries": [all_keys("two"), all_keys("two")]}
    search = {"entries": [all_keys("two"), {"find": {"tagKey": "tag1"}}]}
    for spec in ({"dataFrom": twice}, {"dataFrom": search}):
        with pytest.raises(Rejected, match=r"makes 4 keys or more, .*; the limit is 3"):
            await renderer.render(GRANT, parsed(**spec).spec, LISTED)


async def test_without_template_messages_a_template_decides_no_part_of_a_message(aws, engine, metrics):
    renderer = ContentRenderer(aws, engine, metrics, template_messages=False)

    async def message(text):
        with pytest.raises(SyncFailure) as raised:
            await renderer.render(GRANT, parsed(template("t", text)).spec, LISTED)
        return raised.value.message

    spelled = '{{ if hasPrefix "s" (getSecretValueMap "app").pw }}{{ required "it begins with s" "" }}{{ end }}'
    line = '{{ $c := (getSecretValueMap "app").pw }}{{ if hasPrefix "s" $c }}\n\n\n{{ fail }}{{ end }}'
    which = '{{ if hasPrefix "s" (getSecretValueMap "app").pw }}{{ getSecretValue "begins-with-s" }}{{ end }}'
    assert await message(spelled) == "data.t: the template fails; `secretsyncer render` shows the error"
    assert await message(line.replace("fail", "index (list) 5")) == await message(spelled)
    assert await message(which) == "data.t: a secret that the template reads cannot be read (SecretNotFound)"
    assert "line 1" in await message("{{ if }}")
