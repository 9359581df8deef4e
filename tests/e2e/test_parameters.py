"""Parameters, from the stand-in's Parameter Store to Secrets on a real API server."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.eventually import eventually
from tests.support.measures import measured, series
from tests.support.specs import all_keys, parameter, template

pytestmark = pytest.mark.real

SETTINGS = {"POLL_INTERVAL_SEC": "1", "SYNC_INTERVAL_SEC": "5"}
FOREIGN = "222222222222"


@pytest.fixture
def path(aws):
    """A path that nothing else uses."""
    aws.faults.clear()
    return f"/app/{uuid.uuid4().hex[:8]}"


def listings(aws):
    return aws.count("DescribeParameters")


async def more_polls(aws, number=3):
    """Wait for so many listings of Secrets Manager."""
    before = aws.count("ListSecrets")

    async def probe():
        assert aws.count("ListSecrets") >= before + number

    await eventually(probe)


async def test_every_form_of_reference_reaches_the_secret(operator, aws, space, path):
    put = aws.world.parameters.put
    aws.world.create(f"{path[1:]}/secret", '{"a": "of a secret"}')
    put(f"{path}/db/password", "p4")
    put(f"{path}/hosts", "a,b", kind="StringList")
    config = put(f"{path}/config", '{"port": 5432, "deep": [{"k": "v"}]}')
    put(f"{path}/config", '{"port": 5433}').labels["first"] = 1
    shared = put("/theirs", "shared", account=FOREIGN, shared_with=["123456789012"])
    rewrite = [{"source": "/", "target": "_"}]
    await space.write(
        "one-by-one",
        data=[
            parameter("password", f"{path}/db/password"),
            parameter("hosts", f"{path}/hosts"),
            parameter("port", config.arn, key="port"),
            parameter("old", f"{path}/config", version=1, jmesPath="deep[0].k"),
            parameter("labelled", f"{path}/config", label="first", key="port"),
            parameter("shared", shared.arn),
            parameter("none", f"{path}/none", default="fallback"),
            template("url", f'{{{{ getParameter "{path}/db/password" }}}}@{{{{ getParameter "{path}/hosts" }}}}'),
        ],
    )
    await space.write(
        "path", dataFrom={**all_keys(f"{path[1:]}/secret"), "parameters": [{"path": path}], "rewrite": rewrite}
    )
    loop = '{{ range $k, $v := getParameters "PATH" }}{{ $k }};{{ end }}'.replace("PATH", path)
    await space.write("loop", data=[template("names", loop)])
    await space.until_data(
        "one-by-one",
        {
            "password": b"p4",
            "hosts": b"a,b",
            "port": b"5433",
            "old": b"v",
            "labelled": b"5432",
            "shared": b"shared",
            "none": b"fallback",
            "url": b"p4@a,b",
        },
    )
    config_now = json.dumps({"port": 5433}).encode()
    await space.until_data(
        "path", {"a": b"of a secret", "db_password": b"p4", "hosts": b"a,b", "config": config_now}
    )
    await space.until_data("loop", {"names": b"config;db/password;hosts;"})


async def test_the_status_shows_the_service_and_the_number_of_the_version(operator, aws, space, path):
    for value in ("one", "two", "three"):
        made = aws.world.parameters.put(f"{path}/a", value)
    await space.write("demo", data=[parameter("a", f"{path}/a")])
    status = (await space.until_synced("demo"))["status"]
    source = {"service": "ParameterStore", "name": f"{path}/a", "arn": made.arn, "versionID": "3"}
    assert (status["sources"], status["currentVersionID"]) == ([source], "3")
    assert "from 1 parameter" in (await space.ready("demo"))["message"]


async def test_a_change_is_one_listing_and_one_read_and_no_change_is_no_read(operator, aws, space, path):
    for number in range(25):
        aws.world.parameters.put(f"{path}/{number}", "x")
    await space.write("demo", dataFrom={"parameters": [{"path": path}]})
    await space.until_synced("demo")
    await more_polls(aws)
    before = aws.count("GetParameters")
    await more_polls(aws)
    assert aws.count("GetParameters") == before
    aws.world.parameters.put(f"{path}/7", "new")
    await space.until_data("demo", {str(n): b"new" if n == 7 else b"x" for n in range(25)})
    await more_polls(aws)
    assert aws.count("GetParameters") == before + 1


async def test_the_role_of_the_object_reads_and_what_it_may_not_read_is_named(operator, aws, space, path):
    aws.world.parameters.put(f"{path}/mine", "x")
    aws.world.parameters.put(f"{path}/theirs", "x")
    role = aws.world.role(f"reader-{path[-8:]}", read=[f"{path}/mine"])
    await space.write("mine", IAMRole=role, data=[parameter("a", f"{path}/mine")])
    await space.write("theirs", IAMRole=role, data=[parameter("a", f"{path}/theirs")])
    await space.until_data("mine", {"a": b"x"})
    message = await space.until_failed("theirs", "AccessDenied")
    assert f"role {role} is not allowed to read parameter {path}/theirs (GetParameters: AccessDenied" in message
    assert "Allow ssm:GetParameters on it, and kms:Decrypt on its key" in message


async def test_denied_listing_is_said_in_the_condition_and_changes_still_come(operator, aws, space, path):
    aws.world.parameters.put(f"{path}/a", "one")
    await space.write("demo", data=[parameter("a", f"{path}/a")])
    await space.until_data("demo", {"a": b"one"})
    denied = aws.fault("denied", operation="DescribeParameters")

    async def said():
        ready = await space.ready("demo")
        assert "parameters are read at each poll, because they cannot be listed" in ready["message"]
        assert ready["status"] == "True"

    await eventually(said)
    aws.world.parameters.put(f"{path}/a", "two")
    await space.until_data("demo", {"a": b"two"})
    aws.faults.remove(denied)

    async def no_more():
        assert (await space.ready("demo"))["message"] == "1 key from 1 parameter"

    await eventually(no_more)


async def test_metrics_tell_the_services_apart(operator, aws, space, path):
    aws.world.parameters.put(f"{path}/a", "one")
    await space.write("demo", data=[parameter("a", f"{path}/a")])
    await space.until_data("demo", {"a": b"one"})
    metrics = await operator.metrics()
    for name in ("secretsyncer_catalogue_secrets", "secretsyncer_catalogue_timestamp_seconds"):
        assert set(series(metrics, name)) == {("SecretsManager",), ("ParameterStore",)}, name
    assert await measured(operator, "secretsyncer_polls_total", service="ParameterStore", outcome="success") > 0
    assert await measured(operator, "secretsyncer_aws_calls_total", operation="GetParameters") > 0
