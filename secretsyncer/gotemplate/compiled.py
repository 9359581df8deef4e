"""The compiled module: native code, compiled from engine.wasm in seconds, or loaded from a cache in milliseconds.

The name of a cache file has a digest of its inputs (wasmtime's version, the platform, the module) and of its content,
so a stale or damaged file is never loaded. The code is for the base CPU of the platform and runs on every machine of
it, so an image can contain it.

The cache is executed. A file is used only if it and its folder belong to this user or to root, and nobody else may
write them. If the cache cannot be read or written, the module is compiled in memory, and the log says so.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from wasmtime import Config, Engine, Module, WasmtimeError

log = logging.getLogger(__name__)

WASM = Path(__file__).with_name("engine.wasm")

STACK = 1 << 20
"""Bytes of stack for WebAssembly on the stack of the calling thread: half of glibc's smallest thread stack."""


def engine() -> Engine:
    """A wasmtime engine with interruption by epochs and a bounded stack, as `instance.py` needs."""
    config = Config()
    config.epoch_interruption = True
    config.max_wasm_stack = STACK
    config.parallel_compilation = False  # leaves a core to the event loop, and takes a second longer
    if sys.platform == "linux":
        config.target = f"{platform.machine()}-unknown-linux-gnu"
    return Engine(config)


def load(engine: Engine, cache_dir: Path | None) -> Module:
    """The module, from the cache or compiled. A compiled module is cached if possible.

    Raises OSError if the module was not built, WasmtimeError if it cannot be compiled.
    """
    wasm = _wasm()
    key = _key(wasm)
    for path in _trusted(cache_dir, key):
        try:
            return Module.deserialize_file(engine, str(path))
        except WasmtimeError:
            continue
    module = Module(engine, wasm)
    if cache_dir is not None:
        try:
            cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = _store(module, cache_dir, key)
            module.close()
            module = Module.deserialize_file(engine, str(path))
        except OSError as exc:
            # Commands configure no logging, so the message alone is shown.
            log.warning(
                "compiled template engine not kept, so each start takes seconds: the folder %s (setting CACHE_DIR) cannot be "
                "written: %s",
                cache_dir,
                exc.strerror,
            )
    _trim()
    return module


def compile_ahead(cache_dir: Path) -> Path:
    """Compile into `cache_dir` for every user of this machine. Raises OSError and WasmtimeError."""
    wasm = _wasm()
    cache_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = _store(Module(engine(), wasm), cache_dir, _key(wasm))
    path.chmod(0o644)
    return path


def _trim() -> None:
    """Release the 100 MiB of the compilation, which glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _wasm() -> bytes:
    try:
        return WASM.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{WASM} was not built; python hatch_build.py builds it") from None


def _key(wasm: bytes) -> str:
    made_from = (version("wasmtime"), sys.platform, platform.machine(), hashlib.sha256(wasm).hexdigest())
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()[:16]


def _trusted(cache_dir: Path | None, key: str) -> Iterator[Path]:
    """The intact cache files for the key that may be executed."""
    if cache_dir is None:
        return
    try:
        if not _ours(cache_dir.stat()):
            return
        for path in sorted(cache_dir.glob(f"engine-{key}-*.cwasm")):
            if _ours(path.lstat()) and path.stem.rpartition("-")[2] == _digest(path):
                yield path
    except OSError:
        return


def _ours(entry: os.stat_result) -> bool:
    writable = entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return entry.st_uid in {0, os.geteuid()} and not writable and not stat.S_ISLNK(entry.st_mode)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(module: Module, cache_dir: Path, key: str) -> Path:
    """Write the cache file atomically. Other processes may write it at the same time."""
    content = module.serialize()
    path = cache_dir / f"engine-{key}-{hashlib.sha256(content).hexdigest()}.cwasm"
    with tempfile.NamedTemporaryFile(dir=cache_dir, prefix=".engine-", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    return path
