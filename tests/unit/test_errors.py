"""Failures: their kinds, and the content and length of their messages."""

import pytest

from secretsyncer.errors import (
    MESSAGE_LIMIT,
    KubeError,
    Reason,
    Rejected,
    SecretsyncerError,
    SettingsError,
    SyncFailure,
    Unavailable,
    clip,
)

KINDS = [Rejected, Unavailable]


@pytest.mark.parametrize("length", [0, 1, 9, 10])
def test_a_text_within_the_limit_stays_as_it_is(length):
    assert clip("x" * length, 10) == "x" * length


@pytest.mark.parametrize("length", [11, 12, 5000])
def test_a_text_over_the_limit_is_truncated_with_an_ellipsis(length):
    assert clip("x" * length, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9 \u0627 \u4e16", "caf\u00e9 \u0627 \u4e16"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x1b[2J\x07\x00\u0085", r"\x1b[2J\x07\x00\x85"),
        ("\u202e\u2066\ufeff\ud800", r"\u202e\u2066\ufeff\ud800"),
        ("\n" * 9, r"\n\n\n\n" + r"\…"),
    ],
)
def test_a_text_is_one_line_that_controls_no_terminal(text, shown):
    assert clip(text, 10 if text.isspace() else 99) == shown


@pytest.mark.parametrize("made", [Rejected(Reason.CONFLICT, "a\x1b\nb"), KubeError(403, "a\x1b\nb", "a\x1b\nb")])
def test_a_message_of_a_failure_is_one_line(made):
    assert made.message == r"a\x1b\nb"
    assert str(made).isprintable()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_carries_reason_message_and_when_to_try_again(kind):
    failure = kind(Reason.CONFLICT, "it is taken", retry_after=3.5)
    assert (failure.reason, failure.message, str(failure)) == (Reason.CONFLICT, "it is taken", "it is taken")
    assert failure.retry_after == 3.5
    assert kind(Reason.CONFLICT, "it is taken").retry_after is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_message_of_a_failure_fits_an_event(kind):
    failure = kind(Reason.CONFLICT, "x" * 5000)
    assert len(failure.message) == len(str(failure)) == MESSAGE_LIMIT


def test_failures_that_the_controller_distinguishes_have_different_types():
    assert issubclass(Rejected, SyncFailure)
    assert issubclass(Unavailable, SyncFailure)
    assert not issubclass(Unavailable, Rejected)
    assert not issubclass(KubeError, SyncFailure)
    for kind in (SyncFailure, KubeError, SettingsError):
        assert issubclass(kind, SecretsyncerError)


def test_the_reasons_are_those_that_users_write_alerts_on():
    assert {str(reason) for reason in Reason} == {
        "Synced",
        "Suspended",
        "InvalidSpec",
        "RoleNotAllowed",
        "AccessDenied",
        "SecretNotFound",
        "InvalidSecretValue",
        "TemplateError",
        "Conflict",
        "AWSUnavailable",
        "KubernetesError",
        "AdmissionDenied",
        "SecretMissing",
    }


def test_only_a_status_that_may_pass_by_itself_is_transient():
    transient = {status for status in range(600) if KubeError(status, "", "").transient}
    assert transient == {0, 408, 409, 425, 429, *range(500, 600)}


def test_the_text_of_an_api_error_leads_with_its_reason_or_else_its_status():
    assert str(KubeError(404, "NotFound", "no such secret")) == "NotFound: no such secret"
    assert str(KubeError(418, "", "teapot")) == "418: teapot"
    error = KubeError(429, "TooManyRequests", "x" * 5000, retry_after=7)
    assert (error.status, error.reason, error.retry_after) == (429, "TooManyRequests", 7)
    assert len(str(error)) == len(error.message) == MESSAGE_LIMIT
