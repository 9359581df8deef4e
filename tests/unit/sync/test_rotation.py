"""What is to be known of the AWS secrets in use, and what is not shown of others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from secretsyncer.aws.identity import OPERATOR, SecretRef
from secretsyncer.aws.listing.catalogue import Deleted, Entry
from secretsyncer.aws.services.service import Rotation
from secretsyncer.sync.rotation import GRACE, rows
from tests.support.builders import catalogue, secret_arn

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
DAY = 86_400.0
PAST = datetime.fromtimestamp(NOON - 2 * DAY, UTC)


def ref(name, identity=OPERATOR):
    return SecretRef(identity, name, "")


def entry(name="app", *, rotation=None, **tags):
    return Entry(name, secret_arn(name), tags, "v1", None, rotation)


def shown(*entries, refs=("app",), tag="", deleted=()):
    listed = catalogue(*entries).with_entries((), (), dict(deleted))
    return rows(listed, [ref(one) for one in refs], expiry_tag=tag, now=NOON)


def test_only_secrets_in_use_are_shown_and_each_once():
    rotated = Rotation(PAST, None)
    found = shown(
        entry("app", rotation=rotated),
        entry("other", rotation=rotated),
        refs=("app", secret_arn("app"), "missing", "arn:aws:s3:::x"),
    )
    assert found == {"app": {"last_rotated_timestamp_seconds": NOON - 2 * DAY}}


@pytest.mark.parametrize(("late", "overdue"), [(-DAY, 0.0), (GRACE, 0.0), (GRACE + 1, 1.0)])
def test_a_rotation_is_overdue_a_day_after_its_date(late, overdue):
    due = datetime.fromtimestamp(NOON - late, UTC)
    assert shown(entry(rotation=Rotation(None, due)))["app"] == {"rotation_overdue": overdue}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01", NOON - DAY / 2),
        ("2026-01-01T12:00:00Z", NOON),
        (" 2026-01-01T13:00:00+01:00 ", NOON),
        ("2026-01-01T12:00:00", NOON),
        ("soon", None),
        ("", None),
    ],
)
def test_the_expiry_is_in_a_tag(text, expected):
    found = shown(entry(expires=text), tag="expires")["app"].get("expiry_timestamp_seconds")
    assert found == expected
    assert "expiry_timestamp_seconds" not in shown(entry(expires=text))["app"]


def test_a_secret_that_is_scheduled_for_deletion_has_its_date():
    gone = {"app/a-b": Deleted(secret_arn("app/a-b"), PAST)}
    expected = {"app/a-b": {"deletion_timestamp_seconds": NOON - 2 * DAY}}
    listed = entry("other")
    for name in ("app/a-b", secret_arn("app/a-b"), secret_arn("app/a-b").rpartition("-")[0]):
        assert shown(listed, refs=(name,), deleted=gone) == expected
    for name in ("app/a", "other", secret_arn("app/a-b", "999999999999")):
        assert "app/a-b" not in shown(listed, refs=(name,), deleted=gone)


def test_a_secret_that_was_restored_or_made_again_is_not_deleted():
    gone = {"app": Deleted(secret_arn("app"), PAST)}
    listed = catalogue(entry("other")).with_entries((), (), gone).with_entries([entry("app")], ())
    assert listed.deleted == {}
    assert rows(listed, [ref("app")], expiry_tag="", now=NOON) == {"app": {}}
