"""Receives change events at once: long-polls an SQS queue of Secrets Manager's EventBridge events.

Polling remains the safety net, so a failure here does no harm. An unknown or malformed message is counted and deleted.
Duplicates and messages out of order cost a needless call. If the queue does not exist or denies access, a metric and a
log line show it, and polling continues.

Events (AWS, "Monitor Secrets Manager secrets with Amazon EventBridge"): "Secret Label Updated", and CloudTrail's
entries for the calls in `CALLS` and for rotations.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

from secretsyncer.aws.arn import parse_secret_id
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.backoff import Backoff
from secretsyncer.errors import SettingsError
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

SOURCE = "aws.secretsmanager"
CALLS = frozenset(
    {
        "CreateSecret",
        "DeleteSecret",
        "PutSecretValue",
        "RestoreSecret",
        "RotationSucceeded",
        "TagResource",
        "UntagResource",
        "UpdateSecret",
        "UpdateSecretVersionStage",
    }
)
WAIT = 20
"""Seconds of a long poll, the maximum of SQS."""
MAX_SECRETS = 20
"""Maximum number of names in one message: an event is about one secret, with several names."""
_MESSAGES = 10
_BACKOFF = Backoff(initial=5.0, cap=300.0)

OnSecrets = Callable[[set[str]], Awaitable[None]]
"""Called with the names and ARNs of secrets that may have changed."""


class Caller(Protocol):
    """The part of `Sessions` that is needed here."""

    @property
    def region(self) -> str: ...

    async def call(
        self,
        identity: Identity,
        region: str,
        operation: str,
        params: dict[str, Any],
        *,
        service: str = "",
        own: bool = False,
    ) -> dict[str, Any]: ...


class EventQueue:
    """Reads one queue, as the operator itself. `url` is that of the queue, in any region."""

    def __init__(self, caller: Caller, url: str, metrics: Metrics, *, on_secrets: OnSecrets) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).path.strip("/"):
            raise SettingsError(f"EVENTS_QUEUE_URL={url!r}: must be the URL of an SQS queue")
        self._caller = caller
        self._url = url
        self._region = _region_of(url) or caller.region
        self._messages = metrics.push_messages
        self._up = metrics.push_up
        self._on_secrets = on_secrets
        self._failures = 0
        self._answers = False

    async def run(self) -> None:
        """Receive for ever."""
        while True:
            try:
                await self._round()
            except AwsError as exc:
                await self._failed(exc.failure.message)
            except Exception as exc:  # whatever a message or an answer leads to must not end the process
                log.exception("event queue round failed")
                await self._failed(type(exc).__name__)

    async def _failed(self, why: str) -> None:
        self._up.set(0)
        self._answers = False
        self._failures += 1
        if self._failures == 1:
            log.warning("event queue failed", extra={"error": why})
        await asyncio.sleep(_BACKOFF.delay(self._failures))

    async def _round(self) -> None:
        # Short first poll, so that a dead queue is noticed within a second.
        wanted = {"MaxNumberOfMessages": _MESSAGES, "WaitTimeSeconds": WAIT if self._answers else 1}
        began = loop_time()
        answer = await self._call("ReceiveMessage", wanted)
        if self._failures:
            log.info("event queue recovered", extra={"failures": self._failures})
        self._up.set(1)
        self._answers, self._failures = True, 0
        messages = [message for message in answer.get("Messages") or () if isinstance(message, dict)]
        if not messages:
            # Avoid a busy loop if the server ignores WaitTimeSeconds.
            await asyncio.sleep(max(0.0, began + 1 - loop_time()))
            return
        ids: set[str] = set()
        for message in messages:
            named = _read(message)
            self._messages.labels("malformed" if named is None else "secret" if named else "ignored").inc()
            ids |= named or set()
        if ids:
            log.info("change events received", extra={"secrets": len(ids)})
            try:
                await self._on_secrets(ids)
            except Exception:  # a message that cannot be handled must not come back for ever
                log.exception("change events not handled")
        # Deleted after they were handled: a crash in between brings them again, which does no harm.
        handles = [str(message["ReceiptHandle"]) for message in messages if message.get("ReceiptHandle")]
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        await self._call("DeleteMessageBatch", {"Entries": entries})

    async def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        query = {"QueueUrl": self._url, **params}
        return await self._caller.call(OPERATOR, self._region, operation, query, service="sqs", own=True)


def _read(message: dict[str, Any]) -> set[str] | None:
    """Like `secrets_of`. A message with more names than an event can have is malformed."""
    try:
        named = secrets_of(str(message.get("Body", "")))
    except Exception:
        log.exception("change event not parsed")
        return None
    if named is not None and len(named) > MAX_SECRETS:
        log.warning("change event ignored: it names too many secrets", extra={"limit": MAX_SECRETS})
        return None
    return named


def secrets_of(body: str) -> set[str] | None:
    """The secrets that a message names, one more than allowed at most.

    Empty for another kind of event; None if it is not an event.
    """
    event = _parsed(body)
    if isinstance(event, dict) and event.get("Type") == "Notification" and isinstance(event.get("Message"), str):
        event = _parsed(event["Message"])  # through SNS
    if not isinstance(event, dict) or not isinstance(event.get("detail"), dict) or "source" not in event:
        return None
    if event["source"] != SOURCE:
        return set()
    detail = event["detail"]
    name = detail.get("eventName")
    if name is not None and (not isinstance(name, str) or name not in CALLS):
        return set() if isinstance(name, str) else None
    named: set[str] = set()
    for text in _strings(_candidates(event, detail)):
        if _is_id(text):
            named.add(text)
        if len(named) > MAX_SECRETS:
            break
    return named


def _candidates(event: dict[str, Any], detail: dict[str, Any]) -> Iterator[Any]:
    resources = event.get("resources")
    yield from resources if isinstance(resources, list) else ()
    yield from (detail.get(field) for field in ("name", "arn", "secretId"))
    for part, fields in (
        ("requestParameters", ("secretId", "name")),
        ("responseElements", ("arn", "aRN", "ARN", "name")),
        ("additionalEventData", ("SecretId",)),
    ):
        inner = detail.get(part)
        if isinstance(inner, dict):
            yield from (inner.get(field) for field in fields)


def _strings(found: Iterable[Any]) -> Iterator[str]:
    return (text for text in found if isinstance(text, str) and text)


def _is_id(text: str) -> bool:
    try:
        parse_secret_id(text)
    except ValueError:
        return False
    return True


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _region_of(url: str) -> str:
    """The region in https://sqs.<region>.amazonaws.com/...; empty for other hosts."""
    parts = (urlsplit(url).hostname or "").split(".")
    return parts[1] if len(parts) > 3 and parts[0] == "sqs" and "amazonaws" in parts else ""
