"""The one door to AWS values: what a grant lets through, in every form, and what a template gets to see."""

import pytest

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.errors import Reason, Rejected, Unavailable
from secretsyncer.gotemplate.engine import EngineUnavailable, Filter, Needs, TemplateEngine
from secretsyncer.sync.authorize import Grant
from secretsyncer.sync.fetch import ROUNDS, Reader, ref_of
from secretsyncer.synced_secret import SecretReference
from tests.support.builders import catalogue, entry, value
from tests.support.value_source import MemoryAws

pytestmark = pytest.mark.timeout(60)  # the first render on a machine compiles the engine

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
def reader(aws, engine, metrics):
    return Reader(aws, engine, metrics)


def ids(*names, grant=GRANT):
    return {grant.ref(name) for name in names}


async def rendered(reader, text, *, grant=GRANT, listing=LISTED, expected=()):
    return await reader.render_template(grant, text, listing, expected=expected)


async def refused(reader, text, **options):
    with pytest.raises((Rejected, Unavailable)) as raised:
        await rendered(reader, text, **options)
    assert CANARY not in raised.value.message
    return raised.value


# Values


async def test_each_secret_is_given_or_its_failure(reader, aws):
    aws.denied = {"text"}
    found = await reader.read(GRANT, ids("db/one", "text", "nowhere"), LISTED)
    assert found[GRANT.ref("db/one")].text == '{"user": "u1", "port": 5432}'
    assert found[GRANT.ref("text")].reason is Reason.ACCESS_DENIED
    assert found[GRANT.ref("nowhere")].reason is Reason.SECRET_NOT_FOUND


async def test_everything_is_read_as_the_grants_identity_and_nobody_else(reader, aws):
    grant = Grant(Identity(ROLE, "ext", "me"), region="eu-west-3")
    await reader.read(grant, [ref_of(grant, SecretReference(name="text"))], LISTED)
    await rendered(reader, '{{ getSecretValue "db/one" }}', grant=grant)
    await rendered(reader, f"{TEAM}{{{{ getSecretValue $name }}}}{{{{ end }}}}", grant=grant, expected=["text"])
    assert {(ref.identity, ref.region) for ref in aws.asked} == {(Identity(ROLE, "ext", "me"), "eu-west-3")}


def test_a_reference_says_which_version_and_where():
    reference = SecretReference.model_validate(
        {"name": "app", "region": "us-east-1", "versionStage": "AWSPENDING", "versionId": "v" * 32}
    )
    assert ref_of(GRANT, reference) == SecretRef(GRANT.identity, "app", "us-east-1", "v" * 32, "AWSPENDING")
    assert ref_of(GRANT, SecretReference(name="app")) == SecretRef(GRANT.identity, "app")


async def test_nothing_wanted_asks_for_nothing(reader, aws):
    assert await reader.read(GRANT, [], LISTED) == {}
    assert await reader.read(TAGGED, [], LISTED) == {}
    assert aws.asked == []


# The tag rule


async def test_with_a_tag_rule_a_secret_without_the_tag_is_never_read_in_any_form(reader, aws):
    aws.tags_of = {"db/one": {TAG: "1"}, "text": {TAG: "0"}}
    found = await reader.read(TAGGED, ids("db/one", "text", "db/two", "nowhere", grant=TAGGED), LISTED)
    assert found[TAGGED.ref("db/one")].text
    for name in ("text", "db/two"):
        failure = found[TAGGED.ref(name)]
        assert failure.reason is Reason.ROLE_NOT_ALLOWED
        assert f"AWS secret {name} does not carry the tag {TAG}=1" in failure.message
    assert found[TAGGED.ref("nowhere")].reason is Reason.SECRET_NOT_FOUND
    template = '{{ getSecretValue "text" }}'
    assert (await refused(reader, template, grant=TAGGED)).reason is Reason.ROLE_NOT_ALLOWED
    template = '{{ (getSecretValueMap "db/two").user }}'
    assert (await refused(reader, template, grant=TAGGED, expected=["text"])).reason is Reason.ROLE_NOT_ALLOWED
    assert {ref.id for ref in aws.asked} == {"db/one"}


async def test_with_a_tag_rule_tags_that_cannot_be_read_keep_the_secret_from_being_read(reader, aws):
    aws.failures["text"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled")
    refusals = await reader.refusals(TAGGED, ids("text", grant=TAGGED), LISTED)
    assert refusals[TAGGED.ref("text")].reason is Reason.AWS_UNAVAILABLE
    assert aws.asked == []


async def test_without_a_tag_rule_no_tags_are_asked_for(reader):
    assert await reader.refusals(GRANT, ids("text", "nowhere"), LISTED) == {}


# Templates


async def test_a_template_gets_what_it_asks_for_and_its_sources_are_told(reader):
    result = await rendered(reader, '{{ (getSecretValueMap "db/one").port }} {{ getSecretValue "text" }}')
    assert result.output == "5432 plain"
    assert {ref.id: source.version_id for ref, source in result.read.items()} == {"db/one": "v1", "text": "v1"}
    assert (result.filters, result.whole_catalogue) == (frozenset(), False)


async def test_what_a_filter_selects_is_fetched_in_one_batch(reader, aws):
    result = await rendered(reader, f"{TEAM}{{{{ (getSecretValueMap $name).user }}}} {{{{ end }}}}")
    assert result.output == "u1 u2 "
    assert aws.batches == [{"db/one", "db/two"}]
    assert result.filters == {Filter("tagKey", ("team",))}
    assert not result.whole_catalogue


async def test_what_was_read_last_time_is_fetched_up_front(reader, aws, metrics):
    template = '{{ getSecretValue (getSecretValue "pointer") }}'
    first = await rendered(reader, template)
    assert len(aws.batches) == 2
    aws.batches.clear()
    again = await rendered(reader, template, expected=[ref.id for ref in first.read])
    assert again.output == first.output == "plain"
    assert aws.batches == [{"pointer", "text"}]


async def test_what_was_read_last_time_and_is_not_read_any_more_is_no_source(reader):
    result = await rendered(reader, '{{ getSecretValue "text" }}', expected=["db/one", "nowhere"])
    assert {ref.id for ref in result.read} == {"text"}


async def test_a_selected_secret_that_may_not_be_read_is_no_failure_unless_the_template_asks_for_it(reader, aws):
    aws.denied = {"db/two"}
    only_one = (
        f'{TEAM}{{{{ if eq $name "db/one" }}}}{{{{ (getSecretValueMap $name).user }}}}{{{{ end }}}}{{{{ end }}}}'
    )
    assert (await rendered(reader, only_one)).output == "u1"
    failure = await refused(reader, f"{TEAM}{{{{ (getSecretValueMap $name).user }}}}{{{{ end }}}}")
    assert failure.reason is Reason.ACCESS_DENIED
    assert "db/two" in failure.message


async def test_a_required_secret_that_cannot_be_read_gives_its_own_reason(reader, aws):
    assert (await refused(reader, '{{ getSecretValue "nowhere" }}')).reason is Reason.SECRET_NOT_FOUND
    aws.failures["text"] = Unavailable(Reason.AWS_UNAVAILABLE, "throttled", retry_after=7)
    failure = await refused(reader, '{{ getSecretValue "text" }}')
    assert isinstance(failure, Unavailable)
    assert failure.retry_after == 7


async def test_a_name_made_from_a_secrets_value_is_never_shown(reader):
    failure = await refused(reader, '{{ getSecretValue (getSecretValue "bad pointer") }}')
    assert failure.reason is Reason.SECRET_NOT_FOUND
    assert "takes from another secret" in failure.message


async def test_a_template_that_fails_says_where_and_is_counted(reader, metrics):
    failure = await refused(reader, "one\n{{ .Nothing }}")
    assert failure.reason is Reason.TEMPLATE_ERROR
    assert "2:" in failure.message
    assert failure.__suppress_context__
    sample = metrics.registry.get_sample_value
    assert sample("secretsyncer_template_renders_total", {"outcome": "failure"}) == 1


async def test_renders_are_counted_by_outcome(reader, metrics):
    await rendered(reader, '{{ getSecretValue "text" }}')
    sample = metrics.registry.get_sample_value
    assert sample("secretsyncer_template_renders_total", {"outcome": "needs"}) == 1
    assert sample("secretsyncer_template_renders_total", {"outcome": "success"}) == 1


async def test_a_template_over_the_catalogue_sees_names_tags_and_versions(reader):
    result = await rendered(
        reader, "{{ range $name, $s := .Secrets }}{{ $name }}={{ $s.CurrentVersionID }}/{{ $s.Tags.team }} {{ end }}",
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
async def test_before_the_first_listing_no_template_takes_it_for_an_empty_one(reader, template):
    failure = await refused(reader, template, listing=catalogue(listed_at=None))
    assert isinstance(failure, Unavailable)
    assert failure.reason is Reason.AWS_UNAVAILABLE


async def test_before_the_first_listing_a_template_that_does_not_look_at_it_goes_on(reader):
    result = await rendered(reader, '{{ getSecretValue "text" }}', listing=catalogue(listed_at=None))
    assert result.output == "plain"


async def test_a_listing_is_handed_to_the_engine_anew_only_when_it_changed(reader):
    template = "{{ len .Secrets }}"
    assert (await rendered(reader, template)).output == "3"
    assert (await rendered(reader, template, listing=catalogue(entry("one")))).output == "1"
    assert (await rendered(reader, template)).output == "3"


async def test_a_chain_of_secrets_ends_after_some_rounds(aws, engine, metrics):
    for n in range(ROUNDS + 5):
        aws.values[f"s{n}"] = value(f"s{n}", f"s{n + 1}")
    chain = '{{ $name := "s0" }}{{ range $_ := splitList "," "N" }}{{ $name = getSecretValue $name }}{{ end }}{{ $name }}'
    few, many = chain.replace("N", "," * 8), chain.replace("N", "," * (ROUNDS + 2))
    reader = Reader(aws, engine, metrics)
    assert (await rendered(reader, few)).output == "s9"
    failure = await refused(reader, many)
    assert failure.reason is Reason.TEMPLATE_ERROR
    assert f"gave up after {ROUNDS} rounds" in failure.message


class BrokenEngine(TemplateEngine):
    """An engine that cannot start."""

    def __init__(self):
        super().__init__(cache_dir=None)

    async def render(self, template, catalogue, values):
        raise EngineUnavailable("not built")


class InsatiableEngine(BrokenEngine):
    """An engine that asks for what it has."""

    async def render(self, template, catalogue, values):
        return Needs(("text",), ())


async def test_an_engine_that_cannot_start_is_no_fault_of_the_template(aws, metrics):
    reader = Reader(aws, BrokenEngine(), metrics)
    failure = await refused(reader, "x")
    assert isinstance(failure, Unavailable)
    assert "cannot start" in failure.message


async def test_an_engine_that_asks_for_what_it_has_is_not_asked_for_ever(aws, metrics):
    failure = await refused(Reader(aws, InsatiableEngine(), metrics), "x")
    assert failure.reason is Reason.TEMPLATE_ERROR
    assert aws.batches == [{"text"}]


async def test_the_representation_of_an_output_does_not_show_it(reader, aws):
    aws.values["text"] = value("text", CANARY)
    result = await rendered(reader, '{{ getSecretValue "text" }}')
    assert result.output == CANARY
    assert CANARY not in repr(result)
