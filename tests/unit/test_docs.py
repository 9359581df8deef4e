"""The documentation: generated parts are current, examples are valid, and what a page names exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from generate.files import files
from secretsyncer.errors import Reason
from secretsyncer.settings import Settings
from secretsyncer.synced_secret import parse
from tests.support import fast_yaml
from tests.support.measures import declared

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|json|lock|go|svg))`")
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
def test_every_file_that_is_named_exists(page):
    roots = (ROOT, page.parent, ROOT / "tests", ROOT / "secretsyncer")
    named = set(FILE.findall(prose(page))) - {"manifests/overlays/mine/kustomization.yaml"}
    assert {name for name in named if not any((root / name).exists() for root in roots)} == set()


def test_some_page_names_files_and_shows_objects():
    text = "".join(page.read_text() for page in PAGES)
    assert len(set(FILE.findall(text))) > 20
    assert text.count("kind: SyncedSecret") > 8
    assert len(re.findall(r"`(?:secretsyncer|secret_sync)_[a-z_]+", text)) > 40


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 1200


@every_page
def test_every_synced_secret_that_is_shown_is_valid(page):
    for language, text in BLOCK.findall(page.read_text()):
        for document in fast_yaml.load_all(text) if language == "yaml" else ():
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


def test_every_sample_is_listed():
    page = (DOCS / "syncedsecret.md").read_text()
    samples = {path.name for path in (ROOT / "manifests" / "samples").glob("*.yaml")}
    assert {name for name in samples if f"(../manifests/samples/{name})" not in page} == set()


def test_every_recipe_is_shown():
    text = (DOCS / "cookbook.md").read_text() + (DOCS / "syncedsecret.md").read_text()
    recipes = {folder.name for folder in (DOCS / "cookbook").iterdir()}
    assert {name for name in recipes if f"cookbook/{name}/manifest.yaml -->" not in text} == set()


def layers_of(container):
    """The layers of the contract, top first; each is the set of its modules."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == [container])
    return [set(layer.split(" | ")) for layer in layers]


@pytest.mark.parametrize(
    ("heading", "container"), [("**The package**", "secretsyncer"), ("**`sync/`**", "secretsyncer.sync")]
)
def test_the_architecture_has_the_layers_of_the_contracts(heading, container):
    table = (
        (ROOT / "ARCHITECTURE.md")
        .read_text()
        .partition(f"{heading}, from top to bottom:\n\n")[2]
        .partition("\n\n")[0]
    )
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [set(re.findall(r"`(\w+)(?:/|\.py)`", cell)) for cell in cells] == layers_of(container)


@pytest.mark.parametrize("container", ["secretsyncer", "secretsyncer.sync"])
def test_every_module_has_a_layer(container):
    folder = ROOT.joinpath(*container.split("."))
    modules = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    assert modules - {"__init__", "__main__"} == set().union(*layers_of(container))


def collapsed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_every_example_of_style_is_in_the_code():
    code = "".join(
        collapsed(path.read_text())
        for folder in ("secretsyncer", "tests")
        for path in (ROOT / folder).rglob("*.py")
    )
    blocks = [
        text for language, text in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()) if language == "python"
    ]
    assert len(blocks) > 3
    for block in blocks:
        assert collapsed(block).removesuffix("...") in code, block


HOSTS = [
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"))
]
HOSTS += [".".join(parts) for parts in (("proxy", "golang", "org"), ("sum", "golang", "org"))]


def test_no_file_names_the_host_of_a_package_index():
    folders = [ROOT / name for name in (".ci", ".github", "bench", "docs", "generate", "manifests", "requirements")]
    folders += [ROOT / name for name in ("sandbox", "secretsyncer", "tests")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.name != "sbom.json"]
    named = {}
    for path in files:
        if path.suffix not in {".png", ".pyc", ".wasm"}:
            text = path.read_text(errors="replace")
            named.update({name_of(path): host for host in HOSTS if host in text})
    assert named == {}


def test_the_architecture_is_short():
    assert (ROOT / "ARCHITECTURE.md").read_text().count("\n") <= 160
