"""Which host is called: FIPS, dual-stack and VPC endpoints, by AWS's own variables. A proxy notes where it should connect."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.failures import AwsError
from secretsyncer.aws.identity import OPERATOR
from secretsyncer.metrics import Metrics

CALLS = {
    "secretsmanager": ("ListSecrets", {}),
    "sts": ("GetCallerIdentity", {}),
    "sqs": ("ReceiveMessage", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/changes"}),
}
FIPS = {"AWS_USE_FIPS_ENDPOINT": "true"}
DUAL = {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
VPC = "https://vpce-1.example.com"


@pytest.fixture
async def asked(aws_env):
    """Hosts that the proxy was asked for; it refuses all of them."""
    hosts = []

    async def refuse(reader, writer):
        line = await reader.readuntil(b"\r\n\r\n")
        hosts.append(line.split()[1].decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    for name in ("NO_PROXY", "no_proxy", "AWS_ENDPOINT_URL"):
        aws_env.delenv(name, raising=False)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        aws_env.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        yield hosts


async def call(service, region):
    operation, params = CALLS[service]
    async with Sessions(Metrics(CollectorRegistry()), region=region) as sessions:
        with pytest.raises(AwsError):
            await sessions.call(OPERATOR, region, operation, params, service=service)


@pytest.mark.parametrize(
    ("variables", "service", "region", "host"),
    [
        ({}, "secretsmanager", "eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
        ({}, "sts", "eu-west-1", "sts.eu-west-1.amazonaws.com"),
        (FIPS, "secretsmanager", "us-east-1", "secretsmanager-fips.us-east-1.amazonaws.com"),
        (FIPS, "sts", "us-east-1", "sts-fips.us-east-1.amazonaws.com"),
        (FIPS, "sqs", "us-east-1", "sqs-fips.us-east-1.amazonaws.com"),
        (FIPS, "secretsmanager", "eu-west-1", "secretsmanager-fips.eu-west-1.amazonaws.com"),
        (FIPS, "secretsmanager", "cn-north-1", "secretsmanager-fips.cn-north-1.amazonaws.com.cn"),
        (FIPS, "sts", "us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        (DUAL, "secretsmanager", "eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
        (DUAL, "sts", "eu-west-1", "sts.eu-west-1.api.aws"),
        (DUAL, "sqs", "eu-west-1", "sqs.eu-west-1.api.aws"),
        (DUAL, "secretsmanager", "cn-north-1", "secretsmanager.cn-north-1.amazonaws.com.cn"),
        (FIPS | DUAL, "secretsmanager", "us-east-1", "secretsmanager-fips.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": VPC}, "secretsmanager", "eu-west-1", "vpce-1.example.com"),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": VPC}, "sts", "eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_STS": VPC}, "sts", "eu-west-1", "vpce-1.example.com"),
        ({"AWS_ENDPOINT_URL_SQS": VPC}, "sqs", "eu-west-1", "vpce-1.example.com"),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": VPC, **FIPS}, "secretsmanager", "us-east-1", "vpce-1.example.com"),
        ({"AWS_ENDPOINT_URL_SECRETS_MANAGER": VPC, **DUAL}, "secretsmanager", "us-east-1", "vpce-1.example.com"),
        ({"AWS_ENDPOINT_URL": VPC}, "sts", "eu-west-1", "vpce-1.example.com"),
    ],
)
async def test_the_host_that_is_called(aws_env, asked, no_waiting, variables, service, region, host):
    for name, value in variables.items():
        aws_env.setenv(name, value)
    await call(service, region)
    assert set(asked) == {f"{host}:443"}
