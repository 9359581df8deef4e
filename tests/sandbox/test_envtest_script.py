"""`.ci/envtest` with a fake compiler and fake servers: what it builds, when, and where it puts it."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "etcd")

VENV = r"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 1
mkdir -p "$3/bin"
printf '#!/bin/sh\n' >"$3/bin/pip"
cp "$(dirname "$0")/go" "$3/bin/go"
chmod +x "$3/bin/pip"
"""
GO = r"""#!/bin/sh
[ "$1" = version ] && exit
echo "$(pwd): $*" >>"$BUILDS"
[ -z "$BROKEN" ] || { echo "it does not compile"; exit 1; }
grep -h '^	k8s.io/kubernetes v' go.mod >>"$BUILDS"
previous= out= packages=
for word; do
  case "$previous" in -o) out=$word ;; esac
  case "$word" in ./*) packages="$packages ${word#./}" ;; .) packages=etcd ;; esac
  previous=$word
done
for name in $packages; do
  printf '#!/bin/sh\necho "%s of this build"\n' "$name" >"$out$name"
  chmod +x "$out$name"
done
"""
SETUP_ENVTEST = r"""#!/bin/sh
[ "$1 $3 $4" = "use --print path" ] || exit 1
echo "$2" >>"$BUILDS"
echo "$ASSETS"
"""


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Script:
    """The script with a home of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.builds = folder / "builds"
        self.builds.touch()
        program(folder / "bin/python3", VENV)
        program(folder / "bin/go", GO)
        self.cache = folder / "cache/secretsyncer/envtest"

    def __call__(self, **environment):
        inherited = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "XDG_CACHE_HOME": self.folder / "cache"}
        own = {"BUILDS": self.builds, "PYTHON": self.folder / "bin/python3", **inherited, **environment}
        return subprocess.run(
            [ROOT / ".ci/envtest"],
            env={name: str(value) for name, value in own.items()},
            capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip

    def made(self, minor):
        """What is in the folder of this minor version."""
        return {path.name for path in self.cache.glob(f"{minor}/*/*")}


@pytest.fixture
def script(tmp_path):
    return Script(tmp_path)


def test_all_three_are_built_once_and_put_where_the_tests_look(script):
    done = script()
    assert done.returncode == 0, done.stderr
    assert script.made("1.37") == {*PROGRAMS, "recipe"}
    assert "ready: kube-apiserver of this build" in done.stdout
    built = script.builds.read_text()
    assert "k8s.io/kubernetes v1.37.2" in built
    assert "gitVersion=v1.37.2" in built
    done = script()
    assert "nothing to do" in done.stdout
    assert script.builds.read_text() == built


@pytest.mark.parametrize("asked", ["1.32", "1.32.9"])
def test_another_version_is_asked_for_by_the_environment(script, asked):
    assert script(ENVTEST_K8S_VERSION=asked).returncode == 0
    assert script.made("1.32") == {*PROGRAMS, "recipe"}
    assert script.made("1.37") == set()
    assert "k8s.io/kubernetes v1.32.9" in script.builds.read_text()


@pytest.mark.parametrize("asked", ["1.20", "1.32.1", "newest", "1"])
def test_a_version_that_is_not_pinned_is_refused_with_those_that_are(script, asked):
    done = script(ENVTEST_K8S_VERSION=asked)
    assert done.returncode == 1
    assert f"Kubernetes {asked} is not pinned" in done.stderr
    assert {"1.32.9", "1.37.2"} <= {line.removeprefix("envtest: ") for line in done.stderr.splitlines()}
    assert script.builds.read_text() == ""


def test_programs_of_another_recipe_are_built_again(script):
    script()
    before = script.builds.read_text()
    (recipe,) = script.cache.glob("1.37/*/recipe")
    recipe.write_text("another")
    assert script().returncode == 0
    assert script.builds.read_text() == before * 2
    assert recipe.read_text() != "another"


def test_a_build_that_fails_shows_why_and_leaves_nothing(script):
    done = script(BROKEN="yes")
    assert done.returncode == 1
    assert "it does not compile" in done.stderr
    assert script.made("1.37") == set()
    assert list(script.cache.glob("1.37/*.building")) == []


def test_of_two_runs_at_once_one_builds_and_the_other_takes_what_it_made(script):
    with ThreadPoolExecutor() as pool:
        outputs = [done.stdout for done in pool.map(lambda _: script(), range(2))]
    assert sum("ready:" in output for output in outputs) == 1, outputs
    assert sum("nothing to do" in output for output in outputs) == 1, outputs


def test_what_a_killed_build_has_left_is_cleared_away(script):
    script()
    (recipe,) = script.cache.glob("1.37/*/recipe")
    recipe.unlink()
    left = Path(f"{recipe.parent}.building/out/half")
    program(left, "")
    assert script().returncode == 0
    assert script.made("1.37") == {*PROGRAMS, "recipe"}
    assert not left.parent.parent.exists()


def test_setup_envtest_provides_all_but_the_controller_manager(script):
    for name in ("kube-apiserver", "etcd"):
        program(script.folder / f"assets/{name}", "#!/bin/sh\necho of setup-envtest\n")
    program(script.folder / "bin/setup-envtest", SETUP_ENVTEST)
    done = script(ASSETS=script.folder / "assets")
    assert done.returncode == 0, done.stderr
    assert script.made("1.37") == {*PROGRAMS, "recipe"}
    assert "ready: of setup-envtest" in done.stdout
    built = script.builds.read_text()
    assert built.startswith("1.37.x\n")
    assert "./kube-controller-manager" in built
    assert "./kube-apiserver" not in built


def test_all_is_built_where_setup_envtest_fails(script):
    program(script.folder / "bin/setup-envtest", "#!/bin/sh\necho no such version >&2\nexit 2\n")
    done = script()
    assert done.returncode == 0, done.stderr
    assert "no such version" in done.stderr
    assert "./kube-apiserver ./kube-controller-manager" in script.builds.read_text()


def test_a_folder_from_the_environment_is_used_unchanged(script):
    assets = script.folder / "assets"
    for name in PROGRAMS:
        program(assets / name, "#!/bin/sh\n")
    done = script(KUBEBUILDER_ASSETS=assets)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    (assets / "kube-controller-manager").unlink()
    done = script(KUBEBUILDER_ASSETS=assets)
    assert done.returncode == 1
    assert "does not hold all of kube-apiserver kube-controller-manager etcd" in done.stderr
    assert script.builds.read_text() == ""
