"""A release: the same commit gives the same bytes, and each file has the right content.

`.ci/release` builds the last commit, so changes that are not committed do not take part. The image takes minutes: it is
compared where it has been built twice, by `.ci/image` and by `make release`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from secretsyncer import __version__
from tests.support import fast_yaml
from tests.support.tools import CACHE, needs_kubectl, run, tool

ROOT = Path(__file__).parents[2]
NAME = f"secretsyncer-{__version__}"
FILES = {
    "python": {f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"},
    "chart": {f"{NAME}.tgz"},
    "manifests": {"install.yaml"},
    "sbom": {f"{NAME}.cdx.json"},
}


def commit():
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which("git") or not commit(), reason="a release is built from a commit"),
]


def build(folder, part, **environment):
    """The files of a part of the release, by name."""
    command = [str(ROOT / ".ci/release"), str(folder), part]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run("sh", "-c", 'cd "$1" && sha256sum --check --strict SHA256SUMS', "sh", folder)
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "SHA256SUMS"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds a part, once for all tests."""
    made = {}

    def part(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            build(folder, name)
            made[name] = folder
        return made[name]

    return part


@pytest.fixture
def elsewhere(tmp_path):
    """Where a second run differs from the first one: other folders, another time zone and language."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return {"TMPDIR": str(folder), "TZ": "Asia/Kolkata", "LC_ALL": "C.UTF-8"}


def has(part):
    """Skip the test where this machine cannot build the part."""
    if part == "chart":
        tool("helm")
    if part == "sbom" and not (ROOT / ".cache/audit/.installed").exists():
        pytest.skip("the SBOM's generator is not installed: run `make sbom`")


@pytest.mark.parametrize("part", ["python", "chart", pytest.param("manifests", marks=needs_kubectl), "sbom"])
def test_two_runs_from_one_commit_give_the_same_bytes(part, built, elsewhere, tmp_path):
    has(part)
    first = {file.name: file.read_bytes() for file in built(part).iterdir() if file.name != "SHA256SUMS"}
    assert set(first) == FILES[part]
    assert build(tmp_path / "second", part, **elsewhere) == first


def test_the_wheel_has_the_compiled_engine_and_the_source_distribution_what_compiles_it(built):
    with zipfile.ZipFile(built("python") / f"{NAME}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert {"secretsyncer/gotemplate/engine.wasm", "secretsyncer/cli.py"} <= names
    assert {name.split("/")[0] for name in names} == {"secretsyncer", f"{NAME}.dist-info"}
    with tarfile.open(built("python") / f"{NAME}.tar.gz") as source:
        names = set(source.getnames())
    assert {f"{NAME}/{name}" for name in ("hatch_build.py", "pyproject.toml", "LICENSE")} <= names


@needs_kubectl
def test_the_chart_of_the_release_renders_as_the_folder_does(built):
    render = (tool("helm"), "template", "secretsyncer")
    packaged = run(*render, built("chart") / f"{NAME}.tgz")
    assert packaged == run(*render, ROOT / "manifests/chart")


@needs_kubectl
def test_the_rendered_manifests_run_this_version(built):
    objects = list(fast_yaml.load_all((built("manifests") / "install.yaml").read_text()))
    (deployment,) = (obj for obj in objects if obj["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"secretsyncer:{__version__}"
    assert "CustomResourceDefinition" in {obj["kind"] for obj in objects}


def test_the_sbom_names_this_version_and_packages_as_they_are_locked(built):
    has("sbom")
    listed = json.loads((built("sbom") / f"{NAME}.cdx.json").read_text())
    program = listed["metadata"]["component"]
    assert (program["name"], program["version"]) == ("secretsyncer", __version__)
    lock = (ROOT / "requirements/run.lock").read_text().lower()
    found = {part["name"].lower().replace("_", "-"): part["version"] for part in listed["components"]}
    assert {"aiohttp", "wasmtime", "pydantic"} <= set(found)
    assert [name for name, version in found.items() if f"{name}=={version}" not in lock] == []


def built_from(archive):
    """The commit of the image in an OCI archive and the digest of its base."""
    with tarfile.open(archive) as files:

        def read(path):
            return json.load(files.extractfile(path))

        def blob(descriptor):
            return read(f"blobs/{descriptor['digest'].replace(':', '/')}")

        (described,) = read("index.json")["manifests"]
        manifest = blob(described)
        labels = blob(manifest["config"])["config"]["Labels"]
    prefix = "org.opencontainers.image"
    return labels[f"{prefix}.revision"], manifest["annotations"][f"{prefix}.base.digest"]


def test_two_builds_of_the_image_from_one_commit_give_the_same_bytes():
    archives = [*CACHE.glob("image/image.tar"), *ROOT.glob("dist/*-image-*.tar")]
    origins = {built_from(archive) for archive in archives}
    if len(archives) != 2 or len(origins) != 1 or commit() not in origins.pop():
        pytest.skip("the image of this commit is not there twice: `.ci/image` and `make release` build it, as root")
    first, second = (hashlib.sha256(archive.read_bytes()).hexdigest() for archive in archives)
    assert first == second
