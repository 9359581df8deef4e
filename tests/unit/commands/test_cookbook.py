"""The recipes of docs/cookbook, rendered as on the page."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from secretsyncer import cli

COOKBOOK = Path(__file__).parents[3] / "docs" / "cookbook"
RECIPES = sorted(folder.name for folder in COOKBOOK.iterdir())


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_gives_what_the_page_shows(name, capsys):
    folder = COOKBOOK / name
    manifest, secrets = str(folder / "manifest.yaml"), str(folder / "secrets.yaml")
    code = cli.main(["render", "-f", manifest, "--secrets", secrets, "-o", "json"])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    (secret,) = json.loads(printed.out)["items"]
    rendered = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert rendered == {file.name: file.read_text() for file in (folder / "expected").iterdir()}


def test_cookbook_has_recipes():
    assert len(RECIPES) >= 8
