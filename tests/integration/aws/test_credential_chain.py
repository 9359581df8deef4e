"""Every source of the operator's own credentials may fail, and no failure ends the process.

Each failure is `credentials`: retried, told in one line with its cause, and over as soon as its cause is.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import pytest

from secretsyncer.aws.identity import OPERATOR, Identity
from secretsyncer.errors import Reason, Unavailable
from tests.support.wired_aws import ref

PAST = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
ROLE = "arn:aws:iam::123456789012:role/operator"
CANARY = "c4n4ry"


def process(tmp_path, script):
    """A profile whose credentials come from a process."""
    path = tmp_path / "process.py"
    path.write_text(script)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {path}\n")


def credentials(**more):
    keys = {"Version": 1, "AccessKeyId": "AKIAOPERATOR", "SecretAccessKey": CANARY, **more}
    return f"print({json.dumps(json.dumps(keys))})"


def web_identity(env, file):
    env.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    env.setenv("AWS_ROLE_ARN", ROLE)


def in_config(tmp_path, text):
    (tmp_path / "config").write_text(text)


def written(path, text=""):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def folder(path):
    path.mkdir()
    return path


def with_keys(env, **settings):
    env.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
    env.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    for name, value in settings.items():
        env.setenv(name, value)


def with_endpoint(env, tmp_path, url):
    """One of a profile: that of a variable is checked at the start."""
    with_keys(env)
    env.delenv("AWS_ENDPOINT_URL")
    in_config(tmp_path, f"[default]\nendpoint_url = {url}\n")


ENDPOINTS = (
    "127.0.0.1:4566",
    "http://127.0.0.1:port",
    "http://127.0.0.1:99999",
    "http://[::1",
    "ftp://x",
    "http://",
)

WAYS = {
    "nothing at all": lambda _, __: None,
    "web identity: no file": lambda env, tmp: web_identity(env, tmp / "gone"),
    "web identity: a folder": lambda env, tmp: web_identity(env, folder(tmp / "token")),
    "web identity: an empty file": lambda env, tmp: web_identity(env, written(tmp / "token")),
    "web identity: no text": lambda env, tmp: web_identity(env, written(tmp / "token", b"\xff\xfe")),
    "web identity: refused": lambda env, tmp: web_identity(env, written(tmp / "token", "no.such.token")),
    "web identity: no role": lambda env, tmp: env.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(written(tmp / "token", "x"))),
    "variables: expired": lambda env, _: [
        env.setenv(name, value)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAOPERATOR",
            "AWS_SECRET_ACCESS_KEY": CANARY,
            "AWS_CREDENTIAL_EXPIRATION": PAST,
        }.items()
    ],
    "variables: a date that is none": lambda env, _: [
        env.setenv(name, value)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAOPERATOR",
            "AWS_SECRET_ACCESS_KEY": CANARY,
            "AWS_CREDENTIAL_EXPIRATION": "tomorrow",
        }.items()
    ],
    "variables: half": lambda env, _: env.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR"),
    "file: half": lambda _, tmp: written(tmp / "credentials", "[default]\naws_access_key_id = AKIA\n"),
    "process: fails": lambda _, tmp: process(tmp, "import sys; sys.exit('not logged in')"),
    "process: no JSON": lambda _, tmp: process(tmp, f"print('{CANARY}')"),
    "process: a list": lambda _, tmp: process(tmp, "print('[]')"),
    "process: another version": lambda _, tmp: process(tmp, credentials(Version=2)),
    "process: a key is missing": lambda _, tmp: process(tmp, 'print(\'{"Version": 1}\')'),
    "process: expired": lambda _, tmp: process(tmp, credentials(Expiration=PAST)),
    "process: a date that is none": lambda _, tmp: process(tmp, credentials(Expiration="tomorrow")),
    "process: not there": lambda _, tmp: in_config(tmp, "[default]\ncredential_process = /no/such/program\n"),
    "container: nobody listens": lambda env, _: env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x"),
    "container: not a URL": lambda env, _: env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "nonsense"),
    "container: token file": lambda env, tmp: [
        env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x"),
        env.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp / "gone")),
    ],
    "profile: assumes itself": lambda _, tmp: in_config(tmp, f"[default]\nrole_arn = {ROLE}\nsource_profile = default\n"),
    "profile: of a source that is not there": lambda _, tmp: in_config(
        tmp, f"[default]\nrole_arn = {ROLE}\nsource_profile = gone\n"
    ),
    "profile: of a source of no kind": lambda _, tmp: in_config(
        tmp, f"[default]\nrole_arn = {ROLE}\ncredential_source = Nonsense\n"
    ),
    "profile: sign-on without a login": lambda _, tmp: in_config(
        tmp,
        "[default]\nsso_start_url = https://x\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = x\n",
    ),
    "endpoint: without a scheme": lambda env, tmp: with_endpoint(env, tmp, "127.0.0.1:4566"),
    "metadata service: not a URL": lambda env, _: [
        env.setenv("AWS_EC2_METADATA_DISABLED", "false"),
        env.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nonsense"),
    ],
    "metadata service: nobody listens": lambda env, _: [
        env.setenv("AWS_EC2_METADATA_DISABLED", "false"),
        env.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
    ],
    "metadata service: no such mode": lambda env, _: [
        env.setenv("AWS_EC2_METADATA_DISABLED", "false"),
        env.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5"),
    ],
    "metadata service: a timeout that is none": lambda env, _: env.setenv("AWS_METADATA_SERVICE_TIMEOUT", "soon"),
    "container: a host that is not allowed": lambda env, _: env.setenv(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x"
    ),
    "container: a port that is none": lambda env, _: env.setenv(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:port/x"
    ),
    "container: a broken address": lambda env, _: env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://[::1/x"),
    "container: a token of two lines": lambda env, _: [
        env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x"),
        env.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\nb"),
    ],
    "process: no text": lambda _, tmp: process(tmp, "import sys; sys.stdout.buffer.write(b'\\xff\\xfe')"),
    "process: a number": lambda _, tmp: process(tmp, "print(5)"),
    "process: keys that are no text": lambda _, tmp: process(tmp, credentials(AccessKeyId=5)),
    "process: a quote without its end": lambda _, tmp: in_config(tmp, "[default]\ncredential_process = 'x\n"),
    "process: a folder": lambda _, tmp: in_config(tmp, f"[default]\ncredential_process = {tmp}\n"),
    "profile: web identity without a file": lambda _, tmp: in_config(
        tmp, f"[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {tmp}/gone\n"
    ),
    "profile: a role with no source": lambda _, tmp: in_config(tmp, f"[default]\nrole_arn = {ROLE}\n"),
    "profile: wants a one-time password": lambda _, tmp: in_config(
        tmp,
        f"[default]\nrole_arn = {ROLE}\nmfa_serial = x\nsource_profile = base\n"
        f"[profile base]\naws_access_key_id = AKIAOPERATOR\naws_secret_access_key = {CANARY}\n",
    ),
    "profile: sources in a circle": lambda _, tmp: in_config(
        tmp,
        f"[default]\nrole_arn = {ROLE}\nsource_profile = b\n[profile b]\nrole_arn = {ROLE}\nsource_profile = default\n",
    ),
    "profile: sign-on session that is not there": lambda _, tmp: in_config(
        tmp, "[default]\nsso_session = gone\nsso_account_id = 1\nsso_role_name = x\n"
    ),
    "profile: login that was never done": lambda _, tmp: in_config(
        tmp, "[default]\nlogin_session = arn:aws:iam::123456789012:user/x\n"
    ),
    "boto's file: broken": lambda env, tmp: env.setenv("BOTO_CONFIG", str(written(tmp / "boto", "x"))),
    "old file: broken": lambda env, tmp: env.setenv("AWS_CREDENTIAL_FILE", str(written(tmp / "old", "x"))),
    "old file: no text": lambda env, tmp: env.setenv("AWS_CREDENTIAL_FILE", str(written(tmp / "old", b"\xff=\xfe"))),
    "old file: not there": lambda env, tmp: env.setenv("AWS_CREDENTIAL_FILE", str(tmp / "gone")),
}  # fmt: skip


@pytest.fixture
def nothing(aws_env, tmp_path):
    """An environment without any credentials."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ):
        aws_env.delenv(name, raising=False)
    aws_env.setenv("HOME", str(tmp_path))
    return aws_env


@pytest.mark.parametrize("way", WAYS)
async def test_a_failure_to_find_credentials_is_one_line_and_temporary(
    aws, nothing, make_side, tmp_path, way, no_waiting
):
    WAYS[way](nothing, tmp_path)
    side = await make_side()
    aws.world.create("app", "x")
    for role in (None, "reader"):
        identity = Identity(aws.world.role(role)) if role else OPERATOR
        error = await side.get(ref("app", identity))
        assert isinstance(error, Unavailable), error
        assert error.reason is Reason.AWS_UNAVAILABLE
        assert "\n" not in error.message
        assert CANARY not in error.message
        assert "credentials" in error.message or "the operator cannot assume its own role" in error.message


@pytest.mark.parametrize("url", ENDPOINTS)
async def test_an_endpoint_that_is_no_address_is_one_line_and_passes(
    aws, nothing, make_side, tmp_path, url, no_waiting
):
    with_endpoint(nothing, tmp_path, url)
    side = await make_side()
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable), error
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "log has the cause" not in error.message
    assert "\n" not in error.message


async def test_a_proxy_that_is_none_is_one_line_and_passes(aws, nothing, make_side, no_waiting):
    with_keys(nothing, AWS_ENDPOINT_URL="http://aws.example.com", HTTP_PROXY="socks5://user:hunter2@proxy")
    side = await make_side()
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable), error
    assert "HTTP_PROXY: socks5 proxies are not supported" in error.message


@pytest.mark.parametrize(
    ("way", "cause"),
    [
        ("web identity: no file", "No such file or directory"),
        ("web identity: a folder", "Is a directory"),
        ("process: fails", "not logged in"),
        ("variables: expired", "expired"),
        ("endpoint: without a scheme", "127.0.0.1:4566"),
    ],
)
async def test_the_cause_is_logged(aws, nothing, make_side, tmp_path, way, cause):
    WAYS[way](nothing, tmp_path)
    side = await make_side()
    error = await side.get(ref("app"))
    assert cause in error.message


async def test_credentials_are_found_as_soon_as_the_process_gives_them(aws, nothing, make_side, tmp_path):
    process(tmp_path, "import sys; sys.exit(1)")
    side = await make_side()
    aws.world.create("app", "x")
    error = await side.get(ref("app"))
    assert isinstance(error, Unavailable)
    process(tmp_path, credentials())
    await asyncio.sleep(error.retry_after)
    assert await side.get(ref("app")) == "x"
    assert os.environ.get("AWS_ACCESS_KEY_ID") is None
