"""The steps of docs/migration.md: the page's own commands, run in its order, against a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import textwrap
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import collected, until_gone
from tests.support.cluster import WRITES
from tests.support.eventually import LIMIT, eventually
from tests.support.measures import complaints
from tests.support.specs import all_keys

pytestmark = pytest.mark.real

PAGE = Path(__file__).resolve().parents[2] / "docs" / "migration.md"
LEASE = "5a48bfe8.contentful.com"
HOME = "k8s-secret-syncer"
STARTS_PODS = "kubectl apply -k manifests\n"
"""The one command that needs nodes. The operator's process stands in for the pods that it starts."""


def blocks(heading):
    """The commands under a heading, block by block."""
    text = PAGE.read_text()
    section = text[text.index(f"\n{heading}\n") :].split("\n## ")[1 if heading.startswith("## ") else 0]
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


@pytest.fixture
def shell(real_server, kubectl, moto, tmp_path):
    """Run a block of the page in bash: exit code, and everything that it printed."""
    kubeconfig = real_server.write_kubeconfig(tmp_path / "kubeconfig")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**moto.environment, "PATH": path, "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}
    (tmp_path / ".cache").symlink_to(Path.home() / ".cache")  # the compiled template engine

    async def ran(block):
        process = await asyncio.create_subprocess_exec(
            "bash", "-e", "-o", "pipefail", "-c", block, cwd=tmp_path, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(4 * LIMIT):
            output, _ = await process.communicate()
        return process.returncode, output.decode()

    return ran


async def make_deployment(kubectl, namespace, name):
    await kubectl("create", "deployment", name, "-n", namespace, "--image", "example.com/none", "--replicas", "1")


async def replicas(kubectl, namespace, name):
    return await kubectl("get", "deployment", name, "-n", namespace, "-o", "jsonpath={.spec.replicas}")


@contextlib.asynccontextmanager
async def held(cluster, holder):
    """The Lease in the hands of the Go operator, which renews it until it is stopped, and gives it back then."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "acquireTime": now, "renewTime": now}
    if await cluster.get("Lease", HOME, LEASE):
        await cluster.delete("Lease", HOME, LEASE)
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    await cluster.create({**lease, "metadata": {"name": LEASE, "namespace": HOME}, "spec": spec})

    async def renew():
        while True:
            await asyncio.sleep(1)
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            await cluster.merge("Lease", HOME, LEASE, {"spec": {"renewTime": now}})

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await cluster.merge("Lease", HOME, LEASE, {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}})


async def test_from_kube_secret_syncer_step_by_step(shell, cluster, kubectl, moto, run_operator, new_space):
    look, start, stop_old, see, back = blocks("## From kube-secret-syncer")
    name = f"migration/{uuid.uuid4().hex[:8]}"
    await moto.create(name, '{"user": "web", "port": 1000000}')
    space = await new_space(annotations={"iam.amazonaws.com/allowed-roles": '["reader"]'})
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(name))
    await space.write("wrong", IAMRole="admin", dataFrom=all_keys(name))
    metadata = {"name": "demo", "namespace": space.name}
    left = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    await cluster.create({**left, "stringData": {"user": "web", "port": "1e+06"}})
    await make_deployment(kubectl, HOME, "kube-secret-syncer")
    await make_deployment(kubectl, HOME, "secretsyncer")
    try:
        async with held(cluster, "the-go-operator"):
            code, output = await shell(look)
            assert code == 1
            lines = [line.removeprefix(f"{space.name}/") for line in output.splitlines() if space.name in line]
            assert [line.partition(" (")[0] for line in lines if line.startswith("demo")] == ["demo: ~ port"]
            assert (
                f"0 Secrets the same, 1 differ, 1 object with an error:\n  {space.name}/demo: key port\n" in output
            )
            assert any(line.startswith("wrong: RoleNotAllowed") for line in lines)
            await space.write("wrong", IAMRole="reader", dataFrom=all_keys(name))

            assert start.startswith(STARTS_PODS)
            election = {"LEADER_ELECTION": "true", "POD_NAMESPACE": HOME}
            operator = await run_operator(**moto.environment, **election)
            code, output = await shell(start.removeprefix(STARTS_PODS))
            assert (code, output) == (0, "the-go-operator\n")
            assert (await space.data("demo"))["port"] == b"1e+06", "it waits"

            code, output = await shell(stop_old)
            assert code == 0, output
            assert await replicas(kubectl, HOME, "kube-secret-syncer") == "0"
        await space.until_data("demo", {"user": b"web", "port": b"1000000"})
        code, output = await shell(see)
        assert code == 0, output
        assert re.search(rf"{space.name} +wrong +True +Synced", output)

        code, output = await shell(back)
        assert code == 0, output
        assert await replicas(kubectl, HOME, "secretsyncer") == "0"
        assert await replicas(kubectl, HOME, "kube-secret-syncer") == "1"
        assert await operator.stop() == 0
        assert (await cluster.get("Lease", HOME, LEASE))["spec"].get("holderIdentity", "") == "", "given back"
    finally:
        await kubectl("delete", "deployment", "-n", HOME, "kube-secret-syncer", "secretsyncer")


def definition(group, kind, plural, scope="Namespaced"):
    """A peer's resource, as far as kubectl needs it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [version]},
    }


ESO = "external-secrets.io"
RESOURCES = [
    definition(ESO, "ExternalSecret", "externalsecrets"),
    definition(ESO, "SecretStore", "secretstores"),
    definition(ESO, "ClusterSecretStore", "clustersecretstores", "Cluster"),
]


@contextlib.asynccontextmanager
async def external_secrets(cluster, kubectl, *objects):
    """The resources of External Secrets Operator with these objects, and its Deployment."""
    await kubectl("create", "namespace", "external-secrets")
    await make_deployment(kubectl, "external-secrets", "external-secrets")
    for resource in RESOURCES:
        await cluster.create(resource)
    documents = yaml.safe_dump_all([{"apiVersion": f"{ESO}/v1", **obj} for obj in objects])

    async def served():
        code, said = await kubectl.attempt("apply", "-f", "-", stdin=documents)
        assert code == 0, said

    try:
        await eventually(served)
        cluster.server.start_controllers()  # the garbage collector knows these kinds now
        yield
    finally:
        for resource in RESOURCES:
            await cluster.delete("CustomResourceDefinition", "", resource["metadata"]["name"])
        await kubectl("delete", "deployment", "-n", "external-secrets", "external-secrets")


WATCHED = ("taken-over", "from-template")
PEERS = [
    {
        "target": {"name": "taken-over"},
        "data": [
            {"secretKey": "pw", "remoteRef": {"key": "NAME", "property": "password"}},
            {"secretKey": "crt", "remoteRef": {"key": "NAME", "property": "tls.crt"}},
        ],
    },
    {
        "target": {"name": "from-template", "template": {"data": {"url": "  db://{{ .user }}:{{ .port }}\n"}}},
        "dataFrom": [{"extract": {"key": "NAME"}}],
        "data": [{"secretKey": "user", "remoteRef": {"key": "NAME", "property": "login.user"}}],
    },
]
LEFT = {"target": {"name": "left-alone", "template": {"data": {"made": "{{ now }}"}}}}
"""What has no counterpart, and stays with the other operator."""
MADE = [{"pw": "pw", "crt": "cert"}, {"url": "  db://web:5432\n"}, {"made": "today"}]
"""What External Secrets makes of them."""


async def written_by_eso(space, kubectl):
    """The Secrets that it has made, with its owner references, and one that is none of its business."""
    here = {"namespace": space.name}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
    await space.cluster.create({**secret, "stringData": {"a": "b"}, "metadata": {"name": "unrelated", **here}})
    for number, (name, data) in enumerate(zip((*WATCHED, "left-alone"), MADE, strict=True)):
        query = (
            "get",
            f"externalsecrets.{ESO}",
            f"app-{number}",
            "-n",
            space.name,
            "-o",
            "jsonpath={.metadata.uid}",
        )
        owner = {"apiVersion": f"{ESO}/v1", "kind": "ExternalSecret", "name": f"app-{number}", "controller": True}
        owners = [{**owner, "uid": await kubectl(*query), "blockOwnerDeletion": True}]
        marks = {"reconcile.external-secrets.io/managed": "true"}
        metadata = {"name": name, **here, "ownerReferences": owners, "labels": marks}
        await space.cluster.create({**secret, "stringData": data, "metadata": metadata})


@contextlib.asynccontextmanager
async def undisturbed(real_server, space, tmp_path):
    """Every event of the watched Secrets: none is ever gone, replaced, or has other data."""
    kubeconfig = real_server.write_kubeconfig(tmp_path / "watching")
    shown = "{.type} {.object.metadata.name} {.object.metadata.uid} {.object.data}"
    command = ["kubectl", "get", "secrets", "-n", space.name, "--watch", "--output-watch-events", "-o"]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    process = await asyncio.create_subprocess_exec(
        *command, "jsonpath=" + shown + '{"\\n"}', env=environment, stdout=asyncio.subprocess.PIPE
    )
    events = []

    async def read():
        while line := await process.stdout.readline():
            events.append(line.decode().split(maxsplit=3))

    reading = asyncio.create_task(read())

    async def begun():
        assert {name for _, name, *_ in events} >= set(WATCHED)

    try:
        await eventually(begun)
        yield
        await space.cluster.create(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "last", "namespace": space.name}}
        )

        async def over():
            assert "last" in {name for _, name, *_ in events}

        await eventually(over)
    except BaseException as failure:
        failure.add_note("\n".join(history(real_server, space)))
        raise
    finally:
        process.terminate()
        await asyncio.gather(process.wait(), reading)
    seen = [event for event in events if event[1] in WATCHED]
    assert {what for what, *_ in seen} == {"ADDED", "MODIFIED"}
    assert len({tuple(rest) for _, *rest in seen}) == len(WATCHED), seen


def history(real_server, space):
    """Who wrote or deleted what in the namespace, for the message of a failure."""
    for line in real_server.audit_log(space.name):
        about, status = line.get("objectRef") or {}, line.get("responseStatus") or {}
        if line["verb"] in WRITES and about.get("resource") in {"secrets", "syncedsecrets"}:
            what = f"{line['verb']} {about['resource']} {about.get('name')} {about.get('subresource', '')}"
            yield f"{line['requestReceivedTimestamp']} {line['user']['username']} {what} {status.get('code')}"


async def is_left_alone(space, kubectl):
    """The object that is not converted is there, and owns its Secret."""
    remaining = await kubectl("get", f"externalsecrets.{ESO}", "-n", space.name, "-o", "name")
    assert remaining.strip() == f"externalsecret.{ESO}/app-2"
    (owner,) = (await space.secret("left-alone"))["metadata"]["ownerReferences"]
    assert owner["name"] == "app-2"


async def goes_back(space, shell, kubectl, undo):
    """The other operator is started, and the Secrets have no owner."""
    await collected(space, IAMRole="reader")  # an owner that the collector does not know yet would stay
    code, output = await shell(undo)
    assert code == 0, output
    assert await replicas(kubectl, "external-secrets", "external-secrets") == "1"

    async def left():
        for secret in WATCHED:
            assert not (await space.secret(secret))["metadata"].get("ownerReferences")

    await eventually(left)


async def test_from_external_secrets_operator_step_by_step(
    shell, cluster, kubectl, moto, real_server, run_operator, new_space, tmp_path
):
    save, convert, policies, compare, stop, disown, hand_over, delete, undo = blocks("### Change over")
    name = f"migration/{uuid.uuid4().hex[:8]}"
    await moto.create(name, '{"password": "pw", "tls.crt": "cert", "port": 5432, "login": {"user": "web"}}')
    space = await new_space(annotations={"iam.amazonaws.com/allowed-roles": '["reader"]'})
    here = {"namespace": space.name}
    provider = {"service": "SecretsManager", "region": "eu-west-1", "role": "arn:aws:iam::123456789012:role/reader"}
    store = {"kind": "SecretStore", "metadata": {"name": "aws", **here}, "spec": {"provider": {"aws": provider}}}
    apps = [
        {
            "kind": "ExternalSecret",
            "metadata": {"name": f"app-{number}", **here},
            "spec": {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h0m0s", **named(spec, name)},
        }
        for number, spec in enumerate((*PEERS, LEFT))
    ]
    same = "2 Secrets the same, 0 differ\n"
    async with external_secrets(cluster, kubectl, store, *apps):
        await real_server.until_controllers()
        await written_by_eso(space, kubectl)
        operator = await run_operator(**moto.environment)
        async with undisturbed(real_server, space, tmp_path):
            assert await shell(save) == (0, "")
            code, output = await shell(convert)
            assert (code, output.splitlines()[-1]) == (1, "2 converted, 0 with notes, 1 not converted")
            assert f"secret:{name}-??????" in (await shell(policies))[1]
            assert await shell(compare) == (0, same)
            for back in (True, False):  # and forth again
                code, output = await shell(stop)
                assert code == 0, output
                assert await replicas(kubectl, "external-secrets", "external-secrets") == "0"
                code, output = await shell(disown)
                assert (code, "unrelated" in output, "left-alone" in output) == (0, False, False)
                code, output = await shell(hand_over)
                assert (code, output.endswith(same)) == (0, True), output
                for secret in WATCHED:
                    owners = (await space.secret(secret))["metadata"]["ownerReferences"]
                    assert [owner["kind"] for owner in owners] == ["SyncedSecret"]
                if back:
                    await goes_back(space, shell, kubectl, undo)
            code, output = await shell(delete)
            assert code == 0, output
            await is_left_alone(space, kubectl)
            # The collector is at work: what an ExternalSecret that is gone still owns, goes.
            uid = str(uuid.uuid4())
            owner = {"apiVersion": f"{ESO}/v1", "kind": "ExternalSecret", "name": "app-0", "uid": uid}
            left_behind = {"name": "left-behind", **here, "ownerReferences": [owner]}
            await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": left_behind})

            await until_gone(space, "Secret", "left-behind")
    await moto.put(name, '{"password": "new", "tls.crt": "cert", "port": 5433, "login": {"user": "web"}}')
    await space.until_data("taken-over", {"pw": b"new", "crt": b"cert"})
    await space.until_data("from-template", {"url": b"  db://web:5433\n"})
    assert await operator.stop() == 0
    assert not complaints(operator.log)


def named(spec, name):
    """The spec with the name of this test's AWS secret."""
    return yaml.safe_load(yaml.safe_dump(spec).replace("NAME", name))
