"""When a value is current, when AWS is called, and which callers get it."""

import asyncio

import pytest

from secretsyncer.aws.identity import Identity
from secretsyncer.aws.value import size_of
from secretsyncer.aws.values.cache import AT_ONCE, SLICE
from secretsyncer.aws.values.cache import DENIED as DENIED_READS
from secretsyncer.aws.values.store import REFUSED_PER_ROUND
from secretsyncer.aws.values.tags import DENIED
from secretsyncer.errors import Reason, Rejected, Unavailable
from tests.support.turns import counting_turns

pytestmark = pytest.mark.looptime

FOREIGN = "999999999999"


async def test_an_unchanged_secret_is_fetched_once_however_often_it_is_wanted(rig):
    rig.world.create("app", "one")
    for _ in range(5):
        await rig.poll()
        assert await rig.get("app") == "one"
    assert rig.api.calls == {"GetSecretValue": 1}


async def test_all_spellings_of_a_secret_share_one_fetch(rig):
    secret = rig.world.create("app", "one")
    await rig.poll()
    assert await rig.get("app", secret.arn, secret.arn[:-7]) == ["one"] * 3
    assert rig.api.calls == {"GetSecretValue": 1}


async def test_a_new_version_is_fetched_when_the_listing_shows_it(rig):
    rig.world.create("app", "one")
    await rig.poll()
    assert await rig.get("app") == "one"
    rig.world.put("app", "two")
    assert await rig.get("app") == "one"
    await rig.poll()
    assert await rig.get("app") == "two"
    assert rig.api.calls == {"GetSecretValue": 2}


async def test_a_rollback_is_followed(rig):
    rig.world.create("app", "one")
    rig.world.put("app", "two")
    await rig.poll()
    assert await rig.get("app") == "two"
    rig.world.roll_back("app")
    await rig.poll()
    assert await rig.get("app") == "one"


async def test_while_the_listing_lags_aws_is_asked_once_a_round_and_its_answer_is_used(rig):
    rig.world.create("app", "one")
    rig.world.freeze_lists()
    rig.world.put("app", "two")
    for number in range(1, 4):
        await rig.poll()
        assert await rig.get("app") == "two"
        assert await rig.get("app") == "two"
        assert rig.api.calls == {"GetSecretValue": number}
    rig.world.thaw_lists()
    await rig.poll()
    assert await rig.get("app") == "two"
    assert rig.api.calls == {"GetSecretValue": 3}


async def test_a_read_that_runs_behind_the_listing_is_asked_for_again_in_the_next_round(rig):
    secret = rig.world.create("app", "one")
    old = secret.staged("AWSCURRENT")
    rig.world.put("app", "two")
    secret.reads_lag_at = old
    await rig.poll()
    assert await rig.get("app", "app") == ["one", "one"]
    secret.reads_lag_at = ""
    assert await rig.get("app") == "one"
    await rig.poll()
    assert await rig.get("app") == "two"
    assert rig.api.calls == {"GetSecretValue": 2}


async def test_known_gives_the_version_without_a_call_and_nothing_where_a_call_is_needed(rig):
    secret = rig.world.create("app", "one")
    version = secret.staged("AWSCURRENT")
    ref = rig.ref("app")
    assert rig.cache.known(ref, rig.catalogue) is None
    await rig.poll()
    assert rig.cache.known(ref, rig.catalogue) is None
    await rig.get("app")
    assert rig.cache.known(ref, rig.catalogue) == (secret.arn, version)
    rig.world.put("app", "two")
    await rig.poll()
    assert rig.cache.known(ref, rig.catalogue) is None
    assert rig.cache.known(rig.ref("not a name"), rig.catalogue) is None
    assert rig.api.calls.total() == 1


async def test_a_role_that_may_not_read_never_gets_what_another_fetched(rig):
    rig.world.create("app", "one")
    outsider = Identity(rig.world.role("outsider", read=["other/*"]))
    await rig.poll()
    assert await rig.get("app") == "one"
    error = await rig.get("app", identity=outsider)
    assert isinstance(error, Rejected)
    assert error.reason is Reason.ACCESS_DENIED
    assert rig.cache.known(rig.ref("app", outsider), rig.catalogue) is None


@pytest.mark.parametrize("field", ["external_id", "session_name"])
async def test_the_same_role_assumed_otherwise_is_another_identity(rig, field):
    rig.world.create("app", "one")
    await rig.poll()
    await rig.get("app")
    await rig.get("app", identity=rig.reader._replace(**{field: "x1"}))
    assert rig.api.calls == {"GetSecretValue": 2}


async def test_a_namesake_in_another_account_is_never_confused_with_the_listed_one(rig):
    rig.world.create("app", "ours")
    theirs = rig.world.create("app", "theirs", account=FOREIGN)
    stranger = Identity(rig.world.role("stranger", account=FOREIGN))
    await rig.poll()
    assert await rig.get("app", identity=stranger) == "theirs"
    assert await rig.get("app") == "ours"
    assert await rig.get(theirs.arn, identity=stranger) == "theirs"


async def test_a_shared_secret_of_another_account_is_fetched_by_its_arn_once_a_round(rig):
    theirs = rig.world.create("shared", "v", account=FOREIGN, shared_with=[rig.reader.role])
    for number in range(1, 4):
        await rig.poll()
        for _ in range(3):
            assert await rig.get(theirs.arn) == "v"
        assert rig.api.calls == {"GetSecretValue": number}


async def test_a_listed_secret_read_by_another_accounts_role_costs_no_call_while_unchanged(rig):
    ours = rig.world.create("app", "ours")
    stranger = Identity(rig.world.role("stranger", account=FOREIGN))
    ours.shared_with.add(stranger.role)
    for _ in range(3):
        await rig.poll()
        assert await rig.get(ours.arn, identity=stranger) == "ours"
    assert rig.api.calls == {"GetSecretValue": 1}


async def test_a_secret_of_another_region_is_asked_for_there(rig):
    far = rig.world.create("app", "far", region="us-east-1")
    rig.world.create("app", "near")
    await rig.poll()
    assert await rig.get("app", region="us-east-1") == "far"
    assert await rig.get(far.arn) == "far"
    assert await rig.get("app") == "near"


async def test_a_region_that_is_invalid_or_differs_from_the_arn_is_the_users_mistake(rig):
    far = rig.world.create("app", "far", region="us-east-1")
    for ref in (rig.ref(far.arn, region="eu-west-1"), rig.ref("app", region="evil.com/")):
        error = await rig.get(ref)
        assert isinstance(error, Rejected)
        assert error.reason is Reason.INVALID_SPEC
    assert not rig.api.calls


async def test_an_invalid_reference_is_the_users_mistake_and_costs_no_call(rig):
    error = await rig.get("no such/../name!?")
    assert isinstance(error, Rejected)
    assert error.reason is Reason.INVALID_SPEC
    assert not rig.api.calls


async def test_a_pinned_version_is_never_fetched_again(rig):
    secret = rig.world.create("app", "one")
    pinned = secret.staged("AWSCURRENT")
    rig.world.put("app", "two")
    for _ in range(3):
        await rig.poll()
        assert await rig.get("app", version_id=pinned) == "one"
    assert rig.api.calls == {"GetSecretValue": 1}


async def test_another_stage_is_checked_once_a_round(rig):
    rig.world.create("app", "one")
    rig.world.put("app", "next", stage="AWSPENDING")
    await rig.poll()
    assert await rig.get("app", stage="AWSPENDING") == "next"
    rig.world.put("app", "after next", stage="AWSPENDING")
    assert await rig.get("app", stage="AWSPENDING") == "next"
    await rig.poll()
    assert await rig.get("app", stage="AWSPENDING") == "after next"
    assert await rig.get("app", stage="AWSCURRENT") == "one"


async def test_a_denial_is_remembered_for_a_minute_for_all_callers(rig):
    rig.world.create("app", "one")
    rig.world.role("reader", read=[])
    await rig.poll()
    for _ in range(10):
        assert (await rig.get("app")).reason is Reason.ACCESS_DENIED
    assert rig.api.calls == {"GetSecretValue": 1}
    rig.world.role("reader", read=None)
    await asyncio.sleep(61)
    assert await rig.get("app") == "one"


async def test_a_refusal_ends_when_the_listing_shows_that_the_secret_changed(rig):
    rig.world.create("app", "one")
    rig.world.role("reader", read=[])
    await rig.poll()
    assert isinstance(await rig.get("app"), Rejected)
    await rig.poll()
    assert isinstance(await rig.get("app"), Rejected)
    assert rig.api.calls == {"GetSecretValue": 1}
    rig.world.role("reader", read=None)
    rig.world.tag("app", {"touched": "1"})
    await rig.poll()
    assert await rig.get("app") == "one"


async def test_a_missing_secret_is_there_as_soon_as_the_listing_shows_it(rig):
    await rig.poll()
    assert (await rig.get("app")).reason is Reason.SECRET_NOT_FOUND
    rig.world.create("app", "one")
    assert (await rig.get("app")).reason is Reason.SECRET_NOT_FOUND
    await rig.poll()
    assert await rig.get("app") == "one"


async def test_a_role_that_loses_access_no_longer_gets_the_next_version(rig):
    rig.world.create("app", "one")
    await rig.poll()
    await rig.get("app")
    rig.world.role("reader", read=[])
    rig.world.put("app", "two")
    await rig.poll()
    assert isinstance(await rig.get("app"), Rejected)
    rig.world.roll_back("app")
    await rig.poll()
    assert isinstance(await rig.get("app"), Rejected)  # the first version was not kept for it either


async def test_while_aws_is_not_available_an_old_value_is_not_served_as_the_new_one(rig):
    rig.world.create("app", "one")
    await rig.poll()
    await rig.get("app")
    rig.world.put("app", "two")
    await rig.poll()
    rig.api.broken = lambda operation, identity: "ThrottlingException"
    error = await rig.get("app")
    assert isinstance(error, Unavailable)
    assert error.retry_after > 0
    rig.api.broken = lambda operation, identity: ""
    await asyncio.sleep(3)
    assert await rig.get("app") == "two"


async def test_while_aws_is_not_available_what_did_not_change_is_still_served(rig):
    rig.world.create("app", "one")
    await rig.poll()
    await rig.get("app")
    rig.api.broken = lambda operation, identity: "ThrottlingException"
    await rig.poll(fails=True)
    assert await rig.get("app") == "one"


async def test_a_failing_secret_is_retried_with_growing_delays(rig):
    rig.world.create("app", "one")
    await rig.poll()
    rig.api.broken = lambda operation, identity: "InternalServiceError"
    for _ in range(600):
        assert isinstance(await rig.get("app"), Unavailable)
        await asyncio.sleep(1)
    assert rig.api.calls["GetSecretValue"] < 20


async def test_a_recreated_secret_is_read_by_name_and_not_by_its_old_arn(rig):
    old = rig.world.create("app", "old").arn
    await rig.poll()
    assert await rig.get("app", old) == ["old", "old"]
    rig.world.delete("app", force=True)
    new = rig.world.create("app", "new").arn
    rig.world.freeze_lists()
    await rig.poll()
    assert await rig.get("app", new) == ["new", "new"]
    gone = await rig.get(old)
    assert isinstance(gone, Rejected)
    assert gone.reason is Reason.SECRET_NOT_FOUND


async def test_a_recreated_secret_with_the_same_version_id_is_another_secret(rig):
    version = "11111111-2222-3333-4444-555555555555"
    rig.world.create("app", "old", version_id=version)
    await rig.poll()
    assert await rig.get("app") == "old"
    rig.world.delete("app", force=True)
    rig.world.create("app", "new", version_id=version)
    await rig.poll()
    assert await rig.get("app") == "new"


async def test_a_secret_recreated_since_the_listing_is_not_returned_for_the_old_arn(rig):
    old = rig.world.create("app", "old").arn
    await rig.poll()
    rig.world.freeze_lists()
    rig.world.delete("app", force=True)
    rig.world.create("app", "new")
    await rig.poll()
    assert await rig.get("app") == "new"
    for _ in range(3):
        assert (await rig.get(old)).reason is Reason.SECRET_NOT_FOUND
        assert rig.cache.known(rig.ref(old), rig.catalogue) is None
    assert rig.api.calls.total() == 2
    cold = await rig.get(old, identity=Identity(rig.world.role("cold")))
    assert cold.reason is Reason.SECRET_NOT_FOUND


async def test_without_any_listing_each_secret_is_read_once_a_round(rig):
    rig.world.create("app", "one")
    for number in range(1, 4):
        await rig.poll(fails=True)
        assert await rig.get("app", "app") == ["one", "one"]
        assert rig.api.calls == {"GetSecretValue": number}


async def test_a_thousand_wants_for_one_secret_are_one_call(rig):
    rig.world.create("app", "one")
    await rig.poll()
    assert set(await asyncio.gather(*(rig.get("app") for _ in range(1000)))) == {"one"}
    assert rig.api.calls == {"GetSecretValue": 1}
    assert rig.metric("secretsyncer_cache_requests_total", service="SecretsManager", result="miss") == 1
    assert rig.metric("secretsyncer_cache_requests_total", service="SecretsManager", result="joined") == 999


async def test_a_prefetch_is_joined_by_workers_and_takes_full_batches(rig):
    names = [f"s{number}" for number in range(200)]
    for name in names:
        rig.world.create(name, name)
    await rig.poll()
    rig.cache.prefetch([rig.ref(name) for name in names], rig.catalogue)

    async def worker(mine):
        for name in mine:
            assert await rig.get(name) == name

    await asyncio.gather(*(worker(names[number::16]) for number in range(16)))
    assert rig.api.calls == {"BatchGetSecretValue": 10}


async def test_a_cold_start_costs_a_batch_for_every_twenty_secrets_of_a_role(rig):
    roles = [Identity(rig.world.role(f"role-{number}")) for number in range(5)]
    refs = []
    for number in range(150):
        rig.world.create(f"s{number}", "x")
        refs.append(rig.ref(f"s{number}", roles[number % 5]))
    await rig.poll()
    await rig.cache.get_many(refs, rig.catalogue)
    assert rig.api.calls == {"BatchGetSecretValue": 5 * 2}


async def test_no_more_is_fetched_once_the_values_are_too_large_together(rig):
    """An object may name thousands of secrets of 64 kB, which must not all be in memory before it is refused."""
    refs = []
    for number in range(1_000):
        rig.world.create(f"s{number}", "x" * 1_000)
        refs.append(rig.ref(f"s{number}"))
    await rig.poll()
    got = await rig.cache.get_many(refs, rig.catalogue, max_size=200_000)
    assert size_of(got.values()) == 320_000
    assert rig.api.calls == {"BatchGetSecretValue": 16}


async def test_a_listing_that_changes_while_a_call_is_under_way_is_not_answered_with_the_old_value(rig):
    secret = rig.world.create("app", "one")
    await rig.poll()
    early = asyncio.create_task(rig.get("app"))
    await asyncio.sleep(0.001)
    secret.reads_lag_at = secret.staged("AWSCURRENT")  # the call under way will bring the old version
    rig.world.put("app", "two")
    await asyncio.sleep(0)
    await rig.poll()
    secret.reads_lag_at = ""
    assert await rig.get("app") == "two"
    assert await early in {"one", "two"}
    assert await rig.get("app") == "two"


async def test_a_cancelled_pass_does_not_fail_the_others(rig):
    rig.world.create("app", "one")
    await rig.poll()
    first, second = asyncio.create_task(rig.get("app")), asyncio.create_task(rig.get("app"))
    await asyncio.sleep(0.001)
    first.cancel()
    assert await second == "one"


async def test_values_are_bounded_by_count_and_an_evicted_one_is_still_known(make_rig):
    rig = make_rig(max_values=10)
    names = [f"s{number}" for number in range(40)]
    for name in names:
        rig.world.create(name, name)
    await rig.poll()
    await rig.get(*names)
    assert rig.metric("secretsyncer_cache_values") == 10
    assert all(rig.cache.known(rig.ref(name), rig.catalogue) for name in names)
    rig.api.calls.clear()
    assert await rig.get(*names) == names
    assert rig.api.calls["BatchGetSecretValue"] == 2


async def test_values_are_bounded_by_bytes_and_the_last_used_stay(make_rig):
    rig = make_rig(max_bytes=50_000)
    for number in range(20):
        rig.world.create(f"s{number}", "x" * 9_000)
    await rig.poll()
    for number in range(20):
        await rig.get(f"s{number}")
        await rig.get("s0")
    assert rig.metric("secretsyncer_cache_values") == 5
    await rig.get("s0", "s19")
    assert rig.api.calls == {"GetSecretValue": 20}


async def test_binary_values_are_kept_as_bytes(rig):
    rig.world.create("cert", b"\x00\xff\xfe")
    await rig.poll()
    ref = rig.ref("cert")
    value = (await rig.cache.get_many([ref], rig.catalogue))[ref]
    assert (value.text, value.binary) == (None, b"\x00\xff\xfe")


async def test_no_value_is_in_any_representation(rig):
    rig.world.create("app", "hunter2")
    rig.world.create("cert", b"hunter2")
    await rig.poll()
    got = await rig.cache.get_many([rig.ref("app"), rig.ref("cert")], rig.catalogue)
    assert "hunter2" not in f"{got!r} {got}"
    assert "AWSCURRENT" in repr(got)


async def test_refreshed_secrets_are_read_again_even_if_the_listing_is_unchanged(rig):
    secret = rig.world.create("app", "one")
    rig.world.create("other", "x")
    await rig.poll()
    await rig.get("app", "other")
    rig.world.put("app", "two")
    assert await rig.get("app") == "one"
    rig.cache.invalidate([secret.arn])
    assert rig.cache.known(rig.ref("app"), rig.catalogue) is None
    assert rig.cache.known(rig.ref("other"), rig.catalogue) is not None
    assert await rig.get("app", "app") == ["two", "two"]
    assert rig.api.calls == {"BatchGetSecretValue": 1, "GetSecretValue": 1}


async def test_a_refresh_also_lifts_a_refusal(rig):
    rig.world.create("app", "one")
    rig.world.role("reader", read=[])
    await rig.poll()
    await rig.get("app")
    rig.world.role("reader", read=None)
    rig.cache.invalidate(["app"])
    assert await rig.get("app") == "one"


async def test_a_refresh_does_not_repeat_calls_while_aws_is_unavailable(rig):
    rig.world.create("app", "one")
    await rig.poll()
    await rig.get("app")
    rig.api.broken = lambda operation, identity: "InternalServiceError"
    rig.cache.invalidate(["app"])
    rig.api.calls.clear()
    for _ in range(100):
        assert isinstance(await rig.get("app"), Unavailable)
    assert rig.api.calls == {"GetSecretValue": 1}


async def test_a_refresh_is_not_answered_by_a_call_that_was_under_way(rig):
    secret = rig.world.create("app", "one")
    await rig.poll()
    secret.reads_lag_at = secret.staged("AWSCURRENT")
    rig.world.put("app", "two")
    early = asyncio.create_task(rig.get("app"))
    await asyncio.sleep(0.019)
    rig.cache.invalidate(["app"])
    await early
    secret.reads_lag_at = ""
    assert await rig.get("app") == "two"


async def test_a_refresh_of_an_invalid_name_does_no_harm(rig):
    rig.world.create("app", "one")
    await rig.poll()
    await rig.get("app")
    rig.cache.invalidate(["", "not a name!?", "arn:aws:s3:::bucket", "unknown"])
    assert rig.cache.known(rig.ref("app"), rig.catalogue)


class TestRecheck:
    """Once a round, what no listing shows."""

    async def test_foreign_secrets_are_checked_in_batches_and_only_changes_are_told(self, rig):
        arns = [
            rig.world.create(f"s{number}", "x", account=FOREIGN, shared_with=[rig.reader.role]).arn
            for number in range(50)
        ]
        refs = [rig.ref(arn) for arn in arns]
        await rig.poll()
        await rig.cache.get_many(refs, rig.catalogue)
        rig.world.put("s7", "y", account=FOREIGN)
        rig.api.calls.clear()
        await rig.poll()
        assert await rig.cache.recheck(refs, rig.catalogue) == {refs[7]}
        assert rig.api.calls == {"BatchGetSecretValue": 3}
        await rig.cache.get_many(refs, rig.catalogue)
        assert rig.api.calls == {"BatchGetSecretValue": 3}
        await rig.poll()
        assert await rig.cache.recheck(refs, rig.catalogue) == set()

    async def test_listed_secrets_are_not_checked(self, rig):
        rig.world.create("app", "one")
        await rig.poll()
        await rig.get("app")
        await rig.poll()
        rig.api.calls.clear()
        assert await rig.cache.recheck([rig.ref("app")], rig.catalogue) == set()
        assert not rig.api.calls

    async def test_a_recheck_of_many_lets_other_work_run_in_between(self, rig):
        await rig.poll()
        async with counting_turns() as turns:
            await rig.cache.recheck([rig.ref(f"s{number}") for number in range(10 * SLICE)], rig.catalogue)
        assert turns.count >= 10

    async def test_a_change_that_a_pass_saw_first_is_still_told_to_the_others(self, rig):
        theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role]).arn
        await rig.poll()
        await rig.get(theirs)
        rig.world.put("s", "y", account=FOREIGN)
        await rig.poll()
        assert await rig.get(theirs) == "y"
        assert await rig.cache.recheck([rig.ref(theirs)], rig.catalogue) == {rig.ref(theirs)}

    async def test_access_lost_and_regained_is_told(self, rig):
        theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role])
        ref = rig.ref(theirs.arn)
        await rig.poll()
        await rig.get(ref)
        theirs.shared_with.clear()
        await rig.poll()
        assert await rig.cache.recheck([ref], rig.catalogue) == {ref}
        assert isinstance(await rig.get(ref), Rejected)
        theirs.shared_with.add(rig.reader.role)
        await rig.poll()
        assert await rig.cache.recheck([ref], rig.catalogue) == {ref}
        assert await rig.get(ref) == "x"

    async def test_an_outage_is_no_change(self, rig):
        theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role]).arn
        await rig.poll()
        await rig.get(theirs)
        rig.api.broken = lambda operation, identity: "InternalServiceError" if identity.role else ""
        await rig.poll()
        assert await rig.cache.recheck([rig.ref(theirs)], rig.catalogue) == set()
        assert isinstance(await rig.get(theirs), Unavailable)

    async def test_other_stages_are_checked_and_pinned_versions_are_not(self, rig):
        version = rig.world.create("app", "one").staged("AWSCURRENT")
        rig.world.put("app", "two")
        staged, pinned = rig.ref("app", stage="AWSPREVIOUS"), rig.ref("app", version_id=version)
        await rig.poll()
        assert await rig.get(staged, pinned) == ["one", "one"]
        rig.world.put("app", "three")
        rig.api.calls.clear()
        await rig.poll()
        assert await rig.cache.recheck([staged, pinned], rig.catalogue) == {staged}
        assert rig.api.calls == {"GetSecretValue": 1}
        assert await rig.get(staged) == "two"

    async def test_what_nobody_has_read_yet_is_not_read_here(self, rig):
        theirs = rig.world.create("s", "x", account=FOREIGN, shared_with=[rig.reader.role]).arn
        await rig.poll()
        assert await rig.cache.recheck([rig.ref(theirs), rig.ref("no!?name")], rig.catalogue) == set()
        assert not rig.api.calls

    async def test_what_is_no_longer_used_is_forgotten_and_what_is_stays(self, rig):
        for name in ("kept", "dropped"):
            rig.world.create(name, "x")
        await rig.poll()
        await rig.get("kept", "dropped")
        for _ in range(3):
            await rig.poll()
            await rig.cache.recheck([rig.ref("kept")], rig.catalogue)
        assert rig.metric("secretsyncer_cache_values") == 1
        assert rig.cache.known(rig.ref("kept"), rig.catalogue)
        assert rig.cache.known(rig.ref("dropped"), rig.catalogue) is None

    async def test_what_a_pass_used_meanwhile_is_not_forgotten(self, rig):
        rig.world.create("fresh", "x")
        await rig.poll()
        await rig.get("fresh")
        await rig.poll()
        await rig.cache.recheck([], rig.catalogue)
        assert rig.cache.known(rig.ref("fresh"), rig.catalogue)


class TestTags:
    """Tags decide over access, so they are never older than a round."""

    async def tags(self, rig, *refs):
        got = await rig.cache.tags(refs, rig.catalogue)
        return [got[ref] for ref in refs]

    async def test_listed_secrets_cost_no_call(self, rig):
        secret = rig.world.create("app", "x", tags={"k": "1"})
        await rig.poll()
        assert await self.tags(rig, rig.ref("app"), rig.ref(secret.arn)) == [{"k": "1"}, {"k": "1"}]
        assert not rig.api.calls

    async def test_other_accounts_secrets_are_described_once_a_round_by_their_role(self, rig):
        rig.world.create("app", "x", account=FOREIGN, tags={"k": "1"})
        stranger = Identity(rig.world.role("secret-syncer", account=FOREIGN))
        ref = rig.ref("app", stranger)
        await rig.poll()
        assert await asyncio.gather(*(self.tags(rig, ref) for _ in range(5))) == [[{"k": "1"}]] * 5
        assert rig.api.calls == {"DescribeSecret": 1}
        rig.world.tag("app", {"k": None}, account=FOREIGN)
        await rig.poll()
        assert await self.tags(rig, ref) == [{}]
        assert await self.tags(rig, ref) == [{}]
        assert rig.api.calls == {"DescribeSecret": 2}

    async def test_what_may_not_be_described_is_an_error_for_a_minute(self, rig):
        rig.world.create("app", "x", account=FOREIGN)
        stranger = Identity(rig.world.role("secret-syncer", account=FOREIGN, deny={"DescribeSecret"}))
        await rig.poll()
        for _ in range(3):
            (error,) = await self.tags(rig, rig.ref("app", stranger))
            assert isinstance(error, Rejected)
            assert error.reason is Reason.ACCESS_DENIED
        assert rig.api.calls == {"DescribeSecret": 1}
        rig.world.role(stranger.role, deny=set())
        await asyncio.sleep(61)
        assert await self.tags(rig, rig.ref("app", stranger)) == [{}]

    async def test_a_listing_that_keeps_failing_is_not_believed(self, rig):
        rig.world.create("app", "x", tags={"k": "1"})
        await rig.poll()
        rig.world.tag("app", {"k": None})
        await rig.poll(fails=True)
        assert await self.tags(rig, rig.ref("app")) == [{"k": "1"}]
        for _ in range(2):
            await rig.poll(fails=True)
        assert await self.tags(rig, rig.ref("app")) == [{}]
        rig.api.broken = lambda operation, identity: "ThrottlingException"
        await rig.poll(fails=True)
        (error,) = await self.tags(rig, rig.ref("app"))
        assert isinstance(error, Unavailable)

    @pytest.mark.parametrize("asked_first", [False, True])
    async def test_the_recheck_tells_once_of_tags_that_changed_though_somebody_has_seen_them(
        self, rig, asked_first
    ):
        rig.world.create("app", "x", account=FOREIGN, tags={"k": "1"})
        rig.world.create("never-asked", "x", account=FOREIGN, tags={"k": "1"})
        foreign = Identity(rig.world.role("foreign", account=FOREIGN))
        ref, other = rig.ref("app", foreign), rig.ref("never-asked", foreign)
        await rig.poll()
        assert await self.tags(rig, ref) == [{"k": "1"}]
        assert await rig.cache.recheck([ref, other], rig.catalogue) == set()
        rig.world.tag("app", {"k": None}, account=FOREIGN)
        await rig.poll()
        if asked_first:
            assert await self.tags(rig, ref) == [{}]
        assert await rig.cache.recheck([ref, other], rig.catalogue) == {ref}
        assert await self.tags(rig, ref) == [{}]
        assert rig.api.calls == {"DescribeSecret": 2}
        await rig.poll()
        assert await rig.cache.recheck([ref, other], rig.catalogue) == set()

    async def test_an_old_arn_does_not_get_the_tags_of_a_recreated_secret(self, rig):
        old = rig.world.create("app", "x", tags={"k": "1"}).arn
        await rig.poll()
        rig.world.delete("app", force=True)
        rig.world.create("app", "y", tags={"k": "1"})
        for _ in range(3):
            await rig.poll(fails=True)
        (error,) = await self.tags(rig, rig.ref(old))
        assert isinstance(error, Rejected)
        assert await self.tags(rig, rig.ref("app")) == [{"k": "1"}]

    async def test_a_refresh_asks_again(self, rig):
        theirs = rig.world.create("app", "x", account=FOREIGN, tags={"k": "1"})
        stranger = Identity(rig.world.role("secret-syncer", account=FOREIGN))
        await rig.poll()
        await self.tags(rig, rig.ref("app", stranger))
        rig.world.tag("app", {"k": None}, account=FOREIGN)
        rig.cache.invalidate([theirs.arn])
        assert await self.tags(rig, rig.ref("app", stranger)) == [{}]

    async def test_a_cancelled_caller_does_not_fail_the_others(self, rig):
        rig.world.create("app", "x", account=FOREIGN)
        stranger = Identity(rig.world.role("secret-syncer", account=FOREIGN))
        await rig.poll()
        first = asyncio.create_task(self.tags(rig, rig.ref("app", stranger)))
        second = asyncio.create_task(self.tags(rig, rig.ref("app", stranger)))
        await asyncio.sleep(0.001)
        first.cancel()
        assert await second == [{}]

    async def test_an_object_that_may_describe_nothing_gives_up_after_some_denials(self, rig):
        stranger = Identity(rig.world.role("secret-syncer", account=FOREIGN, deny={"DescribeSecret"}))
        await rig.poll()
        failures = await self.tags(rig, *(rig.ref(f"s{number}", stranger) for number in range(2000)))
        assert {failure.reason for failure in failures} == {Reason.ACCESS_DENIED}
        assert rig.api.calls["DescribeSecret"] <= DENIED + 4

    async def test_thousands_of_secrets_of_one_object_delay_no_other_object(self, rig):
        """Neither one of the same role, nor one of another."""
        stranger, other = (Identity(rig.world.role(name, account=FOREIGN)) for name in ("secret-syncer", "other"))
        for number in range(2000):
            rig.world.create(f"s{number}", "x", account=FOREIGN)
        await rig.poll()
        many = [rig.ref(f"s{number}", stranger) for number in range(1, 2000)]
        greedy = asyncio.create_task(self.tags(rig, *many))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await self.tags(rig, rig.ref("s0", stranger))
        await self.tags(rig, rig.ref("s0", other))
        assert asyncio.get_running_loop().time() - began < 0.1
        assert len(await greedy) == len(many)
        await rig.poll()
        recheck = asyncio.create_task(rig.cache.recheck(many, rig.catalogue))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await self.tags(rig, rig.ref("s0", stranger))
        assert asyncio.get_running_loop().time() - began < 0.1
        await recheck
        assert rig.api.calls["DescribeSecret"] == 2 * len(many) + 3
        assert rig.api.most_running <= 2 * 8

    async def test_a_role_that_hangs_keeps_no_other_role_waiting(self, rig):
        slow, fast = (Identity(rig.world.role(name, account=FOREIGN)) for name in ("slow", "fast"))
        rig.world.create("app", "x", account=FOREIGN)
        await rig.poll()
        rig.api.latency = 1000
        hanging = [asyncio.create_task(self.tags(rig, rig.ref(f"s{number}", slow))) for number in range(40)]
        await asyncio.sleep(1)
        rig.api.latency = 0.02
        async with asyncio.timeout(1):
            assert await self.tags(rig, rig.ref("app", fast)) == [{}]
        for task in hanging:
            task.cancel()

    async def test_what_is_no_reference_is_the_users_mistake(self, rig):
        (error,) = await self.tags(rig, rig.ref("no!? name"))
        assert error.reason is Reason.INVALID_SPEC


async def test_an_object_that_may_read_nothing_stops_after_some_denials(rig):
    picky = Identity(rig.world.role("picky", read=["good"]))
    rig.world.create("good", "x")
    await rig.poll()
    results = await rig.get("good", *(f"s{number}" for number in range(3000)), identity=picky)
    assert sum(isinstance(result, Rejected) for result in results) >= 3000
    assert rig.api.calls["GetSecretValue"] < DENIED_READS + AT_ONCE + 1
    assert any("its other AWS secrets are not read" in result.message for result in results if result != "x")


async def test_an_object_with_thousands_of_secrets_does_not_delay_another_of_its_role(rig):
    for number in range(3000):
        rig.world.create(f"s{number}", "x")
    await rig.poll()
    greedy = asyncio.create_task(rig.get(*(f"s{number}" for number in range(1, 3000))))
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    assert await rig.get("s0") == "x"
    assert asyncio.get_running_loop().time() - began < 0.1
    assert set(await greedy) == {"x"}


async def test_what_cannot_be_read_is_checked_again_by_turns(rig):
    """Each costs a call of its own: thousands of them do not all come with each round."""
    picky = Identity(rig.world.role("picky", account=FOREIGN, read=["good"]))
    rig.world.create("good", "x", account=FOREIGN)
    refs = [rig.ref("good", picky), *(rig.ref(f"s{number}", picky) for number in range(2000))]
    await rig.poll()
    for number in range(0, 2001, 400):  # several objects, each with not too many
        await rig.get(*refs[number : number + 400])
    for _ in range(4):
        await asyncio.sleep(61)
        await rig.poll()
        rig.api.calls.clear()
        rig.world.put("good", "y", account=FOREIGN)
        assert rig.ref("good", picky) in await rig.cache.recheck(refs, rig.catalogue)
        assert rig.api.calls.total() <= REFUSED_PER_ROUND * 1.1
    rig.world.role("picky", account=FOREIGN, read=["*"])
    for number in range(2000):
        rig.world.create(f"s{number}", "x", account=FOREIGN)
    seen = set()
    for _ in range(4):
        await asyncio.sleep(61)
        await rig.poll()
        seen |= await rig.cache.recheck(refs, rig.catalogue)
    assert seen == set(refs) - {refs[0]}


async def test_closing_ends_every_wait(rig):
    rig.world.create("app", "one")
    await rig.poll()
    rig.api.latency = 3600
    waiting = asyncio.create_task(rig.get("app"))
    described = asyncio.create_task(
        rig.cache.tags([rig.ref("x", Identity(rig.world.role("r", account=FOREIGN)))], rig.catalogue)
    )
    await asyncio.sleep(0.1)
    await rig.cache.aclose()
    assert isinstance(await waiting, Unavailable)
    assert all(isinstance(tags, Unavailable) for tags in (await described).values())
    assert rig.api.running == 0
