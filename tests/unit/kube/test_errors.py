"""Responses: objects, errors, and anything else."""

from __future__ import annotations

import gc
import json

import aiohttp
import pytest

from secretsyncer.errors import KubeError
from secretsyncer.kube.errors import decode, from_status, no_answer


def status(code, reason="", message="m", **details):
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
    return json.dumps(body).encode()


def refusal(code, content, headers=None):
    with pytest.raises(KubeError) as caught:
        decode(code, headers or {}, content)
    return caught.value


def test_success_is_its_object():
    assert decode(201, {}, b'{"kind": "Secret"}') == {"kind": "Secret"}


@pytest.mark.parametrize("content", [json.dumps([{}] * 20_000).encode(), b"[" + b"{}," * 20_000 + b"<"])
def test_a_page_is_parsed_without_collections_of_garbage(content):
    collections = []
    gc.callbacks.append(lambda phase, info: collections.append(phase))
    try:
        with pytest.raises(KubeError):  # a list is no Kubernetes object
            decode(200, {}, content)
    finally:
        gc.callbacks.pop()
    assert len(collections) <= 2  # one, after the parser
    assert gc.isenabled()


def test_failure_has_the_message_of_the_server():
    error = refusal(409, status(409, "Conflict", "the object has been modified"))
    assert (error.status, error.reason, error.message) == (409, "Conflict", "the object has been modified")
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7),
        ({}, {"retryAfterSeconds": 3}, 3),
        ({"Retry-After": "7"}, {"retryAfterSeconds": 3}, 7),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {"retryAfterSeconds": 3}, 3),
        ({"Retry-After": "-1"}, {"retryAfterSeconds": -5}, None),
        ({"Retry-After": "\u0667"}, {"retryAfterSeconds": "soon"}, None),
        ({}, {}, None),
    ],
)
def test_retry_after_is_read_from_header_or_details(headers, details, seconds):
    assert refusal(429, status(429, "TooManyRequests", **details), headers).retry_after == seconds


@pytest.mark.parametrize("content", [b"<html>Bad Gateway</html>", b"", b"[]", b"{}", b'{"kind": "Pod"}', b"\xff"])
def test_failure_without_a_status_is_named_by_its_number(content):
    error = refusal(502, content)
    assert (error.status, error.reason) == (502, "BadGateway")
    assert error.transient


def test_unknown_number_is_a_failure_too():
    assert str(refusal(599, b"")).startswith("599: ")


@pytest.mark.parametrize("content", [b"<html>hunter2</html>", b"", b"[]", b'"hunter2"', b"[" * 100_000])
def test_success_that_is_no_object_is_a_passing_failure(content):
    error = refusal(200, content)
    assert (error.status, error.reason, error.transient) == (0, "BadAnswer", True)
    assert "hunter2" not in str(error)
    assert error.__cause__ is None


@pytest.mark.parametrize("code", [302, 304])
def test_redirect_is_no_success(code):
    assert refusal(code, b"{}").status == code


def test_too_large_version_is_recognised_by_its_cause():
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    error = refusal(504, status(504, "Timeout", causes=causes, retryAfterSeconds=1))
    assert (error.status, error.reason, error.retry_after) == (504, "ResourceVersionTooLarge", 1)


@pytest.mark.parametrize("details", [None, [], "x", {"causes": None}, {"causes": ["x"]}, {"causes": [{}]}])
def test_odd_details_do_no_harm(details):
    error = from_status({"kind": "Status", "code": 500, "reason": "InternalError", "details": details})
    assert (error.status, error.reason, error.message) == (500, "InternalError", "")


def test_quotes_of_what_we_sent_are_cut_off():
    """Go's decoder shows the bytes around an error, here those of a Secret."""
    said = (
        'Secret in version "v1" cannot be handled as a Secret: v1.Secret.Data: decode base64: illegal data, '
        'error found in #10 byte of ...|: "hunter2"|..., bigger context ...|{"data":{"k":"hunter2"}}|...'
    )
    error = refusal(400, status(400, "BadRequest", said))
    assert "cannot be handled as a Secret" in error.message
    assert "hunter2" not in str(error)


def test_no_answer_says_why_and_quotes_nothing():
    assert no_answer(TimeoutError()).reason == "RequestTimedOut"
    assert "refused" in no_answer(aiohttp.ClientConnectionError("connection refused")).message
    refused = aiohttp.ClientHttpProxyError(None, (), status=407, message="hunter2")
    assert no_answer(refused).message == "the proxy refuses the connection: it answers with the status 407"
    garbled = no_answer(aiohttp.ClientPayloadError("bad chunk: hunter2"))
    assert "ClientPayloadError" in str(garbled)
    assert "hunter2" not in str(garbled)
    assert no_answer(ConnectionResetError()).status == 0
