"""Responses of the API server: an object, or a `KubeError` for a Status.

A failed request returns a `Status` (Kubernetes API conventions, "Response Status Kind") with reason, message and
`details.retryAfterSeconds`. A proxy can respond with anything, which must never be used as an object. Texts of errors
go to statuses and logs, so anything that could quote the body of a request is cut off.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from secretsyncer.errors import KubeError

BAD_ANSWER = "BadAnswer"
"""Reason of a `KubeError` (status 0): a success without a Kubernetes object."""
TOO_LARGE = "AnswerTooLarge"
CONNECTION = "ConnectionFailed"
TIMEOUT = "RequestTimedOut"

_QUOTES = ("error found in #", ", bigger context")  # Go's JSON decoder shows the bytes around an error


def decode(status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """The object of a complete response. Raises the `KubeError` for a failure."""
    if not 200 <= status < 300:
        raise failure(status, headers, content)
    answer = _json(content)
    if not isinstance(answer, dict):
        raise KubeError(0, BAD_ANSWER, "the answer is not a JSON object; is a proxy in between?")
    return answer


def failure(status: int, headers: Mapping[str, str], content: bytes) -> KubeError:
    """The error for a response that is not a success."""
    answer = _json(content)
    header = headers.get("Retry-After", "")
    retry_after = float(header) if header.isascii() and header.isdigit() else None
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        return from_status(answer, http_status=status, retry_after=retry_after)
    return KubeError(status, _phrase(status), "no Kubernetes Status in the answer", retry_after=retry_after)


def from_status(answer: dict[str, Any], *, http_status: int = 0, retry_after: float | None = None) -> KubeError:
    """The error for a Status object, from a response or from an ERROR event of a watch."""
    details = answer.get("details")
    details = details if isinstance(details, dict) else {}
    seconds = details.get("retryAfterSeconds")
    if retry_after is None and isinstance(seconds, int | float) and seconds > 0:
        retry_after = float(seconds)
    code = answer.get("code")
    status = http_status or (code if isinstance(code, int) else 0)
    message = str(answer.get("message") or "")
    for quote in _QUOTES:
        message = message.partition(quote)[0]
    causes = details.get("causes")
    if isinstance(causes, list) and any(_names_large_version(cause) for cause in causes):
        return KubeError(status, TOO_LARGE_VERSION, message, retry_after=retry_after)
    return KubeError(status, str(answer.get("reason") or _phrase(status)), message, retry_after=retry_after)


TOO_LARGE_VERSION = "ResourceVersionTooLarge"
"""Given as the error's reason; the server's own is `Timeout`, with this as a cause in its details."""


def _names_large_version(cause: Any) -> bool:
    return isinstance(cause, dict) and TOO_LARGE_VERSION in {cause.get("reason"), cause.get("type")}


def no_answer(error: Exception) -> KubeError:
    """A request without a response. Only texts of connection errors are kept, because they quote no body."""
    if isinstance(error, TimeoutError):
        return KubeError(0, TIMEOUT, "the API server did not answer in time")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return KubeError(
            0, CONNECTION, f"the proxy refuses the connection: it answers with the status {error.status}"
        )
    text = str(error) if isinstance(error, aiohttp.ClientConnectionError) else type(error).__name__
    return KubeError(0, CONNECTION, text or type(error).__name__)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.title().replace(" ", "")
    except ValueError:
        return str(status)


def _json(content: bytes) -> Any:
    """The parsed content; None if it is invalid. The error of the parser is dropped: it contains the content.

    New objects trigger collections, which go through all of a page again and again: more than half of the time to parse
    it. JSON has no cycles that a collection could find.
    """
    gc.disable()
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
    finally:
        gc.enable()
