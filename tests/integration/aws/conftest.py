"""The stand-in for AWS, and the operator's side of it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from sandbox.aws.http import FakeAws
from sandbox.aws.state import REGION
from secretsyncer.aws.api.sessions import Sessions
from secretsyncer.aws.identity import Identity
from secretsyncer.metrics import Metrics
from tests.support.wired_aws import Side


@pytest.fixture
def aws_env(monkeypatch, tmp_path):
    """An environment in which the SDK finds nothing but what a test gives it."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return monkeypatch


@pytest.fixture
async def aws(aws_env):
    async with FakeAws() as aws:
        aws_env.setenv("AWS_ENDPOINT_URL", aws.url)
        yield aws


@pytest.fixture
async def make_side(aws):
    async with AsyncExitStack() as stack:

        async def make(**options):
            metrics = Metrics(CollectorRegistry())
            side = Side(await stack.enter_async_context(Sessions(metrics, **options)), metrics)
            stack.push_async_callback(side.cache.aclose)
            return side

        yield make


@pytest.fixture
async def side(make_side):
    return await make_side()


@pytest.fixture
def reader(aws):
    return Identity(aws.world.role("reader"))


@pytest.fixture
def no_waiting(monkeypatch):
    """The SDK's retries without their pauses."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
