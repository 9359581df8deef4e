"""What the operator says of rotation, expiry and scheduled deletion of AWS secrets that are in use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.conftest import new_secret
from tests.support.eventually import eventually
from tests.support.measures import complaints, series
from tests.support.specs import all_keys

pytestmark = pytest.mark.real

SETTINGS = {"EXPIRY_TAG": "expires"}
PREFIX = "secretsyncer_secret_"


@pytest.fixture
def name(aws):
    return new_secret(aws)


async def until_shown(operator, name, **expected):
    """Until the metrics have exactly these values of the secret."""

    async def probe():
        metrics = await operator.metrics()
        kinds = ("rotation_overdue", "last_rotated_timestamp_seconds", "expiry_timestamp_seconds")
        found = {
            kind: value
            for kind in (*kinds, "deletion_timestamp_seconds")
            for value in series(metrics, PREFIX + kind, secret=name).values()
        }
        assert found == expected

    await eventually(probe)


async def test_a_secret_in_use_that_is_scheduled_for_deletion_is_told_with_its_date(operator, aws, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    aws.world.delete(name)
    date = aws.world.secret(name).deleted
    message = await space.until_failed("demo", "SecretNotFound")
    assert f"aws secretsmanager restore-secret --secret-id {name}" in message

    async def dated():
        told = f"AWS gives {date:%Y-%m-%dT%H:%M:%SZ} as the date of its deletion"
        assert told in (await space.ready("demo"))["message"]
        assert any(told in event["message"] for event in await space.events("demo"))

    await eventually(dated)
    assert await space.data("demo") == {"a": b"1"}
    await until_shown(operator, name, deletion_timestamp_seconds=pytest.approx(date.timestamp()))
    aws.world.restore(name)
    await space.until_synced("demo")
    await until_shown(operator, name)
    assert not complaints(operator.log)


async def test_rotation_and_expiry_are_shown_of_secrets_in_use_only(operator, aws, space, name):
    unused = new_secret(aws)
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)
    for one in (name, unused):
        secret = aws.world.secret(one)
        secret.rotation = {
            "RotationEnabled": True,
            "RotationRules": {"AutomaticallyAfterDays": 30},
            "LastRotatedDate": last,
        }
        aws.world.tag(one, {"expires": "2030-01-01"})
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    expiry = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    shown = {"last_rotated_timestamp_seconds": last.timestamp(), "expiry_timestamp_seconds": expiry}
    await until_shown(operator, name, rotation_overdue=1.0, **shown)
    await until_shown(operator, unused)
    secret = aws.world.secret(name)
    secret.rotation = {**secret.rotation, "NextRotationDate": datetime.now(UTC) + timedelta(days=1)}
    aws.world.touch(secret)
    await until_shown(operator, name, rotation_overdue=0.0, **shown)
    await space.cluster.delete("SyncedSecret", space.name, "demo")
    await until_shown(operator, name)
