"""Secrets and parameters on moto's server: creates and changes them with boto3, as a user's AWS client does."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3

from sandbox.aws.moto_server import MotoServer


class MotoSecrets:
    """Secrets Manager and Parameter Store on a running moto server."""

    def __init__(self, server: MotoServer) -> None:
        self.environment = server.environment()
        where = {
            "endpoint_url": self.environment["AWS_ENDPOINT_URL"],
            "region_name": self.environment["AWS_REGION"],
            "aws_access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.environment["AWS_SECRET_ACCESS_KEY"],
        }
        self._client = boto3.client("secretsmanager", **where)
        self._parameters = boto3.client("ssm", **where)

    async def call(self, operation: str, **parameters: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, operation), **parameters)

    async def put_parameter(self, name: str, value: str) -> None:
        """A new parameter, or a new version of it."""
        fields = {"Name": name, "Value": value, "Type": "SecureString", "Overwrite": True}
        await asyncio.to_thread(self._parameters.put_parameter, **fields)

    async def create(self, name: str, value: str | bytes, /, **tags: str) -> dict[str, Any]:
        """A new secret; ARN, Name and VersionId."""
        pairs = [{"Key": key, "Value": text} for key, text in tags.items()]
        answer = await self.call("create_secret", Name=name, Tags=pairs, **_payload(value))
        return dict(answer)

    async def put(self, name: str, value: str | bytes) -> str:
        """A new version; its id."""
        answer = await self.call("put_secret_value", SecretId=name, **_payload(value))
        return str(answer["VersionId"])


def _payload(value: str | bytes) -> dict[str, Any]:
    return {"SecretBinary": value} if isinstance(value, bytes) else {"SecretString": value}
