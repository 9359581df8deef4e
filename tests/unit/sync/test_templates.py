"""Templates: their data, what they read under a grant, and when they are stopped."""

import asyncio

import pytest

from secretsyncer.aws.identity import Identity
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.gotemplate.engine import EngineUnavailable, Filter, Needs, TemplateEngine
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.budget import Budget, Exhausted, Limits
from secretsyncer.sync.fetch import GatedReader
from secretsyncer.sync.templates import ROUNDS, TemplateRenderer
from tests.support.builders import catalogue, entry, value
from tests.support.value_source import MemoryAws

CANARY = "c4n4ry-v4lu3"
ROLE = "arn:aws:iam::123456789012:role/reader"
GRANT = Grant(Identity(ROLE))
TAG = "k8s.contentful.com/namespace_type/web"
TAGGED = Grant(Identity(ROLE), TAG)
LISTED = catalogue(entry("db/one", team="web"), entry("db/two", team="web"), entry("text"))
TEAM = '{{ range $name, $_ := filterByTagKey .Secrets "team" }}'


@pytest.fixture
def aws():
    return MemoryAws(
        value("db/one", {"user": "u1", "port": 5432}),
        value("db/two", {"user": "u2"}, version="v2"),
        value("text", "plain"),
        value("binary", b"\xff\x00"),
        value("pointer", "text"),
        value("bad pointer", CANARY),
    )


@pytest.fixture
def renderer(aws, engine, metrics):
    return TemplateRenderer(GatedReader(aws), engine, metrics)


async def rendered(renderer, text, *, grant=GRANT, listing=LISTED, expected=()):
    return await renderer.render(grant, text, listing, expected=expected)


async def refused(renderer, text, **options):
    with pytest.raises((Rejected, Unavailable)) as raised:
        await rendered(renderer, text, **options)
    assert CANARY not in raised.value.message
    return raised.value


# Under a grant


async def test_everything_is_read_as_the_grants_identity_and_nobody_else(renderer, aws):
    grant = Grant(Identity(ROLE, "ext", "me"), region="eu-west-3")
    await rendered(renderer, '{{ getSecretValue "db/one" }}', grant=grant)
    await rendered(renderer, f"{TEAM}{{{{ getSecretValue $name }}}}{{{{ end }}}}", grant=grant, expected=["text"])
    assert {(ref.identity, ref.region) for ref in aws.asked} == {(Identity(ROLE, "ext", "me"), "eu-west-3")}


async def test_with_a_tag_rule_a_secret_without_the_tag_is_never_read(renderer, aws):
    aws.tags_of = {"db/one": {TAG: "1"}, "text": {TAG: "0"}}
    template = '{{ getSecretValue "text" }}'
    assert (await refused(renderer, template, grant=TAGGED)).reason is Reason.ROLE_NOT_ALLOWED
    template = '{{ (getSecretValueMap "db/two").user }}'
    assert (await refused(renderer, template, grant=TAGGED, expected=["text"])).reason is Reason.ROLE_NOT_ALLOWED
    assert (await rendered(renderer, '{{ (getSecretValueMap "db/one").user }}', grant=TAGGED)).output == "u1"
    assert {ref.id for ref in aws.asked} == {"db/one"}


# Rounds


async def test_a_template_gets_the_values_that_it_needs_and_its_sources_are_returned(renderer):
    result = await rendered(renderer, '{{ (getSecretValueMap "db/one").port }} {{ getSecretValue "text" }}')
    assert result.output == "5432 plain"
    assert {ref.id: source.version_id for ref, source in result.read.items()} == {"db/one": "v1", "text": "v1"}
    assert (result.filters, result.whole_catalogue) == (frozenset(), False)


async def test_what_a_filter_selects_is_fetched_at_once_with_what_is_needed(renderer, aws):
    result = await rendered(renderer, f"{TEAM}{{{{ (getSecretValueMap $name).user }}}} {{{{ end }}}}")
    assert result.output == "u1 u2 "
    assert aws.batches == [{"db/one"}, {"db/two"}]
    assert result.filters == {Filter("tagKey", ("team",))}
    assert not result.whole_catalogue


async def test_what_was_read_last_time_is_fetched_up_front(renderer, aws, metrics):
    template = '{{ getSecretValue (getSecretValue "pointer") }}'
    first = await rendered(renderer, template)
    assert len(aws.batches) == 2
    aws.batches.clear()
    again = await rendered(renderer, template, expected=[ref.id for ref in first.read])
    assert again.output == first.output == "plain"
    assert aws.batches == [{"pointer", "text"}]


async def test_what_was_read_last_time_and_is_not_read_any_more_is_no_source(renderer):
    result = await rendered(renderer, '{{ getSecretValue "text" }}', expected=["db/one", "nowhere"])
    assert {ref.id for ref in result.read} == {"text"}


async def test_a_selected_secret_that_may_not_be_read_is_no_failure_unless_the_template_asks_for_it(renderer, aws):
    aws.denied = {"db/two"}
    only_one = (
        f'{TEAM}{{{{ if eq $name "db/one" }}}}{{{{ (getSecretValueMap $name).user }}}}{{{{ end }}}}{{{{ end }}}}'
    )
    assert (await rendered(renderer, only_one)).output == "u1"
    failure = await refused(renderer, f"{TEAM}{{{{ (getSecretValueMap $name).user }}}}{{{{ end }}}}")
    assert failure.reason is Reason.ACCESS_DENIED
    assert "db/two" in failure.message


async def test_a_required_secret_that_cannot_be_read_gives_its_own_reason(renderer, aws):
    assert (await refused(renderer, '{{ getSecretValue "nowhere" }}')).reason is Reason.SECRET_NOT_FOUND
    aws.failures["text"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled", retry_after=7)
    failure = await refused(renderer, '{{ getSecretValue "text" }}')
    assert isinstance(failure, Unavailable)
    assert failure.retry_after == 7


async def test_a_name_made_from_a_secrets_value_is_never_shown(renderer):
    failure = await refused(renderer, '{{ getSecretValue (getSecretValue "bad pointer") }}')
    assert failure.reason is Reason.SECRET_NOT_FOUND
    assert "computes from another secret" in failure.message


async def test_a_template_that_fails_has_a_position_and_is_counted(renderer, metrics):
    failure = await refused(renderer, "one\n{{ .Nothing }}")
    assert failure.reason is Reason.TEMPLATE_ERROR
    assert "2:" in failure.message
    assert failure.__suppress_context__
    sample = metrics.registry.get_sample_value
    assert sample("secretsyncer_template_renders_total", {"outcome": "failure"}) == 1


async def test_renders_are_counted_by_outcome(renderer, metrics):
    await rendered(renderer, '{{ getSecretValue "text" }}')
    sample = metrics.registry.get_sample_value
    assert sample("secretsyncer_template_renders_total", {"outcome": "needs"}) == 1
    assert sample("secretsyncer_template_renders_total", {"outcome": "success"}) == 1


async def test_a_template_over_the_catalogue_sees_names_tags_and_versions(renderer):
    result = await rendered(
        renderer, "{{ range $name, $s := .Secrets }}{{ $name }}={{ $s.CurrentVersionID }}/{{ $s.Tags.team }} {{ end }}",
        listing=catalogue(entry("b", version="v2", team="x"), entry("a", team="y")),
    )  # fmt: skip
    assert result.output == "a=v1/y b=v2/x "
    assert result.whole_catalogue


@pytest.mark.parametrize(
    "template",
    [
        "{{ len .Secrets }}",
        f"{TEAM}x{{{{ end }}}}",
        '{{ required "no secrets" .Secrets }}',
        '{{ with filterByTagKey .Secrets "team" }}{{ else }}{{ required "no secrets" "" }}{{ end }}',
    ],
)
async def test_before_the_first_listing_no_template_takes_it_for_an_empty_one(renderer, template):
    failure = await refused(renderer, template, listing=catalogue(listed_at=None))
    assert isinstance(failure, Unavailable)
    assert failure.reason is Reason.AWS_UNAVAILABLE


async def test_before_the_first_listing_a_template_that_does_not_look_at_it_goes_on(renderer):
    result = await rendered(renderer, '{{ getSecretValue "text" }}', listing=catalogue(listed_at=None))
    assert result.output == "plain"


async def test_a_listing_is_encoded_for_the_engine_only_when_it_changed(renderer):
    template = "{{ len .Secrets }}"
    assert (await rendered(renderer, template)).output == "3"
    assert (await rendered(renderer, template, listing=catalogue(entry("one")))).output == "1"
    assert (await rendered(renderer, template)).output == "3"


async def test_a_chain_of_secrets_ends_after_some_rounds(aws, engine, metrics):
    for n in range(ROUNDS + 5):
        aws.values[f"s{n}"] = value(f"s{n}", f"s{n + 1}")
    chain = '{{ $name := "s0" }}{{ range $_ := splitList "," "N" }}{{ $name = getSecretValue $name }}{{ end }}{{ $name }}'
    few, many = chain.replace("N", "," * 8), chain.replace("N", "," * (ROUNDS + 2))
    renderer = TemplateRenderer(GatedReader(aws), engine, metrics)
    assert (await rendered(renderer, few)).output == "s9"
    failure = await refused(renderer, many)
    assert failure.reason is Reason.TEMPLATE_ERROR
    assert f"gave up after {ROUNDS} rounds" in failure.message


class SlowHints(MemoryAws):
    """AWS gives what is needed, and no answer for what is likely to be needed. `waiting`: reads without an answer."""

    waiting = 0

    async def likely(self, refs, catalogue):
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1


async def test_a_reconcile_that_ends_at_a_limit_leaves_no_read_behind(aws, engine, metrics):
    slow = SlowHints(*aws.values.values())
    renderer = TemplateRenderer(GatedReader(slow), engine, metrics)
    text = f"{TEAM}{{{{ getSecretValue $name }}}}{{{{ end }}}}"
    with pytest.raises(Exhausted):
        await renderer.render(GRANT, text, LISTED, expected=(), budget=Budget(Limits(fetched=1)))
    await asyncio.sleep(0)
    assert slow.waiting == 0


async def test_what_is_needed_and_denied_is_told_without_waiting_for_hints(aws, engine, metrics):
    slow = SlowHints(*aws.values.values())
    slow.denied = {"db/one"}
    renderer = TemplateRenderer(GatedReader(slow), engine, metrics)
    failure = await refused(renderer, f"{TEAM}{{{{ getSecretValue $name }}}}{{{{ end }}}}")
    assert failure.reason is Reason.ACCESS_DENIED
    assert slow.waiting == 0


class BrokenEngine(TemplateEngine):
    """An engine that cannot start."""

    def __init__(self):
        super().__init__(cache_dir=None)

    async def render(self, template, catalogue, values, data):
        raise EngineUnavailable("not built")


class InsatiableEngine(BrokenEngine):
    """An engine that asks for what it has."""

    async def render(self, template, catalogue, values, data):
        return Needs(("text",), ())


async def test_an_engine_that_cannot_start_is_no_fault_of_the_template(aws, metrics):
    renderer = TemplateRenderer(GatedReader(aws), BrokenEngine(), metrics)
    failure = await refused(renderer, "x")
    assert isinstance(failure, Unavailable)
    assert "cannot start" in failure.message


async def test_an_engine_that_requests_the_same_secret_again_is_stopped(aws, metrics):
    failure = await refused(TemplateRenderer(GatedReader(aws), InsatiableEngine(), metrics), "x")
    assert failure.reason is Reason.TEMPLATE_ERROR
    assert aws.batches == [{"text"}]


async def test_the_representation_of_an_output_does_not_show_it(renderer, aws):
    aws.values["text"] = value("text", CANARY)
    result = await rendered(renderer, '{{ getSecretValue "text" }}')
    assert result.output == CANARY
    assert CANARY not in repr(result)
