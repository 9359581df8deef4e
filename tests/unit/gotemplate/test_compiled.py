"""The cache of the compiled module: used only if it can be trusted, and never required."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import wasmtime

from secretsyncer.gotemplate import compiled
from secretsyncer.gotemplate.engine import compile_ahead

TINY = '(module (memory (export "memory") 1))'


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small module in the engine's place, so that compiling takes no time."""
    wasm = tmp_path / "engine.wasm"
    wasm.write_bytes(wasmtime.wat2wasm(TINY))
    monkeypatch.setattr(compiled, "WASM", wasm)
    return wasm


@pytest.fixture
def compilations(monkeypatch):
    """Counts how often a module is compiled."""
    counted = []

    class Counting(wasmtime.Module):
        def __init__(self, engine, wasm):
            counted.append(len(wasm))
            super().__init__(engine, wasm)

    monkeypatch.setattr(compiled, "Module", Counting)
    return counted


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_the_second_load_compiles_nothing(small, compilations, tmp_path):
    cache = tmp_path / "deep" / "cache"
    for _ in range(3):
        compiled.load(compiled.engine(), cache)
    assert len(compilations) == 1
    (file,) = files(cache)
    assert (cache.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_another_module_is_compiled_again(small, compilations, tmp_path):
    compiled.load(compiled.engine(), tmp_path / "cache")
    small.write_bytes(wasmtime.wat2wasm('(module (memory (export "memory") 2))'))
    compiled.load(compiled.engine(), tmp_path / "cache")
    assert len(compilations) == 2
    assert len(files(tmp_path / "cache")) == 2


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_file_is_passed_over(small, compilations, tmp_path, damage):
    compiled.load(compiled.engine(), tmp_path / "cache")
    (file,) = files(tmp_path / "cache")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage is None else damage)
    for _ in range(2):
        compiled.load(compiled.engine(), tmp_path / "cache")
    assert len(compilations) == 2


def test_an_intact_file_that_wasmtime_does_not_want_is_passed_over(small, compilations, tmp_path):
    compiled.load(compiled.engine(), tmp_path / "cache")
    (file,) = files(tmp_path / "cache")
    key = file.stem.split("-")[1]
    file.unlink()
    other = tmp_path / "other"
    other.write_bytes(b"not native code")
    (tmp_path / "cache" / f"engine-{key}-{compiled._digest(other)}.cwasm").write_bytes(other.read_bytes())
    compiled.load(compiled.engine(), tmp_path / "cache")
    assert len(compilations) == 2


@pytest.mark.parametrize("target", ["file", "folder"])
@pytest.mark.parametrize("change", [lambda path: path.chmod(0o777), lambda path: shutil.chown(path, 12345)])
def test_what_others_may_write_is_not_executed(small, compilations, tmp_path, target, change, monkeypatch):
    cache = tmp_path / "cache"
    compiled.load(compiled.engine(), cache)
    path = cache if target == "folder" else files(cache)[0]
    try:
        change(path)
    except PermissionError:
        monkeypatch.setattr(compiled.os, "geteuid", lambda: 54321)  # not root here: be someone else instead
    compiled.load(compiled.engine(), cache)
    assert len(compilations) == 2


def test_a_link_is_not_followed(small, compilations, tmp_path):
    cache = tmp_path / "cache"
    compiled.load(compiled.engine(), cache)
    (file,) = files(cache)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    compiled.load(compiled.engine(), cache)
    assert len(compilations) == 2


def test_a_cache_that_cannot_be_written_is_a_warning_with_the_folder_and_the_setting(
    small, compilations, tmp_path, caplog
):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for cache in (blocked, blocked / "below", None):
        compiled.load(compiled.engine(), cache)
    assert len(compilations) == 3
    assert files(tmp_path) == [small, blocked]
    first, second = (record.getMessage() for record in caplog.records)
    assert f"the folder {blocked} (setting CACHE_DIR) cannot be written: File exists" in first
    assert f"the folder {blocked / 'below'} (setting CACHE_DIR) cannot be written: Not a directory" in second


def test_a_failed_write_leaves_nothing_behind(small, compilations, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    compiled.load(compiled.engine(), tmp_path / "cache")
    assert files(tmp_path / "cache") == []


def test_compiled_ahead_serves_every_user(small, compilations, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    path = compile_ahead(cache)
    assert files(cache) == [path]
    assert (cache.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o755, 0o644)
    if path.stat().st_uid == 0:
        monkeypatch.setattr(compiled.os, "geteuid", lambda: 54321)
    compiled.load(compiled.engine(), cache)
    assert len(compilations) == 1
