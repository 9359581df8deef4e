"""The operator from its image, with a read-only root file system and any uid, as in a cluster.

The image's root file system is what `.ci/image` unpacks, or the folder that SECRETSYNCER_ROOTFS names. The operator
runs in it as a container would: in a mount namespace of its own, chrooted, read-only, with a /tmp and without
capabilities. Only root can do this.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.operator import OperatorProcess
from secretsyncer import __version__
from tests.support.measures import complaints
from tests.support.specs import all_keys, template
from tests.support.tools import CACHE

HOW_TO_GET = (
    "no unpacked image: make it with .ci/image (as root, on Debian), or set SECRETSYNCER_ROOTFS to the root file "
    "system of one (buildah mount), with what buildah inspect says of it in image.json beside it"
)
BUILD_TOOLS = ("gcc", "cc", "go", "make", "hatchling", "git", "uv", "curl", "wget")


def find_image():
    """The image's unpacked root file system; None where there is none."""
    folder = Path(os.environ.get("SECRETSYNCER_ROOTFS") or CACHE / "image/rootfs")
    return folder if (folder / "opt" / "secretsyncer").is_dir() else None


ROOTFS = find_image()
pytestmark = [
    pytest.mark.skipif(ROOTFS is None, reason=HOW_TO_GET),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root folder of a process"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) is not on the PATH"),
]
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
USER = random.Random().randrange(1_000_000_000, 1_999_999_999)
"""As OpenShift does: any number, in no file of the image."""

INSIDE = """
set -e
root=$1 user=$2 handed=$3 chroot=$4; shift 4
mount --bind "$root" "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/tmp/handed"
mount --bind "$handed" "$root/tmp/handed"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for shell in sh bash dash; do [ ! -e "$root/bin/$shell" ] || mount --bind /dev/null "$root/bin/$shell"; done
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs "$chroot" --userspec="$user:0" --groups= "$root" "$@"
"""
"""Runs a command in the image, with no shell to be found there. Each `exec`s the next, so signals reach it."""


def inside(handed, *command, user=USER):
    given = str(ROOTFS), str(user), str(handed), CHROOT  # by its path: the image's PATH does not lead to it
    return "unshare", "--mount", "bash", "-c", INSIDE, "inside", *given, *command


@pytest.fixture(scope="module")
def config():
    """What the image says of itself."""
    return json.loads((ROOTFS.parent / "image.json").read_text())["OCIv1"]["config"]


def variables(config):
    return dict(pair.split("=", 1) for pair in config["Env"])


class InImage(OperatorProcess):
    """The operator as the image starts it."""

    def __init__(self, config, *, handed, environment):
        super().__init__(kubeconfig=Path("/tmp/handed/kubeconfig"), environment=environment)
        own = {"METRICS_LISTEN": "127.0.0.1:0", "KUBECONFIG": "/tmp/handed/kubeconfig"}
        self.environment = {**variables(config), **own, **environment}
        self._command = inside(handed, *config["Entrypoint"], *config["Cmd"])

    def command(self):
        return self._command


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_image(config, real_server, cluster, moto, tmp_path_factory):
    """The operator of the image between the real API server and moto, ready."""
    handed = tmp_path_factory.mktemp("handed")
    token = await real_server.service_account_token("k8s-secret-syncer", "secretsyncer")
    real_server.write_kubeconfig(handed / "kubeconfig", "secretsyncer", token=token).chmod(0o644)
    handed.chmod(0o755)
    environment = {**moto.environment, "POLL_INTERVAL_SEC": "1"}
    async with InImage(config, handed=handed, environment=environment) as running:
        await running.until_ready()
        yield running
        assert await running.stop() == 0, running.log[-4000:]
        assert not complaints(running.log)


@pytest.mark.real
async def test_the_operator_of_the_image_syncs_templates_and_new_versions(in_image, moto, space):
    name = f"image/{uuid.uuid4().hex[:8]}"
    await moto.create(name, '{"user": "me"}')
    await space.write("all", dataFrom=all_keys(name))
    await space.write("made", data=[template("a", f'{{{{ (getSecretValueMap "{name}").user | b64enc }}}}')])
    await space.until_data("all", {"user": b"me"})
    await space.until_data("made", {"a": b"bWU="})
    await moto.put(name, '{"user": "you"}')
    await space.until_data("all", {"user": b"you"})
    await space.until_data("made", {"a": b"eW91"})


def told_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


@pytest.mark.real
async def test_it_runs_as_a_user_of_any_number_and_without_rights(in_image):
    status = told_of(in_image.pid)
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {str(USER)}
    assert int(fields["CapEff"], 16) == 0
    version = f'version="{__version__}"'
    assert any(name.startswith("secretsyncer_build_info") and version in name for name in await in_image.metrics())


def run(config, handed, program, user=USER):
    """What a Python program prints in the image."""
    command = inside(handed, "python", "-c", program, user=user)
    done = subprocess.run(command, env=variables(config), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_not_even_root_could_write_into_it(config, tmp_path):
    program = """
import errno
for path in ("/x", "/opt/secretsyncer/cache/x", "/usr/bin/x"):
    try:
        open(path, "w")
    except OSError as exc:
        print(errno.errorcode[exc.errno])
"""
    assert run(config, tmp_path, program, user=0).split() == ["EROFS"] * 3


def test_the_template_engine_is_compiled_ahead(config, tmp_path):
    program = """
import time
from pathlib import Path
from secretsyncer.gotemplate.engine import TemplateEngine
started = time.process_time()
engine = TemplateEngine(cache_dir=Path("/opt/secretsyncer/cache"))
print(time.process_time() - started < 10)  # compiling takes a minute
engine.close()
"""
    assert run(config, tmp_path, program) == "True"


def test_no_byte_code_is_checked_against_its_source():
    """Checked byte code carries the time of its source, which building an image changes: it would never be used."""
    files = list(ROOTFS.glob("opt/secretsyncer/lib/**/*.pyc"))
    unchecked_hash = (1).to_bytes(4, "little")  # the flags of PEP 552
    assert len(files) > 1000
    assert [str(file) for file in files if file.read_bytes()[4:8] != unchecked_hash] == []


def test_it_has_labels_and_runs_as_an_unprivileged_user(config):
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {"org.opencontainers.image.title", "org.opencontainers.image.description"} <= set(labels)
    uid, gid = config["User"].split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert (config["Entrypoint"], config["Cmd"]) == (["python", "-m", "secretsyncer"], ["run"])


def test_nothing_that_builds_is_in_it():
    folders = [ROOTFS / part for part in ("opt/secretsyncer/bin", "usr/local/bin", "usr/bin", "usr/local/go/bin")]
    assert [str(folder / name) for folder in folders for name in BUILD_TOOLS if (folder / name).exists()] == []
    packages = {path.name for path in ROOTFS.glob("opt/secretsyncer/lib/python3*/site-packages/*")}
    assert {"secretsyncer", "wasmtime"} <= packages
    assert packages & {"pip", "setuptools", "hatchling", "moto", "boto3", "pytest"} == set()
    assert not (ROOTFS / "build").exists()


def test_neither_the_sandbox_nor_go_source_nor_tests_are_in_it():
    (packages,) = ROOTFS.glob("opt/secretsyncer/lib/python3*/site-packages")
    unwanted = {"sandbox", "tests", "bench"}
    assert unwanted & {path.name for path in packages.iterdir()} == set()
    assert unwanted & {path.name for path in (packages / "secretsyncer").rglob("*")} == set()
    assert [str(path) for path in (ROOTFS / "opt/secretsyncer").rglob("*.go")] == []


def test_what_is_installed_is_what_is_locked():
    lock = Path(__file__).parents[2] / "requirements" / "run.lock"
    wanted = {line.split("==")[0].lower() for line in lock.read_text().splitlines() if "==" in line}
    found = ROOTFS.glob("opt/secretsyncer/lib/python3*/site-packages/*.dist-info")
    names = {path.name.split("-")[0].replace("_", "-").lower() for path in found}
    assert names - {"secretsyncer"} <= wanted
    assert {"aiohttp", "wasmtime", "pydantic"} <= names
