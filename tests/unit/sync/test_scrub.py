"""Messages of the API server about a write never contain a value."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsyncer.errors import MESSAGE_LIMIT, KubeError, Reason, Rejected, Unavailable
from secretsyncer.sync.refusals import as_failure
from secretsyncer.sync.scrub import PART, scrub

VALUE = b"s3cr3t-p4ssw0rd"


@pytest.mark.parametrize(
    "quoted",
    [
        VALUE.decode(),
        b64encode(VALUE).decode(),
        b64encode(VALUE).decode()[:12],
        VALUE.decode()[3:12],
        json.dumps({"data": {"a": b64encode(VALUE).decode()}}),
    ],
)
def test_a_value_is_hidden_plain_and_encoded_whole_and_in_part(quoted):
    said = scrub(f"policy require-team denied the request: {quoted} is not allowed", [VALUE, b"other"])
    assert said.startswith("policy require-team denied the request: ")
    assert said.endswith(" is not allowed")
    for form in (VALUE.decode(), b64encode(VALUE).decode()):
        assert not any(form[start : start + PART] in said for start in range(len(form) - PART + 1))


def test_lines_are_found_as_json_quotes_them():
    value = b"-----BEGIN KEY-----\nMIIEpAIBAAKC\n"
    assert "MIIEpAIBAAKC" not in scrub(f"refused: {json.dumps(value.decode())}", [value])


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_text_is_found_as_go_quotes_it(ascii_only):
    value = 'p"a&s<s>w\tord\\é'
    quoted = json.dumps(value, ensure_ascii=ascii_only)
    for char, escaped in {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"}.items():
        quoted = quoted.replace(char, escaped)
    assert scrub(f"refused: {quoted}", [value.encode()]) == 'refused: "***"'


def test_short_values_are_hidden_where_they_stand_alone():
    assert scrub('key "ab" is not abc, it is ab', [b"ab"]) == 'key "***" is not abc, it is ***'
    assert scrub("1 of 10", [b"1"]) == "1 of 10"


@pytest.mark.parametrize("shown", range(1, PART + 1))
def test_the_beginning_of_a_value_at_which_a_long_message_is_clipped_is_hidden(shown):
    before = "denied the request: ".ljust(MESSAGE_LIMIT - 1 - shown, ".")
    error = KubeError(422, "Invalid", f"{before}{VALUE.decode()} is not allowed")
    assert error.message.endswith(f".{VALUE.decode()[:shown]}…")
    assert scrub(error.message, [VALUE]).endswith("..***…")


def test_a_text_without_values_stays():
    assert scrub("secrets is forbidden: exceeded quota", [VALUE, b"", b"\xff\xfe\x00\x01"]) == (
        "secrets is forbidden: exceeded quota"
    )


@given(st.text(max_size=60), st.binary(min_size=PART, max_size=40), st.text(max_size=60))
def test_no_part_of_a_value_is_left(before, value, after):
    encoded = b64encode(value).decode()
    said = scrub(before + encoded + after, [value])
    assert encoded not in said


@pytest.mark.parametrize(
    ("status", "message", "reason", "kind"),
    [
        (
            422,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            Reason.ADMISSION_DENIED,
            Rejected,
        ),
        (403, 'admission webhook "w.example.com" denied the request: immutable', Reason.ADMISSION_DENIED, Rejected),
        (403, "exceeded quota: q, requested: secrets=1", Reason.ADMISSION_DENIED, Rejected),
        (422, "data: Forbidden: field is immutable when `immutable` is set", Reason.CONFLICT, Rejected),
        (422, "metadata.labels: Invalid value", Reason.INVALID_SPEC, Rejected),
        (
            413,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            Reason.ADMISSION_DENIED,
            Rejected,
        ),
        (409, 'admission webhook "w" denied the request: no', Reason.ADMISSION_DENIED, Rejected),
        (429, 'admission webhook "w" denied the request: later', Reason.KUBERNETES_ERROR, Unavailable),
        (403, "User cannot patch resource secrets", Reason.KUBERNETES_ERROR, Unavailable),
        (500, "etcd: request denied the request", Reason.KUBERNETES_ERROR, Unavailable),
    ],
)
def test_a_refusal_has_the_reason_that_its_reader_can_act_on(status, message, reason, kind):
    failure = as_failure(
        KubeError(status, VALUE.decode(), f"{message} {VALUE.decode()}"), "Secret a/b", hide=[VALUE]
    )
    assert (failure.reason, type(failure)) == (reason, kind)
    assert VALUE.decode() not in failure.message
