"""The same cache, with Parameter Store behind it."""

import pytest

from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.values.batcher import BATCH_REFUSED
from secretsyncer.errors import Reason, Rejected, Unavailable
from tests.support.cache_rig import Rig

pytestmark = pytest.mark.looptime

FOREIGN = "999999999999"


class ParameterRig(Rig):
    """Reads parameters; `put` makes them."""

    def __init__(self):
        super().__init__()
        self.put = self.world.parameters.put

    def parameter(self, name, **more):
        return SecretRef(self.reader, name, service="ParameterStore", **more)

    async def read(self, *refs):
        """Texts of the values; errors as they are."""
        refs = [self.parameter(ref) if isinstance(ref, str) else ref for ref in refs]
        got = await self.sources.get_many(refs, self.listings)
        results = [got[ref] for ref in refs]
        texts = [result if isinstance(result, Exception) else result.text for result in results]
        return texts[0] if len(texts) == 1 else texts

    async def recheck(self, *refs):
        return await self.parameters.recheck(refs, self.parameter_catalogue)


@pytest.fixture
async def rig():
    made = ParameterRig()
    yield made
    await made.sources.aclose()


async def test_an_unchanged_parameter_is_read_once_however_often_it_is_wanted(rig):
    rig.put("/app/a", "one")
    for _ in range(5):
        await rig.poll_parameters()
        assert await rig.read("/app/a") == "one"
    assert rig.api.calls == {"GetParameters": 1}


async def test_parameters_are_read_ten_in_a_call(rig):
    names = [f"/app/{number}" for number in range(200)]
    for name in names:
        rig.put(name, f"value of {name}")
    await rig.poll_parameters()
    assert await rig.read(*names) == [f"value of {name}" for name in names]
    assert rig.api.calls == {"GetParameters": 20}


async def test_a_name_and_its_arn_share_one_read(rig):
    made = rig.put("/app/a", "one")
    await rig.poll_parameters()
    assert await rig.read("/app/a", made.arn) == ["one", "one"]
    assert rig.api.asked[-1][2] == ("/app/a",)


async def test_a_secret_and_a_parameter_of_the_same_name_are_two(rig):
    rig.world.create("app", "secret")
    rig.put("app", "parameter")
    await rig.poll()
    await rig.poll_parameters()
    assert await rig.read(rig.ref("app"), rig.parameter("app")) == ["secret", "parameter"]


async def test_a_new_version_is_read_when_the_listing_shows_it(rig):
    rig.put("/app/a", "one")
    await rig.poll_parameters()
    assert await rig.read("/app/a") == "one"
    rig.put("/app/a", "two")
    assert await rig.read("/app/a") == "one"
    await rig.poll_parameters()
    assert await rig.read("/app/a") == "two"


async def test_a_parameter_that_was_made_again_is_read_though_it_has_the_same_number(rig):
    rig.put("/app/a", "one")
    await rig.poll_parameters()
    assert await rig.read("/app/a") == "one"
    rig.world.parameters.delete("/app/a")
    rig.clock.advance(minutes=1)
    assert rig.put("/app/a", "another").version == 1
    await rig.poll_parameters()
    assert await rig.read("/app/a") == "another"


async def test_a_pinned_version_is_read_once_and_later_ones_do_not_matter(rig):
    rig.put("/app/a", "one")
    pinned = rig.parameter("/app/a", version_id="1")
    for value in ("two", "three"):
        await rig.poll_parameters()
        assert await rig.read(pinned) == "one"
        assert await rig.recheck(pinned) == set()
        rig.put("/app/a", value)
    assert rig.api.calls == {"GetParameters": 1}


async def test_a_pinned_version_of_a_parameter_that_was_made_again_is_read_again(rig):
    rig.put("/app/a", "one")
    rig.put("/app/a", "two")
    pinned = rig.parameter("/app/a", version_id="1")
    await rig.poll_parameters()
    assert await rig.read(pinned) == "one"
    for number in range(3, 6):
        rig.put("/app/a", str(number))
    await rig.poll_parameters()
    assert await rig.read(pinned) == "one"
    rig.world.parameters.delete("/app/a")
    rig.clock.advance(minutes=1)
    for value in ("another", "2", "3"):
        rig.put("/app/a", value)
    await rig.poll_parameters()
    assert rig.parameters.known(pinned, rig.parameter_catalogue) is None
    assert await rig.read(pinned) == "another"
    assert rig.api.calls == {"GetParameters": 2}


async def test_a_pinned_version_of_a_parameter_that_is_gone_is_not_found(rig):
    rig.put("/app/a", "one")
    pinned = rig.parameter("/app/a", version_id="1")
    await rig.poll_parameters()
    assert await rig.read(pinned) == "one"
    rig.world.parameters.delete("/app/a")
    await rig.poll_parameters()
    assert (await rig.read(pinned)).reason is Reason.SECRET_NOT_FOUND
    rig.clock.advance(minutes=1)
    rig.put("/app/a", "another")
    await rig.poll_parameters()
    assert await rig.read(pinned) == "another"


async def test_a_pinned_version_that_is_not_listed_is_read_once_per_round(rig):
    made = rig.put("/shared/a", "one", account=FOREIGN, shared_with=[rig.reader.role])
    pinned = rig.parameter(made.arn, version_id="1")
    await rig.poll_parameters()
    assert await rig.read(pinned) == await rig.read(pinned) == "one"
    assert rig.api.calls == {"GetParameters": 1}
    rig.world.parameters.delete("/shared/a", account=FOREIGN)
    rig.clock.advance(minutes=1)
    rig.put("/shared/a", "another", account=FOREIGN, shared_with=[rig.reader.role])
    await rig.poll_parameters()
    assert await rig.recheck(pinned) == {pinned}
    assert await rig.read(pinned) == "another"


async def test_labels_are_read_once_per_round_ten_in_a_call_and_a_moved_label_is_a_change(rig):
    names = [f"/app/{number}" for number in range(30)]
    for name in names:
        rig.put(name, "one").labels["live"] = 1
        rig.put(name, "two")
    refs = [rig.parameter(name, stage="live") for name in names]
    await rig.poll_parameters()
    assert await rig.read(*refs) == ["one"] * 30
    rig.api.calls.clear()
    await rig.poll_parameters()
    assert await rig.recheck(*refs) == set()
    assert rig.api.calls == {"GetParameters": 3}
    rig.world.parameters.get("/app/7").labels["live"] = 2
    await rig.poll_parameters()
    assert await rig.recheck(*refs) == {refs[7]}
    assert await rig.read(refs[7]) == "two"
    assert rig.api.calls == {"GetParameters": 6}


async def test_a_shared_parameter_is_read_by_its_arn_once_per_round(rig):
    made = rig.put("/shared/a", "one", account=FOREIGN, shared_with=[rig.reader.role])
    rig.put("/shared/a", "of this account")
    ref = rig.parameter(made.arn)
    await rig.poll_parameters()
    assert await rig.read(ref) == "one"
    rig.put("/shared/a", "two", account=FOREIGN)
    await rig.poll_parameters()
    assert await rig.recheck(ref) == {ref}
    assert await rig.read(ref) == "two"
    assert rig.api.calls == {"GetParameters": 2}


async def test_a_parameter_that_is_not_shared_is_denied(rig):
    made = rig.put("/app/a", "one", account=FOREIGN)
    await rig.poll_parameters()
    refused = await rig.read(rig.parameter(made.arn))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.ACCESS_DENIED


async def test_a_parameter_a_version_and_a_label_that_do_not_exist_are_not_found(rig):
    rig.put("/app/a", "one")
    await rig.poll_parameters()
    missing = [
        rig.parameter("/app/b"),
        rig.parameter("/app/a", version_id="9"),
        rig.parameter("/app/a", stage="none"),
    ]
    found = await rig.read(*missing, "/app/a")
    assert [getattr(one, "reason", one) for one in found] == [Reason.SECRET_NOT_FOUND] * 3 + ["one"]
    assert "cannot find parameter /app/a:9" in found[1].message


async def test_one_denied_parameter_spoils_one_call_and_goes_alone_from_then_on(rig):
    names = [f"/app/{number}" for number in range(10)]
    for name in names:
        rig.put(name, name)
    rig.world.role("reader", read=[name for name in names if name != "/app/3"])
    await rig.poll_parameters()
    found = await rig.read(*names)
    assert found[:3] + found[4:] == names[:3] + names[4:]
    assert found[3].reason is Reason.ACCESS_DENIED
    assert rig.api.calls == {"GetParameters": 11}
    rig.parameters.invalidate(names)
    rig.api.calls.clear()
    await rig.read(*names)
    assert rig.api.calls == {"GetParameters": 2}
    assert BATCH_REFUSED > 60


async def test_a_key_that_may_not_be_used_is_a_denial_and_not_absence(rig):
    rig.put("/app/a", "one")
    rig.world.role("reader", kms_denied=["/app/*"])
    await rig.poll_parameters()
    refused = await rig.read("/app/a")
    assert refused.reason is Reason.ACCESS_DENIED
    assert "kms:Decrypt" in refused.message


async def test_no_value_crosses_roles(rig):
    rig.put("/app/a", "one")
    other = Identity(rig.world.role("other", read=[]))
    await rig.poll_parameters()
    assert await rig.read("/app/a") == "one"
    refused = await rig.read(SecretRef(other, "/app/a", service="ParameterStore"))
    assert refused.reason is Reason.ACCESS_DENIED


async def test_throttling_of_parameters_does_not_hold_up_secrets(rig):
    rig.world.create("app", "secret")
    rig.put("/app/a", "one")
    await rig.poll()
    await rig.poll_parameters()
    rig.api.broken = lambda operation, _: "ThrottlingException" if operation == "GetParameters" else ""
    throttled, value = await rig.read("/app/a", rig.ref("app"))
    assert isinstance(throttled, Unavailable)
    assert value == "secret"
    rig.world.put("app", "new")
    await rig.poll()
    assert await rig.read(rig.ref("app")) == "new"


async def test_tags_are_read_once_per_round_because_no_listing_shows_them(rig):
    rig.put("/app/a", "one", tags={"k": "1"})
    ref = rig.parameter("/app/a")
    await rig.poll_parameters()
    for _ in range(3):
        assert (await rig.sources.tags([ref], rig.listings))[ref] == {"k": "1"}
    assert rig.api.calls == {"ListTagsForResource": 1}
    rig.world.parameters.get("/app/a").tags.clear()
    await rig.poll_parameters()
    assert await rig.recheck(ref) == {ref}
    assert (await rig.sources.tags([ref], rig.listings))[ref] == {}
    assert rig.api.calls == {"ListTagsForResource": 2}


async def test_the_tags_of_a_parameter_of_this_account_do_not_stand_for_a_shared_one_of_that_name(rig):
    shared = rig.put("/app/a", "theirs", account=FOREIGN, shared_with=[rig.reader.role])
    rig.put("/app/a", "ours", tags={"k": "1"})
    ref = rig.parameter(shared.arn)
    await rig.poll_parameters()
    refused = (await rig.sources.tags([ref], rig.listings))[ref]
    assert refused.reason is Reason.ACCESS_DENIED
    assert "another account shares it" in refused.message
    assert rig.api.calls == {}


@pytest.mark.parametrize("name", ["app", "/app"])
async def test_the_tags_of_a_name_of_one_level_are_found_by_its_arn(rig, name):
    made = rig.put(name, "one", tags={"k": "1"})
    ref = rig.parameter(made.arn)
    await rig.poll_parameters()
    assert (await rig.sources.tags([ref], rig.listings))[ref] == {"k": "1"}
    assert await rig.read(ref) == "one"
