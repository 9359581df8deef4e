"""The engine itself is compiled, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from secretsyncer.gotemplate.engine import EngineCatalogue, TemplateEngine


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_the_engine_runs_from_a_fresh_cache_and_without_one(tmp_path, cache_dir):
    engine = TemplateEngine(cache_dir=tmp_path / "cache", deadline=30)
    assert engine.render_sync("{{ 1 }}", EngineCatalogue({}), {}).output == "1"
    engine.close()
    assert [file.name for file in files(tmp_path / "cache")] == [
        file.name for file in files(cache_dir) if file.name in {f.name for f in files(tmp_path / "cache")}
    ]
