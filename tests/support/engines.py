"""Fixtures: one engine for all tests of templates, on a cache that stays between runs, because compiling takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

import hatch_build
from secretsyncer.gotemplate import compiled
from secretsyncer.gotemplate.engine import EngineCatalogue, TemplateEngine

CATALOGUE = {
    "db/blue": {
        "Tags": {"team": "a", "tag1": ""},
        "CurrentVersionID": "v1",
        "UpdatedAt": "2024-05-01T10:20:30+00:00",
    },
    "db/green": {"Tags": {"team": "b", "tag1": ""}, "CurrentVersionID": "v2", "UpdatedAt": None},
    "web/red": {"Tags": {"team": "a"}, "CurrentVersionID": "v3", "UpdatedAt": "2024-05-01T12:20:30+02:00"},
}


@pytest.fixture(scope="session")
def cache_dir(request):
    return Path(request.config.rootpath, ".cache", "gotemplate")


@pytest.fixture(scope="session", autouse=True)
def built():
    if not hatch_build.is_current(compiled.WASM.parents[2]):
        pytest.fail("engine.wasm is missing or not of this source: python hatch_build.py builds it", pytrace=False)


@pytest.fixture(scope="session")
def engine(cache_dir):
    """The engine that all tests share, with its first render behind it."""
    shared = TemplateEngine(cache_dir=cache_dir, deadline=30)
    shared.render_sync("", EngineCatalogue({}), {})
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def catalogue():
    return EngineCatalogue(CATALOGUE)
