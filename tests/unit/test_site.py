"""The script that builds the documentation site: what it copies, and what it reports."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs" / "build_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(module, "SITE", tmp_path / "html")
    return module


def write(page, html):
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html)


def test_every_page_is_copied_with_the_files_that_it_links_to(script):
    pages = script.copy_pages()
    assert {Path("README.md"), Path("docs/install.md"), Path("docs/reference/fields.md")} <= pages
    copied = {str(path.relative_to(script.PAGES)) for path in script.PAGES.rglob("*") if path.is_file()}
    assert {"manifests/chart/values.yaml", "docs/images/flow.svg", "docs/images/status-page-phone.png"} <= copied
    assert not [name for name in copied if name.endswith(".py")]


def test_every_page_is_in_the_navigation(script):
    assert list(script.not_in_navigation(script.copy_pages())) == []


def test_a_page_outside_the_navigation_is_reported(script):
    assert list(script.not_in_navigation({Path("docs/lost.md")})) == [
        "docs/lost.md is not in the navigation (docs/zensical.toml)"
    ]


def test_links_to_pages_and_files_of_the_site_are_fine(script):
    write(script.SITE / "index.html", '<a href="docs/">a</a><a href="docs/#top">b</a><img src="docs/x.svg">')
    write(script.SITE / "docs/index.html", '<a href="../">a</a><a href="https://example.com/nowhere">b</a>')
    write(script.SITE / "docs/x.svg", "<svg/>")
    assert list(script.broken()) == []


def test_a_link_to_a_missing_file_is_reported(script):
    write(script.SITE / "docs/index.html", '<a href="../values.yaml">a</a>')
    (problem,) = script.broken()
    assert "docs/index.html: links to ../values.yaml" in problem


@pytest.mark.parametrize(
    "html",
    ['<script src="https://cdn.example.com/x.js"></script>', '<link href="//fonts.example.com/x.css">'],
)
def test_what_a_browser_would_load_from_another_host_is_reported(html, script):
    write(script.SITE / "index.html", html)
    (problem,) = script.broken()
    assert "from another host" in problem
