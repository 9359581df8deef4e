"""`render --from-aws --diff` and `iam-policy`, against a real API server and moto's AWS. They write nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid

import pytest
import yaml

from tests.support.cluster import writes
from tests.support.specs import all_keys, key, literal, template

pytestmark = pytest.mark.real


@pytest.fixture
def command(real_server, moto, tmp_path):
    """Run a command of secretsyncer: exit code, standard output and standard error."""
    kubeconfig = str(real_server.write_kubeconfig(tmp_path / "kubeconfig"))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    environment = {**inherited, **moto.environment, "KUBECONFIG": kubeconfig}

    async def ran(*arguments, stdin="", **more):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "secretsyncer", *arguments, env={**environment, **more},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode, out.decode(), err.decode()

    return ran


@pytest.fixture
def name():
    return f"commands/{uuid.uuid4().hex[:8]}"


def manifest(space, name="demo", **spec):
    metadata = {"name": name, "namespace": space.name}
    kind = {"apiVersion": "secrets.contentful.com/v1", "kind": "SyncedSecret"}
    return yaml.safe_dump({**kind, "metadata": metadata, "spec": spec})


async def exists(space, data, **more):
    metadata = {"name": "demo", "namespace": space.name, **more}
    await space.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})


async def test_diff_shows_by_key_what_would_change_and_writes_nothing(
    command, cluster, real_server, space, moto, name
):
    await moto.create(name, '{"same": "1", "other": "new-password", "more": "3"}')
    await exists(space, {"same": "1", "other": "old-password", "gone": "5"}, labels={"team": "a"})
    spec = manifest(
        space,
        type="kubernetes.io/basic-auth",
        immutable=True,
        dataFrom=all_keys(name),
        data=[literal("username", "me")],
        secretMetadata={"labels": {"team": "b"}, "annotations": {"note": "x"}},
    )
    before = writes(real_server)
    code, out, err = await command("render", "-f", "-", "--from-aws", "--diff", stdin=spec)
    assert writes(real_server) == before
    assert (code, err) == (1, "")
    shown = [line.removeprefix(f"{space.name}/demo: ").partition(" (")[0] for line in out.splitlines()]
    assert shown[:-2] == [
        "- gone",
        "+ more",
        "~ other",
        "+ username",
        "not managed by secretsyncer: its keys are removed only with spec.adopt: true",
        "~ type Opaque -> kubernetes.io/basic-auth",
        "~ immutable",
        "~ label team=b",
        "~ annotation note=x",
    ]
    assert out.splitlines()[-2:] == [
        "0 Secrets the same, 1 differ:",
        f"  {space.name}/demo: keys gone, more, other, username, type, immutable, label, annotation",
    ]
    assert "password" not in out
    code, out, _ = await command("render", "-f", "-", "--from-aws", "--diff", "--reveal", stdin=spec)
    assert f"{space.name}/demo: ~ other 'old-password' -> 'new-password'" in out.splitlines()


async def test_diff_of_what_the_operator_has_written_is_empty(command, run_operator, space, moto, name):
    await moto.create(name, '{"a": 1.50}', app="x")
    text = '{{ range $id, $_ := filterByTagKey .Secrets "app" }}{{ $id }} {{ end }}'
    spec = {
        "dataFrom": all_keys(name),
        "data": [key("k", name, "a"), template("names", text)],
        "target": {"name": "other"},
        "secretMetadata": {"labels": {"team": "b"}},
    }
    operator = await run_operator(**moto.environment)
    await space.write("demo", **spec)
    await space.until_synced("demo")
    assert await operator.stop() == 0
    code, out, err = await command("render", "-f", "-", "--from-aws", "--diff", stdin=manifest(space, **spec))
    assert (code, out, err) == (0, "1 Secret the same, 0 differ\n", "")


async def test_diff_shows_that_a_secret_does_not_exist(command, space, moto, name):
    await moto.create(name, '{"a": 1}')
    spec = manifest(space, dataFrom=all_keys(name))
    code, out, _ = await command("render", "-f", "-", "--from-aws", "--diff", stdin=spec)
    lines = [line.partition(" (")[0] for line in out.splitlines()]
    assert (code, lines) == (
        1,
        [
            f"{space.name}/demo: would be created",
            f"{space.name}/demo: + a",
            "0 Secrets the same, 1 differ:",
            f"  {space.name}/demo: is missing",
        ],
    )


async def test_from_aws_reads_as_the_operator_does_and_reports_failures(command, space, moto, name):
    await moto.create(name, '{"a": 1.50}')
    good = manifest(space, dataFrom=all_keys(name))
    bad = manifest(space, "bad", data=[key("x", name, "missing")])
    code, out, err = await command("render", "-f", "-", "--from-aws", stdin=f"{good}---\n{bad}")
    assert (code, yaml.safe_load(out)["data"]) == (1, {"a": "MS41MA=="})
    assert err.splitlines() == [
        f"{space.name}/bad: InvalidSecretValue: data.x: AWS secret {name} has no key 'missing'"
    ]


async def test_without_credentials_the_message_says_whose_are_missing_and_how_to_give_them(command, space, name):
    spec = manifest(space, dataFrom=all_keys(name))
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    code, out, err = await command("render", "-f", "-", "--from-aws", stdin=spec, **nobody)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "this shell has no valid AWS credentials" in line
    assert "set AWS_PROFILE" in line


async def test_a_suspended_object_is_named_and_left_out_of_the_comparison(command, space, name):
    spec = manifest(space, suspend=True, dataFrom=all_keys(name))
    code, out, err = await command("render", "-f", "-", "--from-aws", "--diff", stdin=spec)
    assert (code, err) == (0, "")
    assert out == f"0 Secrets the same, 0 differ\n1 suspended object left out: {space.name}/demo\n"


async def test_without_aws_or_without_a_cluster_there_is_one_line_and_exit_code_2(command, space, moto, name):
    await moto.create(name, '{"a": 1}')
    spec = manifest(space, dataFrom=all_keys(name))
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    code, out, err = await command("render", "-f", "-", "--from-aws", stdin=spec, **nowhere)
    assert (code, out) == (2, "")
    assert "AWS" in err.splitlines()[-1]
    code, out, err = await command("render", "-f", "-", "--from-aws", "--diff", stdin=spec, KUBECONFIG="/nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("secretsyncer: ")


async def test_the_policies_of_what_is_in_the_cluster_can_be_printed(command, kubectl, space):
    await space.write("demo", IAMRole="reader", data=[key("x", "web/db", "a")])
    listed = await kubectl("get", "syncedsecrets", "-n", space.name, "-o", "yaml")
    arguments = ("iam-policy", "-f", "-", "--account", "123456789012", "--region", "eu-west-1")
    code, out, err = await command(*arguments, stdin=listed)
    assert (code, err) == (0, "")
    documents = json.loads(out)
    assert set(documents) == {"operator", "arn:aws:iam::123456789012:role/reader"}
    assert documents["arn:aws:iam::123456789012:role/reader"]["Statement"][1]["Resource"] == [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:web/db-??????"
    ]


def searching(role, region):
    """An ExternalSecret with find, and its store."""
    aws = {"service": "SecretsManager", "role": role, "region": region}
    meta = {"namespace": "web"}
    store = {"kind": "SecretStore", "metadata": {"name": "aws", **meta}, "spec": {"provider": {"aws": aws}}}
    spec = {"secretStoreRef": {"name": "aws"}, "dataFrom": [{"find": {"name": {"regexp": "^app/"}}}]}
    peer = {"kind": "ExternalSecret", "metadata": {"name": "app", **meta}, "spec": spec}
    return yaml.safe_dump_all({"apiVersion": "external-secrets.io/v1", **obj} for obj in (store, peer))


async def test_convert_asks_aws_in_which_account_the_operator_would_search(command, moto):
    region = moto.environment["AWS_REGION"]
    here = searching("arn:aws:iam::123456789012:role/reader", region)
    code, out, err = await command("convert", "-f", "-", stdin=here)
    found = {"name": {"regexp": "^app/"}, "optional": True}
    assert (code, yaml.safe_load(out)["spec"]["dataFrom"]["find"]) == (0, found), err
    elsewhere = searching("arn:aws:iam::222222222222:role/reader", region)
    code, out, err = await command("convert", "-f", "-", stdin=elsewhere)
    assert (code, out) == (1, "")
    assert "find lists account 123456789012, where the operator is, and the store names 222222222222" in err


async def test_convert_render_and_diff_in_one_pipeline(command, space, moto, name):
    await moto.create(name, '{"a": "1"}')
    spec = {
        "secretStoreRef": {"name": "aws"},
        "data": [{"secretKey": "a", "remoteRef": {"key": name, "property": "a"}}],
    }
    place = {"namespace": space.name}
    store = {"kind": "SecretStore", "metadata": {"name": "aws", **place}, "spec": {"provider": {"aws": {}}}}
    peer = {"kind": "ExternalSecret", "metadata": {"name": "demo", **place}, "spec": spec}
    objects = [{"apiVersion": "external-secrets.io/v1", **obj} for obj in (store, peer)]
    await exists(space, {"a": "1"})
    code, made, _ = await command("convert", "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert code == 0
    code, out, err = await command("render", "-f", "-", "--from-aws", "--diff", stdin=made)
    assert (code, out, err) == (0, "1 Secret the same, 0 differ\n", "")
