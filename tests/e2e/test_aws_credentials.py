"""The operator without usable AWS credentials: it says why, and goes on as soon as there are some."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.eventually import eventually
from tests.support.specs import key

NONE = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
GOOD = {"Version": 1, "AccessKeyId": "AKIAOPERATOR", "SecretAccessKey": "operator"}


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("import sys; sys.exit('not logged in')", "not logged in"),
        ("print('no JSON')", "JSONDecodeError"),
        (f"print({json.dumps({**GOOD, 'AccessKeyId': 5})!r})", "TypeError"),
    ],
)
async def test_a_process_of_credentials_that_fails_is_told_everywhere_and_recovers(
    small_operator, small_cluster, tmp_path, name, script, cause
):
    program = tmp_path / "credentials.py"
    program.write_text(script)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    operator = await small_operator(ready=False, AWS_CONFIG_FILE=str(tmp_path / "config"), **NONE)
    space = await small_cluster.space()
    await space.write("demo", data=[key("a", name, "a")])

    async def told():
        assert "port" in operator.log, "it does not listen yet"
        status, text = await operator.get("/readyz?verbose")
        assert status == 503
        assert cause in text
        assert cause in operator.log

    await eventually(told)
    assert "credentials" in await space.until_failed("demo", "AWSUnavailable")
    program.write_text(f"print({json.dumps(GOOD)!r})")
    await operator.until_ready()
    await space.until_data("demo", {"a": b"1"})


async def test_a_web_identity_whose_token_is_gone_does_not_end_the_process(
    small_operator, small_cluster, tmp_path, name
):
    settings = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "gone"),
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/o",
    }
    operator = await small_operator(ready=False, **NONE, **settings)
    space = await small_cluster.space()
    await space.write("demo", data=[key("a", name, "a")])
    assert "No such file or directory" in await space.until_failed("demo", "AWSUnavailable")

    async def told():
        assert "port" in operator.log, "it does not listen yet"
        status, text = await operator.get("/readyz?verbose")
        assert status == 503
        assert "No such file or directory" in text

    await eventually(told)
    assert (await operator.get("/healthz"))[0] == 200
