"""A queue of moto's SQS: what EventBridge does with it, and what is left in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import boto3


class MotoQueue:
    """One queue. It is there from the start."""

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
        """Each as one message; what is no text as JSON."""
        for message in messages:
            body = message if isinstance(message, str) else json.dumps(message)
            await asyncio.to_thread(self._client.send_message, QueueUrl=self.url, MessageBody=body)

    async def left(self) -> int:
        """Messages in it, those that somebody has received and not deleted among them."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await asyncio.to_thread(self._client.get_queue_attributes, QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)
