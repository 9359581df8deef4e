"""The launcher of a real kube-apiserver and etcd."""

from __future__ import annotations

import aiohttp
import pytest

from sandbox.envtest import NEWEST, PROGRAMS, RealKubernetes, find_assets
from tests.sandbox.contract import answered, connect, secret

SECRETS = "/api/v1/namespaces/default/secrets"


def test_assets_are_found_in_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert find_assets() is None
    for program in PROGRAMS:
        (tmp_path / program).touch(mode=0o755)
    assert find_assets() == tmp_path


@pytest.mark.parametrize(("asked", "minor"), [(None, NEWEST), ("", NEWEST), ("1.32", "1.32"), ("1.32.9", "1.32")])
def test_assets_of_a_version_are_found_in_the_cache(tmp_path, monkeypatch, asked, minor):
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.delenv("ENVTEST_K8S_VERSION", raising=False)
    if asked is not None:
        monkeypatch.setenv("ENVTEST_K8S_VERSION", asked)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    folder = tmp_path / "secretsyncer" / "envtest" / minor / "arm64"
    folder.mkdir(parents=True)
    assert find_assets() is None
    for program in PROGRAMS:
        (folder / program).touch(mode=0o755)
    assert find_assets() == folder


def test_programs_that_cannot_be_run_are_no_assets(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    for program in PROGRAMS:
        (tmp_path / program).touch(mode=0o644)
    assert find_assets() is None


async def test_program_that_does_not_start_is_told_with_its_log(tmp_path):
    for program in PROGRAMS:
        path = tmp_path / program
        path.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
        path.chmod(0o755)
    with pytest.raises(RuntimeError, match="etcd did not start: it is broken"):
        async with RealKubernetes(tmp_path):
            pass


async def test_controllers_that_do_not_start_are_told_with_their_log(tmp_path):
    for program in PROGRAMS:
        path = tmp_path / program
        path.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
        path.chmod(0o755)
    server = RealKubernetes(tmp_path)
    server.ca_file.parent.mkdir()
    server.ca_file.touch()
    server.start_controllers()
    with pytest.raises(RuntimeError, match="kube-controller-manager did not start: it is broken"):
        await server.until_controllers()
    await server.__aexit__()


@pytest.mark.real
async def test_killed_server_comes_back_with_its_data_and_its_certificate(real_server):
    async with connect(real_server) as client:
        made = await client.make(SECRETS, secret("kept"))
        await real_server.stop_listening()
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(SECRETS)
        await real_server.start_listening()
        assert (await client.get(f"{SECRETS}/kept")).body == made
        await client.delete(f"{SECRETS}/kept")


@pytest.mark.real
async def test_token_of_a_service_account_has_its_rights_and_no_more(real_server):
    async with connect(real_server) as admin:
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
        await admin.make(accounts, {"metadata": {"name": "reader"}})
        rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
        await admin.make(roles, {"metadata": {"name": "reader"}, "rules": rules})
        binding = {
            "metadata": {"name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        }
        await admin.make(roles.replace("/roles", "/rolebindings"), binding)
        token = await real_server.service_account_token("default", "reader")
        async with connect(real_server, token) as reader:
            await answered(reader, SECRETS, 200)  # the authorizer learns of roles by a watch
            reply = await reader.post(SECRETS, secret("a"))
            assert (reply.status, reply.reason) == (403, "Forbidden")
            assert 'User "system:serviceaccount:default:reader" cannot create resource' in reply.body["message"]


@pytest.mark.real
async def test_requests_are_read_from_the_audit_log(real_server):
    async with connect(real_server) as client:
        before = real_server.requests
        await client.make(SECRETS, secret("counted"))
        await client.patch(f"{SECRETS}/counted", {})
        await client.delete(f"{SECRETS}/counted")
        made = real_server.requests - before
    assert {key: count for key, count in made.items() if key.resource == "secrets"} == {
        ("create", "secrets"): 1,
        ("patch", "secrets"): 1,
        ("delete", "secrets"): 1,
    }


@pytest.mark.real
async def test_the_audit_log_can_be_read_for_what_contains_a_text(real_server):
    async with connect(real_server) as client:
        for name in ("sought", "another"):
            await client.make(SECRETS, secret(name))
            await client.delete(f"{SECRETS}/{name}")
    found = [entry["verb"] for entry in real_server.audit_log(f"{SECRETS}/sought")]
    assert found == ["delete"]
    assert len(real_server.audit_log()) > 3
