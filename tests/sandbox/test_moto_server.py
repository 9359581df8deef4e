"""moto's server as a child: it answers AWS clients that know nothing but its environment."""

from __future__ import annotations

import asyncio
import os

import aiohttp
import pytest
from aiobotocore.session import get_session

from sandbox.aws.moto_server import MotoServer


@pytest.fixture
def clean_environment(monkeypatch):
    """No AWS settings of the machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


async def test_client_works_with_its_environment_alone(clean_environment, monkeypatch):
    async with MotoServer() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        async with get_session().create_client("secretsmanager") as client:
            made = await client.create_secret(Name="app/config", SecretString="value")
            assert made["ARN"].startswith("arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/config-")
            found = await client.get_secret_value(SecretId="app/config", VersionStage="AWSCURRENT")
            assert found["SecretString"] == "value"
            await aws.reset()
            assert (await client.list_secrets())["SecretList"] == []


async def test_stopped_server_is_gone():
    async with MotoServer() as aws:
        url = aws.url
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


async def test_two_servers_share_nothing(clean_environment):
    async with MotoServer() as first, MotoServer(region="us-east-1") as second:
        assert first.url != second.url
        assert second.environment()["AWS_REGION"] == "us-east-1"
        found = await asyncio.gather(_secrets(first, make="only-here"), _secrets(second))
        assert found == [["only-here"], []]


async def _secrets(aws, make=""):
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-west-1"}
    async with get_session().create_client("secretsmanager", endpoint_url=aws.url, **keys) as client:
        if make:
            await client.create_secret(Name=make, SecretString="value")
        return [item["Name"] for item in (await client.list_secrets())["SecretList"]]
