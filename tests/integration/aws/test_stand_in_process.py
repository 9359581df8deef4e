"""The AWS stand-in as a process of its own."""

import json
import subprocess
import sys

import aiohttp
import pytest

from secretsyncer.aws.identity import Identity
from tests.support.wired_aws import ref


@pytest.fixture
def aws(aws_env):
    command = [sys.executable, "-m", "sandbox.aws.http", "--latency", "0.001", "--open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = json.loads(process.stdout.readline())["url"]
        aws_env.setenv("AWS_ENDPOINT_URL", url)
        yield url
        process.terminate()


async def test_it_is_seeded_driven_and_counted_over_http(aws, side):
    async with aiohttp.ClientSession(aws, raise_for_status=True) as http:

        async def drive(method, what, **data):
            async with http.request(method, f"/_fake/{what}", json=data) as response:
                return await response.json()

        await drive("POST", "seed", count=45, prefix="app/", value='{"n": {n}}', tags={"team": "a"})
        await side.poller.poll_once()
        anyone = Identity("arn:aws:iam::123456789012:role/anyone")
        refs = [ref(f"app/{number}", anyone) for number in range(45)]
        assert (await side.get(*refs))[44] == '{"n": 44}'
        await drive("POST", "rotate", count=1, start=7, prefix="app/", value="new")
        await side.poller.poll_once()
        assert (await side.get(*refs))[7] == "new"
        calls = {
            (call["operation"], call["role"]): call["count"] for call in (await drive("GET", "calls"))["calls"]
        }
        assert calls == {
            ("ListSecrets", ""): 2,
            ("GetCallerIdentity", ""): 1,
            ("AssumeRole", ""): 1,
            ("BatchGetSecretValue", anyone.role): 3,
            ("GetSecretValue", anyone.role): 1,
        }
        await drive("POST", "roles", name="narrow", read=["app/1"])
        narrow = Identity("arn:aws:iam::123456789012:role/narrow")
        assert isinstance(await side.get(ref("app/2", narrow)), Exception)
        await drive("POST", "faults", kind="html", operation="GetSecretValue", times=1)
        assert isinstance(await side.get(ref("app/1", narrow)), Exception)
        await drive("DELETE", "faults")
        assert await drive("DELETE", "calls") == {"calls": [], "batches": []}
