"""The plugin: `kubectl secretsyncer`, as kubectl finds it on the PATH, on a real API server beside the operator."""

from __future__ import annotations

import re
import sysconfig

import pytest
import pytest_asyncio

from tests.support.eventually import eventually
from tests.support.specs import all_keys, literal

pytestmark = pytest.mark.real

PATH = f"{sysconfig.get_path('scripts')}:/usr/local/bin:/usr/bin:/bin"
CANARY = "c4n4ry-v4lu3"
ANNOTATION = "iam.amazonaws.com/allowed-roles"


@pytest.fixture
def plugin(kubectl):
    """`kubectl secretsyncer ...`: exit code and output."""

    async def ran(*arguments, **environment):
        return await kubectl.attempt("secretsyncer", *arguments, PATH=PATH, **environment)

    return ran


async def test_kubectl_finds_the_plugin_and_its_help_is_about_kubectl(plugin, kubectl):
    assert "kubectl-secretsyncer" in await kubectl("plugin", "list", PATH=PATH)
    code, out = await plugin("--help")
    assert code == 0
    assert "kubectl secretsyncer status -A" in out


async def test_status_shows_what_is_not_ready_until_everything_is(operator, aws, plugin, space, name):
    await space.write("good", dataFrom=all_keys(name))
    await space.write("bad", dataFrom=all_keys(f"{name}-more"))
    await space.write("idle", suspend=True, data=[literal("a", "1")])
    await space.until_synced("good")
    message = await space.until_failed("bad", "SecretNotFound")
    await space.until_failed("idle", "Suspended")
    code, out = await plugin("status", "-n", space.name)
    assert code == 1
    header, bad, idle, _, summary = out.splitlines()
    assert re.split(r"\s{2,}", header) == ["OBJECT", "STATE", "REASON", "SINCE", "MESSAGE"]
    assert re.split(r"\s{3,}", bad)[:3] == [f"{space.name}/bad", "change needed", "SecretNotFound"]
    assert bad.endswith(message)
    assert re.split(r"\s{3,}", idle)[:3] == [f"{space.name}/idle", "suspended", "Suspended"]
    assert summary == f"3 SyncedSecrets in namespace {space.name}; change needed: 1, suspended: 1, ready: 1"

    aws.world.create(f"{name}-more", '{"b": "2"}')
    await space.until_synced("bad")
    code, out = await plugin("status", "-n", space.name)
    assert (code, out.count("\n")) == (0, 4)
    code, out = await plugin("status", "-A")
    assert f"{space.name}/idle" in out
    assert "in all namespaces" in out


async def test_why_shows_everything_about_one_object(operator, aws, plugin, space):
    aws.world.role("reader")
    secret = f"app/{space.name}"
    aws.world.create(secret, f'{{"a": "{CANARY}"}}')
    await space.annotate({ANNOTATION: '["reader"]'})
    await space.write("demo", IAMRole="reader", dataFrom=all_keys(secret))
    version = (await space.until_synced("demo"))["status"]["sources"][0]["versionID"]
    await space.annotate({ANNOTATION: "[]"})
    await space.until_failed("demo", "RoleNotAllowed")

    async def explained():  # the Event follows the status
        code, out = await plugin("why", f"{space.name}/demo")
        assert code == 1
        headline, *lines = out.splitlines()
        assert headline == f"SyncedSecret {space.name}/demo is not ready: somebody has to change something"
        text = "\n".join(lines)
        assert re.search(r"\n  RoleNotAllowed, since \S+Z \(\d+ s ago\)\n", text), text
        assert re.search(rf"\n  denied: role \S.*reader is not in the annotation {ANNOTATION}", text), text
        assert re.search(rf"\n  SecretsManager +{secret} +{version} +arn:aws:secretsmanager", text), text
        assert re.search(r"\n  \d+ s ago +Normal +Synced +x1 +Secret created with key a\n", text), text
        assert re.search(r"\n  \d+ s ago +Warning +RoleNotAllowed +x1 ", text), text
        assert text.endswith("\n  docs/runbook.md#rolenotallowed")
        assert CANARY not in out

    await eventually(explained)
    await space.annotate({ANNOTATION: '["reader"]'})
    await space.until_synced("demo")
    code, out = await plugin("why", "-n", space.name, "demo")
    assert code == 0
    assert "  allowed: role " in out


@pytest_asyncio.fixture(loop_scope="session")
async def viewer(cluster, real_server, space, tmp_path):
    """The kubeconfig of somebody who may read the SyncedSecrets of the namespace, and nothing else."""
    place = {"namespace": space.name, "name": "viewer"}
    rule = {"apiGroups": ["secrets.contentful.com"], "resources": ["syncedsecrets"], "verbs": ["get", "list"]}
    group = "rbac.authorization.k8s.io"
    await cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place})
    await cluster.create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": place, "rules": [rule]})
    await cluster.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": place,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "viewer"},
            "subjects": [{"kind": "ServiceAccount", **place}],
        }
    )
    token = await real_server.service_account_token(space.name, "viewer")
    return str(real_server.write_kubeconfig(tmp_path / "viewer", "viewer", token=token))


async def test_why_shows_what_its_user_may_read(operator, plugin, viewer, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")

    async def explained():  # the API server learns of the new Role a moment later
        code, out = await plugin("why", f"{space.name}/demo", KUBECONFIG=viewer)
        assert code == 0, out
        return out

    out = await eventually(explained)
    assert out.startswith(f"SyncedSecret {space.name}/demo is ready\n")
    assert re.search(r"\nAccess\n  not known: Forbidden: namespaces ", out), out
    assert re.search(r"\nEvents\n  not known: Forbidden: events is forbidden", out), out
    assert (await plugin("status", "-n", space.name, KUBECONFIG=viewer))[0] == 0
    code, out = await plugin("suspend", f"{space.name}/demo", KUBECONFIG=viewer)
    assert (code, "Forbidden" in out) == (1, True)


async def test_a_suspended_object_keeps_its_secret_until_it_is_resumed(operator, aws, plugin, space, name):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    assert (await plugin("suspend", f"{space.name}/demo"))[0] == 0
    await space.until_failed("demo", "Suspended")
    aws.world.put(name, '{"a": "2"}')
    code, out = await plugin("refresh", "-n", space.name, "demo")
    assert (code, "is suspended" in out) == (1, True)
    assert await space.data("demo") == {"a": b"1"}
    assert await plugin("resume", f"{space.name}/demo") == (0, f"SyncedSecret {space.name}/demo: synced again\n")
    assert await plugin("resume", f"{space.name}/demo") == (
        0,
        f"SyncedSecret {space.name}/demo: was not suspended\n",
    )
    await space.until_data("demo", {"a": b"2"})
    assert "suspend" not in (await space.synced("demo"))["spec"]


async def test_refresh_reads_aws_again_and_the_change_has_the_name_of_the_plugin(
    operator, aws, plugin, space, name
):
    await space.write("demo", dataFrom=all_keys(name))
    await space.until_synced("demo")
    code, out = await plugin("refresh", f"{space.name}/demo")
    assert (code, out) == (0, f"SyncedSecret {space.name}/demo: its AWS secrets are read again\n")
    metadata = (await space.synced("demo"))["metadata"]
    assert metadata["annotations"].keys() == {"secrets.contentful.com/refresh"}
    managers = [entry["manager"] for entry in metadata["managedFields"]]
    assert "kubectl-secretsyncer" in managers


async def test_what_fails_is_a_line_that_names_it(plugin, space):
    code, out = await plugin("why", f"{space.name}/nothing")
    assert code == 1
    assert out.startswith("secretsyncer: ")
    assert f"NotFound: SyncedSecret {space.name}/nothing: " in out
    for command in ("refresh", "suspend", "resume"):
        code, out = await plugin(command, f"{space.name}/nothing", f"{space.name}/none")
        assert code == 1
        assert [line.split()[2] for line in out.splitlines()] == [f"{space.name}/nothing:", f"{space.name}/none:"]
    code, out = await plugin("why", "a/b/c")
    assert (code, out.count("\n")) == (2, 1)
    assert "use NAMESPACE/NAME" in out
    code, out = await plugin("status", "-n", "../../version")
    assert (code, out) == (2, "secretsyncer: '../../version' is not the name of a namespace\n")
    code, out = await plugin("status", KUBECONFIG="/nowhere")
    assert (code, out.count("\n")) == (2, 1)


async def test_all_objects_are_counted_if_one_page_would_be_too_large(operator, plugin, space):
    for number in range(12):
        await space.write(f"o{number}", suspend=True, data=[literal(key, "x" * 100_000) for key in "abcde"])
    _, out = await plugin("status", "-n", space.name)
    assert out.splitlines()[-1].startswith(f"12 SyncedSecrets in namespace {space.name}; ")
