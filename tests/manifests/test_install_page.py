"""docs/install.md: its examples are built, and both ways give the same objects."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.support import fast_yaml
from tests.support.cluster import MANIFESTS
from tests.support.tools import needs_kubectl, run, tool

PAGE = (MANIFESTS.parent / "docs" / "install.md").read_text()
OVERLAY, VALUES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def pod(objects):
    (found,) = (obj["spec"]["template"]["spec"] for obj in objects if obj["kind"] == "Deployment")
    return found


@pytest.fixture(scope="module")
def kustomized(tmp_path_factory):
    """The overlay, put beside the others in a copy of the manifests."""
    copy = tmp_path_factory.mktemp("clone") / "manifests"
    shutil.copytree(MANIFESTS, copy)
    mine = copy / "overlays/mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(OVERLAY)
    return list(fast_yaml.load_all(run("kubectl", "kustomize", mine)))


@pytest.fixture(scope="module")
def charted():
    text = run(
        tool("helm"), "template", "secretsyncer", MANIFESTS / "chart", "--namespace", "k8s-secret-syncer",
        "--values", "-", stdin=VALUES,
    )  # fmt: skip
    return [document for document in fast_yaml.load_all(text) if document]


@needs_kubectl
def test_both_ways_give_the_same_kinds_by_the_same_names(kustomized, charted):
    def names(objects):
        return {(obj["kind"], obj["metadata"]["name"]) for obj in objects if obj["kind"] != "Namespace"}

    assert names(kustomized) == names(charted)


@needs_kubectl
def test_both_ways_run_the_same_image_with_the_same_environment(kustomized, charted):
    (one,), (other,) = pod(kustomized)["containers"], pod(charted)["containers"]
    assert one["image"] == other["image"] == "registry.example.com/platform/secretsyncer:1.0.0"

    def environment(container):
        return {variable["name"]: variable.get("value", "") for variable in container["env"]}

    assert environment(one) == environment(other)
    assert environment(one)["REQUIRE_NS_ANNOTATION"] == "true"


@needs_kubectl
def test_both_ways_give_the_same_identity_and_let_out_to_the_same(kustomized, charted):
    def parts(objects):
        account, policy = (
            next(obj for obj in objects if obj["kind"] == kind) for kind in ("ServiceAccount", "NetworkPolicy")
        )
        return account["metadata"]["annotations"], policy["spec"]["egress"]

    assert parts(kustomized) == parts(charted)


def test_every_folder_and_file_of_the_manifests_that_is_named_is_there():
    named = set(re.findall(r"\bmanifests[\w./-]*\w", PAGE)) - {
        "manifests/overlays/mine",
        "manifests/overlays/mine/kustomization.yaml",
    }
    assert len(named) > 8
    assert {path for path in named if not (MANIFESTS.parent / path).exists()} == set()


def test_every_value_that_is_named_is_one_of_the_chart():
    values = fast_yaml.load((MANIFESTS / "chart/values.yaml").read_text())
    named = re.findall(r"(?:`|--set '?)(\w+)\.(\w+)[`:=]", PAGE)
    named = [pair for pair in named if pair[1] not in {"md", "yaml", "json"}]
    assert len(named) > 4
    assert [pair for pair in named if pair[1] not in values.get(pair[0], {})] == []
