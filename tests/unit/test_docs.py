"""The papers: what they take from the code is fresh, what they show is valid, what they point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from generate.files import files
from secretsyncer.errors import Reason
from secretsyncer.settings import Settings
from secretsyncer.synced_secret import parse
from tests.support.measures import declared

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_generated_file_is_out_of_date():
    stale = [name_of(path) for path, text in files().items() if path.read_text() != text]
    assert not stale, f"run `make docs`: {stale}"


@every_page
def test_every_link_inside_the_repository_leads_somewhere(page):
    for path, fragment in LINK.findall(prose(page)):
        if "://" not in path:
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), path
            assert not fragment or fragment[1:] in anchors(target), path + fragment


@every_page
def test_every_synced_secret_that_is_shown_is_valid(page):
    for language, text in BLOCK.findall(page.read_text()):
        for document in yaml.safe_load_all(text) if language == "yaml" else ():
            if isinstance(document, dict) and document.get("kind") == "SyncedSecret":
                parse(document)


@every_page
def test_every_make_target_that_is_named_is_there(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^|^\$ )make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets


@every_page
def test_every_setting_that_is_named_is_one(page):
    settings = {name.upper() for name in Settings.model_fields}
    beginnings = tuple({name.split("_")[0] + "_" for name in settings})
    named = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", page.read_text())
    assert {name for name in named if name.startswith(beginnings)} <= settings


@every_page
def test_every_metric_that_is_named_is_one_and_has_the_labels_that_it_is_named_with(page):
    named = re.findall(r"`((?:secretsyncer|secret_sync)_[a-z_]+)\b(?:\{([a-z_,]+)\})?", page.read_text())
    known = declared()
    for name, labels in named:
        assert name in known or f"{name}_bucket" in known
        assert not labels or set(labels.split(",")) <= known[name], name


def test_the_runbook_has_every_reason():
    headings = re.findall(r"^### (\w+)$", (DOCS / "runbook.md").read_text(), re.MULTILINE)
    assert set(Reason) <= set(headings)


def test_the_page_on_templates_has_every_function():
    source = (ROOT / "secretsyncer" / "gotemplate" / "go" / "functions.go").read_text()
    table = source[source.index("var functions = map") : source.index("\n}\n")]
    functions = set(re.findall(r'^\t"(\w+)":', table, re.MULTILINE)) - {"print", "println", "html", "js", "call"}
    assert len(functions) > 40
    page = (DOCS / "templates.md").read_text()
    assert {name for name in functions if not re.search(rf"`{name}\b", page)} == set()


def test_every_recipe_is_shown():
    text = (DOCS / "templates.md").read_text() + (ROOT / "README.md").read_text()
    recipes = {folder.name for folder in (DOCS / "cookbook").iterdir()}
    assert {name for name in recipes if f"cookbook/{name}/manifest.yaml -->" not in text} == set()


def test_the_architecture_names_every_module():
    package = ROOT / "secretsyncer"
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    modules |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert {name for name in modules if f"`{name}`" not in text} == set()
    assert text.count("\n") <= 160
