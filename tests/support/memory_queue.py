"""An SQS queue in memory, for tests in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from sandbox.aws.state import REGION
from secretsyncer.aws.failures import AwsError, from_code
from secretsyncer.aws.identity import Identity

URL = f"https://sqs.{REGION}.amazonaws.com/123456789012/events"


class MemoryQueue:
    """Answers calls of SQS as `Sessions` does; what was received and not deleted is in `left`.

    `broken` is the error code with which it answers, empty while it works. Without `patience` it answers at once,
    however long it is asked to wait.
    """

    region = REGION

    def __init__(self, url: str = URL) -> None:
        self.url = url
        self.left: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.regions: set[str] = set()
        self.broken = ""
        self.patience = True
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def send(self, *events: Any) -> None:
        """Put events into the queue; text as it is, anything else as JSON."""
        for event in events:
            body = event if isinstance(event, str) else json.dumps(event)
            handle = f"handle-{len(self.left)}"
            self.left[handle] = body
            self._waiting.put_nowait((handle, body))

    async def call(
        self,
        identity: Identity,
        region: str,
        operation: str,
        params: dict[str, Any],
        *,
        service: str = "",
        own: bool = False,
    ) -> dict[str, Any]:
        assert (service, params["QueueUrl"], own) == ("sqs", self.url, True)
        self.calls[operation] += 1
        self.regions.add(region)
        await asyncio.sleep(0.01)
        if self.broken:
            raise AwsError(from_code(self.broken, "on demand", operation=operation, identity=identity))
        return await getattr(self, f"_{operation}")(params)

    async def _ReceiveMessage(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's name
        messages = []
        try:
            async with asyncio.timeout(params["WaitTimeSeconds"] if self.patience else 0.001):
                messages.append(await self._waiting.get())
        except TimeoutError:
            return {}
        while len(messages) < params["MaxNumberOfMessages"] and not self._waiting.empty():
            messages.append(self._waiting.get_nowait())
        return {"Messages": [{"Body": body, "ReceiptHandle": handle} for handle, body in messages]}

    async def _DeleteMessageBatch(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's name
        for entry in params["Entries"]:
            del self.left[entry["ReceiptHandle"]]
        return {}
