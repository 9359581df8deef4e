"""Clients and credentials: created on first use, limited in number, renewed when AWS rejects them."""

import asyncio
import gc
import os
import sys
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secretsyncer.aws.api.sessions import _timestamp
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.errors import Rejected
from tests.support.eventually import eventually
from tests.support.wired_aws import ref

FOREIGN = "999999999999"


async def test_nothing_is_opened_before_it_is_wanted(aws, side):
    assert not aws.calls
    assert side.metrics.registry.get_sample_value("secretsyncer_aws_clients") == 0


async def test_a_session_that_ends_early_is_renewed_once_for_all_who_use_it(aws, side, reader):
    for number in range(100):
        aws.world.create(f"s{number}", "x")
    await side.get(ref("s0", reader))
    aws.world.end_sessions(reader.role)
    aws.calls.clear()
    assert set(await side.get(*(ref(f"s{number}", reader, stage="AWSCURRENT") for number in range(100)))) == {"x"}
    assert aws.count("AssumeRole") == 1


async def test_a_role_whose_trust_is_taken_away_stops_when_its_session_ends(aws, side, reader):
    aws.world.create("app", "x")
    await side.get(ref("app", reader))
    aws.world.role("reader", trusted=False)
    aws.world.end_sessions(reader.role)
    side.cache.invalidate(["app"])
    error = await side.get(ref("app", reader))
    assert isinstance(error, Rejected)
    assert "is not allowed to assume role" in error.message


async def test_credentials_that_change_on_disk_are_found_when_aws_refuses_the_old_ones(aws, aws_env, make_side):
    aws_env.delenv("AWS_ACCESS_KEY_ID")
    aws_env.delenv("AWS_SECRET_ACCESS_KEY")
    file = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    aws.world.role("operator-session")
    first, second = (
        aws.world.perform(
            aws.world.authenticate("AKIAOPERATOR", ""),
            "eu-west-1",
            "AssumeRole",
            {"RoleArn": "arn:aws:iam::123456789012:role/operator-session", "RoleSessionName": "file"},
        )["Credentials"]
        for _ in range(2)
    )

    def write(keys):
        file.write_text(
            f"[default]\naws_access_key_id={keys['AccessKeyId']}\naws_secret_access_key=x\n"
            f"aws_session_token={keys['SessionToken']}\n"
        )

    write(first)
    side = await make_side()
    aws.world.create("app", "one")
    assert await side.get(ref("app")) == "one"
    aws.world.sessions[first["AccessKeyId"]].revoked = True
    write(second)
    side.cache.invalidate(["app"])
    assert await side.get(ref("app")) == "one"
    reader = Identity(aws.world.role("reader"))
    assert await side.get(ref("app", reader)) == "one"


async def test_one_credential_serves_all_regions_of_a_role(aws, side, reader):
    for region in ("eu-west-1", "us-east-1", "cn-north-1"):
        aws.world.create("app", region, region=region)
    refs = [ref("app", reader), ref("app", reader, region="us-east-1"), ref("app", reader, region="cn-north-1")]
    assert await side.get(*refs) == ["eu-west-1", "us-east-1", "cn-north-1"]
    assert aws.count("AssumeRole") == 1


async def test_an_arn_of_another_region_is_asked_for_in_its_region(aws, side, reader):
    far = aws.world.create("app", "far", region="ap-south-1")
    assert await side.get(ref(far.arn, reader)) == "far"


async def test_clients_are_bounded_and_a_role_that_lost_its_client_keeps_its_credentials(aws, make_side):
    side = await make_side(max_clients=5)
    aws.world.create("app", "x")
    readers = [Identity(aws.world.role(f"role-{number}")) for number in range(12)]
    for _ in range(2):
        for reader in readers:
            side.cache.invalidate(["app"])
            assert await side.get(ref("app", reader)) == "x"
            assert side.metrics.registry.get_sample_value("secretsyncer_aws_clients") <= 5
    assert aws.count("AssumeRole") == 12


async def test_a_client_in_use_is_not_closed_under_its_call(aws, make_side):
    side = await make_side(max_clients=1)
    aws.world.create("app", "x")
    readers = [Identity(aws.world.role(f"role-{number}")) for number in range(10)]
    aws.latency = 0.05
    assert set(await side.get(*(ref("app", reader) for reader in readers))) == {"x"}


async def test_defaults_for_external_id_session_name_and_duration_reach_aws(aws, make_side):
    side = await make_side(external_id="tenant-1", session_name="ops", duration=1800)
    reader = Identity(aws.world.role("reader", external_id="tenant-1"))
    aws.world.create("app", "x")
    assert await side.get(ref("app", reader)) == "x"
    (session,) = aws.world.sessions.values()
    assert session.principal.session == "ops"
    assert timedelta(seconds=1750) < session.expires - datetime.now(UTC) <= timedelta(seconds=1800)
    assert await side.get(ref("app", reader._replace(session_name="team-a"))) == "x"
    assert {session.principal.session for session in aws.world.sessions.values()} == {"ops", "team-a"}


async def test_roles_share_connections(aws, side):
    aws.world.create("app", "x")
    readers = [Identity(aws.world.role(f"role-{number}")) for number in range(20)]
    for reader in readers:
        await side.get(ref("app", reader))
    pools = side.sessions._pool._pools
    assert len(pools) == 1
    assert sum(len(waiting) for waiting in pools[None].connector._conns.values()) <= 2


async def test_no_two_calls_of_one_role_assume_it_twice(aws, side, reader):
    for number in range(8):
        aws.world.create("app", str(number), region=f"us-east-{number + 1}")
    aws.latency = 0.05
    await side.get(*(ref("app", reader, region=f"us-east-{number + 1}") for number in range(8)))
    assert aws.count("AssumeRole") == 1


async def test_closing_ends_what_is_under_way(aws, make_side):
    side = await make_side()
    aws.world.create("app", "x")
    aws.fault("hang", "GetSecretValue")
    waiting = asyncio.create_task(side.get(ref("app")))

    async def asked():
        assert aws.count("GetSecretValue")

    await eventually(asked)
    await side.cache.aclose()
    assert "stopping" in str(await waiting)


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        (1767225600, datetime(2026, 1, 1, tzinfo=UTC)),
        (1767225600.25, datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00.000Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("Thu, 01 Jan 2026 00:00:00 GMT", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_timestamps_of_both_protocols_are_read(sent, moment):
    assert _timestamp(sent) == moment


@pytest.mark.no_cover
async def test_a_hundred_roles_cost_little_memory(aws, side, capsys):
    """Reports what a role costs; fails only if a client got a model or an SSL context of its own."""
    aws.world.create("app", "x")
    readers = [Identity(aws.world.role(f"role-{number}")) for number in range(110)]
    await side.get(ref("app", OPERATOR), *(ref("app", reader) for reader in readers[:10]))
    started = time.process_time()
    await side.get(*(ref("app", reader) for reader in readers[10:60]))
    took = time.process_time() - started
    tracemalloc.start()
    try:
        await side.get(*(ref("app", reader) for reader in readers[60:]))
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / 50
    finally:
        tracemalloc.stop()
    with capsys.disabled():
        sys.stdout.write(
            f"\na role costs {each / 1024:.0f} KiB and {took * 20:.1f} ms of CPU (client, AssumeRole, a read)\n"
        )
    assert each < 600 * 1024
