"""The versions of Kubernetes that are tested are the same in the pins, the gate, the sandbox and the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.envtest import NEWEST

ROOT = Path(__file__).parents[2]
PINS = sorted((path.stem for path in ROOT.glob(".ci/servers/kubernetes/*.mod")), key=lambda pin: pin.split("."))
OLDEST_MINOR, NEWEST_MINOR = (pin.rpartition(".")[0] for pin in (PINS[0], PINS[-1]))


def test_the_oldest_and_the_newest_version_are_pinned():
    assert len(PINS) == 2
    assert NEWEST == NEWEST_MINOR


@pytest.mark.parametrize("pin", PINS)
def test_a_pin_is_of_one_release(pin):
    """Of Kubernetes, and of everything that is released with it."""
    modules = (ROOT / f".ci/servers/kubernetes/{pin}.mod").read_text()
    assert f"k8s.io/kubernetes v{pin}\n" in modules
    staging = set(re.findall(r"^\tk8s\.io/\S+ => k8s\.io/\S+ (\S+)$", modules, re.MULTILINE))
    assert staging == {"v0" + pin.removeprefix("1")}
    sums = (ROOT / f".ci/servers/kubernetes/{pin}.sum").read_text()
    assert f"k8s.io/kubernetes v{pin} h1:" in sums


def test_the_gate_tests_both():
    gate = (ROOT / ".ci/run").read_text()
    assert re.findall(r"^OLDEST=(\S+)", gate, re.MULTILINE) == [OLDEST_MINOR]
    for target in ("make envtest", "make test"):
        assert re.search(rf'^step "{target}" {target}$', gate, re.MULTILINE), "the newest is the default"
        assert re.search(rf"^step .* ENVTEST_K8S_VERSION=\$OLDEST {target}( |$)", gate, re.MULTILINE)


def test_the_pages_name_them():
    install = (ROOT / "docs/install.md").read_text()
    assert re.findall(r"\b1\.\d+\.\d+\b", install.partition("##")[0]) == PINS
    for page in ("docs/install.md", "docs/faq.md", "CHANGELOG.md"):
        text = " ".join((ROOT / page).read_text().split())
        assert f"{OLDEST_MINOR} to {NEWEST_MINOR}" in text, page
