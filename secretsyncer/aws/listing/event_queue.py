"""Receives change events at once: long-polls an SQS queue of EventBridge's events of the services.

Polling remains the safety net, so a failure here does no harm. An unknown or malformed message is counted and deleted.
Duplicates and messages out of order cost a needless call. If the queue does not exist or denies access, a metric and a
log line show it, and polling continues. What an event names is for its service to say (`Service.named_by`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.aws.services import SECRETS_MANAGER, SERVICES, Service
from secretsyncer.backoff import Backoff
from secretsyncer.errors import SettingsError
from secretsyncer.loops import loop_time
from secretsyncer.metrics import Metrics

log = logging.getLogger(__name__)

_BY_SOURCE = {service.event_source: service for service in SERVICES.values()}
WAIT = 20
"""Seconds of a long poll, the maximum of SQS."""
MAX_SECRETS = 20
"""Maximum number of names in one message: an event is about one secret, with several names."""
_MESSAGES = 10
_BACKOFF = Backoff(initial=5.0, cap=300.0)

OnChanged = Callable[[Service, set[str]], Awaitable[None]]
"""Called with the names and ARNs of what may have changed."""


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
        service: str,
        own: bool = False,
    ) -> dict[str, Any]: ...


class EventQueue:
    """Reads one queue, as the operator itself. `url` is that of the queue, in any region."""

    def __init__(self, caller: Caller, url: str, metrics: Metrics, *, on_changed: OnChanged) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).path.strip("/"):
            raise SettingsError(f"EVENTS_QUEUE_URL={url!r}: must be the URL of an SQS queue")
        self._caller = caller
        self._url = url
        self._region = _region_of(url) or caller.region
        self._messages = metrics.push_messages
        self._up = metrics.push_up
        self._on_changed = on_changed
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
        ids: defaultdict[str, set[str]] = defaultdict(set)
        for message in messages:
            named = _read(message)
            outcome = "malformed" if named is None else named.service.kind if named.ids else "ignored"
            self._messages.labels(outcome).inc()
            if named and named.ids:
                ids[named.service.name] |= named.ids
        for service, some in ids.items():
            log.info("change events received", extra={"service": service, "secrets": len(some)})
            try:
                await self._on_changed(SERVICES[service], some)
            except Exception:  # a message that cannot be handled must not come back for ever
                log.exception("change events not handled")
        # Deleted after they were handled: a crash in between brings them again, which does no harm.
        handles = [str(message["ReceiptHandle"]) for message in messages if message.get("ReceiptHandle")]
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        await self._call("DeleteMessageBatch", {"Entries": entries})

    async def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        query = {"QueueUrl": self._url, **params}
        return await self._caller.call(OPERATOR, self._region, operation, query, service="sqs", own=True)


class NamedIds(NamedTuple):
    """What a message names. `service` is any, if it names nothing."""

    ids: set[str]
    service: Service


def _read(message: dict[str, Any]) -> NamedIds | None:
    """Like `ids_of`. A message with more names than an event can have is malformed."""
    try:
        named = ids_of(str(message.get("Body", "")))
    except Exception:
        log.exception("change event not parsed")
        return None
    if named is not None and len(named.ids) > MAX_SECRETS:
        log.warning("change event ignored: it names too many secrets", extra={"limit": MAX_SECRETS})
        return None
    return named


def ids_of(body: str) -> NamedIds | None:
    """The names and ARNs in a message, one more than allowed at most.

    None of them for another kind of event; None if it is not an event.
    """
    event = _parsed(body)
    if isinstance(event, dict) and event.get("Type") == "Notification" and isinstance(event.get("Message"), str):
        event = _parsed(event["Message"])  # through SNS
    if not isinstance(event, dict) or not isinstance(event.get("detail"), dict) or "source" not in event:
        return None
    source = event["source"]
    service = _BY_SOURCE.get(source) if isinstance(source, str) else None
    named = NamedIds(set(), service or SECRETS_MANAGER)
    if service is None:
        return named
    try:
        candidates = service.named_by(event, event["detail"])
    except ValueError:
        return None
    for text in _strings(candidates or ()):
        if _is_id(text, service):
            named.ids.add(text)
        if len(named.ids) > MAX_SECRETS:
            break
    return named


def _strings(found: Iterable[Any]) -> Iterator[str]:
    return (text for text in found if isinstance(text, str) and text)


def _is_id(text: str, service: Service) -> bool:
    try:
        service.parse(text)
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
