"""Build the documentation as a site in build/site/html (`make site`), and check it.

The pages link to each other and to other files by relative paths, as GitHub shows them. The site keeps the layout of
the repository, so that these links work there too: the README, the pages of docs/ and every file that a page links to
are copied, then zensical builds the copy. `--strict` fails on a link to a page or a heading that is not there. The
check afterwards covers what zensical does not look at: links to other files, pages that the navigation misses, and
anything that a browser would load from another host.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "docs" / "zensical.toml"
BUILD = ROOT / "build" / "site"
PAGES = BUILD / "pages"
SITE = BUILD / "html"
_LINK = re.compile(r"\]\(([^)#\s]+)|<img src=\"([^\"]+)\"")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


def main() -> int:
    """Build and check; the exit code."""
    shutil.rmtree(BUILD, ignore_errors=True)
    copied = copy_pages()
    config = shutil.copy(CONFIG, BUILD)
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "--config-file", config]
    built = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    if built.returncode:
        print(_COLOUR.sub("", built.stdout).partition("Traceback ")[0], file=sys.stderr)
        return built.returncode
    problems = [*not_in_navigation(copied), *broken()]
    for problem in problems:
        print(f"make site: {problem}", file=sys.stderr)
    if not problems:
        print(f"The site is in {SITE}; open it with: {sys.executable} -m http.server --directory {SITE}")
    return 1 if problems else 0


def copy_pages() -> set[Path]:
    """Copy the pages and all that they link to, page by page; the pages, relative to the repository."""
    todo = [ROOT / "README.md", ROOT / "docs" / "site.css", *(ROOT / "docs").rglob("*.md")]
    done: set[Path] = set()
    while todo:
        file = todo.pop()
        if file in done or not file.is_file():
            continue
        done.add(file)
        target = PAGES / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        if file.suffix == ".md":
            todo += links(file)
    return {file.relative_to(ROOT) for file in done if file.suffix == ".md"}


def links(page: Path) -> Iterator[Path]:
    """The files in the repository that the page links to or shows."""
    for path in (link or image for link, image in _LINK.findall(page.read_text())):
        if not urlsplit(path).scheme:
            yield (page.parent / path).resolve()


def not_in_navigation(pages: set[Path]) -> Iterator[str]:
    """Pages that a reader would only find by a link."""
    listed = set(_listed(tomllib.loads(CONFIG.read_text())["project"]["nav"]))
    yield from (f"{page} is not in the navigation (docs/zensical.toml)" for page in sorted(pages - listed))


def _listed(entries: list[Any]) -> Iterator[Path]:
    for entry in entries:
        for item in entry.values() if isinstance(entry, dict) else (entry,):
            if isinstance(item, str):
                yield Path(item)
            else:
                yield from _listed(item)


class _Page(HTMLParser):
    """What a page links to, and what it makes a browser load."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.linked: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a":
            self.linked.append(values.get("href") or "")
        if tag in _LOADED:
            self.loaded.append(values.get(_LOADED[tag]) or "")


def broken() -> Iterator[str]:
    """Links to files that are not in the site, and files of other hosts."""
    for file in sorted(SITE.rglob("*.html")):
        page = _Page(file)
        yield from (f"{file}: loads {url} from another host" for url in page.loaded if urlsplit(url).netloc)
        for url in page.linked + page.loaded:
            path = unquote(urlsplit(url).path)
            if urlsplit(url).scheme or urlsplit(url).netloc or not path or file.name == "404.html":
                continue
            target = (file.parent / path).resolve()
            if not (target / "index.html" if target.is_dir() or path.endswith("/") else target).is_file():
                yield f"{file}: links to {url}, which is not in the site"


if __name__ == "__main__":
    sys.exit(main())
