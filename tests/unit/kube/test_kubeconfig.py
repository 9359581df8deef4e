"""Kubeconfigs are merged as by kubectl, and exec plugins leave no process behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from secretsyncer.errors import SettingsError
from secretsyncer.kube.kubeconfig import read, run_plugin
from tests.support.eventually import eventually

DATA = Path(__file__).parents[2] / "data"


def config(*, current=None, context="a", server="1", user="one", **more):
    """A file with one context, one cluster and one user, all of that name."""
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, **more}}],
        "clusters": [{"name": context, "cluster": {"server": f"https://{server}:6443"}}],
        "users": [{"name": context, "user": {"token": user}}],
    }
    return {**made, "current-context": current} if current is not None else made


FILES = {
    "empty": "",
    "no current context": yaml.safe_dump(config()),
    "blank current context": yaml.safe_dump(config(current="")),
    "context a": yaml.safe_dump(config(current="a", namespace="first")),
    "another context a": yaml.safe_dump(config(current="a", server="2", user="two", namespace="second")),
    "context b": yaml.safe_dump(config(current="b", context="b", server="3", user="three")),
    "null lists": "{apiVersion: v1, kind: Config, clusters: null, users: null, contexts: null, current-context: a}",
    "twice the cluster a": yaml.safe_dump({**config(current="a"), "clusters": config()["clusters"] * 2}),
    "part of the cluster a": yaml.safe_dump({"clusters": [{"name": "a", "cluster": {"tls-server-name": "x"}}]}),
    "a number for text": yaml.safe_dump(config(current="a", namespace=5)),
    "text for a truth": yaml.safe_dump(
        {"clusters": [{"name": "x", "cluster": {"server": "https://x", "insecure-skip-tls-verify": "false"}}]}
    ),
    "only a user": yaml.safe_dump({"users": [{"name": "a", "user": {"token": "other", "username": "u"}}]}),
}


MERGED = "kubeconfig/merged.json"
"""Of each file, and of each two in each order: what kubectl takes from them. null where it finds nothing to use."""
NAMES = [*FILES, "a missing file"]
PAIRS = list(itertools.permutations(NAMES, 2))
ASKED = [*((name,) for name in NAMES), *PAIRS[:: len(PAIRS) // len(NAMES) + 1]]
"""What kubectl is asked about in each run: one call takes a twentieth of a second of processor time."""


@pytest.fixture
def paths(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return lambda names: os.pathsep.join(str(tmp_path / name) for name in names)


def by_kubectl(paths):
    """What kubectl takes from these files; None where it finds nothing to use."""
    command = ["kubectl", "config", "view", "--minify", "--raw", "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": paths}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if ran.returncode:
        return None
    found = json.loads(ran.stdout)
    context = found["contexts"][0]["context"]
    users = found.get("users") or []
    if not found["clusters"][0]["cluster"]["server"]:
        return None  # kubectl shows it, but uses its default, localhost:8080
    return [
        found["current-context"],
        context.get("namespace") or "default",
        found["clusters"][0]["cluster"]["server"],
        (users[0]["user"] if users else {}).get("token"),
    ]


def by_us(paths):
    try:
        context = read(paths)
        return [context.name, context.namespace, context.cluster["server"], context.user.get("token")]
    except SettingsError:
        return None


def as_json(found):
    lines = (f"{json.dumps(' + '.join(names))}: {json.dumps(taken)}" for names, taken in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def merged():
    return {tuple(names.split(" + ")): taken for names, taken in json.loads((DATA / MERGED).read_text()).items()}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")
def test_the_file_has_what_kubectl_takes(paths, request):
    """A part of it in each run. `--update-golden` asks kubectl about everything."""
    if request.config.getoption("--update-golden"):
        (DATA / MERGED).parent.mkdir(exist_ok=True)
        everything = [*((name,) for name in NAMES), *PAIRS]
        (DATA / MERGED).write_text(as_json({names: by_kubectl(paths(names)) for names in everything}))
    known = merged()
    assert {names: by_kubectl(paths(names)) for names in ASKED} == {names: known[names] for names in ASKED}


def test_files_are_merged_as_by_kubectl(paths):
    known = merged()
    assert known.keys() == {*((name,) for name in NAMES), *PAIRS}
    assert {names: by_us(paths(names)) for names in known} == known


def test_three_files_and_empty_parts_of_the_list(tmp_path):
    for name, content in (("1", ""), ("2", FILES["context b"]), ("3", FILES["context a"])):
        (tmp_path / name).write_text(content)
    paths = os.pathsep.join(["", str(tmp_path / "1"), "", str(tmp_path / "2"), str(tmp_path / "3")])
    assert read(paths).name == "b"


def test_relative_paths_are_those_of_the_file_that_they_stand_in(tmp_path):
    for folder, part in (
        ("one", {"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "current-context": "a"}),
        (
            "two",
            {"clusters": [{"name": "a", "cluster": {"server": "https://x", "certificate-authority": "ca.crt"}}]},
        ),
        (
            "three",
            {
                "users": [
                    {
                        "name": "a",
                        "user": {
                            "client-certificate": "pki/a.crt",
                            "client-key": "/a.key",
                            "tokenFile": "token",
                            "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./bin/plugin"},
                        },
                    }
                ]
            },
        ),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config").write_text(yaml.safe_dump(part))
    context = read(os.pathsep.join(str(tmp_path / folder / "config") for folder in ("one", "two", "three")))
    assert context.cluster["certificate-authority"] == str(tmp_path / "two/ca.crt")
    user = context.user
    assert user["client-certificate"] == str(tmp_path / "three/pki/a.crt")
    assert (user["client-key"], user["tokenFile"]) == ("/a.key", str(tmp_path / "three/token"))
    assert Path(user["exec"]["command"]) == tmp_path / "three/bin/plugin"


def test_a_command_without_a_folder_is_found_on_the_path(tmp_path):
    (tmp_path / "config").write_text(
        yaml.safe_dump(
            {
                **config(current="a"),
                "users": [{"name": "a", "user": {"exec": {"command": "aws", "apiVersion": V1}}}],
            }
        )
    )
    assert read(str(tmp_path / "config")).user["exec"]["command"] == "aws"


V1 = "client.authentication.k8s.io/v1"


def plugin(tmp_path, script, **more):
    """A plugin of Python, as a kubeconfig names it."""
    path = tmp_path / "plugin.py"
    path.write_text(script)
    return {"apiVersion": V1, "command": sys.executable, "args": [str(path)], **more}


def answer(**status):
    return f"print({json.dumps(json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status}))})"


async def test_a_plugin_answers_with_a_token(tmp_path):
    assert await run_plugin(plugin(tmp_path, answer(token="t")), {}, limit=20) == {"token": "t"}


async def test_a_plugin_gets_the_cluster_and_its_variables(tmp_path):
    script = (
        "import json, os\n"
        "spec = json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']\n"
        f"print(json.dumps({{'apiVersion': '{V1}', 'status': {{'token': spec['cluster']['server'] + os.environ['X']}}}}))"
    )
    wanted = plugin(tmp_path, script, provideClusterInfo=True, env=[{"name": "X", "value": "!"}])
    assert await run_plugin(wanted, {"server": "https://x"}, limit=20) == {"token": "https://x!"}


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('c4n4ry')", "not an ExecCredential"),
        ("print('[]')", "not an ExecCredential"),
        ("print('{}')", "not an ExecCredential"),
        (answer().replace(V1, "client.authentication.k8s.io/v1alpha1"), "another apiVersion"),
        (answer(), "neither a token nor a client certificate"),
        (answer(clientCertificateData="c4n4ry"), "only one of clientCertificateData and clientKeyData"),
    ],
)
async def test_a_plugin_that_fails_is_one_line_without_its_output(tmp_path, script, problem):
    with pytest.raises(SettingsError) as caught:
        await run_plugin(plugin(tmp_path, script), {}, limit=20)
    assert problem in str(caught.value)
    assert "c4n4ry" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_missing_plugin_is_an_error_with_its_install_hint(tmp_path):
    missing = {"apiVersion": V1, "command": str(tmp_path / "gone"), "installHint": "install it like this"}
    with pytest.raises(SettingsError, match=r"gone: No such file or directory \(install it like this\)"):
        await run_plugin(missing, {}, limit=20)


@pytest.mark.parametrize("how", ["time", "cancelled"])
async def test_a_plugin_that_hangs_is_killed_with_its_children(tmp_path, how, monkeypatch):
    timeout, limits = asyncio.timeout, []

    def noted(delay):
        limits.append(timeout(delay))
        return limits[-1]

    monkeypatch.setattr(asyncio, "timeout", noted)
    script = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        f"open({str(tmp_path / 'pids.new')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(tmp_path / 'pids.new')!r}, {str(tmp_path / 'pids')!r})\n"
        "time.sleep(100)\n"
    )
    running = asyncio.create_task(run_plugin(plugin(tmp_path, script), {}, limit=1000))

    async def started():
        assert (tmp_path / "pids").exists()
        assert limits  # else nothing waits for the plugin yet

    await eventually(started)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    if how == "cancelled":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        [limit] = limits
        assert 900 < limit.when() - asyncio.get_running_loop().time() <= 1000
        limit.reschedule(0)  # it passes now
        with pytest.raises(SettingsError, match="no answer within 1000 s"):
            await running

    async def gone():
        assert not [pid for pid in pids if is_running(pid)]

    await eventually(gone)


def is_running(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " not in stat.read_text()
