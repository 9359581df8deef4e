"""The number of calls that reach AWS, counted by the stand-in."""

import asyncio
from math import ceil

from secretsyncer.aws.identity import Identity
from tests.support.wired_aws import ref

FOREIGN = "999999999999"


async def test_a_cold_start_costs_lists_batches_and_one_assume_role_per_role(aws, side):
    count, roles = 450, [Identity(aws.world.role(f"role-{number}")) for number in range(5)]
    for number in range(count):
        aws.world.create(f"app/{number}", f"value {number}")
    refs = [ref(f"app/{number}", roles[number % 5]) for number in range(count)]
    await side.poller.poll_once()
    side.cache.prefetch(refs, side.poller.catalogue)

    async def worker(mine):
        for one in mine:
            await side.get(one)

    await asyncio.gather(*(worker(refs[number::16]) for number in range(16)))
    assert await side.get(*refs[:3]) == ["value 0", "value 1", "value 2"]
    per_role = count // 5
    assert dict(aws.calls) == {
        ("ListSecrets", ""): ceil(count / 100),
        ("GetCallerIdentity", ""): 1,
        ("AssumeRole", ""): 5,
        **{("BatchGetSecretValue", role.role): ceil(per_role / 20) for role in roles},
    }
    assert max(aws.batches) == 20


async def test_unchanged_secrets_cost_only_the_listing_in_every_form_of_reference(aws, side, reader):
    secrets = [aws.world.create(f"app/{number}", "x") for number in range(60)]
    forms = [ref(form, reader) for one in secrets for form in (one.name, one.arn, one.arn[:-7])]
    for _ in range(5):
        await side.poller.poll_once()
        assert set(await side.get(*forms)) == {"x"}
    assert aws.calls["BatchGetSecretValue", reader.role] == 3
    assert aws.calls["ListSecrets", ""] == 5
    assert aws.count("GetSecretValue") == 0


async def test_a_rotation_costs_one_call(aws, side, reader):
    for number in range(60):
        aws.world.create(f"app/{number}", "x")
    refs = [ref(f"app/{number}", reader) for number in range(60)]
    await side.poller.poll_once()
    await side.get(*refs)
    aws.world.put("app/7", "y")
    aws.calls.clear()
    await side.poller.poll_once()
    assert (await side.get(*refs)).count("y") == 1
    assert dict(aws.calls) == {("ListSecrets", ""): 1, ("GetSecretValue", reader.role): 1}


async def test_foreign_references_cost_a_batch_of_twenty_a_round(aws, side, reader):
    arns = [
        aws.world.create(f"shared/{number}", "x", account=FOREIGN, shared_with=[reader.role]).arn
        for number in range(100)
    ]
    side.refs = [ref(arn, reader) for arn in arns]
    await side.poller.poll_once()
    await side.get(*side.refs)
    for _ in range(3):
        aws.calls.clear()
        aws.world.put("shared/5", "new", account=FOREIGN)
        side.reports.clear()
        await side.poller.poll_once()
        await side.get(*side.refs)
        assert aws.calls["BatchGetSecretValue", reader.role] == 5
        assert aws.count("GetSecretValue") == 0
        assert [refs for _, refs in side.reports] == [{side.refs[5]}]


async def test_a_role_without_leave_to_batch_works_and_costs_one_refusal(aws, side, reader):
    aws.world.role("reader", deny={"BatchGetSecretValue"})
    for number in range(60):
        aws.world.create(f"app/{number}", "x")
    refs = [ref(f"app/{number}", reader) for number in range(60)]
    await side.poller.poll_once()
    assert set(await side.get(*refs)) == {"x"}
    assert aws.calls["BatchGetSecretValue", reader.role] == 1
    assert aws.calls["GetSecretValue", reader.role] == 60


async def test_a_role_that_may_read_one_secret_of_many_never_gets_another(aws, side):
    narrow = Identity(aws.world.role("narrow", read=["app/3"]))
    wide = Identity(aws.world.role("wide"))
    for number in range(20):
        aws.world.create(f"app/{number}", f"canary {number}")
    await side.poller.poll_once()
    await side.get(*(ref(f"app/{number}", wide) for number in range(20)))
    results = await side.get(*(ref(f"app/{number}", narrow) for number in range(20)))
    assert [result for result in results if isinstance(result, str)] == ["canary 3"]


async def test_namesakes_in_one_batch_do_not_answer_for_each_other(aws, side, reader):
    ours = aws.world.create("db", "ours")
    theirs = aws.world.create("db", "theirs", account=FOREIGN, shared_with=[reader.role])
    aws.world.role("reader", read=[theirs.arn])
    mine, foreign = await side.get(ref("db", reader), ref(theirs.arn, reader))
    assert foreign == "theirs"
    assert isinstance(mine, Exception)
    aws.world.role("reader", read=None)
    side.cache.invalidate(["db"])
    assert await side.get(ref("db", reader), ref(theirs.arn, reader), ref(ours.arn, reader)) == [
        "ours",
        "theirs",
        "ours",
    ]


async def test_every_attempt_is_counted_with_its_outcome(aws, side, reader, no_waiting):
    aws.world.create("app", "x")
    aws.world.create("denied", "x")
    aws.world.role("reader", read=["app"])
    aws.fault("throttle", "GetSecretValue", times=2)
    await side.poller.poll_once()
    await side.get(ref("app", reader))
    await side.get(ref("denied", reader))
    await side.get(ref("missing"))
    assert side.counted("ListSecrets") == 1
    assert side.counted("AssumeRole") == 1
    assert side.counted("GetSecretValue", "throttled") == 2
    assert side.counted("GetSecretValue") == 1
    assert side.counted("GetSecretValue", "denied") == 1
    assert side.counted("GetSecretValue", "not_found") == 1
    seconds = "secretsyncer_aws_call_duration_seconds_count"
    assert side.metrics.registry.get_sample_value(seconds, {"operation": "GetSecretValue"}) == 5


async def test_no_value_and_no_key_is_logged_at_any_level(aws, side, reader, caplog):
    caplog.set_level("DEBUG", logger="secretsyncer")
    aws.world.create("app", "canary-text")
    aws.world.create("bin", b"canary-bytes")
    await side.poller.poll_once()
    await side.get(ref("app", reader), ref("bin", reader))
    aws.fault("truncated", "GetSecretValue")
    await side.get(ref("app", reader, stage="AWSPREVIOUS"))
    assert "canary" not in caplog.text
    assert "AKIA" not in caplog.text
