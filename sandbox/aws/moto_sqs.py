"""An SQS queue on moto's server: sends messages as EventBridge does, and counts those that are left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import boto3


class MotoQueue:
    """One queue, which exists from the start."""

    def __init__(self, environment: Mapping[str, str], name: str) -> None:
        self._client = boto3.client(
            "sqs",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        self._name = name
        self.url = self.create()

    def create(self) -> str:
        return str(self._client.create_queue(QueueName=self._name)["QueueUrl"])

    def delete(self) -> None:
        self._client.delete_queue(QueueUrl=self.url)

    async def send(self, *messages: Any) -> None:
        """Send each as one message; those that are not text as JSON."""
        for message in messages:
            body = message if isinstance(message, str) else json.dumps(message)
            await asyncio.to_thread(self._client.send_message, QueueUrl=self.url, MessageBody=body)

    async def left(self) -> int:
        """Messages in the queue, including those that were received and not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await asyncio.to_thread(self._client.get_queue_attributes, QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)
