"""Responses with odd entries: they harm nothing else in the response, and they are never taken for absence."""

import pytest

from sandbox.aws.state import REGION
from secretsyncer.aws.api.parameterstore import ParameterStore
from secretsyncer.aws.api.secretsmanager import SecretsManager
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR, SecretRef
from secretsyncer.aws.listing.pages import list_secrets
from secretsyncer.aws.outcome import CallOutcome
from tests.support.cache_rig import Rig

pytestmark = pytest.mark.looptime


class Scripted(Rig):
    """Both services, whose answers to one operation are those of a script, in order."""

    def __init__(self):
        super().__init__()
        self.put = self.world.parameters.put
        self.asked = []
        self._script = {}
        self._ask = self.api.call
        self.api.call = self._call
        self.store = ParameterStore(self.api, per_second=10_000)
        self.secrets = SecretsManager(self.api)

    def answers(self, operation, *answers):
        """Changes of the answers to come: a dict in place of one, or a function of the real one."""
        self._script[operation] = list(answers)

    async def _call(self, identity, region, operation, params, **more):
        self.asked.append((operation, dict(params)))
        change = self._script[operation].pop(0) if self._script.get(operation) else dict
        return (
            change
            if isinstance(change, dict)
            else change(await self._ask(identity, region, operation, params, **more))
        )

    def ref(self, name, **more):
        return SecretRef(OPERATOR, name, REGION, service="ParameterStore", **more)

    async def failure(self, work):
        with pytest.raises(AwsError) as failed:
            await work
        return failed.value.failure


@pytest.fixture
async def rig():
    made = Scripted()
    yield made
    await made.sources.aclose()


ODD = [
    None,
    1,
    "text",
    {},
    {"Name": 1, "ARN": None, "Value": "x", "Version": 1},
    {"Name": "arn:nonsense", "ARN": "arn:nonsense", "Value": "x", "Version": 1},
    {"Name": ["/app/a"], "ARN": {}, "Value": {}, "Version": "1"},
]


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_entry_among_values_does_not_harm_the_others(rig, odd):
    rig.put("/app/a", "one")
    rig.put("/app/b", "two")
    refs = [rig.ref("/app/a"), rig.ref("/app/b"), rig.ref("/app/none")]
    rig.answers(
        "GetParameters",
        lambda real: {
            "Parameters": [odd, *real["Parameters"]],
            "InvalidParameters": [None, 1, ["/app/a"], *real["InvalidParameters"]],
        },
    )
    batch = await rig.store.batch_get(OPERATOR, REGION, refs)
    assert {ref.id: value.text for ref, value in batch.values.items()} == {"/app/a": "one", "/app/b": "two"}
    assert {ref.id for ref in batch.failures} == {"/app/none"}


async def test_a_value_that_was_not_asked_for_is_not_used(rig):
    rig.put("/app/a", "one")
    rig.put("/app/b", "two")
    other = await rig.store.get(rig.ref("/app/b"))
    assert other.text == "two"
    rig.answers(
        "GetParameters",
        lambda real: real | {"Parameters": [real["Parameters"][0] | {"Name": "/app/b", "ARN": other.arn}]},
    )
    failure = await rig.failure(rig.store.get(rig.ref("/app/a")))
    assert failure.outcome is CallOutcome.UNREADABLE


@pytest.mark.parametrize(
    "odd", [None, 1, "text", {"Key": 1}, {"Key": "k", "Value": 1}, {"Key": ["k"], "Value": "1"}]
)
async def test_odd_tags_are_no_answer_of_aws(rig, odd):
    rig.put("/app/a", "one", tags={"k": "1"})
    rig.answers("ListTagsForResource", {"TagList": [odd]})
    assert (await rig.failure(rig.store.tags(rig.ref("/app/a")))).outcome is CallOutcome.UNREADABLE


async def test_an_empty_page_with_a_token_is_not_absence(rig):
    """AWS: the number of items can be zero, with a token, if it reaches an internal limit."""
    rig.put("/app/a", "one")
    rig.answers("DescribeParameters", {"Parameters": [], "NextToken": "MA=="})
    assert (await rig.store.describe(rig.ref("/app/a")))["Name"] == "/app/a"
    assert rig.asked[-1][1]["NextToken"] == "MA=="


async def test_pages_without_an_end_are_not_absence_either(rig):
    rig.answers("DescribeParameters", *[{"Parameters": [], "NextToken": str(number)} for number in range(1000)])
    assert (await rig.failure(rig.store.describe(rig.ref("/app/a")))).outcome is CallOutcome.UNREADABLE
    assert len(rig.asked) < 50


@pytest.mark.parametrize("odd", [None, 1, {"Name": "/app/b"}, {"Name": None}])
async def test_a_description_of_something_else_is_no_answer(rig, odd):
    rig.put("/app/a", "one")
    rig.answers("DescribeParameters", {"Parameters": [odd]})
    assert (await rig.failure(rig.store.describe(rig.ref("/app/a")))).outcome is CallOutcome.UNREADABLE


async def test_a_parameter_that_does_not_exist_is_absent(rig):
    assert (await rig.failure(rig.store.describe(rig.ref("/app/a")))).outcome is CallOutcome.NOT_FOUND


@pytest.mark.parametrize(
    "page", [{"Parameters": None}, {"Parameters": [None]}, {"Parameters": [1]}, {"Parameters": [{"Name": None}]}]
)
async def test_an_odd_page_of_a_listing_is_left_to_who_lists(rig, page):
    rig.answers("DescribeParameters", page)
    assert (await rig.store.list_page(OPERATOR, REGION, "")).entries == page["Parameters"]


# Secrets Manager


@pytest.mark.parametrize("odd", [*ODD[:4], {"Name": ["a"], "ARN": {}, "SecretString": {}, "VersionId": 1}])
async def test_an_odd_entry_among_secrets_does_not_harm_the_others(rig, odd):
    rig.world.create("a", "one")
    refs = [SecretRef(OPERATOR, name, REGION) for name in ("a", "none")]
    rig.answers(
        "BatchGetSecretValue",
        lambda real: {
            "SecretValues": [odd, *real["SecretValues"]],
            "Errors": [odd, {"SecretId": 1}, *real["Errors"]],
        },
    )
    batch = await rig.secrets.batch_get(OPERATOR, REGION, refs)
    assert {ref.id: value.text for ref, value in batch.values.items()} == {"a": "one"}
    assert {ref.id for ref in batch.failures} == {"none"}


@pytest.mark.parametrize("odd", [None, 1, "text", {"Key": 1}, {"Key": "k", "Value": 1}])
async def test_odd_tags_of_a_secret_are_no_answer_of_aws(rig, odd):
    rig.world.create("a", "one")
    rig.answers("DescribeSecret", lambda real: real | {"Tags": [odd]})
    assert (await rig.failure(rig.secrets.tags(SecretRef(OPERATOR, "a", REGION)))).outcome is CallOutcome.UNREADABLE


ODD_FIELDS = [
    {"SecretString": {}},
    {"SecretString": 1},
    {"SecretString": None, "SecretBinary": "text"},
    {"SecretString": {}, "SecretBinary": b"binary"},
    {"VersionStages": 1},
    {"VersionStages": [None]},
    {"VersionStages": "AWSCURRENT"},
    {"VersionId": ["1"]},
    {"ARN": {"a": "b"}},
    {"ARN": "arn:nonsense"},
]


@pytest.mark.parametrize("odd", ODD_FIELDS)
async def test_a_secret_with_an_odd_field_is_no_answer_of_aws(rig, odd):
    rig.world.create("a", "one")
    rig.answers("GetSecretValue", lambda real: real | odd)
    failure = await rig.failure(rig.secrets.get(SecretRef(OPERATOR, "a", REGION)))
    assert failure.outcome is CallOutcome.UNREADABLE


@pytest.mark.parametrize("odd", ODD_FIELDS)
async def test_a_secret_with_an_odd_field_does_not_harm_the_others_of_its_batch(rig, odd):
    rig.world.create("a", "one")
    rig.world.create("b", "two")
    refs = [SecretRef(OPERATOR, name, REGION) for name in ("a", "b")]
    rig.answers(
        "BatchGetSecretValue",
        lambda real: {
            "SecretValues": [value | odd if value["Name"] == "a" else value for value in real["SecretValues"]]
        },
    )
    batch = await rig.secrets.batch_get(OPERATOR, REGION, refs)
    assert {ref.id: value.text for ref, value in batch.values.items()} == {"b": "two"}
    assert batch.failures == {}


async def test_another_version_than_the_one_that_was_asked_for_is_not_used(rig):
    first = rig.world.create("a", "one").versions.keys()
    rig.world.put("a", "two")
    (version,) = list(first)[:1]
    rig.answers("GetSecretValue", lambda real: real | {"VersionId": "another", "SecretString": "two"})
    failure = await rig.failure(rig.secrets.get(SecretRef(OPERATOR, "a", REGION, version_id=version)))
    assert failure.outcome is CallOutcome.UNREADABLE


@pytest.mark.parametrize("odd", [{}, 0, False, [], 1, ["next"], {"a": "b"}])
@pytest.mark.parametrize("service", ["SecretsManager", "ParameterStore"])
async def test_an_odd_token_is_not_the_end_of_a_listing(rig, odd, service):
    api, operation = {
        "SecretsManager": (rig.secrets, "ListSecrets"),
        "ParameterStore": (rig.store, "DescribeParameters"),
    }[service]
    rig.answers(operation, *[lambda real: real | {"NextToken": odd}] * 2)
    work = list_secrets(api, OPERATOR, REGION, beat=lambda: None, old={})
    assert (await rig.failure(work)).outcome is CallOutcome.UNREADABLE
    assert len(rig.asked) == 1


@pytest.mark.parametrize("odd", [{"Name": None}, {"Name": "b"}, {"Name": ["a"]}])
async def test_a_description_of_another_secret_is_no_answer(rig, odd):
    rig.world.create("a", "one")
    rig.answers("DescribeSecret", lambda real: real | odd)
    failure = await rig.failure(rig.secrets.tags(SecretRef(OPERATOR, "a", REGION)))
    assert failure.outcome is CallOutcome.UNREADABLE


@pytest.mark.parametrize("odd", [{}, 0, False, [], 1, ["next"]])
async def test_an_odd_token_does_not_say_that_a_parameter_is_absent(rig, odd):
    rig.answers("DescribeParameters", {"Parameters": [], "NextToken": odd})
    assert (await rig.failure(rig.store.describe(rig.ref("/app/a")))).outcome is CallOutcome.UNREADABLE
